//! Which values are refused, which cause a warning, and how both are reported.

use super::*;

#[test]
fn unknown_keys_are_errors_with_the_nearest_name() {
    let table = [
        (
            "wrokers = 1",
            "unknown key \"wrokers\"; did you mean `workers`?",
        ),
        (
            "[http]\nworkers = 1",
            "unknown key \"http.workers\"; did you mean `workers`?",
        ),
        (
            "idle_timeout_ms = 1",
            "did you mean `http.idle_timeout_ms`?",
        ),
        (
            "[http]\nidle_timeout = 1",
            "did you mean `http.idle_timeout_ms`?",
        ),
        (
            "[htttp]\nidle_timeout_ms = 1",
            "did you mean `http.idle_timeout_ms`?",
        ),
        (
            "[team]\naccount_id = \"1\"",
            "unknown key \"team.account_id\"; ",
        ),
        (
            "[team]\naws_acount = \"1\"",
            "did you mean `team.aws_account`?",
        ),
        (
            "[htttp]\nidel_timeout_ms = 1",
            "did you mean `http.idle_timeout_ms`?",
        ),
        ("[server]\nlisten = \"a\"", "did you mean `listen`?"),
        ("mode = 1", "did you mean `auth.mode`?"),
        (
            "frobnicate = 1",
            "unknown key \"frobnicate\"; `trident check-config` lists all",
        ),
        ("[frobnicate]", "unknown key \"frobnicate\"; "),
        ("http = 1", "\"http\" is a section; write it as [http]"),
    ];
    for (text, problem) in table {
        let told = told(from_file(text));
        let line = text.lines().count();
        assert!(told.contains(problem), "{text:?}: {told}");
        assert!(
            told.contains(&format!("trident.toml:{line}:")),
            "{text:?}: {told}"
        );
        assert_eq!(told.lines().count(), 1, "{told}");
    }
}

#[test]
fn unknown_variables_are_errors_with_the_nearest_name() {
    let told = told(from_environment(&[
        ("TRIDENT_WORKER", "1"),
        ("TRIDENT_LOG_LEVEL", "info"),
        ("TRIDENT_IDLE_TIMEOUT_MS", "1"),
        ("trident_workers", "1"),
        ("TRIDENTWORKERS", "1"),
        ("TRIDENT_FROBNICATE", ""),
    ]));
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(
        lines[0],
        "TRIDENT_WORKER: unknown variable; did you mean `TRIDENT_WORKERS`?"
    );
    assert!(
        lines[1].starts_with("TRIDENT_LOG_LEVEL: unknown variable; did you mean `TRIDENT_LOG`?")
    );
    assert!(
        lines[2].contains("`TRIDENT_HTTP_IDLE_TIMEOUT_MS`"),
        "{}",
        lines[2]
    );
    assert_eq!(lines.len(), 3, "{told}");
}

#[test]
fn bad_values_name_key_source_and_what_is_allowed() {
    let table = [
        ("workers", "two", "an integer from 0 to 1024, got \"two\""),
        ("workers", "-1", "an integer from 0 to 1024, got \"-1\""),
        ("workers", "+1", "an integer from 0 to 1024"),
        ("workers", "1025", "an integer from 0 to 1024"),
        ("workers", "1__0", "an integer from 0 to 1024"),
        (
            "workers",
            "99999999999999999999",
            "an integer from 0 to 1024",
        ),
        (
            "stack_bytes",
            "65537",
            "a multiple of 4096 from 32768 to 8388608 (bytes)",
        ),
        (
            "http.idle_timeout_ms",
            "0",
            "an integer from 1 to 86400000 (milliseconds), got \"0\"",
        ),
        (
            "http.idle_timeout_ms",
            "75x",
            "an integer from 1 to 86400000 (milliseconds), got \"75x\"; write it as 500ms, 30s or 5m",
        ),
        (
            "blockchain.compression_level",
            "10",
            "an integer from 0 to 9",
        ),
        (
            "blockchain.team_account",
            "9223372036854775808",
            "at most 19 digits",
        ),
        ("blockchain.modulus", "2", "a decimal number of 3 or more"),
        ("blockchain.modulus", "0x10", "a decimal number"),
        ("pin_workers", "yes", "true or false, got \"yes\""),
        ("listen", "80800", "ADDRESS:PORT such as \"0.0.0.0:8080\""),
        ("listen", "example.org:1", "localhost:8080"),
        ("listen", "localhost:+1", "or a port alone"),
        ("listen", "127.0.0.1:1,", "ADDRESS:PORT"),
        ("admin", "localhots:1", "or \"off\", got \"localhots:1\""),
        ("team.name", "a,b", "without commas"),
        ("team.name", "a\nb", "got \"a\\nb\""),
        ("auth.mode", "REST", "\"embedded\" or \"rest\""),
        ("auth.url", "https://a/b", "https not being built in"),
        ("auth.url", "http:///b", "http://HOST[:PORT]/PATH"),
        ("auth.queue_max", "0", "an integer from 1 to 1000000"),
        ("log.level", "inof", "off, error, warn"),
        ("log.format", "xml", "\"text\" or \"json\""),
    ];
    for (key, value, allowed) in table {
        let name = table::find(key).unwrap().env_name();
        for (place, told) in [
            (name.as_str(), told(from_environment(&[(&name, value)]))),
            ("--set", told(from_flags(&[(key, value)]))),
        ] {
            assert!(
                told.starts_with(&format!("{place}: {key}: expected ")),
                "{told}"
            );
            assert!(told.contains(allowed), "{told}");
            assert_eq!(told.lines().count(), 1, "{told}");
        }
    }
}

#[test]
fn bad_values_in_the_file_tell_the_line() {
    let text = "workers = \"two\"\nlisten = []\n[http]\nbody_bytes_max = 1.5\nconnections_max = -1\n\
                [drain]\naccept_ms = 99999999999999999999\n[team]\naws_account = 123456789012\n\
                [[log]]\nlevel = \"info\"\n";
    let told = told(from_file(text));
    let at = |line: usize, problem: &str| {
        let place = format!("trident.toml:{line}:");
        assert!(
            told.lines()
                .any(|l| l.contains(&place) && l.contains(problem)),
            "{line}: {told}"
        );
    };
    at(
        1,
        "workers: expected an integer from 0 to 1024, got \"two\"",
    );
    at(2, "listen: expected one or more of");
    at(
        4,
        "http.body_bytes_max: expected an integer from 0 to 1073741824 (bytes), got a TOML float",
    );
    at(
        5,
        "http.connections_max: expected an integer from 1 to 1000000, got -1",
    );
    at(
        7,
        "drain.accept_ms: expected an integer from 0 to 3600000 (milliseconds), got a TOML integer",
    );
    at(9, "team.aws_account: expected a text of 1 to 64 bytes");
    at(10, "\"log\" is a section");
}

#[test]
fn all_faults_of_all_sources_are_told_at_once() {
    let directory = TempDir::new();
    let path = directory.file("trident.toml", "a = 1\nworkers = 9999\n");
    let told = told(load(sources(
        Some(path),
        &[("TRIDENT_X", "1")],
        &[("y", "1"), ("z", "1")],
    )));
    assert_eq!(told.lines().count(), 5, "{told}");
}

#[test]
fn a_syntax_error_tells_the_line_but_not_its_text() {
    let told = told(from_file("workers = 1\n[auth]\nkey_file = \"s3cret\n"));
    assert!(told.contains("trident.toml:3:19: not TOML: "), "{told}");
    assert!(!told.contains("s3cret"), "{told}");
}

#[test]
fn a_refused_value_changes_nothing() {
    let mut addresses = vec!["127.0.0.1:1".parse().unwrap()];
    let raw = Raw::Array(vec![Raw::String("127.0.0.1:2".into()), Raw::Bool(true)]);
    assert!(addresses.read(&raw, &Rule::Any).is_err());
    assert_eq!(addresses.value(&Rule::Any).plain(), "127.0.0.1:1");
}

#[test]
fn relations_between_settings_are_checked() {
    let table: [(&[(&str, &str)], &str); 7] = [
        (
            &[("drain.accept_ms", "120000")],
            "drain.deadline_ms: 120000 ms is not longer than",
        ),
        (
            &[("drain.accept_ms", "5"), ("drain.deadline_ms", "5")],
            "--set: drain.deadline_ms: 5 ms",
        ),
        (
            &[("listen", "127.0.0.1:1,127.0.0.1:1")],
            "--set: listen: 127.0.0.1:1 is there twice",
        ),
        (
            &[("listen", "127.0.0.1:9090")],
            "admin: 127.0.0.1:9090 is an address of `listen` too",
        ),
        (
            &[("auth.mode", "rest")],
            "--set: auth.mode: \"rest\" needs auth.url",
        ),
        (
            &[("auth.mode", "rest"), ("auth.url", "http://a:65536/b")],
            "--set: auth.url: the authority's URL \"http://a:65536/b\" is not of the form",
        ),
        (
            &[("auth.mode", "rest"), ("auth.url", "http://[::1/b")],
            "--set: auth.url: the authority's URL",
        ),
    ];
    for (set, problem) in table {
        let told = told(from_flags(set));
        assert!(told.starts_with(problem), "{told}");
        assert_eq!(told.lines().count(), 1);
    }
    assert!(
        from_flags(&[
            ("listen", "127.0.0.1:0,127.0.0.1:0"),
            ("admin", "127.0.0.1:0")
        ])
        .is_ok()
    );
    assert!(from_flags(&[("drain.accept_ms", "0"), ("drain.deadline_ms", "1")]).is_ok());
}

#[test]
fn what_is_probably_not_meant_is_a_warning() {
    let table = [
        ("http.idle_timeout_ms", "349999", ""),
        (
            "http.idle_timeout_ms",
            "350000",
            "350000 ms is not below the 350000 ms",
        ),
        ("team.aws_account", "123456789012", ""),
        (
            "team.aws_account",
            "1234-5678-9012",
            "not the twelve digits",
        ),
        ("auth.url", "http://a/b", "has no effect"),
        ("twitter.ingest", "admin", ""),
        ("twitter.ingest", "public", "\"public\" without a token"),
    ];
    for (key, value, problem) in table {
        let warnings = warned(&[(key, value)], SystemLimits::default());
        if problem.is_empty() {
            assert_eq!(warnings, "", "{key} = {value}");
        } else {
            assert!(
                warnings.starts_with(&format!("--set: {key}: {problem}")),
                "{warnings}"
            );
            assert_eq!(warnings.lines().count(), 1, "{warnings}");
        }
    }
    let with_token = [
        ("twitter.ingest", "public"),
        ("twitter.ingest_token", "0123456789abcdef"),
    ];
    assert_eq!(warned(&with_token, SystemLimits::default()), "");
    let pair = warned(&[("blockchain.team_account", "3")], SystemLimits::default());
    assert!(
        pair.starts_with("blockchain.team_private_exponent: does not belong to"),
        "{pair}"
    );
    let no_key = load(sources(None, &[], &[])).ok().unwrap().warnings;
    assert!(
        no_key.len() == 1 && no_key[0].contains("openssl rand -hex 32"),
        "{no_key:?}"
    );
}

#[test]
fn connections_are_compared_with_what_the_machine_allows() {
    let system = SystemLimits {
        files_max: Some(3008),
        mappings_max: Some(1920),
    };
    let at_the_limit = warned(&[("http.connections_max", "960")], system);
    assert_eq!(at_the_limit, "");
    let above = warned(&[("http.connections_max", "961")], system);
    let lines: Vec<&str> = above.lines().collect();
    assert!(
        lines[0].contains("961, and 2048 for all else, do not fit into the 3008 files")
            && lines[0].contains(" to 3009 ")
    );
    assert!(lines[1].contains("961 need 1922 memory mappings") && lines[1].ends_with("to 960"));
}

/// The warnings for `set` on `system`, one line each. A key is set, so that no warning is about its absence.
fn warned(set: &[(&str, &str)], system: SystemLimits) -> String {
    let mut sources = sources(None, &[("TRIDENT_AUTH_KEY", KEY)], set);
    sources.system = system;
    let warnings = load(sources).ok().unwrap().warnings;
    warnings
        .iter()
        .map(|warning| format!("{warning}\n"))
        .collect()
}

#[test]
fn a_text_without_quotes_is_told_with_its_column_and_the_way_out() {
    let table = [
        (
            "listen = 127.0.0.1:8080",
            "1:15",
            "put it in quotes: listen = \"…\"",
        ),
        (
            "cache_bytes = 1G",
            "1:15",
            "put it in quotes: cache_bytes = \"…\"",
        ),
        (
            "[team]\nname = Tridents",
            "2:8",
            "put it in quotes: name = \"…\"",
        ),
        (
            "[team]\naws_account = 123456789012",
            "2:15",
            "put it in quotes: aws_account = \"…\"",
        ),
        (
            "[auth]\nmode = true",
            "2:8",
            "put it in quotes: mode = \"…\"",
        ),
        (
            "admin_hosts = [\"ä\", b]",
            "1:21",
            "put each text in quotes",
        ),
        (
            "# é\n  workers = 9999",
            "2:13",
            "an integer from 0 to 1024, got 9999",
        ),
    ];
    for (text, place, remedy) in table {
        let told = told(from_file(text));
        assert!(told.contains(&format!("trident.toml:{place}: ")), "{told}");
        assert!(told.contains(remedy), "{told}");
    }
}

#[test]
fn a_variable_of_another_name_leads_to_the_setting() {
    let table = [
        ("TRIDENT_PORT", "8080", "did you mean `TRIDENT_LISTEN`?"),
        ("TRIDENT_HOST", "0.0.0.0", "did you mean `TRIDENT_LISTEN`?"),
        ("TRIDENT_THREADS", "2", "did you mean `TRIDENT_WORKERS`?"),
        (
            "TRIDENT_MAX_CONNECTIONS",
            "1K",
            "did you mean `TRIDENT_HTTP_CONNECTIONS_MAX`?",
        ),
        (
            "TRIDENT_FROBNICATE",
            "1",
            "`trident check-config --json` lists all",
        ),
    ];
    for (name, value, hint) in table {
        let told = told(from_environment(&[(name, value)]));
        assert_eq!(told.lines().count(), 1, "{told}");
        assert!(
            told.starts_with(&format!("{name}: unknown variable; {hint}")),
            "{told}"
        );
    }
    // Kubernetes sets this variable for a service of that name.
    assert!(from_environment(&[("TRIDENT_PORT", "tcp://10.0.0.1:80")]).is_ok());
}
