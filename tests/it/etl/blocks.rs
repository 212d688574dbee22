//! The stages for a cluster engine, with nothing but a sort of blocks by bucket between them.

use super::{
    command::{data, ended, etl, names, succeeds, trident},
    sets::{self, Directory, Set, fresh_directory},
};
use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

const HEADER_BYTES: usize = 20;
const RECORDS: u32 = 0;
const END: u32 = 4;

/// Exit code and output of a stage.
fn stage(arguments: &[&str], input: &[u8]) -> (Option<i32>, Vec<u8>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trident"));
    command.arg("etl").args(arguments).stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let output = thread::scope(|scope| {
        // A stage that refuses its input closes it.
        scope.spawn(move || drop(stdin.write_all(input)));
        child.wait_with_output().unwrap()
    });
    let error = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), output.stdout, error)
}

fn runs(arguments: &[&str], input: &[u8]) -> Vec<Frame> {
    let (code, out, error) = stage(arguments, input);
    assert_eq!(code, Some(0), "{arguments:?}: {error}");
    frames(&out)
}

/// Kind, bucket, and all bytes, header included.
type Frame = (u32, u32, Vec<u8>);

/// The frames of a whole stream, without the closing one.
fn frames(mut stream: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    loop {
        let number = |at| u32::from_le_bytes(stream[at..at + 4].try_into().unwrap());
        let (kind, bucket) = (number(4), number(8));
        let (frame, rest) = stream.split_at(HEADER_BYTES + number(12) as usize);
        stream = rest;
        if kind == END {
            assert!(rest.is_empty());
            return frames;
        }
        frames.push((kind, bucket, frame.to_vec()));
    }
}

fn closing(count: u64) -> Vec<u8> {
    let mut checked = Vec::new();
    for number in [END, 0, 8] {
        checked.extend_from_slice(&number.to_le_bytes());
    }
    let block = count.to_le_bytes();
    let sum = crc32fast::hash(&[checked.as_slice(), &block].concat());
    [b"TRB1", checked.as_slice(), &sum.to_le_bytes(), &block].concat()
}

fn stream(frames: &[Frame]) -> Vec<u8> {
    let bytes = frames.iter().flat_map(|(_, _, bytes)| bytes).copied();
    bytes.chain(closing(frames.len() as u64)).collect()
}

/// The engine's part: the frames of a bucket come together, in any order; empty partitions start nothing.
fn shuffle(frames: Vec<Frame>) -> BTreeMap<u32, Vec<Frame>> {
    let mut parts: BTreeMap<_, Vec<Frame>> = BTreeMap::new();
    for frame in frames.into_iter().rev() {
        parts.entry(frame.1).or_default().push(frame);
    }
    parts
}

/// Runs a job over `objects` in `directory`. Returns the directory of its values.
fn job(directory: &Path, objects: &[PathBuf], excluded: &Path, partitions: usize) -> PathBuf {
    job_of(directory, objects, excluded, partitions, false)
}

/// As [`job`]; with `history` for later updates too.
fn job_of(
    directory: &Path,
    objects: &[PathBuf],
    excluded: &Path,
    partitions: usize,
    history: bool,
) -> PathBuf {
    let (n, excluded) = (partitions.to_string(), excluded.to_str().unwrap());
    let values = directory.join("values");
    fs::create_dir(&values).unwrap();
    let scratch = directory.to_str().unwrap();
    let mut all = Vec::new();
    for object in objects {
        let name = object.to_str().unwrap();
        let content = fs::read(object).unwrap();
        all.extend(runs(&["map", "--blocks", &n, "--name", name], &content));
    }
    // Little memory: runs on disk.
    let sort = ["--work-dir", scratch, "--memory-bytes", "400000"];
    let reduce = [&["reduce", "--blocks", &n, "--sort"], &sort[..]].concat();
    let keep = if history {
        &["--keep-history"][..]
    } else {
        &[]
    };
    for exclude in [&["--exclude", excluded][..], &[]] {
        let arguments = [&reduce[..], exclude, keep].concat();
        let parts = shuffle(std::mem::take(&mut all)).into_values();
        all = parts
            .flat_map(|part| runs(&arguments, &stream(&part)))
            .collect();
    }
    let mut report = Vec::new();
    for (bucket, part) in shuffle(all) {
        let file = values.join(format!("{bucket:05}.values"));
        let mut arguments = [&["values", "--output", file.to_str().unwrap()], &sort[..]].concat();
        let kept = values.join(format!("{bucket:05}.history"));
        if history {
            arguments.extend(["--history", kept.to_str().unwrap()]);
        }
        report.extend(runs(&arguments, &stream(&part)));
    }
    fs::write(values.join("report.blocks"), stream(&report)).unwrap();
    values
}

fn build(values: &Path, store: &Path, more: &[&str]) -> Command {
    let mut command = trident(&[&"etl", &"build", &"--values", &values, &"--output", &store]);
    command.args(more);
    command
}

/// The lines of a set in three objects and an empty one.
fn objects(set: &Set, directory: &Path) -> Vec<PathBuf> {
    let names = ["a.jsonl", "b.jsonl", "c.jsonl", "d.jsonl"];
    let paths: Vec<_> = names.iter().map(|name| directory.join(name)).collect();
    let mut parts = vec![Vec::new(); names.len()];
    for (number, line) in set.lines().into_iter().enumerate() {
        parts[number % 3].extend_from_slice(line);
        parts[number % 3].push(b'\n');
    }
    for (path, part) in paths.iter().zip(parts) {
        fs::write(path, part).unwrap();
    }
    paths
}

/// The whole report except its times.
fn report(path: &Path) -> serde_json::Value {
    let mut report: serde_json::Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let fields = report.as_object_mut().unwrap();
    fields.remove("seconds");
    fields.remove("stages");
    report
}

#[test]
fn blocks_give_the_store_and_the_report_of_one_machine() {
    for set in sets::all() {
        let directory = fresh_directory("blocks");
        let input = directory.join("input");
        fs::create_dir(&input).unwrap();
        let objects = objects(set, &input);
        let (one, list) = (directory.join("one"), directory.join("one.json"));
        let flags = |kind: &str| {
            let file = |end: &str| {
                directory
                    .join(format!("{kind}.{end}"))
                    .display()
                    .to_string()
            };
            [
                "--top",
                "40",
                "--top-file",
                &file("top"),
                "--histogram-csv",
                &file("csv"),
                "--report-json",
                &file("json"),
            ]
            .map(str::to_owned)
        };
        succeeds(etl(&input, set, &one, &[]).args(flags("one")));
        let expected = report(&list);
        for partitions in [1, 8, 64] {
            let place = directory.join(partitions.to_string());
            fs::create_dir(&place).unwrap();
            let values = job(&place, &objects, &set.excluded, partitions);
            let store = place.join("store");
            succeeds(build(&values, &store, &[]).args(flags("many")));
            assert!(data(&store) == data(&one), "{} {partitions}", set.name);
            assert_eq!(
                report(&directory.join("many.json")),
                expected,
                "{} {partitions}",
                set.name
            );
            for end in ["top", "csv"] {
                let text =
                    |kind| fs::read_to_string(directory.join(format!("{kind}.{end}"))).unwrap();
                assert_eq!(text("many"), text("one"), "{} {partitions} {end}", set.name);
            }
            assert_eq!(names(&place), ["store", "values"]);
        }
        let store = directory.join("piped");
        let flags = flags("piped");
        let flags: Vec<_> = flags.iter().map(String::as_str).collect();
        pipes(set, &input, &store, "", &flags);
        assert!(data(&store) == data(&one), "{}", set.name);
        assert_eq!(
            report(&directory.join("piped.json")),
            expected,
            "{}",
            set.name
        );
        for end in ["top", "csv"] {
            let text = |kind| fs::read_to_string(directory.join(format!("{kind}.{end}"))).unwrap();
            assert_eq!(text("piped"), text("one"), "{} {end}", set.name);
        }
    }
}

/// The files of a store that hold records.
fn records(store: &Path) -> [Vec<u8>; 2] {
    ["data.mdb", "history.mdb"].map(|name| fs::read(store.join(name)).unwrap())
}

#[test]
fn blocks_and_pipes_keep_the_history_of_one_machine() {
    for set in sets::all() {
        let directory = fresh_directory("blocks-history");
        let input = directory.join("input");
        fs::create_dir(&input).unwrap();
        let objects = objects(set, &input);
        let (one, list) = (directory.join("one"), directory.join("one.json"));
        let flags = ["--keep-history", "--report-json", list.to_str().unwrap()];
        succeeds(&mut etl(&input, set, &one, &flags));
        let expected = (records(&one), report(&list));

        let values = job_of(&directory, &objects, &set.excluded, 8, true);
        let (many, list) = (directory.join("many"), directory.join("many.json"));
        let flags = ["--keep-history", "--report-json", list.to_str().unwrap()];
        let (code, _, error) = ended(&mut build(&values, &many, &flags));
        assert!(code == 64 && error.contains("--exclude"), "{code} {error}");
        let exclude = ["--exclude", set.excluded.to_str().unwrap()];
        succeeds(build(&values, &many, &flags).args(exclude));
        assert!((records(&many), report(&list)) == expected, "{}", set.name);
        // Those who do not want it leave it out.
        let [without, plain] = ["without", "plain"].map(|name| directory.join(name));
        succeeds(&mut build(&values, &without, &[]));
        succeeds(&mut etl(&input, set, &plain, &[]));
        assert!(data(&without) == data(&plain) && !without.join("history.mdb").exists());

        let (piped, list) = (directory.join("piped"), directory.join("piped.json"));
        let flags = ["--keep-history", "--report-json", list.to_str().unwrap()];
        pipes(
            set,
            &input,
            &piped,
            "--keep-history",
            &[&flags[..], &exclude].concat(),
        );
        assert!((records(&piped), report(&list)) == expected, "{}", set.name);
    }
}

/// The stages in pipes, sorted in between in little memory; `kept` goes to both runs of `reduce`.
fn pipes(set: &Set, input: &Path, store: &Path, kept: &str, build: &[&str]) {
    let script = "set -eo pipefail
        sort=\"--sort --memory-bytes 400000 --work-dir $(dirname \"$STORE\")\"
        $T etl map --input $INPUT | $T etl reduce $sort --exclude $EXCLUDED $KEPT | $T etl reduce $sort $KEPT |
            $T etl build $sort --output $STORE \"$@\"";
    let mut shell = Command::new("bash");
    shell.args(["-c", script, "bash"]).args(build);
    shell
        .env("T", env!("CARGO_BIN_EXE_trident"))
        .env("INPUT", input)
        .env("EXCLUDED", &set.excluded)
        .env("STORE", store)
        .env("KEPT", kept);
    let (code, _, error) = ended(&mut shell);
    assert_eq!(code, 0, "{}: {error}", set.name);
}

#[test]
fn a_history_that_is_not_whole_makes_no_store() {
    let set = &sets::all()[0];
    let directory = fresh_directory("blocks-history-damage");
    let object = directory.join("a.jsonl");
    fs::write(&object, set.lines()[..500].join(&b'\n')).unwrap();
    let objects = std::slice::from_ref(&object);
    let values = job_of(&directory, objects, &set.excluded, 4, true);
    let store = directory.join("store");
    let exclude = set.excluded.to_str().unwrap();
    let flags = ["--keep-history", "--exclude", exclude];
    let files: Vec<_> = names(&values)
        .iter()
        .map(|name| values.join(name))
        .filter(|path| path.extension().is_some_and(|end| end == "history"))
        .collect();
    assert_eq!(files.len(), 4);
    for file in &files {
        let bytes = fs::read(file).unwrap();
        for damaged in [Some(bytes[..bytes.len() / 2].to_vec()), None] {
            match damaged {
                Some(damaged) => fs::write(file, damaged).unwrap(),
                None => fs::remove_file(file).unwrap(),
            }
            let (code, _, error) = ended(&mut build(&values, &store, &flags));
            assert!(
                code == 65 && !store.exists(),
                "{}: {code} {error}",
                file.display()
            );
        }
        fs::write(file, bytes).unwrap();
    }
    succeeds(&mut build(&values, &store, &flags));
    // The stages before must have kept it.
    let other = directory.join("other");
    fs::create_dir(&other).unwrap();
    let values = job(&other, objects, &set.excluded, 4);
    let (code, _, error) = ended(&mut build(&values, &other.join("store"), &flags));
    assert!(
        code == 64 && error.contains("by both runs"),
        "{code} {error}"
    );
}

/// A small job's values.
fn small_job() -> (Directory, PathBuf, Vec<u8>) {
    let set = &sets::all()[0];
    let directory = fresh_directory("blocks-damage");
    let object = directory.join("a.jsonl");
    fs::write(&object, set.lines()[..500].join(&b'\n')).unwrap();
    let values = job(&directory, std::slice::from_ref(&object), &set.excluded, 4);
    let content = fs::read(&object).unwrap();
    let blocks = stage(&["map", "--blocks", "4"], &content).1;
    (directory, values, blocks)
}

#[test]
fn a_stream_that_was_cut_damaged_or_of_another_version_ends_with_65() {
    let (directory, _, whole) = small_job();
    let scratch = directory.to_str().unwrap();
    let reduce = ["reduce", "--blocks", "4", "--sort", "--work-dir", scratch];
    assert_eq!(stage(&reduce, &whole).0, Some(0));
    let at_a_frame = whole.len() - closing(0).len();
    for (end, why) in [
        (0, "closing frame"),
        (1000, "closing frame"),
        (at_a_frame, "closing frame"),
        (whole.len() - 1, "closing frame"),
    ] {
        let (code, _, error) = stage(&reduce, &whole[..end]);
        assert!(
            code == Some(65) && error.contains(why),
            "{end}: {code:?} {error}"
        );
    }
    let mut flipped = whole.clone();
    flipped[HEADER_BYTES + 700] ^= 4;
    let (code, _, error) = stage(&reduce, &flipped);
    assert!(
        code == Some(65) && error.contains("checksum"),
        "{code:?} {error}"
    );
    let mut other = whole.clone();
    other[3] = b'2';
    let (code, _, error) = stage(&reduce, &other);
    assert!(
        code == Some(65) && error.contains("version"),
        "{code:?} {error}"
    );
    let first = frames(&whole).remove(0).2;
    let twice = [first.as_slice(), &whole].concat();
    assert_eq!(stage(&reduce, &twice).0, Some(65));
    assert_eq!(stage(&["map", "--blocks", "3"], b"").0, Some(64));
}

#[test]
fn values_that_are_missing_or_damaged_make_no_store() {
    let (directory, values, _) = small_job();
    let store = directory.join("store");
    let files: Vec<_> = names(&values)
        .iter()
        .map(|name| values.join(name))
        .collect();
    assert_eq!(files.len(), 5);
    for file in &files {
        let bytes = fs::read(file).unwrap();
        let middle = bytes.len() / 2;
        let mut flipped = bytes.clone();
        flipped[middle] ^= 1;
        let shorter = bytes[..middle].to_vec();
        for damaged in [Some(flipped), Some(shorter), None] {
            match damaged {
                Some(damaged) => fs::write(file, damaged).unwrap(),
                None => fs::remove_file(file).unwrap(),
            }
            let (code, _, error) = ended(&mut build(&values, &store, &[]));
            assert!(matches!(code, 1 | 65), "{}: {code} {error}", file.display());
            assert!(!store.exists() && !error.is_empty());
        }
        fs::write(file, bytes).unwrap();
    }
    succeeds(&mut build(&values, &store, &[]));
}

#[test]
fn a_long_list_of_hashtags_goes_once_to_each_bucket() {
    let (contacts, tags) = (10_000, 5000);
    let directory = fresh_directory("blocks-hub");
    let input = directory.join("hub.jsonl");
    fs::write(&input, hub(contacts, tags)).unwrap();
    let content = fs::read(&input).unwrap();
    let scratch = directory.to_str().unwrap();
    let reduce = ["reduce", "--blocks", "64", "--sort", "--work-dir", scratch];
    let mut all = runs(&["map", "--blocks", "64"], &content);
    for _ in 0..2 {
        let parts = shuffle(all).into_values();
        all = parts
            .flat_map(|part| runs(&reduce, &stream(&part)))
            .collect();
    }
    let bytes = |records: bool| -> usize {
        let of_kind = all.iter().filter(|frame| (frame.0 == RECORDS) == records);
        of_kind.map(|frame| frame.2.len()).sum()
    };
    // One machine keeps the same records, and the list once.
    let work_files = bytes(true) + tags * "\t1\ttag000000".len();
    assert!(bytes(true) < 2 * content.len(), "{}", bytes(true));
    let ratio = (bytes(true) + bytes(false)) as f64 / work_files as f64;
    assert!(ratio < 2.0, "{ratio}");
    // The values equal those of a run on one machine.
    let nothing = directory.join("nothing.txt");
    fs::write(&nothing, "").unwrap();
    let (one, many) = (directory.join("one"), directory.join("many"));
    succeeds(&mut trident(&[
        &"etl",
        &"--input",
        &input,
        &"--output",
        &one,
    ]));
    let values = job(&directory, &[input], &nothing, 64);
    succeeds(&mut build(&values, &many, &[]));
    assert!(data(&one) == data(&many));
}

/// Tweets of one user with `tags` hashtags, and one tweet to them by each of `contacts` contacts, who share some.
fn hub(contacts: usize, tags: usize) -> String {
    let mut lines = String::new();
    let mut id = 100_000_000_000_000_000u64;
    let mut tweet = |user: usize, reply: Option<u64>, tags: Vec<String>| {
        id += 1;
        let tags: Vec<_> = tags
            .iter()
            .map(|tag| serde_json::json!({"text": tag}))
            .collect();
        let tweet = serde_json::json!({
            "created_at": "Tue Apr 01 00:00:00 +0000 2014", "id": id, "text": "hello hub", "lang": "en",
            "in_reply_to_user_id": reply, "user": {"id": user, "screen_name": "u", "description": "@1"},
            "entities": {"hashtags": tags},
        });
        lines.push_str(&format!("{tweet}\n"));
    };
    let name = |number: usize| format!("tag{number:06}");
    for first in (0..tags).step_by(50) {
        tweet(1, None, (first..first + 50).map(name).collect());
    }
    for contact in 0..contacts {
        tweet(1000 + contact, Some(1), vec![name(contact)]);
    }
    lines
}
