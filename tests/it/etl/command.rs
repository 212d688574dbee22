//! `trident etl` as its users meet it: flags, streams, exit codes, files, kills.

use super::{
    assert_equal_dumps, deal, gzip,
    sets::{self, Directory, Set, fresh_directory},
};
pub(super) use crate::command::ended;
use crate::harness::pace;
use std::{
    ffi::OsStr,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};
use trident::store::Store;

const BINARY: &str = env!("CARGO_BIN_EXE_trident");

pub(super) fn trident(arguments: &[&dyn AsRef<OsStr>]) -> Command {
    let mut command = Command::new(BINARY);
    command.args(arguments).stdin(Stdio::null());
    command
}

pub(super) fn etl(input: &Path, set: &Set, store: &Path, more: &[&str]) -> Command {
    let mut command = trident(&[&"etl", &"--input", &input, &"--output", &store]);
    command.arg("--exclude").arg(&set.excluded).args(more);
    command
}

pub(super) fn succeeds(command: &mut Command) -> String {
    let (code, out, err) = ended(command);
    assert_eq!(code, 0, "{command:?}: {err}");
    out
}

fn dump(store: &Path) -> String {
    succeeds(&mut trident(&[&"store", &"dump", &store]))
}

pub(super) fn data(store: &Path) -> Vec<u8> {
    fs::read(store.join("data.mdb")).unwrap()
}

/// Names in a directory, sorted.
pub(super) fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn stores_equal_the_oracle_and_each_other_in_any_arrangement() {
    for (number, set) in sets::all().iter().enumerate() {
        let directory = fresh_directory("command");
        let expected = directory.join("plain");
        succeeds(&mut etl(&set.data, set, &expected, &["--workers", "1"]));
        assert_equal_dumps(&dump(&expected), &set.dump, set.name);
        for (files, workers) in [(7, "2"), (60, "5")] {
            let (input, store) = (directory.join("in"), directory.join("store"));
            deal(set, (number * 100 + files) as u64, files, &input);
            let more = ["--workers", workers, "--memory-bytes", "16777216"];
            succeeds(&mut etl(&input, set, &store, &more));
            assert!(
                data(&store) == data(&expected),
                "{}: {files} files",
                set.name
            );
            fs::remove_dir_all(input).unwrap();
            fs::remove_dir_all(store).unwrap();
        }
        assert_eq!(names(&directory), ["plain"], "nothing else stays behind");
    }
}

#[test]
fn standard_input_and_several_inputs_are_read() {
    let set = &sets::all()[0];
    let directory = fresh_directory("streams");
    let (one, two) = (directory.join("one"), directory.join("two"));
    let stdin = || Stdio::from(File::open(&set.data).unwrap());
    succeeds(etl(Path::new("-"), set, &one, &[]).stdin(stdin()));
    assert_equal_dumps(&dump(&one), &set.dump, "-");
    let zipped = directory.join("half.gz");
    fs::write(&zipped, gzip(&fs::read(&set.data).unwrap())).unwrap();
    let more = ["--input", zipped.to_str().unwrap(), "--input", "-"];
    succeeds(etl(&set.data, set, &two, &more).stdin(stdin()));
    assert!(data(&two) == data(&one), "all three hold the same tweets");
}

#[test]
fn the_stages_in_a_pipeline_make_the_same_store() {
    let set = &sets::all()[1];
    let directory = fresh_directory("pipeline");
    let script = "set -e; export LC_ALL=C
        $T etl map < $DATA | sort | $T etl reduce --exclude $EXCLUDED | sort | $T etl reduce | sort |
            $T etl build --output sorted
        $T etl map --input $DATA --workers 3 | $T etl reduce --sort --exclude $EXCLUDED |
            $T etl reduce --sort | $T etl build --sort --memory-bytes 1000000 --output unsorted
        $T etl map --input $DATA | head -n 1 > first";
    let mut shell = Command::new("sh");
    shell
        .args(["-c", script])
        .current_dir(&*directory)
        .stdin(Stdio::null());
    shell
        .env("T", BINARY)
        .env("DATA", &set.data)
        .env("EXCLUDED", &set.excluded);
    let (code, out, err) = ended(&mut shell);
    assert_eq!(code, 0, "{err}");
    assert_equal_dumps(&dump(&directory.join("sorted")), &set.dump, "sorted");
    assert!(data(&directory.join("sorted")) == data(&directory.join("unsorted")));
    let users = set.stat("users_with_contacts");
    let stored = out.lines().filter(|line| line.starts_with("users stored"));
    let digits = |line: &str| -> String { line.chars().filter(char::is_ascii_digit).collect() };
    let stored: Vec<_> = stored.map(digits).collect();
    assert_eq!(stored, [users.to_string(), users.to_string()], "{out}");
    let tweets = format!(
        "tweets={} duplicates={}",
        set.stat("tweets"),
        set.stat("duplicates")
    );
    assert_eq!(err.matches(&tweets).count(), 2, "{err}");
    assert!(
        !err.contains("cannot write"),
        "a reader that has gone is no failure: {err}"
    );
    assert!(
        fs::read_to_string(directory.join("first"))
            .unwrap()
            .contains("\tt1\t")
    );
}

#[test]
fn unsorted_records_are_refused() {
    let directory = fresh_directory("unsorted");
    let records = directory.join("records");
    fs::write(
        &records,
        "0000000000000000002\ta1\n0000000000000000001\ta1\n",
    )
    .unwrap();
    let mut command = trident(&[&"etl", &"reduce"]);
    let (code, _, err) = ended(command.stdin(File::open(&records).unwrap()));
    assert_eq!(code, 65, "{err}");
    let store = directory.join("store");
    let mut command = trident(&[&"etl", &"build", &"--output", &store]);
    let (code, _, _) = ended(command.stdin(File::open(&records).unwrap()));
    assert_eq!(code, 65);
    assert_eq!(names(&directory), ["records"]);
}

#[test]
fn a_command_killed_at_random_points_and_repeated_makes_the_same_store() {
    let set = &sets::all()[2];
    let directory = fresh_directory("killed");
    let (expected, store) = (directory.join("expected"), directory.join("store"));
    let began = Instant::now();
    succeeds(&mut etl(&set.data, set, &expected, &[]));
    let whole = began.elapsed();
    let mut kills = 0;
    for round in 0u32..40 {
        let mut process = etl(&set.data, set, &store, &[])
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // Odd fractions of a whole run, from its first moment on, so that every stage is hit.
        pace(whole * (round * 7 % 29) / 40);
        process.kill().unwrap();
        if process.wait().unwrap().success() {
            break;
        }
        kills += 1;
        // A name that a server would open stands for a complete store or does not exist.
        if store.exists() {
            assert!(data(&store) == data(&expected));
        }
    }
    assert!(kills > 0);
    if !store.exists() || directory.join("store.work").exists() {
        succeeds(&mut etl(&set.data, set, &store, &[]));
    }
    assert!(data(&store) == data(&expected));
    assert_equal_dumps(&dump(&store), &set.dump, "after kills");
    assert_eq!(
        names(&directory),
        ["expected", "store"],
        "nothing else stays behind"
    );
}

#[test]
fn truncated_gzip_is_named_and_skipped_on_request() {
    let set = &sets::all()[0];
    let directory = fresh_directory("truncated");
    let whole = gzip(&fs::read(&set.data).unwrap());
    let (cut, store) = (directory.join("cut.gz"), directory.join("store"));
    fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    let arguments = ["--input", set.data.to_str().unwrap()];
    let (code, out, err) = ended(&mut etl(&cut, set, &store, &arguments));
    assert_eq!((code, out.as_str()), (65, ""), "{err}");
    let place = format!(
        "{}: gzip stream is truncated at compressed byte {}",
        cut.display(),
        whole.len() / 2
    );
    assert!(err.contains(&place), "{err}");
    assert!(!store.exists());

    // The hint works unchanged on what the failed run left behind.
    let report = directory.join("report.json");
    let arguments = [
        &arguments[..],
        &[
            "--skip-bad-files",
            "--report-json",
            report.to_str().unwrap(),
        ],
    ]
    .concat();
    let out = succeeds(&mut etl(&cut, set, &store, &arguments));
    assert!(
        out.contains(&format!("not read to the end: cannot read {place}")),
        "{out}"
    );
    assert_equal_dumps(&dump(&store), &set.dump, "the other file holds all lines");
    let report: serde_json::Value = serde_json::from_slice(&fs::read(report).unwrap()).unwrap();
    assert_eq!(report["skipped_files"][0]["path"], cut.to_str().unwrap());
}

#[test]
fn a_full_disk_is_named_and_the_run_goes_on_when_there_is_space() {
    let set = &sets::all()[0];
    let directory = fresh_directory("full");
    let (expected, store) = (directory.join("expected"), directory.join("store"));
    succeeds(&mut etl(&set.data, set, &expected, &[]));
    // Files up to a limit, in blocks of 512 bytes: writing beyond it fails as on a full disk, first in a
    // work file, then in the store.
    let limited = |blocks: u64| {
        let mut shell = Command::new("sh");
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
        let run = etl(&set.data, set, &store, &["--partitions", "64"]);
        shell
            .args(["-c", &script, BINARY])
            .args(run.get_args())
            .stdin(Stdio::null());
        ended(&mut shell)
    };
    let store_blocks = data(&expected).len() as u64 / 512;
    for (blocks, file) in [(16, "store.work/tweets/0"), (store_blocks / 2, ".building")] {
        let (code, out, err) = limited(blocks);
        assert_eq!((code, out.as_str()), (1, ""), "{err}");
        assert!(
            err.contains("cannot ") && err.contains(file),
            "{file}: {err}"
        );
        assert!(
            err.contains("File too large") || err.contains("Input/output error"),
            "{err}"
        );
        assert!(err.contains("the same command goes on from there"), "{err}");
        assert_eq!(names(&directory), ["expected", "store.work"]);
    }
    let manifest = fs::read_to_string(directory.join("store.work/manifest.json")).unwrap();
    assert!(
        manifest.contains("\"stage\":\"values\""),
        "only the last stage is left to do"
    );
    let (code, _, err) = limited(store_blocks * 2);
    assert_eq!(code, 0, "{err}");
    assert!(data(&store) == data(&expected));
}

/// Three tweets with `many`, two each with `b` and `a`, one with `c`.
fn tagged(directory: &Directory) -> PathBuf {
    let tweet = |id: u64, tags: &[&str]| {
        let tags: Vec<_> = tags
            .iter()
            .map(|tag| serde_json::json!({ "text": tag }))
            .collect();
        let tweet = serde_json::json!({
            "created_at": "Fri Apr 04 05:30:11 +0000 2014", "id": id, "lang": "en", "text": "t",
            "user": {"id": id}, "in_reply_to_user_id": 1, "entities": {"hashtags": tags},
        });
        format!("{tweet}\n")
    };
    let lines = [
        tweet(1, &["Many", "b"]),
        tweet(2, &["MANY", "a"]),
        tweet(3, &["many", "a", "B", "c"]),
        tweet(3, &["many", "a", "B", "c"]),
    ];
    let file = directory.join("tagged.jsonl");
    fs::write(&file, lines.concat()).unwrap();
    file
}

#[test]
fn hashtags_are_counted_with_and_without_a_store() {
    let directory = fresh_directory("top");
    let input = tagged(&directory);
    let at = |name: &str| directory.join(name);
    let work = at("work");
    let (svg, csv) = (at("h.svg"), at("h.csv"));
    let mut only = trident(&[
        &"etl",
        &"--input",
        &input,
        &"--top",
        &"3",
        &"--work-dir",
        &work,
        &"--exclude",
        &at("top"),
    ]);
    fs::write(at("top"), "many\n").unwrap();
    only.arg("--histogram-svg")
        .arg(&svg)
        .arg("--histogram-csv")
        .arg(&csv);
    let (code, out, err) = ended(&mut only);
    // Standard output holds only the list.
    assert_eq!((code, out.as_str()), (0, "many\na\nb\n"), "{err}");
    assert!(
        err.contains("lines read ") && !err.contains("users stored"),
        "{err}"
    );
    assert_eq!(
        fs::read_to_string(&csv).unwrap(),
        "occurrences,tags\n1,1\n2,2\n3,1\n"
    );
    assert_eq!(
        fs::read_to_string(&svg).unwrap().matches("<circle").count(),
        3
    );
    assert_eq!(names(&directory), ["h.csv", "h.svg", "tagged.jsonl", "top"]);

    let (top, store) = (at("top"), at("store"));
    let both = [
        &"etl" as &dyn AsRef<OsStr>,
        &"--input",
        &input,
        &"--output",
        &store,
    ];
    let mut both = trident(&both);
    both.args(["--top", "1", "--report-json", "-", "--top-file"])
        .arg(&top);
    let (code, out, err) = ended(&mut both);
    assert_eq!(code, 0, "{err}");
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&report["lines"], &report["tags"]), (&4.into(), &4.into()));
    assert_eq!(
        (&report["users"], &report["duplicates"]),
        (&3.into(), &1.into())
    );
    assert_eq!(fs::read_to_string(&top).unwrap(), "many\n");
    assert!(dump(&store).contains("\"many\""));
}

#[test]
fn wrong_use_ends_with_64_and_leaves_everything_alone() {
    let set = &sets::all()[4];
    let directory = fresh_directory("usage");
    let store = directory.join("store");
    succeeds(&mut etl(&set.data, set, &store, &[]));
    let before = data(&store);
    let (code, _, err) = ended(&mut etl(&set.data, set, &store, &[]));
    assert_eq!(code, 64, "{err}");
    assert!(err.contains("exists already"), "{err}");
    let other = directory.join("other");
    for (more, hint) in [
        (&["--memory-bytes", "1"][..], "at least 16 MiB"),
        (&["--partitions", "3"], "power of two"),
        (
            &["--work-dir", directory.to_str().unwrap()],
            "holds other files",
        ),
    ] {
        let (code, _, err) = ended(&mut etl(&set.data, set, &other, more));
        assert_eq!(code, 64, "{err}");
        assert!(err.contains(hint), "{err}");
    }
    let (code, _, err) = ended(&mut etl(&directory.join("none"), set, &other, &[]));
    assert_eq!(code, 1, "{err}");
    assert!(
        err.contains("cannot open ") && err.contains("none"),
        "{err}"
    );
    assert!(data(&store) == before);
    let smaller = directory.join("smaller.jsonl");
    fs::write(&smaller, "{}\n").unwrap();
    let more = ["--replace", "--allow-empty"];
    succeeds(&mut etl(&smaller, set, &store, &more));
    assert_eq!(dump(&store), "");
}

/// A run was interrupted after it had made its store, and the store changed meanwhile.
#[test]
fn a_store_is_not_replaced_by_a_run_that_goes_on() {
    let set = &sets::all()[4];
    let directory = fresh_directory("goes-on");
    let store = directory.join("store");
    let more = ["--keep-work-dir", "--keep-history"];
    let again = |more: &[&str]| ended(&mut etl(&set.data, set, &store, more));
    succeeds(&mut etl(&set.data, set, &store, &more));
    let batches = || {
        let open = Store::open_for_updates(&store, 1 << 20).unwrap();
        open.updates_meta().unwrap().batches
    };
    let open = Store::open_for_updates(&store, 1 << 20).unwrap();
    open.update().unwrap().commit().unwrap();
    drop(open);
    let (code, _, err) = again(&more);
    assert_eq!((code, batches()), (0, 1), "{err}");

    // First with another store at the name, then also with a work directory of another plan that was being deleted.
    let smaller = directory.join("smaller.jsonl");
    fs::write(&smaller, "{}\n").unwrap();
    let other = [
        "--replace",
        "--allow-empty",
        "--keep-history",
        "--work-dir",
        "other",
    ];
    succeeds(etl(&smaller, set, &store, &other).current_dir(&*directory));
    let manifest = directory.join("store.work/manifest.json");
    let open = fs::read_to_string(&manifest).unwrap();
    let closed = open.replace("\"closed\":false", "\"closed\":true");
    for (text, more) in [
        (&open, &more[..]),
        (&closed, &["--keep-history", "--top", "7"]),
    ] {
        fs::write(&manifest, text).unwrap();
        let (code, _, err) = again(more);
        assert_eq!(code, 64, "{err}");
        assert!(err.contains("exists already"), "{err}");
        assert_eq!(dump(&store), "");
    }
    // It ends as the run that closed the work directory would have ended.
    assert_eq!(again(&more).0, 0);
    assert!(!manifest.exists());
    let before = names(&directory);
    assert_eq!(before, ["smaller.jsonl", "store"]);
    succeeds(&mut etl(&set.data, set, &store, &["--replace"]));
    assert_equal_dumps(&dump(&store), &set.dump, set.name);
}

#[test]
fn standard_input_is_not_taken_for_that_of_an_earlier_run() {
    let directory = fresh_directory("stdin-again");
    let set = &sets::all()[4];
    let store = directory.join("store");
    let run = |store: &Path, more: &[&str]| {
        ended(etl(Path::new("-"), set, store, more).stdin(File::open(&set.data).unwrap()))
    };
    let work = ["--work-dir", "work", "--keep-work-dir"];
    let work = work.map(|word| match word {
        "work" => directory.join(word).to_str().unwrap().to_owned(),
        word => word.to_owned(),
    });
    let more: Vec<&str> = work.iter().map(String::as_str).collect();
    assert_eq!(run(&store, &more).0, 0);
    let (code, _, err) = run(&directory.join("other"), &more);
    assert_eq!(code, 64, "{err}");
    assert!(
        err.contains("standard input cannot be recognised again"),
        "{err}"
    );
    // Nor is the store of the first run taken for that of a second one.
    let manifest = directory.join("work/manifest.json");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(
        &manifest,
        text.replace("\"closed\":false", "\"closed\":true"),
    )
    .unwrap();
    let (code, _, err) = run(&store, &more);
    assert_eq!(code, 64, "{err}");
    assert!(err.contains("exists already"), "{err}");
}

#[test]
fn work_directory_and_store_below_the_input_are_no_input() {
    let directory = fresh_directory("below");
    let set = &sets::all()[4];
    let input = directory.join("in");
    fs::create_dir(&input).unwrap();
    fs::copy(&set.data, input.join("tweets.jsonl")).unwrap();
    let store = input.join("store");
    succeeds(&mut etl(&input, set, &store, &["--keep-work-dir"]));
    let out = succeeds(&mut etl(&input, set, &store, &[]));
    assert!(!input.join("store.work").exists());
    assert!(out.contains("lines read"), "{out}");
    assert_equal_dumps(&dump(&store), &set.dump, set.name);
}

#[test]
fn help_names_the_defaults() {
    let help = succeeds(&mut trident(&[&"etl", &"--help"]));
    for (words, bytes) in [
        (
            "[default: ",
            trident::etl::run::pipeline::MEMORY_BYTES_DEFAULT,
        ),
        ("at least ", trident::etl::run::pipeline::MEMORY_BYTES_MIN),
    ] {
        assert_eq!(bytes % (1 << 20), 0);
        let said = format!("{words}{}M", bytes >> 20);
        assert!(help.contains(&said), "{said}");
    }
    for command in [
        &["etl", "-h"][..],
        &["etl", "map", "-h"],
        &["etl", "reduce", "-h"],
        &["gen", "-h"],
        &["gen", "tweets", "-h"],
    ] {
        let command: Vec<&dyn AsRef<OsStr>> = command
            .iter()
            .map(|word| word as &dyn AsRef<OsStr>)
            .collect();
        for line in succeeds(&mut trident(&command)).lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}
