//! Hostile and broken input: an exit code that is documented, a message that fits a terminal, bounded memory.

use super::{
    command::{data, ended, etl, succeeds, trident},
    containers::objects,
    packing::{gzip, tar, utf16, zip},
    sets::{self, fresh_directory},
};
use std::{
    fs,
    io::Write,
    process::{Child, Stdio},
};

/// Attacks and unsupported formats: the name of each, and what the message says.
fn hostile(tweet: &[u8]) -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let deep = (0..8).fold(tweet.to_vec(), |inner, _| gzip(&inner));
    let zeros = vec![0; 1 << 20];
    let mut bomb = zstd::Encoder::new(Vec::new(), 3).unwrap();
    (0..300).for_each(|_| bomb.write_all(&zeros).unwrap());
    let bomb = bomb.finish().unwrap();
    let plain = tar(&[("a.json", tweet)]);
    let end_mark = 512 + tweet.len().next_multiple_of(512);
    let header = |change: &dyn Fn(&mut ::tar::Header)| {
        let mut header = ::tar::Header::new_gnu();
        header.set_path("a.json").unwrap();
        header.set_size(tweet.len() as u64);
        change(&mut header);
        header.set_cksum();
        [
            header.as_bytes(),
            tweet,
            &vec![0; 512 - tweet.len() % 512],
            &[0; 1024],
        ]
        .concat()
    };
    let sparse = header(&|header| {
        header.set_entry_type(::tar::EntryType::GNUSparse);
        let gnu = header.as_gnu_mut().unwrap();
        gnu.realsize = *b"77777777777\0";
        gnu.sparse[0].offset = *b"77777770000\0";
        gnu.sparse[0].numbytes = *b"00000000000\0";
    });
    let long_name = header(&|header| {
        header.set_entry_type(::tar::EntryType::GNULongName);
        header.set_size(1 << 30);
    });
    let long_name = [&long_name[..512], &vec![b'x'; 9 << 20]].concat();
    let mut encrypted = zip(&[("a.json", tweet)], true);
    let directory_at = encrypted
        .windows(4)
        .position(|w| w == b"PK\x01\x02")
        .unwrap();
    encrypted[6] |= 1;
    encrypted[directory_at + 8] |= 1;
    let mut method = zip(&[("a.json", tweet)], false);
    let directory_at = method.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
    (method[8], method[directory_at + 10]) = (14, 14);
    let mut sizes = zip(&[("a.json", tweet)], false);
    let directory_at = sizes.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
    sizes[directory_at + 24] ^= 0x55;
    let mut crc = zip(&[("a.json", tweet)], true);
    let directory_at = crc.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
    crc[directory_at + 16] ^= 0x55;
    let mut odd = utf16(&String::from_utf8_lossy(tweet), false);
    odd.pop();
    vec![
        ("deep.gz", deep, "more than 6 deep"),
        (
            "overlap.zip",
            overlapping(8 << 20, 40),
            "expands more than 250 times",
        ),
        (
            "deflated-bomb.zip",
            zip(&[("a.json", &vec![b' '; 300 << 20])], true),
            "expands more than 250 times",
        ),
        (
            "page.tar",
            tar(&[("a.json.bz2", b"<html>"), ("b.json", tweet)]),
            "page.tar!a.json.bz2: bzip2 stream is damaged: no bzip2 header",
        ),
        (
            "nothing.tar",
            tar(&[("a.json.gz", b""), ("b.json", tweet)]),
            "nothing.tar!a.json.gz: gzip stream is truncated",
        ),
        (
            "escape.tar",
            tar(&[("a\x1b[2J.json", b"PAR1")]),
            "escape.tar!a\\u{1b}[2J.json",
        ),
        ("bomb.json.zst", bomb.clone(), "expands more than 250 times"),
        (
            "bomb.tar",
            tar(&[("bomb.json.zst", &bomb)]),
            "expands more than 250 times",
        ),
        (
            "bomb.zip",
            zip(&[("bomb.json.zst", &bomb)], true),
            "expands more than 250 times",
        ),
        (
            "huge.tar",
            header(&|header| header.set_size(u64::MAX >> 1)),
            "is truncated",
        ),
        (
            "endless.tar",
            header(&|header| header.set_size(u64::MAX)),
            "tar archive is damaged",
        ),
        (
            "long-name.tar",
            long_name,
            "bytes of headers before one member",
        ),
        ("sparse.tar", sparse, ""),
        (
            "link.tar",
            header(&|header| {
                header.set_entry_type(::tar::EntryType::Link);
                header.set_size(0);
            }),
            "",
        ),
        (
            "cut.tar",
            plain[..512 + tweet.len() / 2].to_vec(),
            "tar archive is truncated",
        ),
        ("no-end.tar", plain[..end_mark].to_vec(), "no end mark"),
        ("encrypted.zip", encrypted, "is encrypted"),
        ("method.zip", method, "uses compression method"),
        ("sizes.zip", sizes, "zip archive is damaged"),
        ("crc.zip", crc, "zip archive is damaged"),
        (
            "cut.zip",
            zip(&[("a.json", tweet)], true)[..40].to_vec(),
            "zip archive is",
        ),
        ("odd.json", odd, "odd number of bytes"),
        (
            "cut-array.json",
            [b"[", tweet, b",{\"id\":"].concat(),
            "ends inside an array",
        ),
        (
            "sequence",
            b"SEQ\x06\x19org".to_vec(),
            "Hadoop SequenceFile",
        ),
        ("a.Z", b"\x1F\x9D\x90abc".to_vec(), "gzip -dc FILE"),
        ("utf32.json", b"\xFF\xFE\0\0{\0\0\0".to_vec(), "iconv"),
        ("a.parquet", b"PAR1\x15\x04".to_vec(), "Parquet"),
        (
            "v2.json",
            b"{\"data\":[{\"id\":\"1\",\"text\":\"a\"}],\"includes\":{}}\n".to_vec(),
            "API v2",
        ),
        (
            "v2-lines.json",
            b"{\"author_id\":\"1\",\"id\":\"2\",\"text\":\"a\"}\n".to_vec(),
            "API v2",
        ),
    ]
}

#[test]
fn hostile_input_ends_with_65_and_a_message() {
    let set = &sets::all()[0];
    let directory = fresh_directory("hostile");
    let store = directory.join("store");
    let lines = objects(set, 1);
    for (name, content, what) in hostile(lines[0].as_bytes()) {
        let input = directory.join(name);
        fs::write(&input, content).unwrap();
        let (code, out, err) = ended(&mut etl(&input, set, &store, &[]));
        assert_eq!((code, out.as_str()), (65, ""), "{name}: {err}");
        assert!(err.contains(name) && err.contains(what), "{name}: {err}");
        assert!(!err.contains("panicked"), "{name}: {err}");
        assert!(!err.contains('\x1b') && err.len() < 2000, "{name}: {err}");
        assert!(!store.exists(), "{name}");
        fs::remove_file(input).unwrap();
    }
}

/// A zip archive whose `members` all have the same bytes, which expand to `size`.
fn overlapping(size: usize, members: usize) -> Vec<u8> {
    let one = zip(&[("a.json", &vec![b' '; size])], true);
    let directory_at = one.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
    let end_at = one.windows(4).position(|w| w == b"PK\x05\x06").unwrap();
    let (content, directory, end) = (
        &one[..directory_at],
        &one[directory_at..end_at],
        &one[end_at..],
    );
    let count = (members as u16).to_le_bytes();
    let bytes = ((directory.len() * members) as u32).to_le_bytes();
    let at = (directory_at as u32).to_le_bytes();
    let end = [&end[..8], &count, &count, &bytes, &at, &end[20..]].concat();
    [content, &directory.repeat(members), &end].concat()
}

/// Names of 7 MiB and thousands of unreadable members do not make an endless report.
#[test]
fn what_is_told_of_an_archive_is_bounded() {
    let set = &sets::all()[0];
    let line = objects(set, 1).remove(0);
    let directory = fresh_directory("told");
    let store = directory.join("store");
    let long = format!("{}.json", "n".repeat(7 << 20));
    let input = directory.join("long.tar");
    fs::write(
        &input,
        tar(&[(&long, b"PAR1"), ("b.json", line.as_bytes())]),
    )
    .unwrap();
    let out = succeeds(&mut etl(
        &input,
        set,
        &store,
        &["--skip-bad-files", "--allow-empty"],
    ));
    assert!(out.contains("nn…nn") && out.contains("nn.json: its format is Parquet"));
    assert!(out.len() < 4000, "{}", out.len());

    let bad: Vec<_> = (0..1200).map(|index| format!("{index}.json")).collect();
    let mut members: Vec<(&str, &[u8])> = bad
        .iter()
        .map(|name| (name.as_str(), &b"PAR1"[..]))
        .collect();
    members.push(("good.json", line.as_bytes()));
    let input = directory.join("bad.tar");
    fs::write(&input, tar(&members)).unwrap();
    let more = ["--skip-bad-files", "--replace", "--allow-empty"];
    let out = succeeds(&mut etl(&input, set, &store, &more));
    assert!(
        out.contains("the archive has 200 more members that cannot be read"),
        "{out}"
    );
    assert_eq!(out.matches("not read to the end: ").count(), 1001);
    assert!(
        out.contains("lines read                                 1"),
        "{out}"
    );
}

/// A broken element costs only itself and at most the next one.
#[test]
fn a_broken_tweet_in_an_array_is_counted() {
    let set = &sets::all()[0];
    let lines = objects(set, 40);
    let directory = fresh_directory("broken");
    let (plain, store) = (directory.join("plain.json"), directory.join("store"));
    let expected = directory.join("expected");
    fs::write(&plain, lines.join("\n")).unwrap();
    succeeds(&mut etl(&plain, set, &expected, &[]));
    let deep = format!(
        "{{\"id\":1,\"x\":{}{}}}",
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    let half = utf16("{\"text\":\"\u{1F600}\"}", false);
    // The first half of the pair only.
    let half: Vec<u8> = [&half[2..22], &half[24..]].concat();
    let wide = |text: &str| utf16(text, false).split_off(2);
    let (first, second) = lines.split_at(20);
    let (first, second) = (first.join(","), second.join(","));
    let array = |broken: &str| format!("[{first},{broken},{second}]").into_bytes();
    for (name, content) in [
        ("number.json", array("7")),
        ("no-colon.json", array("{\"id\"1}")),
        ("deep.json", array(&deep)),
        ("two-closes.json", array("{\"id\":1}}")),
        ("control.json", array("{\"id\":\"\n\0\"}")),
        (
            "half.json",
            [
                &b"\xFF\xFE"[..],
                &wide(&format!("[{first},")),
                &half,
                &wide(&format!(",{second}]")),
            ]
            .concat(),
        ),
    ] {
        let input = directory.join(name);
        fs::write(&input, content).unwrap();
        let out = succeeds(&mut etl(&input, set, &store, &[]));
        assert!(data(&store) == data(&expected), "{name}: {out}");
        fs::remove_dir_all(&store).unwrap();
    }
}

/// Most memory that the process has had.
fn peak_bytes(child: &Child) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = peak.unwrap().trim().trim_end_matches(" kB");
    kilobytes.parse::<u64>().unwrap() << 10
}

/// Endless input is read in the memory of a few lines of the longest length.
#[test]
fn input_without_end_is_read_in_bounded_memory() {
    const BYTES: usize = 200 << 20;
    const PEAK_BYTES_MAX: u64 = 150 << 20;
    for (start, rest, code) in [
        ("{\"a\":\"", "x", 0),
        ("", "{\"a\":", 0),
        ("", "[", 0),
        ("[{\"a\":\"", "\\\"", 65),
        ("[{\"a\":", "{\"a\":", 65),
        ("[{\"a\":1}, ", " \n", 65),
        ("{\n\"a\": 1\n}", "\n,", 0),
        ("window.YTD.tweets.part0 = [ {\"tweet\":{\"a\":", "[1],", 65),
    ] {
        let mut command = trident(&[&"etl", &"map"]);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(start.as_bytes()).unwrap();
        let piece = rest.repeat((64 << 10) / rest.len());
        for _ in 0..BYTES / piece.len() {
            stdin.write_all(piece.as_bytes()).unwrap();
        }
        // Everything except the content of a pipe has been read.
        let peak = peak_bytes(&child);
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{start}{rest}: {err}");
        assert!(peak < PEAK_BYTES_MAX, "{start}{rest}: {peak} bytes");
    }
}
