//! Stores that are missing, damaged or of another kind, and what operators do with stores.

use super::*;
use crate::{
    command::{self, ended},
    harness::unless_skipped,
};
use std::process::Command;

fn small(path: &Path) -> Meta {
    let users = (1..200).map(|id| (id, value(id, &[(500, 3, &[(1, "some text", &["tag"])])])));
    store(path, users)
}

#[test]
fn a_store_that_cannot_be_opened_ends_the_start_with_69() {
    let directory = TempDir::new();
    let (missing, damaged) = (directory.join("missing"), directory.join("damaged"));
    small(&damaged);
    let data = damaged.join("data.mdb");
    let mut bytes = fs::read(&data).unwrap();
    bytes[5000] ^= 1;
    fs::write(&data, bytes).unwrap();
    for (path, why) in [
        (&missing, "No such file"),
        (&directory.to_path_buf(), "is not a store"),
        (&damaged, "is damaged: the checksum of data.mdb is wrong"),
    ] {
        let arguments = [
            "--listen",
            "127.0.0.1:0",
            "--admin",
            "off",
            "--twitter-store",
            path.to_str().unwrap(),
        ];
        let (code, out, err) = ended(&mut command::trident(&arguments));
        assert_eq!((code, out.as_str()), (69, ""), "{err}");
        assert!(err.contains(why), "{err}");
    }
}

/// A store at `path` in which the value of user 77 is damaged, although the file is as it was sealed.
pub fn damaged(path: &Path) {
    small(path);
    let data = path.join("data.mdb");
    let mut bytes = fs::read(&data).unwrap();
    let value = value(77, &[(500, 3, &[(1, "some text", &["tag"])])]);
    let record = [&77u64.to_be_bytes()[..], &value].concat();
    let at = bytes
        .windows(record.len())
        .position(|window| window == record)
        .unwrap();
    bytes[at + 8 + 5] ^= 0xff; // number of contacts
    fs::write(&data, &bytes).unwrap();
    let seal = format!(
        "{{\"data_bytes\":{},\"data_crc32\":{}}}",
        bytes.len(),
        crc32fast::hash(&bytes)
    );
    fs::write(path.join("seal.json"), seal).unwrap();
}

/// The user with the damaged value gets 500 and is counted; all others are served.
#[test]
fn a_corrupt_value_costs_its_user_only() {
    let directory = TempDir::new();
    let path = directory.join("store");
    damaged(&path);
    let server = serve(&path, &[]);
    let mut client = server.connect();
    for user in 1..200 {
        let response = ask(
            &mut client,
            &format!("user_id={user}&type=both&phrase=a&hashtag=b"),
        );
        assert_eq!(
            response.status,
            if user == 77 { 500 } else { 200 },
            "{user}"
        );
    }
    assert_eq!(
        server.metric("trident_store_lookups_total{result=\"corrupt\"}"),
        1
    );
    server.logged("store lookup failed");
    let (code, _, err) = ended(&mut command::trident(&[
        "store",
        "verify",
        path.to_str().unwrap(),
    ]));
    assert_eq!(code, 1);
    assert!(err.contains("user 77: "), "{err}");
}

#[test]
fn a_store_on_read_only_media_is_served() {
    use std::os::unix::fs::PermissionsExt;
    let directory = TempDir::new();
    let path = directory.join("store");
    small(&path);
    let names = |path: &Path| fs::read_dir(path).unwrap().count();
    assert_eq!(names(&path), 2);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o555)).unwrap();
    let server = serve(&path, &[]);
    let query = "user_id=1&type=both&phrase=a&hashtag=b";
    assert_eq!(ask(&mut server.connect(), query).status, 200);
    assert_eq!(names(&path), 2);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn the_store_commands_work_on_a_store_in_use() {
    let directory = TempDir::new();
    let path = directory.join("store");
    let meta = small(&path);
    let snapshot = directory.join("snap");
    let (path, snapshot) = (path.to_str().unwrap(), snapshot.to_str().unwrap());
    let server = serve(path.as_ref(), &[]);

    let facts = format!(
        "users=199 contacts=199 tweets=199 data={:08x}\n",
        meta.content_crc32
    );
    let told = |arguments: &[&str]| {
        let (code, out, err) = ended(&mut command::trident(&[&["store"], arguments].concat()));
        assert_eq!((code, err.as_str()), (0, ""), "{arguments:?}");
        out
    };
    assert_eq!(told(&["verify", path]), format!("verified {path}: {facts}"));
    assert_eq!(
        told(&["snapshot", path, snapshot]),
        format!("made {snapshot}: {facts}")
    );
    assert!(
        told(&["stat", path]).contains("contacts per user  least 1, median 1, p99 1, greatest 1\n")
    );
    let stat: serde_json::Value =
        serde_json::from_str(&told(&["stat", "--json", snapshot])).unwrap();
    assert_eq!(stat["meta"]["users"], 199);
    assert_eq!(told(&["dump", path]), told(&["dump", snapshot]));
    assert_eq!(
        told(&["restore", snapshot, path, "--replace"]),
        format!("restored {path}: {facts}")
    );

    let (code, _, err) = ended(&mut command::trident(&["store", "restore", snapshot, path]));
    assert_eq!(code, 64);
    assert!(err.contains("exists already"), "{err}");
    let (code, _, err) = ended(&mut command::trident(&[
        "store",
        "snapshot",
        directory.to_str().unwrap(),
        "/x",
    ]));
    assert_eq!(code, 1);
    assert!(err.contains("is not a store"), "{err}");
    drop(server);
}

/// A server without a store, with `cache` as its user's cache directory.
fn without_store(cache: &Path) -> Command {
    let mut command = Server::command();
    command
        .args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
        .args(TEAM)
        .env_remove("CACHE_DIRECTORY")
        .env_remove("HOME")
        .env("XDG_CACHE_HOME", cache)
        .env("TMPDIR", "/dev/null");
    command
}

/// Names and inodes of the files in the sample's directory.
fn kept(cache: &Path) -> Vec<(String, u64)> {
    use std::os::unix::fs::DirEntryExt;
    let entries = fs::read_dir(cache.join("trident"))
        .unwrap()
        .map(Result::unwrap);
    entries
        .map(|entry| (entry.file_name().into_string().unwrap(), entry.ino()))
        .collect()
}

#[test]
fn without_a_store_the_sample_serves_and_is_made_once_by_any_number_of_processes() {
    let directory = TempDir::new();
    let cache = directory.join("cache");
    let servers: Vec<Server> = std::thread::scope(|scope| {
        let starts: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| Server::spawn(without_store(&cache))))
            .collect();
        starts
            .into_iter()
            .map(|start| start.join().unwrap())
            .collect()
    });
    let made = kept(&cache);
    assert_eq!(made.len(), 1, "{made:?}");
    let (_, dump, _) = ended(&mut command::trident(&[
        "store",
        "dump",
        cache.join("trident").join(&made[0].0).to_str().unwrap(),
    ]));
    let user: serde_json::Value = serde_json::from_str(dump.lines().next().unwrap()).unwrap();
    let query = format!("user_id={}&type=both&phrase=a&hashtag=b", user["user_id"]);
    for server in &servers {
        let answer = ask(&mut server.connect(), &query);
        let contacts = user["contacts"].as_array().unwrap().len();
        assert!(answer.text().starts_with(TEAM_LINE));
        assert!(answer.text().lines().count() > contacts, "{answer:?}");
    }
    drop(servers);
    let again = Server::spawn(without_store(&cache));
    assert_eq!(ask(&mut again.connect(), &query).status, 200);
    assert_eq!(kept(&cache), made);
}

#[test]
fn without_a_place_for_the_sample_everything_else_is_served() {
    let state = Path::new("/var/lib/trident");
    let obstacle = format!("{} is a place for the sample", state.display());
    if !unless_skipped("sample", state.is_dir().then_some(obstacle)) {
        return;
    }
    let directory = TempDir::new();
    let file = directory.join("file");
    fs::write(&file, "").unwrap();
    let server = Server::spawn(without_store(&file));
    let mut client = server.connect();
    let refused = ask(&mut client, "user_id=1&type=both&phrase=a&hashtag=b");
    assert_eq!(refused.status, 503);
    assert!(refused.text().contains("--twitter-store"), "{refused:?}");
    // malformed requests are still INVALID
    assert_eq!(
        ask(&mut client, "user_id=1").text(),
        format!("{TEAM_LINE}INVALID")
    );
    assert_eq!(client.ask(crate::harness::GET).status, 200);
    server.logged("no place for the sample store");
    let reload = b"POST /admin/reload HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(
        Client::connect(server.admin.unwrap()).ask(reload).status,
        409
    );
}

#[test]
fn what_replaces_a_store_has_its_owner() {
    use std::os::unix::fs::{MetadataExt, chown};
    let directory = TempDir::new();
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let obstacle = (!is_root).then(|| "only root can give a file away".to_owned());
    if !unless_skipped("root", obstacle) {
        return;
    }
    let path = directory.join("store");
    small(&path);
    chown(&path, Some(4321), Some(1234)).unwrap();
    small(&path);
    for path in [&path, &path.join("data.mdb"), &path.join("seal.json")] {
        let found = fs::metadata(path).unwrap();
        assert_eq!((found.uid(), found.gid()), (4321, 1234), "{path:?}");
    }
    assert_eq!(fs::metadata(&*directory).unwrap().uid(), 0);
}
