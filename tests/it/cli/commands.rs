//! The command line as scripts see it: exit codes, streams, generated files.

use crate::{command::ended, harness::required, temp_dir::TempDir};
use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// The binary with `arguments`, without our variables and without the machine's own file.
fn trident(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trident"));
    command
        .args(arguments)
        .env_clear()
        .env("TRIDENT_CONFIG", "/dev/null")
        .stdin(Stdio::null());
    command
}

/// A file of its own for the test called `name`.
fn scratch(name: &str, text: &str) -> PathBuf {
    let path =
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", std::process::id()));
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn help_and_version_go_to_standard_output() {
    for arguments in [
        &["--help"][..],
        &["-h"],
        &["serve", "--help"],
        &["check-config", "-h"],
    ] {
        let (code, out, err) = ended(&mut trident(arguments));
        assert_eq!((code, err.as_str()), (0, ""), "{arguments:?}");
        assert!(out.contains("--listen <ADDR:PORT>"), "{arguments:?}: {out}");
        let lists = out.contains("\n  completions ");
        assert_eq!(lists, arguments[0].starts_with('-'), "{arguments:?}: {out}");
    }
    for flag in ["--version", "-V"] {
        let (code, out, _) = ended(&mut trident(&[flag]));
        assert_eq!(code, 0);
        assert!(
            out.starts_with(concat!("trident ", env!("CARGO_PKG_VERSION"), " (")),
            "{out}"
        );
        assert!(!out.contains('\x1b'));
    }
}

#[test]
fn help_is_a_subcommand_too() {
    for (arguments, same) in [
        (&["help"][..], &["--help"][..]),
        (&["help", "etl"], &["etl", "--help"]),
        (&["help", "etl", "map"], &["etl", "map", "--help"]),
    ] {
        let (code, out, _) = ended(&mut trident(arguments));
        assert_eq!(code, 0, "{arguments:?}");
        assert_eq!(out, ended(&mut trident(same)).1, "{arguments:?}");
    }
}

#[test]
fn counts_take_suffixes() {
    let made = |count: &str| ended(&mut trident(&["gen", "qrcode", "--count", count])).1;
    assert_eq!(made("0.2K").lines().count(), 200);
    assert_eq!(made("0.2K"), made("200"));
}

#[test]
fn wrong_usage_ends_with_64_and_a_hint() {
    let table = [
        (&["--lisen", "a"][..], "--listen"),
        (&["srve"], "serve"),
        (&["check-config", "--jsn"], "--json"),
        (&["--set", "workers"], "KEY=VALUE"),
        (&["--workers"], "--workers <N>"),
        (&["--workers", "1", "serve"], "write the subcommand first"),
        (&["--port", "8080"], "did you mean `--listen ADDR:PORT`?"),
        (&["serve", "--threads", "2"], "did you mean `--workers N`?"),
        (
            &["--idle-timeout", "5"],
            "did you mean `--set http.idle_timeout_ms=…`?",
        ),
        (
            &["gen", "tweets", "--lines", "many"],
            "such as 5000, 10K or 1M",
        ),
        (&["load", "--connections", "61K"], "from 1 to 60000"),
        (
            &[
                "etl",
                "--input",
                "a",
                "--output",
                "b",
                "--memory-bytes",
                "1X",
            ],
            "64K, 512M or 1G",
        ),
        (&["help", "elt"], "unrecognized subcommand 'elt'"),
        (&["generate"], "metrics"),
        (&["completions", "tcsh"], "fish"),
    ];
    for (arguments, hint) in table {
        let (code, out, err) = ended(&mut trident(arguments));
        assert_eq!((code, out.as_str()), (64, ""), "{arguments:?}: {err}");
        assert!(err.contains(hint), "{arguments:?}: {err}");
    }
}

#[test]
fn a_wrong_configuration_ends_serve_and_check_config_alike() {
    let path = scratch("wrong.toml", "[http]\nidle_timeout_ms = 0\n");
    let path = path.to_str().unwrap();
    for command in ["serve", "check-config"] {
        let arguments = [command, "--config", path, "--set", "wrokers=1"];
        let (code, out, err) = ended(trident(&arguments).env("TRIDENT_WORKER", "1"));
        assert_eq!((code, out.as_str()), (64, ""), "{command}: {err}");
        let lines: Vec<&str> = err.lines().collect();
        assert_eq!(lines.len(), 3, "{err}");
        assert_eq!(
            lines[0],
            format!(
                "trident: {path}:2:19: http.idle_timeout_ms: expected an integer from 1 to 86400000 \
                 (milliseconds), got 0"
            )
        );
        assert_eq!(
            lines[1],
            "trident: TRIDENT_WORKER: unknown variable; did you mean `TRIDENT_WORKERS`?"
        );
        assert_eq!(
            lines[2],
            "trident: --set: unknown key \"wrokers\"; did you mean `workers`?"
        );
    }
}

#[test]
fn check_config_tells_values_and_sources() {
    let path = scratch(
        "right.toml",
        "\n[http]\nidle_timeout_ms = 60000\n[drain]\naccept_ms = 1\n",
    );
    let path = path.to_str().unwrap();
    let arguments = [
        "check-config",
        "--config",
        path,
        "--workers",
        "3",
        "--listen",
        "[::1]:0",
    ];
    let (code, out, err) = ended(
        trident(&arguments)
            .env("TRIDENT_DRAIN_ACCEPT_MS", "2")
            .env("TRIDENT_AUTH_KEY", KEY),
    );
    assert_eq!(code, 0, "{err}");
    let row = |key: &str| -> Vec<&str> {
        let line = out
            .lines()
            .find(|line| line.starts_with(&format!("{key} ")))
            .unwrap();
        let (_, rest) = line.split_once(' ').unwrap();
        rest.split("  ")
            .map(str::trim)
            .filter(|s| !s.is_empty())
            .collect()
    };
    let in_file = format!("{path}:3:19");
    assert_eq!(row("http.idle_timeout_ms"), ["60000", in_file.as_str()]);
    assert_eq!(row("drain.accept_ms"), ["2", "TRIDENT_DRAIN_ACCEPT_MS"]);
    assert_eq!(row("workers"), ["3", "--workers"]);
    assert_eq!(row("listen"), ["[\"[::1]:0\"]", "--listen"]);
    assert_eq!(row("backlog"), ["4096", "default"]);
    assert_eq!(row("auth.key"), ["set (hidden)", "TRIDENT_AUTH_KEY"]);
    assert!(
        err.contains(&format!("configuration ok: file={path} given=5")),
        "{err}"
    );
    assert!(!out.contains("ccdd") && !err.contains("ccdd"));
}

#[test]
fn check_config_as_json_is_json_whatever_is_warned() {
    let arguments = [
        "check-config",
        "--json",
        "--set",
        "http.idle_timeout_ms=400000",
    ];
    let (code, out, err) = ended(&mut trident(&arguments));
    assert_eq!(code, 0, "{err}");
    assert!(
        err.contains("trident: warning: --set: http.idle_timeout_ms: 400000 ms"),
        "{err}"
    );
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["file"], "/dev/null");
    let settings = report["settings"].as_array().unwrap();
    assert!(
        settings
            .iter()
            .any(|s| s["key"] == "http.idle_timeout_ms" && s["value"] == 400_000)
    );
}

#[test]
fn a_reader_that_has_gone_is_no_failure_but_a_full_disk_is() {
    for arguments in [
        &["check-config"][..],
        &["generate", "man"],
        &["generate", "config"],
        &["--help"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let status = trident(arguments)
            .stdout(writer)
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert_eq!(status.code(), Some(0), "{arguments:?}");
    }
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let (code, _, err) = ended_with(trident(&["generate", "config"]).stdout(full));
    assert_eq!(code, 1);
    assert!(
        err.starts_with("trident: cannot write to standard output: "),
        "{err}"
    );
}

/// As [`ended`], but keeps the standard output that was set.
fn ended_with(command: &mut Command) -> (i32, String, String) {
    let output = command
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
        .wait_with_output()
        .unwrap();
    (
        output.status.code().unwrap(),
        String::new(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[test]
fn completions_name_the_flags_and_parse() {
    for shell in ["bash", "zsh", "fish"] {
        let (code, script, _) = ended(&mut trident(&["completions", shell]));
        assert_eq!(code, 0);
        for word in ["check-config", "listen", "aws-account", "cache-bytes"] {
            assert!(script.contains(word), "{shell} lacks {word}");
        }
        let path = scratch(&format!("completions.{shell}"), &script);
        if required(shell, &[shell]) {
            let output = Command::new(shell).arg("-n").arg(&path).output().unwrap();
            assert!(output.status.success(), "{shell}: {output:?}");
        }
    }
}

#[test]
fn the_man_pages_have_all_sections_and_render() {
    let (code, page, _) = ended(&mut trident(&["generate", "man"]));
    assert_eq!(code, 0);
    for section in [
        "NAME",
        "SYNOPSIS",
        "OPTIONS",
        "SETTINGS",
        "EXAMPLES",
        "ENVIRONMENT",
        "\"EXIT STATUS\"",
    ] {
        assert!(page.contains(&format!(".SH {section}\n")), "{section}");
    }
    assert!(page.contains("http.idle_timeout_ms"));
    let own = TempDir::new();
    let directory = own.join("man");
    let (code, out, err) = ended(&mut trident(&[
        "generate",
        "man",
        directory.to_str().unwrap(),
    ]));
    assert_eq!((code, out.as_str(), err.as_str()), (0, "", ""));
    for name in ["trident.1", "trident-serve.1", "trident-check-config.1"] {
        let path = directory.join(name);
        assert!(path.exists(), "{name}");
        // groff -ww warns of everything it does not understand.
        if !required("groff", &["groff"]) {
            continue;
        }
        let output = Command::new("groff")
            .args(["-man", "-Tutf8", "-ww"])
            .arg(&path)
            .output()
            .unwrap();
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{name}: {output:?}"
        );
    }
    assert!(!directory.join("trident-generate.1").exists());
}

#[test]
fn man_pages_that_cannot_be_written_are_a_failure() {
    let file = scratch("not-a-directory", "");
    let (code, _, err) = ended(&mut trident(&["generate", "man", file.to_str().unwrap()]));
    assert_eq!(code, 1);
    assert!(
        err.starts_with("trident: cannot write man pages to "),
        "{err}"
    );
}

#[test]
fn the_generated_file_is_accepted_by_the_same_binary() {
    let (_, text, _) = ended(&mut trident(&["generate", "config"]));
    let path = scratch("generated.toml", &text);
    let (code, _, err) = ended(&mut trident(&[
        "check-config",
        "--config",
        path.to_str().unwrap(),
    ]));
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("given=0"), "{err}");
}

/// Everything that keeps `serve` from starting is found before.
#[test]
fn an_unusable_authority_is_refused_by_check_and_start() {
    for command in ["check-config", "serve"] {
        let rest = ["--set", "auth.mode=rest", "--set"];
        for (setting, problem) in [
            ("auth.url=http://auth:99999/rest_auth", "1 to 65535"),
            ("auth.queue_max=0", "from 1 to"),
        ] {
            let mut run = trident(&[command]);
            let (code, _, err) = ended(run.args(rest).arg(setting));
            assert_eq!(code, 64, "{command} {setting}: {err}");
            assert!(err.contains(problem), "{command} {setting}: {err}");
        }
    }
}

#[test]
fn explain_takes_arguments_files_and_standard_input() {
    let typo = "/qrcode?type=encoed&data=a";
    let (code, out, err) = ended(&mut trident(&["explain", typo]));
    assert_eq!((code, err.as_str()), (1, ""));
    assert!(
        out.starts_with("type  \"encoed\"\n") && out.contains("INVALID  type\n"),
        "{out}"
    );
    let rule = "  rule      docs/protocol/qrcode.md first paragraph: type is encode or decode\n";
    assert!(
        out.contains(rule) && out.ends_with("  found     \"encoed\"\n"),
        "{out}"
    );

    let json = scratch("explain.json", "{\"chain\": [],\n \"new_tx\": []}");
    let (code, from_json, _) = ended(&mut trident(&["explain", json.to_str().unwrap()]));
    assert_eq!(code, 1);
    assert!(
        from_json.contains("at        the request: new_target\n"),
        "{from_json}"
    );

    let lines = scratch(
        "explain.txt",
        &format!("GET {typo} HTTP/1.1\n\nhttp://host{typo}\n"),
    );
    let both = format!("request 1\n{out}request 2\n{out}");
    let (code, from_file, _) = ended(&mut trident(&["explain", lines.to_str().unwrap()]));
    assert_eq!((code, from_file), (1, both.clone()));
    let input = fs::File::open(&lines).unwrap();
    let (code, from_stdin, _) = ended(trident(&["explain", "--stdin"]).stdin(input));
    assert_eq!((code, from_stdin), (1, both));

    let (code, _, err) = ended(&mut trident(&["explain", "http://host/metrics"]));
    assert!(
        code == 64 && err.contains("/metrics cannot be explained"),
        "{err}"
    );
    assert_eq!(ended(&mut trident(&["explain"])).0, 64);
}

#[test]
fn explain_tells_valid_invalid_and_missing_files_apart() {
    let valid = "/qrcode?type=encode&data=a";
    let invalid = "/qrcode?type=encode";
    for (requests, expected) in [
        (&[valid][..], 0),
        (&[invalid], 1),
        (&[invalid, valid], 1),
        (&["cc=abc"], 1),
        (&["/blockchain"], 1),
        // A chain's cc has more letters, none of them a dot, and no directory before its slashes.
        (&["eJyrVkrOSMzMU7KKjtVRykxRsjI0A9KVSlZKZakA/AAAA-z_BAB"], 1),
    ] {
        let (code, out, err) = ended(trident(&["explain"]).args(requests));
        assert_eq!((code, err.as_str()), (expected, ""), "{requests:?}: {out}");
    }
    let below = std::env::temp_dir().join("no-such-request");
    for missing in [
        "requst.json",
        "./requests",
        "request",
        below.to_str().unwrap(),
    ] {
        let (code, out, err) = ended(&mut trident(&["explain", missing]));
        assert_eq!((code, out.as_str()), (64, ""), "{missing}: {err}");
        assert!(err.contains(&format!("{missing}: no such file")), "{err}");
    }
}

/// The key of the server gives its tokens, and the bounds are those of its configuration.
#[test]
fn explain_uses_the_settings_of_the_server() {
    let cases = include_str!("../../data/qrcode_cases.tsv");
    let decode = cases
        .lines()
        .find_map(|line| line.strip_prefix("decode\t"))
        .unwrap();
    let (grid, message) = decode.split_once('\t').unwrap();
    let target = format!("/qrcode?type=decode&data={grid}&timestamp=7");
    let (_, out, _) = ended(trident(&["explain", &target]).env("TRIDENT_AUTH_KEY", KEY));
    let token = out
        .lines()
        .find_map(|line| line.strip_prefix("  token    "))
        .unwrap();
    assert!(
        token.len() == 64 && token.bytes().all(|digit| digit.is_ascii_hexdigit()),
        "{out}"
    );
    assert!(
        out.contains("  message  ") && out.contains("the grid, decrypted:\n"),
        "{message}: {out}"
    );
}
