//! The command line client: objects, the prompt, CSV files.

use super::Music;
use crate::example;
use serde_json::Value;
use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

/// The client with its arguments, at a service.
pub fn cli(music: &Music) -> Command {
    let mut command = Command::new(example("music-cli"));
    command
        .arg("--server")
        .arg(format!("http://{}", music.running.address))
        .env("HOME", music.directory.join(""))
        .env_remove("MUSIC_TOKEN")
        .stdin(Stdio::null());
    command
}

/// The standard output of a run that succeeded.
pub fn succeeded(output: Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn objects_are_created_read_and_deleted() {
    let music = Music::start();
    let run = |arguments: &[&str]| {
        let mut cli = cli(&music);
        cli.env("MUSIC_TOKEN", &music.token).args(arguments);
        cli.output().unwrap()
    };
    let created = succeeded(run(&[
        "create",
        "music",
        "Artist=Kate Bush",
        "SongTitle=Army = Me",
    ]));
    let created: Value = serde_json::from_str(&created).unwrap();
    assert_eq!(created["SongTitle"], "Army = Me");
    let song = created["music_id"].as_str().unwrap();
    let list = succeeded(run(&[
        "create",
        "playlist",
        "name=p",
        &format!("songs={song}"),
    ]));
    let list: Value = serde_json::from_str(&list).unwrap();
    let list = list["playlist_id"].as_str().unwrap();
    let read: Value = serde_json::from_str(&succeeded(run(&["read", "playlist", list]))).unwrap();
    assert_eq!(read["songs"][0], song);
    succeeded(run(&["delete", "playlist", list]));
    for (arguments, why) in [
        (&["read", "playlist", list][..], "404"),
        (&["read", "film", list], "none of user, music, playlist"),
        (&["create", "music", "Artist=x"], "SongTitle"),
        (&["login", super::NOBODY], "404"),
    ] {
        let output = run(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success() && stderr.contains(why),
            "{arguments:?}: {stderr}"
        );
    }
}

#[test]
fn the_prompt_keeps_the_token_and_its_history() {
    let music = Music::start();
    let lines = format!(
        "read user {user}\nlogin {user}\nread user {user}\nfly\ncreate music Artist=A 'SongTitle=a b'\nlogoff\nread user {user}\n",
        user = music.user
    );
    let mut shell = cli(&music);
    shell
        .arg("shell")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut shell = shell.spawn().unwrap();
    shell
        .stdin
        .take()
        .unwrap()
        .write_all(lines.as_bytes())
        .unwrap();
    let out = succeeded(shell.wait_with_output().unwrap());
    assert_eq!(out.matches("401").count(), 2, "{out}");
    assert_eq!(out.matches("Lovelace").count(), 1, "{out}");
    assert!(out.contains("a b") && out.contains("fly"), "{out}");
    let history = std::fs::read_to_string(music.directory.join(".music_history")).unwrap();
    assert!(
        history.contains("create music Artist=A 'SongTitle=a b'"),
        "{history}"
    );
}

#[test]
fn csv_files_are_loaded_as_often_as_one_likes() {
    let mut music = Music::start();
    let key = |n: u32| format!("6ba7b810-9dad-41d1-80b4-{n:012}");
    let users = format!(
        "user_id,lname,fname,email\n{},\"Bush, K.\",Kate,k@b\n",
        key(1)
    );
    let songs: String = (2..200)
        .map(|n| format!("{},Kate Bush,\"No. \"\"{n}\"\"\"\n", key(n)))
        .collect();
    let lists = format!(
        "playlist_id,name,songs\n{},best,{} {}\n",
        key(200),
        key(2),
        key(3)
    );
    let users = music.directory.file("users.csv", &users);
    let songs = music
        .directory
        .file("music.csv", &format!("music_id,Artist,SongTitle\n{songs}"));
    let lists = music.directory.file("playlists.csv", &lists);
    for _ in 0..2 {
        let mut load = cli(&music);
        load.arg("load").arg("--users").arg(&users);
        load.arg("--music")
            .arg(&songs)
            .arg("--playlists")
            .arg(&lists);
        let output = load.output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        succeeded(output);
        assert!(told.contains("music: 198 loaded"), "{told}");
    }
    assert_eq!(
        music.call("GET", &format!("/api/v1/user/{}", key(1)), "").1["lname"],
        "Bush, K."
    );
    for n in [2, 199] {
        let (_, song) = music.call("GET", &format!("/api/v1/music/{}", key(n)), "");
        assert_eq!(song["SongTitle"], format!("No. \"{n}\""));
    }
    let (_, list) = music.call("GET", &format!("/api/v1/playlist/{}", key(200)), "");
    assert_eq!(list["songs"], serde_json::json!([key(2), key(3)]));

    let wrong = music
        .directory
        .file("wrong.csv", "playlist_id,name,songs\nx,y,z\n");
    let output = cli(&music)
        .arg("load")
        .arg("--playlists")
        .arg(&wrong)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !output.status.success() && stderr.contains("wrong.csv") && stderr.contains("400"),
        "{stderr}"
    );
}
