//! Command lines that would cost their user files, or make a store of nothing.

use super::{
    command::{data, ended, etl, names, succeeds, trident},
    gzip,
    sets::{self, fresh_directory},
};
use std::{ffi::OsStr, fs, path::Path};

/// The arguments of a run with `--replace`, which must be refused with `code` and leave everything as it is.
fn refused(arguments: &[&dyn AsRef<OsStr>], code: i32, told: &str) {
    let (ended_with, out, err) = ended(&mut trident(arguments));
    assert_eq!((ended_with, out.as_str()), (code, ""), "{told}: {err}");
    assert!(err.contains(told), "{told}: {err}");
}

#[test]
fn only_a_store_is_replaced() {
    let set = &sets::all()[4];
    let directory = fresh_directory("foreign");
    let store = directory.join("store");
    succeeds(&mut etl(&set.data, set, &store, &[]));

    let own = directory.join("own");
    fs::create_dir_all(own.join("photos")).unwrap();
    fs::write(own.join("photos/one"), "precious").unwrap();
    let file = directory.join("file");
    fs::write(&file, "precious").unwrap();
    let link = directory.join("link");
    std::os::unix::fs::symlink(&own, &link).unwrap();
    // A store in which somebody keeps something else.
    let noted = directory.join("noted");
    succeeds(&mut etl(&set.data, set, &noted, &[]));
    fs::write(noted.join("NOTES"), "precious").unwrap();
    // And one in the directory of its updates.
    let buried = directory.join("buried");
    succeeds(&mut etl(&set.data, set, &buried, &[]));
    fs::create_dir(buried.join("updates-1")).unwrap();
    fs::write(buried.join("updates-1/NOTES"), "precious").unwrap();
    // Files of another program that keeps its data in LMDB.
    let lmdb = directory.join("lmdb");
    fs::create_dir(&lmdb).unwrap();
    fs::write(lmdb.join("data.mdb"), "precious").unwrap();
    fs::write(lmdb.join("lock.mdb"), "").unwrap();
    let before = names(&directory);
    for (target, told) in [
        (&own, "it holds photos"),
        (&link, "it holds photos"),
        (&file, "it is a file"),
        (&noted, "it holds NOTES"),
        (&buried, "it holds updates-1/NOTES"),
        (&lmdb, "it has no seal.json"),
    ] {
        let input = &set.data;
        refused(
            &[&"etl", &"--input", input, &"--output", target, &"--replace"],
            64,
            told,
        );
        refused(
            &[&"store", &"restore", &store, target, &"--replace"],
            64,
            told,
        );
        refused(
            &[&"gen", &"corpus", &"--store", target, &"--replace"],
            64,
            told,
        );
        refused(
            &[&"etl", &"build", &"--output", target, &"--replace"],
            64,
            told,
        );
    }
    let still = |path: &Path| fs::read_to_string(path).unwrap() == "precious";
    let kept = [
        own.join("photos/one"),
        file,
        noted.join("NOTES"),
        buried.join("updates-1/NOTES"),
        lmdb.join("data.mdb"),
    ];
    assert!(kept.iter().all(|path| still(path)));
    assert_eq!(names(&directory), before);

    // Nothing is lost with an empty directory, or with a store that is damaged.
    let empty = directory.join("empty");
    fs::create_dir(&empty).unwrap();
    succeeds(&mut etl(&set.data, set, &empty, &["--replace"]));
    fs::write(empty.join("data.mdb"), "half").unwrap();
    succeeds(&mut etl(&set.data, set, &empty, &["--replace"]));
    assert!(data(&empty) == data(&store));
}

#[test]
fn a_result_never_takes_the_place_of_input() {
    let set = &sets::all()[4];
    let directory = fresh_directory("overwritten");
    let tweets = directory.join("tweets.json");
    fs::copy(&set.data, &tweets).unwrap();
    let link = directory.join("link");
    fs::hard_link(&tweets, &link).unwrap();
    let (new, same) = (directory.join("new"), directory.join("./new"));
    let whole: [&dyn AsRef<OsStr>; 5] = [&"etl", &"--input", &tweets, &"--top", &"3"];
    let with = |more: [&dyn AsRef<OsStr>; 2], told: &str| {
        refused(&[&whole[..], &more[..]].concat(), 64, told);
    };
    with([&"--top-file", &tweets], "is also the file of the input");
    with([&"--report-json", &link], "is also the file of the input");
    let both: [&dyn AsRef<OsStr>; 4] = [&"--top-file", &new, &"--histogram-csv", &same];
    refused(
        &[&whole[..], &both[..]].concat(),
        64,
        "is also the file of --top-file",
    );
    assert!(fs::read(&tweets).unwrap() == fs::read(&set.data).unwrap());
    succeeds(trident(&whole).args(["--report-json", "/dev/null", "--histogram-svg", "/dev/null"]));

    // The same for the last stage, whose input may be a directory of values, and for what makes tweets.
    let list = directory.join("list");
    fs::write(&list, "cloud\n").unwrap();
    let build: [&dyn AsRef<OsStr>; 9] = [
        &"etl",
        &"build",
        &"--output",
        &new,
        &"--keep-history",
        &"--exclude",
        &list,
        &"--report-json",
        &list,
    ];
    let told = "is also the file of the input";
    refused(&build, 64, told);
    let values = directory.join("values");
    fs::create_dir(&values).unwrap();
    let report = values.join("report.blocks");
    fs::write(&report, "precious").unwrap();
    let build: [&dyn AsRef<OsStr>; 8] = [
        &"etl",
        &"build",
        &"--output",
        &new,
        &"--values",
        &values,
        &"--report-json",
        &report,
    ];
    refused(&build, 64, told);
    assert_eq!(fs::read_to_string(&report).unwrap(), "precious");
    let made: [&dyn AsRef<OsStr>; 8] = [
        &"gen",
        &"tweets",
        &"--lines",
        &"10",
        &"--output",
        &new,
        &"--popular",
        &same,
    ];
    refused(&made, 64, "is also the file of --output");
    assert!(!new.exists());
}

/// A run of hours must not end with a path that never could be written.
#[test]
fn a_result_that_cannot_be_written_costs_no_run() {
    let set = &sets::all()[4];
    let directory = fresh_directory("unwritable");
    let (store, missing) = (directory.join("store"), directory.join("missing/report"));
    let before = names(&directory);
    let mut run = etl(&set.data, set, &store, &[]);
    let (code, out, err) = ended(run.arg("--report-json").arg(&missing));
    assert_eq!((code, out.as_str()), (1, ""), "{err}");
    assert!(err.contains("make its directory first"), "{err}");
    assert_eq!(names(&directory), before);

    // A run that fails leaves no empty file, and an older report as it is.
    let (old, new) = (directory.join("old"), directory.join("new"));
    fs::write(&old, "precious").unwrap();
    let nothing = directory.join("nothing.json");
    fs::write(&nothing, "{}\n").unwrap();
    let mut run = etl(&nothing, set, &store, &[]);
    run.arg("--report-json").arg(&old);
    run.args(["--top", "3", "--top-file"]).arg(&new);
    assert_eq!(ended(&mut run).0, 65);
    assert!(!new.exists() && fs::read_to_string(&old).unwrap() == "precious");
}

#[test]
fn tweets_of_which_none_has_a_contact_make_no_store() {
    let set = &sets::all()[4];
    let directory = fresh_directory("alone");
    let store = directory.join("store");
    succeeds(&mut etl(&set.data, set, &store, &[]));
    let before = data(&store);
    // Objects with commas between them and no brackets: only the last one is a line of JSON.
    let tweet = |id: u64| {
        format!(
            r##"{{"id":{id},"text":"a #b","created_at":"Mon May 05 10:00:00 +0000 2014","user":{{"id":{id}}},"entities":{{"hashtags":[{{"text":"b"}}]}},"lang":"en"}}"##
        )
    };
    let input = directory.join("commas.json");
    fs::write(&input, [tweet(1), tweet(2), tweet(3)].join(",\n") + "\n").unwrap();
    let (code, _, err) = ended(&mut etl(&input, set, &store, &["--replace"]));
    assert_eq!(code, 65, "{err}");
    assert!(
        err.contains("no user has a contact: none of the 1 tweets"),
        "{err}"
    );
    assert!(data(&store) == before);
    // It stands in nobody's way, and may be meant.
    succeeds(&mut etl(&set.data, set, &store, &["--replace"]));
    succeeds(&mut etl(
        &input,
        set,
        &store,
        &["--replace", "--allow-empty"],
    ));
    assert!(data(&store) != before);
}

#[test]
fn json_is_read_whatever_its_name_says() {
    let set = &sets::all()[4];
    let directory = fresh_directory("unpacked");
    let [packed, unpacked] = ["packed", "unpacked"].map(|name| directory.join(name));
    fs::create_dir(&unpacked).unwrap();
    let input = unpacked.join("tweets.json.gz");
    fs::write(&input, gzip(&fs::read(&set.data).unwrap())).unwrap();
    succeeds(&mut etl(&unpacked, set, &packed, &[]));
    fs::copy(&set.data, &input).unwrap();
    let store = directory.join("store");
    succeeds(&mut etl(&unpacked, set, &store, &[]));
    assert!(data(&store) == data(&packed));
}

#[test]
fn what_is_no_list_of_hashtags_and_what_is_no_path_is_refused() {
    let set = &sets::all()[4];
    let directory = fresh_directory("no-list");
    let store = directory.join("store");
    let list = directory.join("list");
    for (content, told) in [
        (&b"{\"id\":1}\n"[..], "its format is JSON"),
        (b"tag,count\ncloud,2\n", "its format is CSV"),
        (b"#cloud\n", "hashtags with #"),
        (b"\xFF\n", "not UTF-8"),
    ] {
        fs::write(&list, content).unwrap();
        let run: [&dyn AsRef<OsStr>; 7] = [
            &"etl",
            &"--input",
            &set.data,
            &"--output",
            &store,
            &"--exclude",
            &list,
        ];
        refused(&run, 65, told);
    }
    let url = "mysql://user:secret@host/trident";
    refused(
        &[&"etl", &"--input", &set.data, &"--output", &url],
        64,
        "trident etl import STORE",
    );
    refused(
        &[
            &"etl",
            &"--input",
            &"s3://bucket/tweets",
            &"--output",
            &store,
        ],
        64,
        "download it",
    );
    assert_eq!(names(&directory), ["list"]);
}
