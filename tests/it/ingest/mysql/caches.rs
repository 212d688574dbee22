//! What instances have in their caches, and what they answer, after another one has taken a batch.

use super::*;

const STATEMENTS: &str = "trident_database_statements_total{outcome=\"ok\"}";

/// Time and text of a tweet of each pair of users, (1, 2), (3, 4), …
fn tweets(pairs: std::ops::Range<u64>, version: u64) -> Vec<u8> {
    let line = |pair: u64| {
        let (user, other) = (2 * pair + 1, 2 * pair + 2);
        let second = version % 60;
        let minute = version / 60;
        format!(
            "{{\"id\":{},\"text\":\"version {version}\",\"user\":{{\"id\":{user},\"screen_name\":\"n\"}},\
             \"lang\":\"en\",\"created_at\":\"Fri Apr 04 10:{minute:02}:{second:02} +0000 2014\",\
             \"in_reply_to_user_id\":{other},\"entities\":{{\"hashtags\":[{{\"text\":\"tag\"}}]}}}}\n",
            1_000_000 * version + pair + 1
        )
    };
    pairs.map(line).collect::<String>().into_bytes()
}

/// The version of the last contact tweet of the pair.
fn version(server: &Server, pair: u64) -> u64 {
    let user = 2 * pair + 1;
    let request = format!(
        "GET /twitter?user_id={user}&type=both&phrase=a&hashtag=b HTTP/1.1\r\nHost: t\r\n\r\n"
    );
    let answer = server.ask(request.as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
    let text = answer.text();
    let found = text.rsplit("version ").next().unwrap();
    found
        .parse()
        .unwrap_or_else(|_| panic!("pair {pair}: {text}"))
}

const PAIRS: u64 = 20;

/// A store of the pairs at version 1.
fn pairs() -> (Directory, PathBuf) {
    let directory = fresh_directory("ingest-pairs");
    let path = directory.join("store");
    build(&directory, &path, &[tweets(0..PAIRS, 1)], true);
    (directory, path)
}

fn database_of_pairs() -> Option<Database> {
    let (_directory, path) = pairs();
    let database = Database::start(&[])?;
    import(&database.url(), &path, true);
    Some(database)
}

#[test]
fn the_instance_that_took_it_shows_it_at_once_and_the_others_soon() {
    let Some(database) = database_of_pairs() else {
        return;
    };
    let check = "twitter.mysql_check_ms=50";
    let [writer, reader] = [(); 2].map(|()| serve_from(&database.url(), &[ON, check]));
    for server in [&writer, &reader] {
        assert!((0..PAIRS).all(|pair| version(server, pair) == 1));
    }
    for batch in 2..12 {
        let before = [&writer, &reader].map(|server| server.metric(STATEMENTS));
        counts(&admin(&writer).ask(&post(&tweets(0..2, batch), "")));
        assert_eq!([version(&writer, 0), version(&writer, 1)], [batch; 2]);
        assert!(eventually(|| version(&reader, 0) == batch));
        // Whoever saw one of them sees the other.
        assert_eq!(version(&reader, 1), batch);
        // The others are still in the caches.
        for (server, before) in [&writer, &reader].iter().zip(before) {
            let there = server.metric(STATEMENTS);
            assert!(there <= before + 2, "{before} {there}");
            assert!((2..PAIRS).all(|pair| version(server, pair) == 1));
            assert_eq!(server.metric(STATEMENTS), there);
        }
    }
    assert!(writer.metrics().text().contains("updates=\"10\""));
}

/// One sender, readers on both instances, small caches: no reader ever sees an older batch again.
#[test]
fn nobody_goes_back_behind_a_batch() {
    let Some(database) = database_of_pairs() else {
        return;
    };
    let settings = [
        ON,
        "twitter.mysql_check_ms=20",
        "twitter.cache_bytes=20000000",
    ];
    let servers = [(); 2].map(|()| serve_from(&database.url(), &settings));
    let last = 60;
    thread::scope(|scope| {
        for server in &servers {
            for _ in 0..3 {
                scope.spawn(move || {
                    let mut seen = 0;
                    let mut pair = 0;
                    while seen < last {
                        // Each batch changes all pairs: a batch that one pair shows must show in all others as well.
                        let found = version(server, pair);
                        assert!(found >= seen, "{found} after {seen}");
                        (seen, pair) = (found, (pair + 7) % PAIRS);
                    }
                });
            }
        }
        for batch in 2..=last {
            let server = &servers[batch as usize % 2];
            counts(&admin(server).ask(&post(&tweets(0..PAIRS, batch), "")));
        }
    });
}

/// If an instance has missed more batches than the database lists, it clears its whole cache.
#[test]
fn what_is_not_told_any_more_costs_the_whole_cache() {
    let Some(database) = database_of_pairs() else {
        return;
    };
    let settings = [
        ON,
        "twitter.mysql_changes_max=3",
        "twitter.mysql_check_ms=3600000",
    ];
    let [writer, reader] = [(); 2].map(|()| serve_from(&database.url(), &settings));
    assert!((0..PAIRS).all(|pair| version(&reader, pair) == 1));
    for batch in 2..10 {
        counts(&admin(&writer).ask(&post(&tweets(0..1, batch), "")));
    }
    let kept = database.root("SELECT batch FROM trident.trident_changes ORDER BY batch");
    assert_eq!(kept, "6\n7\n8");
    assert_eq!(version(&reader, 0), 1, "it has not looked");
    let reload = b"POST /admin/reload HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(admin(&reader).ask(reload).status, 200);
    let before = reader.metric(STATEMENTS);
    assert_eq!((version(&reader, 0), version(&reader, 1)), (9, 1));
    assert!(reader.metric(STATEMENTS) > before + 1, "all were dropped");
}

/// The first host only reads, as a replica does: batches go to the one that takes them, and what they changed is seen.
#[test]
fn batches_go_to_the_host_that_takes_them() {
    let (_directory, path) = pairs();
    let (Some(replica), Some(writer)) = (Database::start(&[]), Database::start(&[])) else {
        return;
    };
    for database in [&replica, &writer] {
        import(&database.url(), &path, true);
    }
    // As if it were a replica of the other one: of the same load.
    let loaded = writer.number("SELECT loaded FROM trident.trident_batch");
    replica.root(&format!(
        "UPDATE trident.trident_batch SET loaded = {loaded}; SET GLOBAL read_only = 1"
    ));
    let hosts = format!("{},{}", replica.address(), writer.address());
    let url = replica
        .url()
        .replace(&replica.address().to_string(), &hosts);
    for policy in ["first", "round-robin", "nearest"] {
        let settings = [
            ON,
            "twitter.mysql_behind_ms=60000",
            "twitter.mysql_deadline_ms=30000",
        ];
        let server = serve_from(&format!("{url}?policy={policy}"), &settings);
        let batch = batches_in(&writer) + 1;
        let counts = counts(&admin(&server).ask(&post(&tweets(0..PAIRS, batch + 1), "")));
        assert_eq!(counts["batch"], batch, "{policy}");
        assert!((0..PAIRS).all(|pair| version(&server, pair) == batch + 1));
        assert_eq!((batches_in(&replica), batches_in(&writer)), (0, batch));
    }
}

/// A replica that is behind is not believed; without any other it is waited for, and then it is.
#[test]
fn a_host_that_is_behind_is_passed_over() {
    let (_directory, path) = pairs();
    let Some(mut first) = Database::start(&[]) else {
        return;
    };
    let Some(second) = Database::start(&[]) else {
        return;
    };
    for database in [&first, &second] {
        import(&database.url(), &path, true);
    }
    // Makes it look like a replica of the first host: the same load.
    let loaded = first.number("SELECT loaded FROM trident.trident_batch");
    second.root(&format!(
        "UPDATE trident.trident_batch SET loaded = {loaded}"
    ));
    let hosts = format!("{},{}", first.address(), second.address());
    let url = first.url().replace(&first.address().to_string(), &hosts);
    let url = format!("{url}?policy=round-robin");
    let settings = [
        ON,
        "twitter.mysql_check_ms=50",
        "twitter.mysql_behind_ms=1500",
        "twitter.mysql_deadline_ms=5000",
        "twitter.cache_bytes=0",
    ];
    let server = serve_from(&url, &settings);
    assert!((0..PAIRS).all(|pair| version(&server, pair) == 1));
    for batch in 2..5 {
        counts(&admin(&server).ask(&post(&tweets(0..PAIRS, batch), "")));
        for _ in 0..3 {
            assert!((0..PAIRS).all(|pair| version(&server, pair) == batch));
        }
    }
    // The first host is down, and the second has none of its batches: 503 instead of a second line of batches.
    first.crash();
    let is_served = || {
        let request =
            b"GET /twitter?user_id=1&type=both&phrase=a&hashtag=b HTTP/1.1\r\nHost: t\r\n\r\n";
        let answer = server.ask(request);
        assert!(
            answer.status == 503 || answer.text().ends_with("version 1"),
            "{answer:?}"
        );
        answer.status == 200
    };
    assert!(eventually(is_served));
    server.logged("batches of /twitter are lost");
    counts(&admin(&server).ask(&post(&tweets(0..PAIRS, 9), "")));
    assert!((0..PAIRS).all(|pair| version(&server, pair) == 9));
}
