//! The table itself, the report and the documented file.

use super::*;

#[test]
fn the_table_is_consistent() {
    let mut sections = vec![""];
    for (index, setting) in SETTINGS.iter().enumerate() {
        let key = setting.key;
        let earlier = &SETTINGS[..index];
        assert!(
            earlier.iter().all(|other| other.key != key),
            "{key} is there twice"
        );
        assert!(
            earlier
                .iter()
                .all(|other| other.env_name() != setting.env_name()),
            "{key}"
        );
        assert!(setting.env_name().starts_with(setting::ENV_PREFIX), "{key}");
        if sections.last() != Some(&setting.section()) {
            assert!(
                !sections.contains(&setting.section()),
                "{key}: its section is in two parts"
            );
            sections.push(setting.section());
        }
        let summary = setting.summary;
        assert!(
            summary.chars().count() <= 80 && !summary.ends_with('.'),
            "{key}: {summary}"
        );
        assert!(
            setting.reason.ends_with('.') && !setting.reason.contains("  "),
            "{key}"
        );
        assert!(!setting.allowed().is_empty(), "{key}");
    }
}

#[test]
fn every_default_is_within_its_own_bounds() {
    for setting in SETTINGS
        .iter()
        .filter(|setting| setting.secrecy != Secrecy::Environment)
    {
        let default = setting.default();
        let text = Raw::Text(default.plain());
        let loaded = read_alone(setting, text, Source::Flag("--set".into()));
        let loaded = loaded.unwrap_or_else(|error| panic!("{error}"));
        assert!(setting.value(&loaded.draft) == default, "{}", setting.key);
    }
}

#[test]
fn the_report_is_aligned_and_complete() {
    let loaded = from_flags(&[("http.idle_timeout_ms", "60_000")])
        .ok()
        .unwrap();
    let text = report::text(&loaded);
    assert_eq!(text.lines().count(), 1 + SETTINGS.len());
    let column = text.lines().next().unwrap().find("SOURCE").unwrap();
    for (line, setting) in text.lines().skip(1).zip(SETTINGS) {
        assert!(line.starts_with(&format!("{} ", setting.key)), "{line}");
        assert_eq!(&line[column - 1..column], " ", "{line}");
        assert_ne!(&line[column..column + 1], " ", "{line}");
    }
    let line = text
        .lines()
        .find(|line| line.starts_with("http.idle_timeout_ms"))
        .unwrap();
    assert_eq!(
        line.split_whitespace().collect::<Vec<_>>(),
        ["http.idle_timeout_ms", "60000", "--set"]
    );
}

#[test]
fn the_report_as_json_has_types_and_sources() {
    let loaded = from_environment(&[("TRIDENT_WORKERS", "2"), ("TRIDENT_AUTH_KEY", KEY)])
        .ok()
        .unwrap();
    let report: serde_json::Value = serde_json::from_str(&report::json(&loaded)).unwrap();
    let settings = report["settings"].as_array().unwrap();
    let entry = |key: &str| settings.iter().find(|entry| entry["key"] == key).unwrap();
    assert_eq!(settings.len(), SETTINGS.len());
    assert_eq!(entry("workers")["value"], 2);
    assert_eq!(entry("workers")["default"], 0);
    assert_eq!(entry("workers")["source"]["name"], "TRIDENT_WORKERS");
    assert_eq!(entry("listen")["value"][0], "0.0.0.0:8080");
    assert_eq!(entry("auth.key")["value"], serde_json::Value::Null);
    assert_eq!(entry("auth.key")["set"], true);
    assert_eq!(report["file"], serde_json::Value::Null);
    assert_eq!(
        report["warnings"].as_array().unwrap().len(),
        loaded.warnings.len()
    );
}

#[test]
fn the_documented_file_is_committed_as_generated() {
    let committed = include_str!("../../../config/trident.toml");
    assert!(
        committed == document::toml(),
        "run `cargo run -- documents config > config/trident.toml` and look at the difference"
    );
    assert!(committed.lines().all(|line| line.chars().count() <= 100));
}

#[test]
fn the_documented_file_means_the_defaults() {
    let as_it_is = from_file(&document::toml()).ok().unwrap();
    assert_eq!(as_it_is.given_count(), 0);
    let uncommented: String = document::toml()
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(entry) if !entry.is_empty() && !entry.starts_with(' ') => format!("{entry}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let (given, errors) = file::parse(&uncommented, Path::new("t.toml"));
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(given.len(), SETTINGS.len() - 1, "every key but auth.key");
    for given in given {
        let setting = given.setting;
        let loaded = read_alone(setting, given.raw, given.source);
        let loaded = loaded.unwrap_or_else(|error| panic!("{error}"));
        assert!(
            setting.value(&loaded.draft) == setting.default(),
            "{}",
            setting.key
        );
    }
}
