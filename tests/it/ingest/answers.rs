//! What the endpoint answers, and to whom.

use super::*;
use crate::harness::eventually;

const ON: &str = "twitter.ingest=admin";

/// A store of a few tweets, and some more lines.
fn small(history: bool) -> (Directory, PathBuf, Vec<Vec<u8>>) {
    let directory = fresh_directory("answers");
    let path = directory.join("store");
    let mut lines = lines(8, 200, 30);
    let later = lines.split_off(120);
    build(&directory, &path, &lines, history);
    (directory, path, later)
}

/// The line of a tweet with which `user` replies to `other`.
fn reply(id: u64, user: u64, other: u64) -> String {
    let tail =
        r#""created_at":"Fri Apr 04 05:30:11 +0000 2014","entities":{"hashtags":[{"text":"x"}]}"#;
    format!(
        "{{\"id\":{id},\"text\":\"t{id}\",\"user\":{{\"id\":{user}}},\"lang\":\"en\",\"in_reply_to_user_id\":{other},{tail}}}\n"
    )
}

#[test]
fn the_counts_of_a_batch_are_those_of_the_rules() {
    let (directory, path, _) = small(true);
    let tweet = |id: u64, text: &str, more: &str| {
        let tail = r#""created_at":"Fri Apr 04 05:30:11 +0000 2014","entities":{"hashtags":[{"text":"x"}]}"#;
        format!(
            "{{\"id\":{id},\"text\":\"{text}\",\"user\":{{\"id\":501}},\"lang\":\"en\",{tail}{more}}}\n"
        )
    };
    let reply = ",\"in_reply_to_user_id\":502";
    let body = [
        tweet(1, "a", reply),
        tweet(1, "b", reply),
        tweet(2, "half \\ud83d of one", reply),
        "no json\n\n".into(),
        tweet(3, "", reply),
        tweet(4, "no contact", "").trim_end().into(),
    ]
    .concat();
    let server = serve(&path, &[ON]);
    let mut client = admin(&server);
    let first = counts(&client.ask(&post(body.as_bytes(), "")));
    assert_eq!(first["batch"], 1);
    assert_eq!(
        (&first["lines"], &first["bytes"]),
        (&7.into(), &body.len().into())
    );
    assert_eq!(
        (&first["dropped"]["not_json"], &first["dropped"]["no_text"]),
        (&2.into(), &1.into()),
        "{first}"
    );
    assert_eq!(
        (&first["duplicates"], &first["tweets_new"]),
        (&1.into(), &3.into())
    );
    assert_eq!(
        (&first["tweets_replaced"], &first["users_touched"]),
        (&0.into(), &2.into())
    );

    // Sent again, as gzip of two members and in chunks: nothing new.
    let (head, tail) = body.as_bytes().split_at(100);
    let twice = [gzip(head), gzip(tail)].concat();
    let again = counts(&client.ask(&post(&twice, GZIP)));
    assert_eq!(
        (&again["batch"], &again["duplicates"]),
        (&0.into(), &4.into())
    );
    let chunked = format!(
        "POST /twitter/tweets HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    );
    assert_eq!(counts(&client.ask(chunked.as_bytes()))["tweets_new"], 0);
    // A later version, by another sender.
    let newer = tweet(1, "c", reply).replace("501", "503");
    let newer = counts(&client.ask(&post(newer.as_bytes(), "")));
    assert_eq!(
        (&newer["batch"], &newer["tweets_replaced"]),
        (&2.into(), &1.into())
    );
    assert_eq!(newer["users_touched"], 3);
    assert_eq!(counts(&client.ask(&post(b"", "")))["lines"], 0);

    let query = |user: u64| {
        let query = format!(
            "GET /twitter?user_id={user}&type=both&phrase=half&hashtag=X HTTP/1.1\r\nHost: t\r\n\r\n"
        );
        server.ask(query.as_bytes()).text()
    };
    assert!(
        query(501).ends_with("\n502\t\t\thalf \u{fffd} of one"),
        "{}",
        query(501)
    );
    assert!(query(502).contains("\n503\t\t\tc"), "{}", query(502));
    let metrics = server.metrics();
    for (name, value) in [
        ("trident_ingest_batches_total{outcome=\"accepted\"}", 5),
        ("trident_ingest_tweets_total{result=\"new\"}", 3),
        ("trident_ingest_tweets_total{result=\"replaced\"}", 1),
        ("trident_ingest_tweets_total{result=\"duplicate\"}", 9),
        ("trident_ingest_tweets_total{result=\"dropped\"}", 9),
        ("trident_ingest_values_total", 5),
    ] {
        assert_eq!(metrics.sum(name), value, "{name}");
    }
    drop(server);
    drop(directory);
}

/// A deletion is permanent: the tweet may come before it, after it, or in the same batch.
#[test]
fn deletions_are_told_and_last() {
    let (directory, path, _) = small(true);
    let server = serve(&path, &[ON]);
    let mut client = admin(&server);
    let tweet = |id| reply(id, 701, 702);
    let deletion = |id: u64| format!("{{\"delete\":{{\"status\":{{\"id\":{id}}}}}}}\n");
    let mut send = |text: String| {
        let counts = counts(&client.ask(&post(text.as_bytes(), "")));
        let of = |name: &str| counts[name].as_u64().unwrap();
        let deletions = counts["notices"]["delete"].as_u64().unwrap();
        let told = (
            of("tweets_new"),
            of("tweets_deleted"),
            of("deleted"),
            deletions,
        );
        (told, of("batch"), of("duplicates"))
    };
    let query = || {
        let query =
            "GET /twitter?user_id=701&type=both&phrase=x&hashtag=y HTTP/1.1\r\nHost: t\r\n\r\n";
        server.ask(query.as_bytes()).text()
    };
    assert_eq!(send(tweet(1) + &tweet(2)), ((2, 0, 0, 0), 1, 0));
    assert!(query().ends_with("702\t\t\tt2"), "{}", query());
    assert_eq!(send(deletion(2) + &deletion(9)), ((0, 1, 0, 2), 2, 0));
    assert!(query().ends_with("702\t\t\tt1"), "{}", query());
    assert_eq!(send(tweet(2) + &tweet(9) + &tweet(9)), ((0, 0, 3, 0), 0, 0));
    assert_eq!(send(deletion(2)), ((0, 0, 0, 1), 0, 0));
    assert_eq!(
        send(tweet(3) + &deletion(3) + &tweet(3)),
        ((0, 0, 2, 1), 3, 0)
    );
    assert_eq!(send(deletion(1)), ((0, 1, 0, 1), 4, 0));
    assert!(query().ends_with("INVALID"), "{}", query());
    drop(server);
    let history = verify(&path).history.unwrap();
    assert_eq!(history.deletions, 4);
    drop(directory);
}

#[test]
fn bodies_that_are_not_what_they_say_are_refused() {
    let (_directory, path, later) = small(true);
    let server = serve(&path, &[ON, "twitter.ingest_inflated_bytes_max=1000000"]);
    let body = later[..20].concat();
    let good = gzip(&body);
    let mut damaged = good.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0xff;
    // A thousand times smaller than its decompressed content.
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    bomb.write_all(&vec![b' '; 300 << 20]).unwrap();
    let bomb = bomb.finish().unwrap();
    let bombs = [&bomb[..], &bomb].concat();
    let before = server.resident_bytes();
    for (body, fields, status, text) in [
        (&damaged[..], GZIP, 400, "not gzip"),
        (&good[..good.len() - 9], GZIP, 400, "cut off"),
        (&body, GZIP, 400, "not gzip"),
        (b"", GZIP, 400, "not gzip"),
        (&bomb, GZIP, 413, "1000000 bytes"),
        (&bombs, GZIP, 413, "1000000 bytes"),
        (&good, "Content-Encoding: br\r\n", 415, "gzip"),
        (&good, "Content-Encoding: gzip, gzip\r\n", 415, "gzip"),
        (&vec![b'\n'; 1_000_001], "", 413, "1000000 bytes"),
        (&vec![b'\n'; (1 << 20) + 1], "", 413, "too large"),
    ] {
        let answer = admin(&server).ask(&post(body, fields));
        assert_eq!(answer.status, status, "{}", answer.text());
        assert!(answer.text().contains(text), "{}", answer.text());
    }
    assert!(
        server.resident_bytes() < before + (150 << 20),
        "a bomb is 300 MiB"
    );
    let taken = admin(&server).ask(&post(&good, "content-ENCODING: GZip\r\n"));
    assert_eq!(
        counts(&taken)["lines"],
        body.iter().filter(|&&b| b == b'\n').count()
    );
    let refused = server.metric("trident_ingest_batches_total{outcome=\"refused\"}");
    assert_eq!(
        refused, 9,
        "the last one is refused before a handler sees it"
    );
}

#[test]
fn it_is_off_unless_it_is_asked_for() {
    let (_directory, path, later) = small(true);
    let body = later.concat();
    let get = b"GET /twitter/tweets HTTP/1.1\r\nHost: t\r\n\r\n";
    for (setting, on_admin, on_public) in [
        ("twitter.ingest=off", 403, 404),
        (ON, 200, 404),
        ("twitter.ingest=public", 200, 200),
    ] {
        let server = serve(&path, &[setting]);
        let answer = admin(&server).ask(&post(&body, ""));
        assert_eq!(answer.status, on_admin, "{setting}");
        assert_eq!(server.ask(&post(&body, "")).status, on_public, "{setting}");
        let wrong = admin(&server).ask(get);
        assert_eq!(
            (wrong.status, wrong.field("allow")),
            (405, Some("POST, DELETE"))
        );
        assert_eq!(
            server.ask(get).status,
            if on_public == 404 { 404 } else { 405 }
        );
        if on_admin == 403 {
            assert!(
                answer.text().contains("twitter.ingest"),
                "{}",
                answer.text()
            );
            assert_eq!(
                fs::read_dir(&path).unwrap().count(),
                3,
                "nothing is written beside the store"
            );
        }
    }
}

#[test]
fn a_store_that_cannot_take_updates_says_why() {
    let (_directory, path, later) = small(false);
    let server = serve(&path, &[ON]);
    let answer = admin(&server).ask(&post(&later[0], ""));
    assert_eq!(answer.status, 409);
    assert!(
        answer.text().contains("--keep-history"),
        "{}",
        answer.text()
    );

    let (_directory, path, later) = small(true);
    for (setting, status, text) in [
        (
            "twitter.ingest_value_bytes_max=4096",
            422,
            "the limit is 4096",
        ),
        (
            "twitter.updates_bytes_max=1048576",
            507,
            "trident store fold",
        ),
    ] {
        let server = serve(&path, &[ON, setting]);
        let body = later.concat().repeat(if status == 507 { 5 } else { 1 });
        // Different tweets each time, so that the bound is reached in the end.
        let renamed = |n: usize| {
            let text = String::from_utf8_lossy(&body)
                .replace("\"id\":", &format!("\"id\":{n}"))
                .replace("\"id_str\":\"", &format!("\"id_str\":\"{n}"));
            post(&gzip(text.as_bytes()), GZIP)
        };
        let refused = (1..60).map(|n| admin(&server).ask(&renamed(n)));
        let refused = refused
            .into_iter()
            .find(|answer| answer.status != 200)
            .unwrap();
        assert_eq!(refused.status, status, "{}", refused.text());
        assert!(refused.text().contains(text), "{}", refused.text());
        drop(server);
        verify(&path);
    }
}

/// A store beside which no file can be written is served but not updated. File modes do not keep root from writing; a
/// limit on the length of files does.
#[test]
fn updates_need_a_place_to_write_to() {
    let (_directory, path, _) = small(true);
    let limited = |settings: &[&str]| {
        let listen = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
        let store = ["--twitter-store", path.to_str().unwrap()];
        let script = "trap '' XFSZ; ulimit -f 0; exec \"$@\"";
        Server::shell(script, &[&listen[..], &store, settings].concat())
    };
    let server = Server::spawn(limited(&[]));
    assert_eq!(server.ask(crate::harness::READY).status, 200);
    drop(server);
    let refused = limited(&["--set", ON]).output().unwrap();
    let error = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(69), "{error}");
    assert!(error.contains("updates"), "{error}");
    assert_eq!(fs::read_dir(&path).unwrap().count(), 3, "nothing is left");
}

/// A reader keeps pages from being reused; a killed reader must not do so for ever.
#[test]
fn a_killed_dump_is_no_reader_any_more() {
    let directory = fresh_directory("killed-dump");
    let path = directory.join("store");
    // So much that a dump does not end while nobody reads it.
    let mut lines = lines(8, 2000, 30);
    let later = lines.split_off(1900);
    build(&directory, &path, &lines, true);
    let server = serve(&path, &[ON]);
    counts(&admin(&server).ask(&post(&later[..5].concat(), "")));
    // LMDB's table of readers: processes in 32 bits each.
    let is_reader = |pid: u32| {
        let updates = fs::read_dir(&path)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let locks = updates.map(|path| path.join("lock.mdb"));
        let table = locks
            .filter(|file| file.exists())
            .map(|file| fs::read(file).unwrap());
        let pid = pid.to_ne_bytes();
        table
            .flatten()
            .collect::<Vec<u8>>()
            .chunks(4)
            .any(|found| found == pid)
    };
    let mut dump = std::process::Command::new(env!("CARGO_BIN_EXE_trident"))
        .args(["store", "dump"])
        .arg(&path)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let reads = eventually(|| is_reader(dump.id()));
    dump.kill().unwrap();
    dump.wait().unwrap();
    assert!(reads && is_reader(dump.id()));
    counts(&admin(&server).ask(&post(&later[5..10].concat(), "")));
    assert!(!is_reader(dump.id()));
}

#[test]
fn a_database_that_cannot_be_reached_is_waited_for_as_long_as_is_said() {
    let settings = [ON, "twitter.mysql_write_ms=200"];
    let server = serve(Path::new("mysql://nobody@127.0.0.1:1/none"), &settings);
    let answer = admin(&server).ask(&post(b"{}\n", ""));
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert_eq!(answer.field("retry-after"), Some("1"));
    assert!(
        answer.text().contains("cannot be reached"),
        "{}",
        answer.text()
    );
}

#[test]
fn batches_beyond_the_queue_are_refused_at_once() {
    let (_directory, path, later) = small(true);
    let server = serve(
        &path,
        &[
            ON,
            "twitter.ingest_queue_max=1",
            "http.body_bytes_max=8000000",
        ],
    );
    let body = gzip(&later.concat().repeat(60));
    let mut clients: Vec<Client> = (0..12).map(|_| admin(&server)).collect();
    for client in &mut clients {
        client.send(&post(&body, GZIP));
    }
    let answers: Vec<Response> = clients.iter_mut().map(|c| c.response().unwrap()).collect();
    let with = |status: u16| answers.iter().filter(|a| a.status == status).count();
    assert_eq!(with(200) + with(503), 12);
    assert!(with(200) >= 2 && with(503) >= 1, "{} taken", with(200));
    for busy in answers.iter().filter(|answer| answer.status == 503) {
        let seconds: u64 = busy.field("retry-after").unwrap().parse().unwrap();
        assert!((1..=60).contains(&seconds), "{seconds}");
        assert!(!busy.closes());
    }
    assert!(eventually(
        || admin(&server).ask(&post(b"", "")).status == 200
    ));
}

/// A page that an operator looks at must not change the store: browsers say where a request is from, and
/// a page whose own name was made to point here has that name in Host.
#[test]
fn pages_of_other_sites_are_refused() {
    let (_directory, path, later) = small(true);
    let server = serve(&path, &[ON, "admin_hosts=ops.example.com"]);
    let mut client = admin(&server);
    let address = server.admin.unwrap();
    let mut ask = |host: &str, fields: &str| {
        let body = &later[0];
        let length = body.len();
        let head = format!(
            "POST /twitter/tweets HTTP/1.1\r\nHost: {host}\r\n{fields}Content-Length: {length}\r\n\r\n"
        );
        client.ask(&[head.as_bytes(), body].concat())
    };
    let own = address.to_string();
    for (host, fields) in [
        (own.as_str(), "Origin: http://evil.example.com\r\n"),
        (own.as_str(), "Origin: null\r\n"),
        (own.as_str(), "Sec-Fetch-Site: cross-site\r\n"),
        ("evil.example.com", "Origin: http://evil.example.com\r\n"),
        ("evil.example.com", ""),
    ] {
        let answer = ask(host, fields);
        assert_eq!(answer.status, 403, "{host} {fields}: {}", answer.text());
    }
    assert_eq!(
        server.metric("trident_requests_total{endpoint=\"tweets\",outcome=\"4xx\"}"),
        5
    );
    let same_site = format!("Origin: http://{own}\r\nSec-Fetch-Site: same-origin\r\n");
    assert_eq!(counts(&ask(&own, &same_site))["lines"], 1);
    assert_eq!(counts(&ask("ops.example.com", ""))["lines"], 1);
}

fn delete(query: &str, fields: &str) -> Vec<u8> {
    format!("DELETE /twitter/tweets{query} HTTP/1.1\r\nHost: t\r\n{fields}\r\n").into()
}

/// `DELETE` does the same as a stream's line of deletion, and takes the number of one tweet.
#[test]
fn one_tweet_is_deleted_by_its_number() {
    let (directory, path, _) = small(true);
    let server = serve(&path, &[ON]);
    let mut client = admin(&server);
    let tweet = |id| reply(id, 801, 802);
    let both = tweet(1) + &tweet(2);
    assert_eq!(
        counts(&client.ask(&post(both.as_bytes(), "")))["tweets_new"],
        2
    );
    // A stored tweet, a tweet that comes later, one deleted before; other parameters are ignored.
    for (query, deleted, batch) in [("?id=2", 1, 2), ("?a=b&id=9", 0, 3), ("?id=2", 0, 0)] {
        let answer = counts(&client.ask(&delete(query, "")));
        assert_eq!(answer["tweets_deleted"], deleted, "{query}: {answer}");
        assert_eq!(answer["batch"], batch, "{query}: {answer}");
        assert_eq!(
            (&answer["lines"], &answer["deleted"]),
            (&0.into(), &0.into())
        );
    }
    let again = counts(&client.ask(&post((tweet(2) + &tweet(9)).as_bytes(), "")));
    assert_eq!(
        (&again["tweets_new"], &again["deleted"]),
        (&0.into(), &2.into())
    );
    let query = "GET /twitter?user_id=801&type=both&phrase=x&hashtag=y HTTP/1.1\r\nHost: t\r\n\r\n";
    let text = server.ask(query.as_bytes()).text();
    assert!(text.ends_with("802\t\t\tt1"), "{text}");
    for query in [
        "",
        "?id=",
        "?id=x",
        "?id=-1",
        "?id=1.5",
        "?ID=1",
        "?id=9223372036854775808",
    ] {
        let answer = client.ask(&delete(query, ""));
        assert_eq!(answer.status, 400, "{query}");
        assert!(answer.text().contains("?id="), "{}", answer.text());
    }
    // Only on the admin address, and not for pages of other sites.
    let site = client.ask(&delete("?id=1", "Sec-Fetch-Site: cross-site\r\n"));
    assert_eq!(site.status, 403, "{}", site.text());
    assert_eq!(server.ask(&delete("?id=1", "")).status, 404);
    let get = client.ask(b"GET /twitter/tweets HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(
        (get.status, get.field("allow")),
        (405, Some("POST, DELETE"))
    );
    drop(server);
    let history = verify(&path).history.unwrap();
    assert_eq!(history.deletions, 2);
    drop(directory);
}

/// With `twitter.ingest_token` set, nobody changes the store without the token, on either address.
#[test]
fn the_token_is_wanted_on_every_address() {
    let (_directory, path, later) = small(true);
    let token = "0123456789abcdef";
    let setting = format!("twitter.ingest_token={token}");
    let server = serve(&path, &["twitter.ingest=public", &setting]);
    let right = format!("Authorization: Bearer {token}\r\n");
    for mut client in [admin(&server), server.connect()] {
        for fields in ["", "Authorization: Bearer 0123456789abcdeF\r\n"] {
            for request in [post(&later[0], fields), delete("?id=1", fields)] {
                let answer = client.ask(&request);
                assert_eq!(answer.status, 401, "{}", answer.text());
                assert_eq!(answer.field("www-authenticate"), Some("Bearer"));
                assert!(answer.text().contains("twitter.ingest_token"));
            }
        }
        counts(&client.ask(&post(&later[0], &right)));
        counts(&client.ask(&delete("?id=1", &right)));
        // A body that will be refused is not invited.
        client.send(b"POST /twitter/tweets HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n");
        let answer = client.response().unwrap();
        assert!(answer.status == 401 && answer.closes(), "{}", answer.status);
    }
    assert_eq!(
        server.metric("trident_ingest_batches_total{outcome=\"refused\"}"),
        10
    );
}
