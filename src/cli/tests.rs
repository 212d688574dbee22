//! Help, and how flags are parsed. `tests/it/cli/commands.rs` tests the binary.

use super::*;
use crate::config::{Flag, SETTINGS};
use clap::CommandFactory;

/// What `arguments` ask for.
fn parsed(arguments: &[&str]) -> Result<Invocation, Stop> {
    parse(
        std::iter::once("trident")
            .chain(arguments.iter().copied())
            .map(OsString::from),
    )
}

/// The flags of `arguments`, which ask to serve.
fn flags(arguments: &[&str]) -> SettingFlags {
    match parsed(arguments) {
        Ok(Invocation::Serve(settings)) => settings,
        _ => panic!("{arguments:?} do not serve"),
    }
}

/// `--name key=value` for each flag; a list's values joined by `|`.
fn written(flags: &[Flag]) -> Vec<String> {
    let text = |raw: &config::Raw| raw.text().unwrap_or("?").to_owned();
    let value = |flag: &Flag| match &flag.raw {
        config::Raw::Array(items) => items.iter().map(text).collect::<Vec<_>>().join("|"),
        raw => text(raw),
    };
    flags
        .iter()
        .map(|flag| format!("{} {}={}", flag.name, flag.key, value(flag)))
        .collect()
}

#[test]
fn clap_finds_no_contradiction() {
    Cli::command().debug_assert();
}

#[test]
fn serve_is_the_default_with_all_its_flags() {
    let arguments = ["--workers", "2", "--set", "backlog=1", "--config", "/a"];
    let without = flags(&arguments);
    let with = flags(&[&["serve"], &arguments[..]].concat());
    assert_eq!(
        written(&without.flags),
        ["--workers workers=2", "--set backlog=1"]
    );
    assert_eq!(written(&without.flags), written(&with.flags));
    assert_eq!(
        (without.file, with.file),
        (Some("/a".into()), Some("/a".into()))
    );
    assert!(flags(&[]).flags.is_empty());
}

#[test]
fn every_setting_with_a_flag_has_it() {
    for setting in SETTINGS {
        let Some((flag, _)) = setting.flag else {
            continue;
        };
        let name = format!("--{flag}");
        assert_eq!(
            written(&flags(&[&name, "x"]).flags),
            [format!("{name} {}=x", setting.key)]
        );
    }
}

#[test]
fn flags_that_scripts_rely_on_are_there() {
    let names: Vec<&str> = SETTINGS
        .iter()
        .filter_map(|s| s.flag)
        .map(|(name, _)| name)
        .collect();
    for name in [
        "listen",
        "admin",
        "workers",
        "team",
        "aws-account",
        "cache-bytes",
        "log-level",
    ] {
        assert!(names.contains(&name), "{name}");
    }
    assert!(
        SETTINGS
            .iter()
            .all(|s| s.flag.is_none() || !s.key.contains("key")),
        "no flag for a key"
    );
}

#[test]
fn lists_add_up_and_the_rest_keeps_its_order() {
    let typed = flags(&[
        "--listen",
        "a",
        "--set",
        "workers=1",
        "--listen",
        "b",
        "--workers=2",
        "--workers=3",
    ]);
    let written = written(&typed.flags);
    assert_eq!(
        written,
        [
            "--set workers=1",
            "--listen listen=a|b",
            "--workers workers=3"
        ]
    );
    assert_eq!(
        super::tests::written(&flags(&["--set", "team.name=a=b"]).flags),
        ["--set team.name=a=b"]
    );
}

#[test]
fn a_pair_without_equals_sign_is_refused_without_repeating_it() {
    let stop = parsed(&["--set", "s3cret"]).err().unwrap();
    assert_eq!(stop.code, ExitCode::Usage);
    let first = stop.messages[0].lines().next();
    assert_eq!(
        first,
        Some("--set: expected KEY=VALUE, for example --set workers=2")
    );
    assert!(!stop.messages[0].contains("s3cret"));
}

#[test]
fn flags_before_a_subcommand_are_refused_in_one_line() {
    let stop = parsed(&["--workers", "1", "check-config"]).err().unwrap();
    assert_eq!(stop.code, ExitCode::Usage);
    assert!(stop.messages[0].ends_with("write the subcommand first and its flags after it"));
    assert_eq!(stop.messages[0].lines().count(), 1);
}

#[test]
fn short_help_has_one_line_per_flag_and_long_help_has_the_facts() {
    let mut command = Cli::command();
    let short = command.render_help().to_string();
    let long = command.render_long_help().to_string();
    for setting in SETTINGS {
        let Some((flag, value_name)) = setting.flag else {
            continue;
        };
        let flag = format!("--{flag} <{value_name}>");
        let summary = config::document::capitalised(setting.summary);
        let line = short
            .lines()
            .find(|line| line.trim_start().starts_with(&flag))
            .unwrap();
        assert!(line.trim_end().ends_with(&summary), "{line}");
        assert!(line.chars().count() <= 80, "{line}");
        let paragraph = long.split(&flag).nth(1).unwrap();
        assert!(paragraph.contains(&setting.env_name()), "{paragraph}");
        assert!(paragraph.contains(&format!("[default: {}", setting.default().plain())));
    }
    for section in ["Examples:", "Environment:", "Exit status:"] {
        assert!(
            long.contains(section) && !short.contains(section),
            "{section}"
        );
    }
}

/// The examples in the help must parse.
#[test]
fn the_examples_work() {
    for (command, _) in text::EXAMPLES {
        let words: Vec<&str> = command.split(' ').skip(1).collect();
        let settings = match parsed(&words).unwrap_or_else(|stop| panic!("{command}: {stop:?}")) {
            Invocation::Serve(settings) | Invocation::CheckConfig { settings, .. } => settings,
            Invocation::Etl(_) | Invocation::Explain(_) => continue,
            Invocation::Gen(_)
            | Invocation::Documents(_)
            | Invocation::Load(_)
            | Invocation::Store(_) => {
                panic!("{command}")
            }
        };
        let flags = settings
            .flags
            .into_iter()
            .filter(|flag| flag.key != "auth.key_file")
            .collect();
        let outcome = config::load(config::Sources {
            file: None,
            default_file: "/nonexistent".into(),
            environment: Vec::new(),
            flags,
            system: config::SystemLimits::default(),
        });
        assert!(outcome.is_ok(), "{command}");
    }
}

#[test]
fn a_whole_run_and_its_stages_are_told_apart() {
    let etl = |arguments: &[&str]| match parsed(&[&["etl"], arguments].concat()) {
        Ok(Invocation::Etl(command)) => Ok(*command),
        Err(stop) => Err(stop.messages.concat()),
        Ok(_) => panic!("{arguments:?}"),
    };
    let whole = etl(&["--input", "a", "--input", "-", "--output", "s"]).unwrap();
    assert_eq!(whole.stage, None);
    assert_eq!(whole.run.inputs, ["a", "-"].map(std::path::PathBuf::from));
    assert!(matches!(
        etl(&["map"]).unwrap().stage,
        Some(EtlStage::Map { .. })
    ));
    assert!(etl(&["--input", "a", "--top", "9"]).is_ok());
    for (arguments, hint) in [
        (&["--input", "a"][..], "--output"),
        (&["--output", "s"], "--input"),
        (&["--output", "s", "map"], "cannot be used with"),
        // Arguments after --input are inputs.
        (&["--input", "a", "map"], "--output"),
        (&["--input", "a", "--top", "1", "--replace"], "--output"),
        (&["build"], "--output"),
    ] {
        let message = etl(arguments).unwrap_err();
        assert!(message.contains(hint), "{arguments:?}: {message}");
    }
}

#[test]
fn the_short_help_of_load_fits_a_terminal() {
    let mut command = Cli::command();
    let load = command.find_subcommand_mut("load").unwrap();
    for line in load.render_help().to_string().lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

/// The coordinator decides what an agent does, so flags that the agent would ignore are refused.
#[test]
fn an_agent_takes_no_flags_of_a_run() {
    let mut command = Cli::command();
    command.build();
    let load = command.find_subcommand("load").unwrap();
    let agent = load.get_arguments().find(|arg| arg.get_id() == "agent");
    let refused = load.get_arg_conflicts_with(agent.unwrap());
    let refused: Vec<_> = refused.iter().map(|arg| arg.get_id()).collect();
    for arg in load.get_arguments().filter(|arg| !arg.is_global_set()) {
        let id = arg.get_id();
        let is_its_own = ["agent", "token_file", "help"].contains(&id.as_str());
        assert_eq!(refused.contains(&id), !is_its_own, "{id}");
    }
}
