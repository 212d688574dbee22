//! `POST /twitter/tweets` with a store in MariaDB: any instance takes any batch, and all batches are stored in the end.
//!
//! The tests compare the checksums of the tables' rows with those of `trident etl` over all input.

mod caches;
mod deletions;
mod faults;

use super::*;
use crate::{
    harness::{eventually, without_settings},
    twitter::mysql::database::Database,
};
use std::{process::Command, thread};

const ON: &str = "twitter.ingest=admin";

/// A database with the first part of a split, and its history.
fn loaded(split: &Split, options: &[&str]) -> Option<Database> {
    let database = Database::start(options)?;
    import(&database.url(), &split.path, true);
    Some(database)
}

fn import(url: &str, path: &Path, history: bool) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trident"));
    command.args(["etl", "import", "--mysql", url]).arg(path);
    if history {
        command.arg("--keep-history");
    }
    let output = without_settings(&mut command).output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{err}");
}

fn serve_from(url: &str, settings: &[&str]) -> Server {
    serve(Path::new(url), settings)
}

/// Checksums of the values and of the history, computed as [`Meta`] says. Waits for transactions whose process is
/// gone.
fn checksums(database: &Database) -> (u32, u32) {
    database
        .root("START TRANSACTION; SELECT number FROM trident.trident_batch FOR UPDATE; ROLLBACK");
    let rows = |table: &str, id: &str, record: &str| -> Vec<(u64, Vec<u8>)> {
        let text = database.root(&format!(
            "SELECT {id}, HEX({record}) FROM trident.{table} ORDER BY {id}"
        ));
        let row = |line: &str| {
            // A deletion is an empty record, and the last line is trimmed.
            let (id, record) = line.split_once('\t').unwrap_or((line, ""));
            (id.parse().unwrap(), unhex(record))
        };
        text.lines().map(row).collect()
    };
    let mut values = crc32fast::Hasher::new();
    let add = |key: &[u8], record: &[u8], hasher: &mut crc32fast::Hasher| {
        hasher.update(key);
        hasher.update(&(record.len() as u64).to_le_bytes());
        hasher.update(record);
    };
    for (id, value) in rows("trident_users", "user_id", "data") {
        add(&id.to_be_bytes(), &value, &mut values);
    }
    let mut history = crc32fast::Hasher::new();
    let tables = [
        (0, rows("trident_batch", "id - 1", "excluded")),
        (1, rows("trident_tweets", "tweet_id", "record")),
        (2, rows("trident_people", "user_id", "record")),
    ];
    for (table, rows) in tables {
        for (id, record) in rows {
            let key = [&[table][..], &u64::to_be_bytes(id)].concat();
            add(&key, &record, &mut history);
        }
    }
    (values.finalize(), history.finalize())
}

fn unhex(text: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digit).collect()
}

/// The same of a store.
fn checksums_of(meta: &Meta) -> (u32, u32) {
    (meta.content_crc32, meta.history.unwrap().content_crc32)
}

fn batches_in(database: &Database) -> u64 {
    database.number("SELECT number FROM trident.trident_batch")
}

/// Without a tweet or a deletion no transaction is begun.
#[test]
fn a_batch_of_nothing_costs_no_transaction() {
    let split = split(lines(327, 100, 30), 327, 2, true);
    let Some(database) = loaded(&split, &[]) else {
        return;
    };
    let server = serve_from(&database.url(), &[ON]);
    let begun = || database.number("SHOW GLOBAL STATUS LIKE 'Com_begin'");
    let mut client = admin(&server);
    let before = begun();
    for nothing in [
        "",
        "\n\n",
        "{\"scrub_geo\":{\"user_id\":1}}\n",
        "no tweet\n",
    ] {
        let counts = counts(&client.ask(&post(nothing.as_bytes(), "")));
        assert_eq!(
            (&counts["batch"], &counts["tweets_new"]),
            (&0.into(), &0.into())
        );
    }
    assert_eq!(begun(), before);
    counts(&client.ask(&post(&split.batches[0], "")));
    assert!(begun() > before);
    // A database without history takes no batch, also an empty one.
    import(&database.url(), &split.path, false);
    let server = serve_from(&database.url(), &[ON]);
    assert_eq!(admin(&server).ask(&post(b"\n", "")).status, 409);
}

/// Two instances, several senders each, batches in any order, some of them twice.
#[test]
fn batches_through_two_instances_give_the_store_of_the_whole() {
    for seed in [301, 302, 303] {
        let users = [12, 60, 400][seed as usize % 3];
        let mut split = split(lines_with_deletions(seed, 500, users), seed, 10, false);
        let Some(database) = loaded(&split, &[]) else {
            return;
        };
        let servers = [(); 2].map(|()| serve_from(&database.url(), &[ON]));
        let mut random = Random(seed);
        let again = split.batches[random.below(10)].clone();
        split.batches.push(again);
        random.shuffle(&mut split.batches);
        thread::scope(|scope| {
            for (sender, batches) in split.batches.chunks(3).enumerate() {
                let server = &servers[sender % 2];
                scope.spawn(move || {
                    let mut client = admin(server);
                    for batch in batches {
                        counts(&client.ask(&post(&gzip(batch), GZIP)));
                    }
                });
            }
        });
        let wanted = checksums_of(&split.expected[0]);
        assert_eq!(checksums(&database), wanted, "seed {seed}");
        // Everything once more: nothing changes.
        let number = batches_in(&database);
        for (at, batch) in split.batches.iter().enumerate() {
            let counts = counts(&admin(&servers[at % 2]).ask(&post(&gzip(batch), GZIP)));
            assert_eq!(
                (&counts["batch"], &counts["users_touched"]),
                (&0.into(), &0.into())
            );
        }
        assert_eq!(
            (checksums(&database), batches_in(&database)),
            (wanted, number)
        );
        // Both answer as a server of the whole store.
        let whole = serve(&split.directory.join("other"), &[]);
        for user in 0..users {
            let request = format!(
                "GET /twitter?user_id={user}&type=both&phrase=a&hashtag=cloud HTTP/1.1\r\nHost: t\r\n\r\n"
            );
            let [want, first, second] = [&whole, &servers[0], &servers[1]]
                .map(|server| server.ask(request.as_bytes()).text());
            assert_eq!([&first, &second], [&want, &want], "user {user}");
        }
    }
}

/// A load without history takes no batches, and says what to do; a load with history replaces it and its batches.
#[test]
fn without_history_no_batch_is_taken() {
    let split = split(lines(310, 200, 20), 310, 1, false);
    let Some(database) = Database::start(&[]) else {
        return;
    };
    import(&database.url(), &split.path, false);
    let server = serve_from(&database.url(), &[ON, "twitter.mysql_check_ms=50"]);
    server.logged("trident etl import --keep-history");
    let refused = admin(&server).ask(&post(&split.batches[0], ""));
    assert_eq!(refused.status, 409, "{}", refused.text());
    assert!(
        refused.text().contains("trident etl import --keep-history"),
        "{}",
        refused.text()
    );
    // The tables of the version before: served, and without batches.
    database.root(
        "DROP TABLE trident.trident_batch, trident.trident_changes, trident.trident_tweets, trident.trident_people; \
         DELETE FROM trident.trident_schema WHERE version = 2",
    );
    let old = serve_from(&database.url(), &[ON]);
    assert_eq!(admin(&old).ask(&post(&split.batches[0], "")).status, 409);
    for round in 0..2 {
        import(&database.url(), &split.path, true);
        assert_eq!(batches_in(&database), 0);
        let before = checksums(&database);
        assert_eq!(
            counts(&admin(&server).ask(&post(&split.batches[0], "")))["batch"],
            1,
            "{round}"
        );
        assert_ne!(checksums(&database), before);
        assert_eq!(checksums(&database), checksums_of(&split.expected[0]));
        assert!(eventually(|| server
            .metrics()
            .text()
            .contains("updates=\"1\"")));
    }
    // A store without history cannot be loaded with one.
    let plain = split.directory.join("plain");
    build(&split.directory, &plain, &lines(310, 20, 20), false);
    let mut command = Command::new(env!("CARGO_BIN_EXE_trident"));
    command.args([
        "etl",
        "import",
        "--keep-history",
        "--mysql",
        &database.url(),
    ]);
    let output = without_settings(command.arg(&plain)).output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && err.contains("trident etl --keep-history"),
        "{err}"
    );
}

#[test]
fn what_is_too_large_is_refused_and_changes_nothing() {
    let split = split(lines(311, 400, 10), 311, 1, false);
    let Some(database) = loaded(&split, &[]) else {
        return;
    };
    let before = checksums(&database);
    for (setting, status) in [
        ("twitter.ingest_value_bytes_max=4096", 422),
        ("twitter.mysql_write_bytes_max=1048576", 200),
    ] {
        let server = serve_from(&database.url(), &[ON, setting]);
        let answer = admin(&server).ask(&post(&gzip(&split.batches[0]), GZIP));
        assert_eq!(answer.status, status, "{setting}: {}", answer.text());
        if status != 200 {
            assert_eq!(checksums(&database), before);
        }
    }
    assert_eq!(checksums(&database), checksums_of(&split.expected[0]));
}
