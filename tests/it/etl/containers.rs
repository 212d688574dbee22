//! Every container, encoding and layout gives the store that plain lines give; damage ends with 65.

use super::{
    assert_equal_dumps,
    command::{data, ended, etl, succeeds, trident},
    dump, options,
    packing::{bzip2, gzip, nested, pretty, tar, utf16, xz, zip, zstd},
    sets::{self, Set, fresh_directory},
};
use std::{
    fs::{self, File},
    io::Write,
    path::Path,
    process::Stdio,
};
use trident::etl::{Options, read::list::list, read::reader::Reader};

/// The lines of a set that are JSON objects in Unicode: only these fit in arrays.
pub(super) fn objects(set: &Set, most: usize) -> Vec<String> {
    let lines = set.lines().into_iter();
    lines
        .filter(|line| {
            serde_json::from_slice::<serde_json::Value>(line).is_ok_and(|v| v.is_object())
        })
        .filter_map(|line| String::from_utf8(line.to_vec()).ok())
        .map(|line| line.trim().to_owned())
        .take(most)
        .collect()
}

/// Name of the file and its content, all of which hold `lines`.
fn packed(lines: &[String]) -> Vec<(&'static str, Vec<u8>)> {
    let plain = lines.join("\n") + "\n";
    let (first, second) = lines.split_at(lines.len() / 3);
    let (first, second) = (first.join("\n"), second.join("\n") + "\n");
    let array = format!("[{}]", lines.join(","));
    let lined_array = format!("[\n{}\n]\n", lines.join(",\n"));
    let archive: Vec<_> = lines
        .iter()
        .map(|line| format!("{{ \"tweet\" : {line} }}"))
        .collect();
    let archive = format!("window.YTD.tweets.part0 = [ {} ]", archive.join(", "));
    let page = |lines: &str| {
        format!("{{\"search_metadata\":{{\"count\":1}},\"statuses\":[{lines}],\"next\":[1]}}\n")
    };
    let pages: String = lines
        .chunks(50)
        .map(|page_of| page(&page_of.join(",")))
        .collect();
    let parts = [
        ("2014/04/01/00.json", first.as_bytes()),
        ("2014/04/01/01.json", second.as_bytes()),
    ];
    let each = |ending: &str, pack: fn(&[u8]) -> Vec<u8>| -> Vec<(String, Vec<u8>)> {
        parts
            .iter()
            .map(|(name, text)| (format!("{name}{ending}"), pack(text)))
            .collect()
    };
    let stream_grab = tar(&nested(&each(".bz2", bzip2)));
    let long_name = format!("{}/x.json", "directory".repeat(30));
    vec![
        ("crlf.json", plain.replace('\n', "\r\n").into()),
        ("cr.json", plain.replace('\n', "\r").into()),
        ("bom.json", format!("\u{feff}{plain}").into()),
        ("utf16le.json", utf16(&plain, false)),
        ("utf16be.json", utf16(&plain, true)),
        ("utf16-array.json", utf16(&lined_array, false)),
        ("no-mark.json", utf16(&plain, false).split_off(2)),
        ("array.json", array.clone().into()),
        ("lined-array.json", lined_array.clone().into()),
        ("array-cr.json", lined_array.replace('\n', "\r").into()),
        ("statuses.json", page(&lines.join(",\n")).into()),
        ("pages.json", pages.into()),
        ("pretty.json", pretty(lines, "\n").into()),
        (
            "pretty-array.json",
            format!("[\n{}\n]", pretty(lines, ",\n")).into(),
        ),
        ("concatenated.json", lines.concat().into()),
        ("tweets.js", archive.clone().into()),
        (
            "2014_04.js",
            format!("Grailbird.data.tweets_2014_04 =\n {lined_array}").into(),
        ),
        (
            "pzstd.json.zst",
            [
                &b"\x50\x2A\x4D\x18\x04\0\0\0size"[..],
                &zstd(plain.as_bytes()),
            ]
            .concat(),
        ),
        ("twice.json.gz", gzip(&gzip(plain.as_bytes()))),
        ("array.json.xz", xz(array.as_bytes())),
        ("utf16.json.zst", zstd(&utf16(&plain, true))),
        ("plain.tar", tar(&parts)),
        ("plain.tgz", gzip(&tar(&parts))),
        ("plain.tar.bz2", bzip2(&tar(&parts))),
        ("plain.tar.zst", zstd(&tar(&parts))),
        ("plain.tar.xz", xz(&tar(&parts))),
        ("stream-grab.tar", stream_grab.clone()),
        ("gz.tar", tar(&nested(&each(".gz", gzip)))),
        ("xz.tar", tar(&nested(&each(".xz", xz)))),
        ("zst.tar", tar(&nested(&each(".zst", zstd)))),
        (
            "long-name.tar",
            tar(&[(long_name.as_str(), plain.as_bytes())]),
        ),
        ("two.tar", [tar(&parts[..1]), tar(&parts[1..])].concat()),
        ("tar-in-tar.tar", tar(&[("inner.tar", &stream_grab)])),
        ("stored.zip", zip(&parts, false)),
        ("deflated.zip", zip(&parts, true)),
        ("bz2.zip", zip(&nested(&each(".bz2", bzip2)), false)),
        (
            "archive.zip",
            zip(
                &[
                    ("data/tweets.js", archive.as_bytes()),
                    ("data/account.js", b"window.YTD.account.part0 = [{}]"),
                ],
                true,
            ),
        ),
        (
            "tar-in-zip.zip",
            zip(&[("a.tar.gz", &gzip(&stream_grab))], true),
        ),
        ("zip-in-tar.tar", tar(&[("a.zip", &zip(&parts, true))])),
        (
            "renamed",
            zip(&[("no ending", utf16(&array, false).as_slice())], true),
        ),
    ]
}

#[test]
fn every_container_gives_the_store_of_plain_lines() {
    let set = &sets::all()[0];
    let lines = objects(set, 900);
    let directory = fresh_directory("containers");
    let plain = directory.join("plain.json");
    fs::write(&plain, lines.join("\n")).unwrap();
    let expected = directory.join("expected");
    succeeds(&mut etl(&plain, set, &expected, &["--partitions", "4"]));
    for (name, content) in packed(&lines) {
        let (input, store) = (directory.join(name), directory.join("store"));
        fs::write(&input, &content).unwrap();
        succeeds(&mut etl(&input, set, &store, &["--partitions", "4"]));
        assert!(data(&store) == data(&expected), "{name}");
        fs::remove_dir_all(&store).unwrap();
        let options = Options {
            partitions: Some(4),
            ..options(set, vec![input], directory.join("work"))
        };
        let (_, report) = dump(&options);
        assert_eq!(report.counts.lines as usize, lines.len(), "{name}");
        let left_out = name == "archive.zip";
        assert_eq!(report.left_out.len(), usize::from(left_out), "{name}");
    }
}

#[test]
fn archives_come_through_pipes_too() {
    let set = &sets::all()[0];
    let lines = objects(set, 300);
    let directory = fresh_directory("piped");
    let plain = directory.join("plain.json");
    fs::write(&plain, lines.join("\n")).unwrap();
    let expected = directory.join("expected");
    succeeds(&mut etl(&plain, set, &expected, &["--partitions", "4"]));
    for (name, content) in packed(&lines) {
        if !["stream-grab.tar", "deflated.zip", "tweets.js", "plain.tgz"].contains(&name) {
            continue;
        }
        let store = directory.join("store");
        let mut command = etl(Path::new("-"), set, &store, &["--partitions", "4"]);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(&content).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "{name}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(data(&store) == data(&expected), "{name}");
        fs::remove_dir_all(store).unwrap();
    }
}

/// All lines of a file, and the first error.
fn read(path: &Path) -> (Vec<u8>, Option<String>) {
    let sources = list(&[path.to_owned()]).unwrap().sources;
    let mut lines = Vec::new();
    let mut reader = match Reader::open(&sources[0]) {
        Ok(reader) => reader,
        Err(error) => return (lines, Some(error.to_string())),
    };
    let mut first_error = None;
    loop {
        let mut block = Vec::new();
        let filled = reader.fill(&mut block);
        lines.extend(block);
        if !lines.is_empty() && !lines.ends_with(b"\n") {
            lines.push(b'\n');
        }
        match filled {
            Ok(filled) if filled.ended => return (lines, first_error),
            Ok(_) => {}
            Err(error) => {
                let message = error.to_string();
                assert!(
                    !message.contains("has ended early"),
                    "a thread panicked: {message}"
                );
                first_error.get_or_insert(message);
                if !reader.goes_on() {
                    return (lines, first_error);
                }
            }
        }
    }
}

/// Whether a text is JSON values one after another, the last one whole: nobody can know that there were more.
fn is_of_whole_values(text: &[u8]) -> bool {
    let values = serde_json::Deserializer::from_slice(text);
    let mut values = values.into_iter::<serde::de::IgnoredAny>();
    values.all(|value| value.is_ok())
}

/// A container cut anywhere is an error, or nothing but padding was cut; flipped bits never end the process.
#[test]
fn containers_cut_anywhere_are_truncated() {
    let lines: Vec<String> = (1..4)
        .map(|id| format!("{{\"id\":{id},\"created_at\":\"x\",\"user\":{{}}}}"))
        .collect();
    let directory = fresh_directory("cuts");
    for (name, content) in packed(&lines) {
        // A text of lines may end anywhere.
        let lines_of = [
            "crlf.json",
            "cr.json",
            "bom.json",
            "pages.json",
            "concatenated.json",
            "no-mark.json",
        ];
        if lines_of.contains(&name) || name.starts_with("utf16") && name.ends_with("e.json") {
            continue;
        }
        let path = directory.join(name);
        fs::write(&path, &content).unwrap();
        let (whole, error) = read(&path);
        assert_eq!(error, None, "{name}");
        let step = (content.len() / 150).max(1);
        for length in (1..content.len()).step_by(step).chain([content.len() - 1]) {
            fs::write(&path, &content[..length]).unwrap();
            let (lines, error) = read(&path);
            let is_object = |line: &[u8]| {
                serde_json::from_slice::<serde_json::Value>(line).is_ok_and(|v| v.is_object())
            };
            let has_object = lines.split(|&byte| byte == b'\n').any(is_object);
            assert!(
                error.is_some()
                    || lines == whole
                    || !has_object
                    || is_of_whole_values(&content[..length]),
                "{name} cut to {length} of {}",
                content.len()
            );
        }
        for at in (0..content.len()).step_by(step) {
            let mut flipped = content.clone();
            flipped[at] ^= 1 << (at % 8);
            fs::write(&path, flipped).unwrap();
            read(&path);
        }
    }
}

/// One bad member costs only itself, if asked; members without tweets are reported.
#[test]
fn the_other_members_of_an_archive_are_used_on_request() {
    let set = &sets::all()[0];
    let lines = objects(set, 300);
    let text = lines.join("\n");
    let whole = bzip2(text.as_bytes());
    let directory = fresh_directory("members");
    let input = directory.join("stream.tar");
    let members: [(&str, &[u8]); 4] = [
        ("a/README", b"notes"),
        ("a/00.json.bz2", &whole[..whole.len() / 2]),
        ("a/01.parquet.json", b"PAR1"),
        ("a/02.json.bz2", &whole),
    ];
    fs::write(&input, tar(&members)).unwrap();
    let store = directory.join("store");
    let (code, _, err) = ended(&mut etl(&input, set, &store, &[]));
    assert_eq!(code, 65, "{err}");
    // Members are read by several threads: either bad one may be reported first.
    let told = [
        "00.json.bz2: bzip2 stream is truncated",
        "01.parquet.json: its format is Parquet",
    ];
    let is_told = told
        .iter()
        .any(|what| err.contains(&format!("stream.tar!a/{what}")));
    assert!(is_told, "{err}");
    let out = succeeds(&mut etl(&input, set, &store, &["--skip-bad-files"]));
    for expected in [
        "00.json.bz2: bzip2 stream is truncated",
        "01.parquet.json: its format is Parquet",
        "not read in ",
        "a/README",
    ] {
        assert!(out.contains(expected), "{expected}: {out}");
    }
    let plain = directory.join("plain.json");
    fs::write(&plain, &text).unwrap();
    let (expected, _) = dump(&options(set, vec![plain], directory.join("work")));
    let dumped = succeeds(&mut trident(&[&"store", &"dump", &store]));
    assert_equal_dumps(&dumped, &expected, "members");
}

/// The report points at a line, wherever it lies.
#[test]
fn a_dropped_line_is_shown_with_its_place() {
    let set = &sets::all()[0];
    let good = objects(set, 1).remove(0);
    let directory = fresh_directory("places");
    let bad = "{\"id\":\u{1b}[2J";
    let lines = format!("{good}\n{bad}\n{bad}\n{bad}\n");
    let array = format!("[{good},{{\"a\":1}},{{}},{{}}]");
    // Blocks of 1 MiB are numbered by those before them, which other threads may have read.
    let wide = format!("{good}{}\n", " ".repeat(4000));
    let far = wide.repeat(1000) + &format!("{bad}\n").repeat(3000);
    for (name, content, place) in [
        (
            "lines.json",
            lines.clone().into_bytes(),
            "lines.json line 2: {\"id\":\\u{1b}[2J",
        ),
        (
            "array.json",
            array.into_bytes(),
            "array.json object 2: {\"a\":1}",
        ),
        (
            "a.tar",
            tar(&[("x/b.json.gz", &gzip(lines.as_bytes()))]),
            "a.tar!x/b.json.gz line 2: {",
        ),
        (
            "far.json.gz",
            gzip(far.as_bytes()),
            "far.json.gz line 1001: {",
        ),
        ("far.json", far.into_bytes(), "far.json line 1001: {"),
    ] {
        let input = directory.join(name);
        fs::write(&input, content).unwrap();
        let store = directory.join(format!("{name}.store"));
        let out = succeeds(&mut etl(&input, set, &store, &["--allow-empty"]));
        assert!(
            out.contains("most lines were dropped as") && out.contains(place),
            "{out}"
        );
        let json = directory.join("report.json");
        let mut again = etl(
            &input,
            set,
            &store,
            &["--allow-empty", "--replace", "--report-json"],
        );
        succeeds(again.arg(&json));
        let report: serde_json::Value = serde_json::from_reader(File::open(json).unwrap()).unwrap();
        assert!(
            report["examples"][0]["place"]
                .as_str()
                .unwrap()
                .contains(name),
            "{report}"
        );
    }
}
