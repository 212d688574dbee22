//! Messages for people who make a mistake, or whose machine refuses something: the next step, and nothing unrelated.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    harness::{Server, eventually},
    temp_dir::TempDir,
};

/// The end of a command that fails: exit code and message.
fn said(arguments: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_trident"))
        .args(arguments)
        .env_clear()
        .env("TRIDENT_CONFIG", "/dev/null")
        .env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().unwrap(), text)
}

#[test]
fn every_refusal_of_the_system_names_the_next_step() {
    let own = TempDir::new();
    let directory = own.to_str().unwrap().to_owned();
    let missing = format!("{directory}/missing");
    let below = format!("{missing}/file");
    let tweets = &own.file("tweets.json", "{}\n");
    let store = format!("{directory}/store");
    let check_path = "check the path";
    let make_directory = "make its directory first";
    let table = [
        (
            &["check-config", "--config", &missing][..],
            "name a file that exists",
        ),
        (&["check-config", "--config", &directory], "name a file"),
        (
            &["check-config", "--set", &format!("auth.key_file={missing}")],
            check_path,
        ),
        (
            &["etl", "--input", &missing, "--output", &store],
            check_path,
        ),
        (
            &[
                "etl",
                "--input",
                tweets,
                "--output",
                &store,
                "--exclude",
                &missing,
            ],
            check_path,
        ),
        (
            &["gen", "qrcode", "--count", "1", "--output", &below],
            make_directory,
        ),
        (&["load", "--auth-key-file", &missing], check_path),
        (&["load", "--html", &below], make_directory),
        (&["store", "verify", &missing], check_path),
        (
            &["serve", "--listen", "192.0.2.1:1", "--admin", "off"],
            "an address of this machine",
        ),
    ];
    for (arguments, step) in table {
        let (code, text) = said(arguments);
        assert_ne!(code, 0, "{arguments:?}");
        assert!(text.contains(step), "{arguments:?}: {text}");
        let causes = text.matches("(os error").count();
        assert!(causes <= 1, "told twice: {arguments:?}: {text}");
    }
}

#[test]
fn an_explanation_of_nothing_is_a_mistake() {
    let own = TempDir::new();
    let directory = own.to_str().unwrap();
    let empty = own.file("empty", "\n");
    for arguments in [&["explain", &empty][..], &["explain", "--stdin"]] {
        let (code, text) = said(arguments);
        assert_eq!(code, 64, "{text}");
        assert!(text.contains("no request in what was read"), "{text}");
    }
    // 1 would mean INVALID.
    let (code, text) = said(&["explain", directory]);
    assert!(code == 64 && text.contains("name a file"), "{text}");
}

#[test]
fn a_name_that_is_taken_leads_to_replace() {
    let directory = TempDir::new();
    let (tweets, store) = (
        &*directory.file("t.json", "{}\n"),
        &*directory.path("store"),
    );
    let arguments = ["etl", "--input", tweets, "--output", store, "--allow-empty"];
    assert_eq!(said(&arguments).0, 0);
    let (code, text) = said(&arguments);
    assert_eq!(code, 64, "{text}");
    assert!(
        text.contains("exists already") && text.contains("--replace"),
        "{text}"
    );
}

#[test]
fn a_start_error_stands_alone() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    // Without a key, and with an invalid account: two warnings, had the start succeeded.
    let (code, text) = said(&["--listen", &address, "--admin", "off", "--aws-account", "1"]);
    assert_eq!(code, 1, "{text}");
    assert!(!text.contains("WARN"), "{text}");
    let told = format!("trident: cannot listen on {address}: ");
    let last = text.lines().last().unwrap_or_default();
    assert!(
        last.starts_with(&told) && last.contains("choose another port"),
        "{text}"
    );
}

#[test]
fn a_store_that_has_no_user_or_takes_no_tweets_is_told_at_the_start_and_after_a_reload() {
    let directory = TempDir::new();
    let (tweets, store) = (
        &*directory.file("t.json", "{}\n"),
        &*directory.path("store"),
    );
    let build = |more: &[&str]| {
        let whole = ["etl", "--input", tweets, "--output", store, "--allow-empty"];
        let (code, text) = said(&[&whole[..], more].concat());
        assert_eq!(code, 0, "{text}");
    };
    build(&[]);
    let server = Server::start(&["--twitter-store", store, "--set", "twitter.ingest=admin"]);
    server.logged("has no users");
    server.logged("keeps no history, so it takes no tweets");
    server.logged("trident etl --keep-history");
    let before = server.log().matches("has no users").count();
    build(&["--replace", "--keep-history"]);
    server.signal("HUP");
    server.logged("outcome=Replaced");
    assert!(eventually(
        || server.log().matches("has no users").count() > before
    ));
    assert_eq!(
        server.log().matches("keeps no history").count(),
        1,
        "{}",
        server.log()
    );
}

/// Every message in the sources that says "cannot" has a remedy in its text or asks [`trident::remedy`] for one.
#[test]
fn no_message_in_the_sources_ends_at_cannot() {
    let mut faults = Vec::new();
    for path in sources(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let lines: Vec<&str> = code.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            let is_comment = line.trim_start().starts_with("//");
            let Some((_, message)) = line.split_once("\"cannot ").filter(|_| !is_comment) else {
                continue;
            };
            let around = lines[index.saturating_sub(3)..lines.len().min(index + 5)].join("\n");
            if !message.contains("; ")
                && !around.contains("remed")
                && !around.contains("explained()")
            {
                faults.push(format!("{}:{}: {line}", path.display(), index + 1));
            }
        }
    }
    assert!(faults.is_empty(), "say what to do:\n{}", faults.join("\n"));
}

fn sources(directory: PathBuf) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap();
    entries
        .map(|entry| entry.unwrap().path())
        .flat_map(|path| {
            if path.is_dir() {
                sources(path)
            } else {
                vec![path]
            }
        })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .filter(|path| {
            !path
                .components()
                .any(|part| part.as_os_str().to_string_lossy().starts_with("tests"))
        })
        .collect()
}
