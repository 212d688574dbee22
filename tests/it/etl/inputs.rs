//! Input as people have it: wrong formats, globs, directories of anything.

use super::{
    command::{data, ended, etl, names, succeeds, trident},
    gzip,
    sets::{self, fresh_directory},
};
use std::{fs, io::Write, process::Stdio};

type Compress = fn(&[u8]) -> Vec<u8>;

const COMPRESSIONS: [(&str, Compress); 3] = [
    ("bzip2", |text| {
        let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }),
    ("zstd", |text| {
        let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
        encoder.include_checksum(true).unwrap();
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }),
    ("xz", |text| {
        let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }),
];

#[test]
fn compressed_input_gives_the_same_store_and_damage_is_named() {
    let set = &sets::all()[0];
    let directory = fresh_directory("compressed");
    let expected = directory.join("expected");
    succeeds(&mut etl(&set.data, set, &expected, &[]));
    let text = fs::read(&set.data).unwrap();
    let (first, second) = text.split_at(text.len() / 3);
    for (name, compress) in COMPRESSIONS {
        // The name does not matter, and a line may go on in the next stream.
        let (input, store) = (directory.join(name), directory.join("store"));
        let whole = [compress(first), compress(second)].concat();
        fs::write(&input, &whole).unwrap();
        succeeds(&mut etl(&input, set, &store, &[]));
        assert!(data(&store) == data(&expected), "{name}");

        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 0x55;
        let cut = &whole[..whole.len() - 3];
        for (damaged, what) in [(cut, "is truncated"), (&flipped, "is damaged")] {
            fs::write(&input, damaged).unwrap();
            let (code, _, err) = ended(&mut etl(&input, set, &store, &["--replace"]));
            assert_eq!(code, Some(65), "{name}: {err}");
            assert!(err.contains(&format!("{name} stream {what}")), "{err}");
            assert!(data(&store) == data(&expected), "{name}");
        }
        fs::remove_dir_all(store).unwrap();
    }
}

#[test]
fn wrong_input_never_replaces_a_store() {
    let set = &sets::all()[4];
    let directory = fresh_directory("wrong");
    let store = directory.join("store");
    succeeds(&mut etl(&set.data, set, &store, &[]));
    let before = data(&store);
    let mut tar = vec![0; 1024];
    tar[..6].copy_from_slice(b"a.json");
    tar[257..263].copy_from_slice(b"ustar\0");
    for (name, content, hint) in [
        ("stream.tar", &tar[..], "tar -xOf"),
        ("a.json.bz2", b"BZh91AY&SY", "bzip2 stream is truncated"),
        (
            "a.json.zst",
            b"\x28\xB5\x2F\xFD\x04",
            "zstd stream is truncated",
        ),
        ("a.json.xz", b"\xFD7zXZ\0\0", "xz stream is truncated"),
        ("plain.bz2", b"{}\n", "no bzip2 header"),
        ("twice.gz", &gzip(&gzip(b"{}\n")), "compressed twice"),
        ("a.zip", b"PK\x03\x04\x14", "unzip -p"),
        ("a.parquet", b"PAR1\x15", "Parquet"),
        ("utf16.json", b"\xFF\xFE{\0", "UTF-16"),
        ("inside.gz", &gzip(&tar), "tar -xOf"),
        ("array.json", b"[\n{\"id\":1}\n]\n", "JSON array"),
        (
            "statuses.json",
            b"{\"statuses\":[{\"id\":1}]}\n",
            "search API",
        ),
        ("pretty.json", b"{\n  \"id\": 1\n}\n", "several lines"),
        ("cr.json", b"{\"id\":1}\r{\"id\":2}\r", "not_json"),
        (
            "archive.js",
            b"window.YTD.tweet.part0 = [ {",
            "Twitter archive",
        ),
        ("v2.json", b"{\"data\":{\"id\":\"1\"}}\n", "API v2"),
        ("empty.json", b"", "empty"),
    ] {
        let input = directory.join(name);
        fs::write(&input, content).unwrap();
        for more in [&["--replace"][..], &["--replace", "--skip-bad-files"]] {
            let (code, out, err) = ended(&mut etl(&input, set, &store, more));
            assert_eq!((code, out.as_str()), (Some(65), ""), "{name}: {err}");
            assert!(err.contains(name), "{name}: {err}");
            assert!(data(&store) == before, "{name}");
            if more.len() == 1 {
                assert!(err.contains(hint), "{name}: {err}");
            }
        }
    }
    // A failed run stands in nobody's way.
    succeeds(&mut etl(&set.data, set, &store, &["--replace"]));
    assert!(data(&store) == before);

    let mut build = trident(&[&"etl", &"build", &"--replace", &"--output", &store]);
    let (code, _, err) = ended(build.stdin(Stdio::null()));
    assert_eq!(code, Some(65), "{err}");
    assert!(err.contains("no user came in"), "{err}");
    assert!(data(&store) == before);
    succeeds(build.arg("--allow-empty").stdin(Stdio::null()));
    assert!(data(&store) != before);
}

#[test]
fn files_of_a_glob_and_directories_of_anything_are_read() {
    let set = &sets::all()[0];
    let directory = fresh_directory("anything");
    let expected = directory.join("expected");
    succeeds(&mut etl(&set.data, set, &expected, &[]));
    let lines = set.lines();
    let input = directory.join("in");
    fs::create_dir(&input).unwrap();
    let taken = ["a.json", "b.ndjson", "d.JSON", "e.json.GZ", "part-00000"];
    for (index, name) in taken.iter().enumerate() {
        let mut text: Vec<u8> = b"\xEF\xBB\xBF".to_vec();
        for line in lines.iter().skip(index).step_by(taken.len()) {
            text.extend_from_slice(line);
            text.push(b'\n');
        }
        let text = if name.ends_with("GZ") {
            gzip(&text)
        } else {
            text
        };
        fs::write(input.join(name), text).unwrap();
    }
    let glob = directory.join("glob");
    let mut command = trident(&[&"etl", &"--output", &glob, &"--exclude", &set.excluded]);
    command
        .arg("--input")
        .args(taken.map(|name| input.join(name)));
    succeeds(&mut command);
    assert!(data(&glob) == data(&expected));

    fs::write(input.join("c.parquet"), "PAR1").unwrap();
    let fifo = input.join("fifo.json");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status();
    assert!(made.unwrap().success());
    let walked = directory.join("walked");
    let (code, _, err) = ended(&mut etl(&input, set, &walked, &[]));
    assert_eq!(code, Some(0), "{err}");
    assert!(data(&walked) == data(&expected));
    let line = err.lines().find(|line| line.starts_with("not read: "));
    let line = line.unwrap_or_else(|| panic!("{err}"));
    assert!(
        line.contains("c.parquet") && line.contains("fifo.json (a FIFO"),
        "{line}"
    );
    assert_eq!(names(&directory), ["expected", "glob", "in", "walked"]);
}
