//! Input as people have it: wrong formats, globs, directories of anything.

use super::{
    command::{data, ended, etl, names, succeeds, trident},
    gzip,
    sets::{self, fresh_directory},
};
use std::{fs, process::Stdio};

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
        ("a.json.bz2", b"BZh91AY&SY", "bzip2 -dc"),
        ("a.json.zst", b"\x28\xB5\x2F\xFD\x04", "zstd -dc"),
        ("a.json.xz", b"\xFD7zXZ\0\0", "xz -dc"),
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

    fs::write(input.join("c.json.bz2"), "BZh").unwrap();
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
        line.contains("c.json.bz2") && line.contains("fifo.json (a FIFO"),
        "{line}"
    );
    assert_eq!(names(&directory), ["expected", "glob", "in", "walked"]);
}
