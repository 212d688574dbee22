//! Damaged input, full disks, work directories of other runs.

use super::{
    dump, gzip, options,
    resume::child,
    sets::{self, fresh_directory},
};
use std::fs;
use trident::etl::{self, Options, progress::Silent, sink::user_sink::DumpSink};

fn error(options: &Options) -> String {
    let mut sink = DumpSink::new(Vec::new());
    etl::run(options, &mut sink, &Silent)
        .unwrap_err()
        .to_string()
}

#[test]
fn damaged_gzip_is_named_with_its_offset() {
    let set = &sets::all()[0];
    let text = fs::read(&set.data).unwrap();
    let whole = gzip(&text);
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 0x55;
    let mut wrong_sum = whole.clone();
    wrong_sum[whole.len() - 6] ^= 1;
    for (name, bytes, what) in [
        ("cut.gz", whole[..whole.len() / 2].to_vec(), "is truncated"),
        (
            "cut-in-trailer.gz",
            whole[..whole.len() - 3].to_vec(),
            "is truncated",
        ),
        ("cut-in-header.gz", whole[..5].to_vec(), "is truncated"),
        ("empty.gz", Vec::new(), "is truncated"),
        ("flipped.gz", flipped, "is damaged"),
        ("wrong-sum.gz", wrong_sum, "is damaged"),
        (
            "trailing.gz",
            [whole.clone(), vec![b'j'; 99]].concat(),
            "is damaged",
        ),
        ("plain.gz", b"hello\n".to_vec(), "no gzip header"),
    ] {
        let directory = fresh_directory("gzip");
        let file = directory.join(name);
        fs::write(&file, bytes).unwrap();
        let inputs = vec![file.clone(), set.data.clone()];
        let mut options = options(set, inputs, directory.join("work"));
        let message = error(&options);
        assert!(message.contains(what), "{message}");
        assert!(message.contains(&file.display().to_string()), "{message}");
        assert!(message.contains("at compressed byte "), "{message}");

        // The other file holds all lines, so the readable part adds nothing but duplicates.
        fs::remove_dir_all(directory.join("work")).unwrap();
        options.skip_bad_files = true;
        let (ours, report) = dump(&options);
        assert!(ours == set.dump, "{name}");
        assert_eq!(report.skipped_files.len(), 1, "{name}");
        assert_eq!(report.skipped_files[0].path, file);
        assert!(
            report
                .to_string()
                .contains(&format!("not read to the end: {message}"))
        );
    }
}

#[test]
fn the_readable_part_of_a_cut_file_is_used() {
    let set = &sets::all()[0];
    let text = fs::read(&set.data).unwrap();
    let whole = gzip(&text);
    let directory = fresh_directory("cut");
    let file = directory.join("cut.gz");
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let mut options = options(set, vec![file], directory.join("work"));
    options.skip_bad_files = true;
    let (_, report) = dump(&options);
    let lines = report.counts.lines as usize;
    assert!(
        lines > set.lines().len() / 4 && lines < set.lines().len(),
        "{lines}"
    );
    let prefix: usize = set
        .lines()
        .iter()
        .take(lines)
        .map(|line| line.len() + 1)
        .sum();
    assert!(
        report.counts.bytes as usize >= prefix,
        "only whole lines are used"
    );
}

#[test]
fn missing_and_unreadable_inputs_are_named() {
    let set = &sets::all()[0];
    let directory = fresh_directory("missing");
    let missing = directory.join("nowhere.jsonl");
    let message = error(&options(set, vec![missing.clone()], directory.join("work")));
    assert!(
        message.starts_with(&format!("cannot open {}", missing.display())),
        "{message}"
    );

    fs::create_dir(directory.join("empty")).unwrap();
    let message = error(&options(
        set,
        vec![directory.join("empty")],
        directory.join("work"),
    ));
    assert!(message.starts_with("no input files"), "{message}");

    let mut bad_list = options(set, vec![set.data.clone()], directory.join("work"));
    bad_list.exclude = Some(directory.join("list.txt"));
    fs::write(directory.join("list.txt"), b"ok\n\xff").unwrap();
    let message = error(&bad_list);
    assert!(
        message.contains("list.txt: its format is not UTF-8"),
        "{message}"
    );
}

#[test]
fn a_line_without_end_is_dropped_not_collected() {
    let set = &sets::all()[0];
    let directory = fresh_directory("long");
    let file = directory.join("long.jsonl");
    let long = vec![b'x'; 40 << 20];
    let text = [
        fs::read(&set.data).unwrap(),
        long.clone(),
        b"\n".to_vec(),
        long,
    ]
    .concat();
    fs::write(&file, text).unwrap();
    let (ours, report) = dump(&options(set, vec![file], directory.join("work")));
    assert!(ours == set.dump);
    assert_eq!(report.counts.dropped_too_long, 2);
    assert_eq!(report.counts.lines as usize, set.lines().len() + 2);
}

#[test]
fn a_write_that_fails_is_named_and_can_be_resumed() {
    let set = &sets::all()[0];
    let directory = fresh_directory("full");
    let store = directory.join("users");
    // A limit on the size of files makes writing fail like a full disk does.
    let limited = |blocks: u32| {
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
        let output = child(set, &directory.join("work"), &store, Some(&script), "").output();
        let output = output.unwrap();
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let (success, message) = limited(64);
    assert!(!success && message.contains("cannot write "), "{message}");
    assert!(
        message.contains("work/tweets/0") && message.contains(" at byte "),
        "{message}"
    );
    assert!(!store.exists());
    let (success, message) = limited(1 << 20);
    assert!(success, "{message}");
    let expected = directory.join("expected");
    assert!(
        child(set, &directory.join("work2"), &expected, None, "")
            .status()
            .unwrap()
            .success()
    );
    assert!(fs::read(store).unwrap() == fs::read(expected).unwrap());
}

#[test]
fn a_sink_that_fails_ends_the_run_and_is_resumed() {
    let set = &sets::all()[0];
    let directory = fresh_directory("sink");
    let options = options(set, vec![set.data.clone()], directory.join("work"));
    let full = std::io::BufWriter::new(fs::File::create("/dev/full").unwrap());
    let failed = etl::run(&options, &mut DumpSink::new(full), &Silent)
        .unwrap_err()
        .to_string();
    assert!(failed.starts_with("cannot store user "), "{failed}");
    assert!(failed.contains("No space left"), "{failed}");
    assert!(dump(&options).0 == set.dump);
}

#[test]
fn another_plan_is_refused() {
    let set = &sets::all()[0];
    let directory = fresh_directory("plan");
    let input = directory.join("tweets.jsonl");
    fs::copy(&set.data, &input).unwrap();
    let good = Options {
        keep_work_dir: true,
        ..options(set, vec![input.clone()], directory.join("work"))
    };
    dump(&good);
    let refused = |options: &Options, what: &str| {
        let message = error(options);
        assert!(message.contains(what), "{message}");
        assert!(
            message.contains(&good.work_dir.display().to_string()),
            "{message}"
        );
    };
    let change = |change: fn(&mut Options)| {
        let mut options = good.clone();
        change(&mut options);
        options
    };
    refused(
        &change(|o| o.exclude = None),
        "another list of excluded hashtags",
    );
    refused(
        &change(|o| o.partitions = Some(2)),
        "another number of partitions",
    );
    refused(&change(|o| o.skip_bad_files = true), "other options");
    refused(
        &change(|o| o.inputs.push(sets::all()[1].data.clone())),
        "another list of input files",
    );
    // Options that do not affect the result may change.
    let other = change(|o| (o.workers, o.memory_bytes) = (7, 32 << 20));
    assert!(dump(&other).0 == set.dump);

    fs::write(&input, b"{}\n").unwrap();
    refused(&good, "or they have changed");
}

#[test]
fn work_directories_of_others_are_left_alone() {
    let set = &sets::all()[0];
    let directory = fresh_directory("strangers");
    fs::write(directory.join("thesis.txt"), "mine").unwrap();
    let message = error(&options(
        set,
        vec![set.data.clone()],
        directory.to_path_buf(),
    ));
    assert!(
        message.contains("holds other files (thesis.txt)"),
        "{message}"
    );
    assert!(directory.join("thesis.txt").exists());

    let directory = fresh_directory("strangers");
    let lock = fs::File::create(directory.join("lock")).unwrap();
    lock.lock().unwrap();
    let message = error(&options(
        set,
        vec![set.data.clone()],
        directory.to_path_buf(),
    ));
    assert!(message.contains("another run is using"), "{message}");
}

#[test]
fn changed_work_files_are_noticed() {
    let set = &sets::all()[0];
    let directory = fresh_directory("changed");
    let options = Options {
        keep_work_dir: true,
        ..options(set, vec![set.data.clone()], directory.join("work"))
    };
    dump(&options);
    let file = directory.join("work/values/0000");
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[1..]).unwrap();
    let message = error(&options);
    assert!(message.contains("work/values/0000 has "), "{message}");
}

#[test]
fn options_out_of_range_are_refused() {
    let set = &sets::all()[0];
    let directory = fresh_directory("range");
    let good = options(set, vec![set.data.clone()], directory.join("work"));
    let message = error(&Options {
        memory_bytes: 1,
        ..good.clone()
    });
    assert_eq!(message, "memory must be at least 16 MiB");
    let message = error(&Options {
        partitions: Some(3),
        ..good
    });
    assert_eq!(message, "partitions=3 must be a power of two up to 512");
}
