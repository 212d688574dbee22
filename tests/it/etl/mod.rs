//! The ETL against the oracle: equal dumps and counts, whatever the arrangement of the input, the
//! number of workers, the memory, and however often the run was killed.

mod blocks;
mod command;
mod compat;
mod containers;
mod damage;
mod history;
mod hostile;
mod inputs;
mod memory;
mod mistakes;
mod packing;
mod pipes;
mod resume;
mod sample;
pub mod sets;

use flate2::{Compression, write::GzEncoder};
use sets::{Set, fresh_directory};
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};
use trident::etl::{
    self, Options,
    progress::Silent,
    run::report::Report,
    sink::user_sink::{DumpSink, FileSink, FileUsers, UserSink},
};

/// Runs the ETL and returns its dump.
fn dump(options: &Options) -> (String, Report) {
    let mut out = Vec::new();
    let report = etl::run(options, &mut DumpSink::new(&mut out), &Silent).unwrap();
    (String::from_utf8(out).unwrap(), report)
}

fn options(set: &Set, inputs: Vec<PathBuf>, work_dir: PathBuf) -> Options {
    Options {
        exclude: Some(set.excluded.clone()),
        ..Options::new(inputs, work_dir)
    }
}

/// Shows where two dumps differ instead of printing megabytes.
fn assert_equal_dumps(ours: &str, oracle: &str, what: &str) {
    if ours == oracle {
        return;
    }
    for (ours, oracle) in ours.lines().zip(oracle.lines()) {
        let at = ours
            .bytes()
            .zip(oracle.bytes())
            .take_while(|(a, b)| a == b)
            .count();
        let part = |line: &str| {
            let bytes = &line.as_bytes()[at.saturating_sub(80)..line.len().min(at + 80)];
            String::from_utf8_lossy(bytes).into_owned()
        };
        assert_eq!(
            part(ours),
            part(oracle),
            "{what}: {} …",
            &ours[..ours.len().min(40)]
        );
    }
    panic!(
        "{what}: {} users instead of {}",
        ours.lines().count(),
        oracle.lines().count()
    );
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The lines of `set`, shuffled by `seed` and dealt to `files` files below `directory`: some plain,
/// some gzip, some gzip of several members with padding, half of them without a last newline.
fn deal(set: &Set, seed: u64, files: usize, directory: &Path) {
    let mut lines: Vec<&[u8]> = set.lines();
    let mut state = seed;
    let mut random = |below: usize| {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (state >> 33) as usize % below
    };
    for i in (1..lines.len()).rev() {
        lines.swap(i, random(i + 1));
    }
    let mut contents = vec![Vec::new(); files];
    for line in lines {
        let content: &mut Vec<u8> = &mut contents[random(files)];
        content.extend_from_slice(line);
        content.push(b'\n');
    }
    for (i, mut content) in contents.into_iter().enumerate() {
        // An empty last line without a newline would not be a line any more.
        if i % 2 == 1 && content.len() > 1 && !content.ends_with(b"\n\n") {
            content.pop();
        }
        let nested = directory.join(format!("day{}", i % 3));
        fs::create_dir_all(&nested).unwrap();
        let (name, bytes) = match i % 3 {
            0 => (format!("{i}.jsonl"), content),
            1 => (format!("{i}.json.gz"), gzip(&content)),
            _ => {
                let (head, tail) = content.split_at(content.len() / 3);
                (
                    format!("{i}.gz"),
                    [gzip(head), gzip(&[]), gzip(tail), vec![0; 512]].concat(),
                )
            }
        };
        fs::write(nested.join(name), bytes).unwrap();
    }
    fs::write(directory.join("README.txt"), "not an input").unwrap();
}

#[test]
fn dumps_equal_the_oracle_in_one_file() {
    for set in sets::all() {
        let directory = fresh_directory("one-file");
        let (ours, _) = dump(&options(
            set,
            vec![set.data.clone()],
            directory.join("work"),
        ));
        assert_equal_dumps(&ours, &set.dump, set.name);
        assert!(
            !directory.join("work").exists(),
            "the work directory goes when all is done"
        );
    }
}

#[test]
fn dumps_equal_the_oracle_in_any_arrangement() {
    for (i, set) in sets::all().iter().enumerate() {
        for (files, workers, partitions) in [(1, 2, 16), (5, 1, 4), (40, 8, 1), (300, 2, 64)] {
            let directory = fresh_directory("arrangement");
            deal(
                set,
                i as u64 * 1000 + files as u64,
                files,
                &directory.join("in"),
            );
            let options = Options {
                workers,
                partitions: Some(partitions),
                // Little enough for one partition to be sorted in several runs.
                memory_bytes: 16 << 20,
                ..options(set, vec![directory.join("in")], directory.join("work"))
            };
            let what = format!("{}: {files} files, {workers} workers", set.name);
            assert_equal_dumps(&dump(&options).0, &set.dump, &what);
        }
    }
}

#[test]
fn stored_files_are_byte_identical() {
    let set = &sets::all()[0];
    let store = |files, workers| {
        let directory = fresh_directory("identical");
        deal(set, files as u64, files, &directory.join("in"));
        let options = Options {
            workers,
            ..options(set, vec![directory.join("in")], directory.join("work"))
        };
        let path = directory.join("users");
        etl::run(&options, &mut FileSink::create(&path).unwrap(), &Silent).unwrap();
        assert_eq!(
            fs::read_dir(&*directory).unwrap().count(),
            2,
            "input and users, nothing else"
        );
        (path, directory)
    };
    let (one, _directory) = store(1, 1);
    for (files, workers) in [(1, 2), (7, 8), (100, 3)] {
        let (other, _directory) = store(files, workers);
        assert!(fs::read(&one).unwrap() == fs::read(other).unwrap());
    }

    let mut users = FileUsers::open(&one).unwrap();
    let mut out = Vec::new();
    let mut sink = DumpSink::new(&mut out);
    let mut value = Vec::new();
    while let Some(user) = users.next_user(&mut value).unwrap() {
        trident::store::value::User::verify(user, &value).unwrap();
        sink.put(user, &value).unwrap();
    }
    assert_equal_dumps(&String::from_utf8(out).unwrap(), &set.dump, "read back");
}

#[test]
fn counts_equal_the_oracle() {
    for set in sets::all() {
        let directory = fresh_directory("counts");
        let (_, report) = dump(&options(
            set,
            vec![set.data.clone()],
            directory.join("work"),
        ));
        let json = report.to_json();
        for (ours, oracle) in [
            ("lines", "lines"),
            ("valid", "valid"),
            ("ids_differ", "ids_differ"),
            ("duplicates", "duplicates"),
            ("deleted", "deleted"),
            ("tweets", "tweets"),
            ("profiles", "users_with_info"),
            ("users", "users_with_contacts"),
            ("directed_pairs", "directed_pairs"),
            ("contact_tweets", "contact_rows"),
        ] {
            assert_eq!(json[ours], set.stat(oracle), "{}: {ours}", set.name);
        }
        for (reason, count) in json["dropped"].as_object().unwrap() {
            assert_eq!(
                *count,
                set.stat(&format!("drop_{reason}")),
                "{}: {reason}",
                set.name
            );
        }
        for (notice, count) in json["notices"].as_object().unwrap() {
            assert_eq!(
                *count,
                set.stat(&format!("notice_{notice}")),
                "{}: {notice}",
                set.name
            );
            assert!(set.name != "deletions" || *count != 0, "no {notice}");
        }
        assert!(set.name != "deletions" || json["deleted"].as_u64() > Some(100));
        assert_eq!(json["bytes"], fs::metadata(&set.data).unwrap().len());
        assert_eq!(json["stages"].as_array().unwrap().len(), 6);
    }
}

#[test]
fn our_generator_leaves_no_rule_out() {
    let set = sets::all()
        .iter()
        .find(|set| set.name == "our generator")
        .unwrap();
    for reason in trident::etl::record::dropped::Dropped::ALL {
        assert!(
            set.stat(&format!("drop_{}", reason.name())) > 0,
            "{reason:?}"
        );
    }
    let kept = set.stat("valid") as f64 / set.stat("lines") as f64;
    assert!((0.67..0.73).contains(&kept), "{kept}");
    assert!(set.stat("duplicates") > 10);
    // As in real files: two contacts per user in the middle, hundreds for the few at the top.
    let mut contacts: Vec<_> = set
        .dump
        .lines()
        .map(|line| line.matches("\"screen_name\"").count())
        .collect();
    contacts.sort_unstable();
    assert!((1..=3).contains(&contacts[contacts.len() / 2]));
    assert!(contacts[contacts.len() - 1] > 100, "{:?}", contacts.last());
    for types in ["\"types\":1", "\"types\":2", "\"types\":3"] {
        assert!(set.dump.contains(types), "{types}");
    }
}

#[test]
fn tag_frequencies_do_not_depend_on_arrangement_or_exclusion() {
    let set = &sets::all()[0];
    let report = |files, exclude: bool| {
        let directory = fresh_directory("frequencies");
        deal(set, 3, files, &directory.join("in"));
        let mut options = options(set, vec![directory.join("in")], directory.join("work"));
        options.exclude = options.exclude.filter(|_| exclude);
        dump(&options).1.tags
    };
    let (one, many) = (report(1, true), report(20, false));
    assert_eq!(one, many);
    let occurrences: u64 = one.histogram.iter().map(|(count, tags)| count * tags).sum();
    let directory = fresh_directory("frequencies");
    let (_, whole) = dump(&options(
        set,
        vec![set.data.clone()],
        directory.join("work"),
    ));
    assert_eq!(occurrences, whole.counts.tag_occurrences);
    assert!(one.top.is_sorted_by(|(a, m), (b, n)| (n, a) < (m, b)));
    let list = one.excluded_list(3);
    assert_eq!(list.lines().count(), 3);
    assert_eq!(list.lines().next().unwrap(), one.top[0].0);
}
