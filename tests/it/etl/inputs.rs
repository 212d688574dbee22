//! Input as people have it: wrong formats, globs, directories with any content.

use super::{
    command::{data, ended, etl, names, succeeds, trident},
    packing::{bzip2, gzip, tar, xz, zstd},
    sets::{self, fresh_directory},
};
use std::{fs, process::Stdio};

type Compress = fn(&[u8]) -> Vec<u8>;

const COMPRESSIONS: [(&str, Compress); 3] = [("bzip2", bzip2), ("zstd", zstd), ("xz", xz)];

#[test]
fn compressed_input_gives_the_same_store_and_damage_is_named() {
    let set = &sets::all()[0];
    let directory = fresh_directory("compressed");
    let expected = directory.join("expected");
    succeeds(&mut etl(&set.data, set, &expected, &[]));
    let text = fs::read(&set.data).unwrap();
    let (first, second) = text.split_at(text.len() / 3);
    for (name, compress) in COMPRESSIONS {
        // The name does not matter, and a line may continue in the next stream.
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
            assert_eq!(code, 65, "{name}: {err}");
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
    let notes = tar(&[("README", b"notes")]);
    for (name, content, hint) in [
        ("stream.tar", &notes[..], "stream.tar: README"),
        ("a.json.bz2", b"BZh91AY&SY", "bzip2 stream is truncated"),
        (
            "a.json.zst",
            b"\x28\xB5\x2F\xFD\x04",
            "zstd stream is truncated",
        ),
        ("a.json.xz", b"\xFD7zXZ\0\0", "xz stream is truncated"),
        ("plain.bz2", b"hello\n", "or only its name says bzip2"),
        ("twice.gz", &gzip(&gzip(b"{}\n")), "line 1 begins with"),
        ("a.zip", b"PK\x03\x04\x14", "zip archive is damaged"),
        ("a.parquet", b"PAR1\x15", "Parquet"),
        ("utf16.json", b"\xFF\xFEx\0", "no JSON"),
        ("inside.gz", &gzip(&notes), "inside.gz: README"),
        ("array.json", b"[\n{\"id\":1}\n]\n", "array.json object 1"),
        ("empty-array.json", b"[]\n", "an empty array"),
        (
            "statuses.json",
            b"{\"statuses\":[{\"id\":1}]}\n",
            "statuses.json object 1",
        ),
        ("pretty.json", b"{\n  \"id\": 1\n}\n", "pretty.json object 1"),
        ("cr.json", b"{\"id\":1}\r{\"id\":2}\r", "cr.json line 1"),
        (
            "archive.js",
            b"window.YTD.tweet.part0 = [ {",
            "ends inside an array",
        ),
        (
            "account.js",
            b"window.YTD.tweet.part0 = [{\"tweet\":{\"id\":\"1\",\"full_text\":\"a\",\"created_at\":\"x\"}}]",
            "without `user`",
        ),
        ("v2.json", b"{\"data\":{\"id\":\"1\"}}\n", "API v2"),
        ("empty.json", b"", "empty"),
    ] {
        let input = directory.join(name);
        fs::write(&input, content).unwrap();
        for more in [&["--replace"][..], &["--replace", "--skip-bad-files"]] {
            let (code, out, err) = ended(&mut etl(&input, set, &store, more));
            assert_eq!((code, out.as_str()), (65, ""), "{name}: {err}");
            assert!(err.contains(name), "{name}: {err}");
            assert!(data(&store) == before, "{name}");
            if more.len() == 1 {
                assert!(err.contains(hint), "{name}: {err}");
            }
        }
    }
    // A failed run leaves nothing that is in the way.
    succeeds(&mut etl(&set.data, set, &store, &["--replace"]));
    assert!(data(&store) == before);

    let mut build = trident(&[&"etl", &"build", &"--replace", &"--output", &store]);
    let (code, _, err) = ended(build.stdin(Stdio::null()));
    assert_eq!(code, 65, "{err}");
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

    // Files that Spark, Hadoop and macOS leave beside and below the data.
    fs::create_dir_all(input.join("_temporary/0")).unwrap();
    for name in [
        "_SUCCESS",
        "._SUCCESS.crc",
        ".part-00000.crc",
        "._e.json.gz",
        "_temporary/0/part-00000",
    ] {
        fs::write(input.join(name), "\0\x05\x16\x07").unwrap();
    }
    fs::write(input.join("c.parquet"), "PAR1").unwrap();
    let fifo = input.join("fifo.json");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status();
    assert!(made.unwrap().success());
    let walked = directory.join("walked");
    let (code, _, err) = ended(&mut etl(&input, set, &walked, &[]));
    assert_eq!(code, 0, "{err}");
    assert!(data(&walked) == data(&expected));
    let line = err.lines().find(|line| line.starts_with("not read: "));
    let line = line.unwrap_or_else(|| panic!("{err}"));
    assert!(
        line.contains("c.parquet") && line.contains("fifo.json (a FIFO"),
        "{line}"
    );
    assert!(line.contains("_temporary (hidden"), "{line}");
    assert_eq!(names(&directory), ["expected", "glob", "in", "walked"]);

    let parquet = directory.join("parquet");
    fs::create_dir(&parquet).unwrap();
    fs::write(parquet.join("part-00000.snappy.parquet"), "PAR1").unwrap();
    fs::write(parquet.join("_SUCCESS"), "").unwrap();
    let (code, _, err) = ended(&mut etl(&parquet, set, &walked, &["--replace"]));
    assert_eq!(code, 65, "{err}");
    assert!(
        err.contains("snappy.parquet: its format is Parquet; write JSON lines"),
        "{err}"
    );
    assert!(data(&walked) == data(&expected));
}

#[test]
fn names_and_links_that_cannot_be_read_get_a_message_that_fits() {
    use std::os::unix::{ffi::OsStrExt, fs::symlink};
    let set = &sets::all()[4];
    let directory = fresh_directory("links");
    let (circle, dead) = (directory.join("circle.json"), directory.join("dead.json"));
    symlink(&circle, &circle).unwrap();
    symlink("nowhere", &dead).unwrap();
    let odd = directory.join("odd");
    fs::create_dir(&odd).unwrap();
    let name = std::ffi::OsStr::from_bytes(b"tweets\xFF.json");
    fs::write(odd.join(name), "{}\n").unwrap();
    let store = directory.join("store");
    for (input, code, message) in [
        (&circle, 1, "a link to nothing or to itself"),
        (&dead, 1, "a link to nothing or to itself"),
        (&directory.join("missing.json"), 1, "No such file"),
        (&odd, 64, "is not UTF-8: rename it"),
        (&odd.join(name), 64, "is not UTF-8: rename it"),
    ] {
        let (ended_with, _, err) = ended(&mut etl(input, set, &store, &[]));
        assert_eq!(ended_with, code, "{err}");
        assert!(err.contains(message) && !err.contains("at byte 0"), "{err}");
        assert!(!store.exists());
    }
}
