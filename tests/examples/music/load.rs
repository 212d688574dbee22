//! The six stages of config/scenarios/steps.toml, shortened, over loaded files: every answer has the file's content.

use super::{
    Music,
    client::{cli, succeeded},
};
use crate::harness::without_settings;
use serde_json::Value;
use std::process::Command;

/// Objects of each kind.
const OBJECTS: u32 = 300;

#[test]
fn six_stages_of_readers_and_writers_get_right_answers() {
    six_stages(&Music::start());
}

pub fn six_stages(music: &Music) {
    crate::harness::raise_descriptor_limit();
    let key = |kind: u32, n: u32| format!("6ba7b810-9dad-41d1-{kind:04}-{n:012}");
    let rows = |row: &dyn Fn(u32) -> String| (0..OBJECTS).map(row).collect::<String>();
    let users = rows(&|n| format!("{},f{n},l{n},{n}@x\n", key(8001, n)));
    let songs = rows(&|n| format!("{},artist {n},title {n}\n", key(8002, n)));
    let lists = rows(&|n| {
        let other = (n + 1) % OBJECTS;
        format!(
            "{},list {n},{} {}\n",
            key(8003, n),
            key(8002, n),
            key(8002, other)
        )
    });
    let directory = &music.directory;
    let users = directory.file("u.csv", &format!("user_id,fname,lname,email\n{users}"));
    let songs = directory.file("m.csv", &format!("music_id,Artist,SongTitle\n{songs}"));
    let lists = directory.file("p.csv", &format!("playlist_id,name,songs\n{lists}"));
    let with_files = |name: &str| {
        let mut command = cli(music);
        command
            .arg(name)
            .arg("--users")
            .arg(&users)
            .arg("--music")
            .arg(&songs);
        command.arg("--playlists").arg(&lists);
        succeeded(command.output().unwrap())
    };
    with_files("load");
    let corpus = directory.file("corpus.jsonl", &with_files("corpus"));
    let stages: String = [3, 300, 600, 900, 1200, 1500]
        .map(|users| format!("[[stage]]\nduration_s = 2\nusers = {users}\n"))
        .concat();
    let scenario = directory.file(
        "steps.toml",
        &format!("name = \"steps\"\nthink_ms = 1000\n{stages}"),
    );
    let report = directory.join("report.json");
    let mut load = Command::new(env!("CARGO_BIN_EXE_trident"));
    without_settings(&mut load)
        .args(["load", "--quiet", "--target"])
        .arg(format!("http://{}", music.running.address))
        .arg("--corpus")
        .arg(&corpus)
        .arg("--scenario")
        .arg(&scenario)
        .arg("--json")
        .arg(&report);
    let output = load.output().unwrap();
    let report: Value = serde_json::from_str(
        &std::fs::read_to_string(&report)
            .unwrap_or_else(|_| panic!("no report: {}", String::from_utf8_lossy(&output.stderr))),
    )
    .unwrap();
    assert!(output.status.success(), "{report:#}");
    assert_eq!(report["stages"].as_array().unwrap().len(), 6);
    let total = &report["total"];
    assert!(total["requests"].as_u64().unwrap() > 3000, "{total}");
    assert_eq!(total["correct"], total["requests"], "{total}");
}
