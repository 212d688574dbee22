//! The rules of the protocol by name, each on a store made for it, and hostile requests.

use super::*;
use std::time::Instant;

/// A server with a store of `users`.
fn serve_users(directory: &TempDir, users: &[(u64, &[Contact<'_>])], more: &[&str]) -> Server {
    let path = directory.join("store");
    let users = users
        .iter()
        .map(|(id, contacts)| (*id, value(*id, contacts)));
    store(&path, users);
    serve(&path, more)
}

/// The ids of the rows, in order. Texts must not contain newlines.
fn ids(response: &Response) -> Vec<u64> {
    assert_eq!(response.status, 200);
    let text = response.text();
    let rows = text.strip_prefix(TEAM_LINE).unwrap().lines();
    rows.map(|row| row.split('\t').next().unwrap().parse().unwrap())
        .collect()
}

/// Rows for `query` (without its user) when user 1 has `contacts`.
fn ranked(contacts: &[Contact<'_>], query: &str) -> Vec<u64> {
    let directory = TempDir::new();
    let server = serve_users(&directory, &[(1, contacts)], &[]);
    ids(&ask(&mut server.connect(), &format!("user_id=1&{query}")))
}

#[test]
fn phrase_haha_is_found_twice_in_hahaha() {
    let contacts: &[Contact<'_>] = &[
        (2, 0, &[(1, "hahaha", &[])]),
        (3, 0, &[(1, "haha", &[])]),
        (4, 0, &[(1, "haha haha", &[])]),
        (5, 0, &[(1, "hahahaha", &[])]),
    ];
    // three; twice two, equal scores by descending id; one
    assert_eq!(
        ranked(contacts, "type=reply&phrase=haha&hashtag=x"),
        [5, 4, 2, 3]
    );
}

#[test]
fn phrases_match_by_case_and_hashtags_do_not() {
    let contacts: &[Contact<'_>] = &[
        (2, 0, &[(1, "Cloud", &["aws"])]),
        (3, 0, &[(1, "cloud", &["aws", "aws"])]),
        (4, 0, &[(1, "CLOUD", &["aw"])]),
    ];
    assert_eq!(
        ranked(contacts, "type=both&phrase=Cloud&hashtag=x"),
        [2, 4, 3]
    );
    assert_eq!(
        ranked(contacts, "type=both&phrase=zz&hashtag=AWS"),
        [3, 2, 4]
    );
}

#[test]
fn a_phrase_is_never_found_across_two_tweets() {
    let contacts: &[Contact<'_>] = &[
        (2, 0, &[(1, "ab", &[]), (1, "cd", &[])]),
        (3, 0, &[(1, "abcd", &[]), (1, "", &[])]),
    ];
    assert_eq!(ranked(contacts, "type=reply&phrase=bc&hashtag=x"), [3, 2]);
    assert_eq!(ranked(contacts, "type=reply&phrase=ab&hashtag=x"), [3, 2]);
}

#[test]
fn interaction_counts_all_types_and_keywords_only_the_requested_one() {
    let contacts: &[Contact<'_>] = &[
        // ln(1 + 2*1 + 2) = ln 5; no match in its reply
        (
            2,
            0,
            &[(2, "word", &[]), (2, "word", &[]), (1, "other", &[])],
        ),
        // ln(1 + 2*1) = ln 3, times 1 + ln 2: 1.86 > ln 5 = 1.61
        (3, 0, &[(1, "word", &[])]),
    ];
    assert_eq!(ranked(contacts, "type=reply&phrase=word&hashtag=x"), [3, 2]);
    assert_eq!(ranked(contacts, "type=both&phrase=word&hashtag=x"), [2, 3]);
    assert_eq!(ranked(contacts, "type=retweet&phrase=word&hashtag=x"), [2]);
}

#[test]
fn common_hashtags_count_from_the_eleventh_on_and_not_for_oneself() {
    let contacts: &[Contact<'_>] = &[
        (1, 5000, &[(1, "t", &[])]),
        (2, 10, &[(1, "t", &[])]),
        (3, 11, &[(1, "t", &[])]),
    ];
    assert_eq!(
        ranked(contacts, "type=reply&phrase=zz&hashtag=x"),
        [3, 2, 1]
    );
}

#[test]
fn rows_carry_the_latest_tweet_of_the_type_unescaped() {
    let directory = TempDir::new();
    let tweets: &[Tweet<'_>] = &[(1, "reply\n\t &amp; ", &[]), (2, "retweet\r", &[])];
    let server = serve_users(&directory, &[(1, &[(7, 0, tweets)])], &[]);
    let mut client = server.connect();
    for (kind, text) in [
        ("reply", "reply\n\t &amp; "),
        ("retweet", "retweet\r"),
        ("both", "retweet\r"),
    ] {
        let query = format!("user_id=1&type={kind}&phrase=a&hashtag=b");
        let want = format!("{TEAM_LINE}7\tname7\tabout 7\t{text}");
        assert_eq!(ask(&mut client, &query).text(), want);
    }
    client
        .send(b"HEAD /twitter?user_id=1&type=both&phrase=a&hashtag=b HTTP/1.1\r\nHost: t\r\n\r\n");
    let head = client.head_response().unwrap();
    let length = TEAM_LINE.len() + "7\tname7\tabout 7\tretweet\r".len();
    assert_eq!(
        head.field("content-length"),
        Some(length.to_string().as_str())
    );
    let refused = client.ask(b"POST /twitter HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(
        (refused.status, refused.field("allow")),
        (405, Some("GET, HEAD"))
    );
}

#[test]
fn the_three_settings_for_empty_answer() {
    for (setting, want) in [
        ("invalid", format!("{TEAM_LINE}INVALID")),
        ("header", TEAM_LINE.trim_end().to_owned()),
        ("header_newline", TEAM_LINE.to_owned()),
    ] {
        let directory = TempDir::new();
        let setting = format!("twitter.empty_answer={setting}");
        let users: &[(u64, &[Contact<'_>])] = &[(1, &[(2, 0, &[(1, "a reply", &[])])])];
        let server = serve_users(&directory, users, &["--set", &setting]);
        let mut client = server.connect();
        // an unknown user, a user without a contact of the type
        for query in ["user_id=5&type=both", "user_id=1&type=retweet"] {
            let got = ask(&mut client, &format!("{query}&phrase=a&hashtag=b"));
            assert_eq!((got.status, got.text()), (200, want.clone()), "{query}");
        }
        // whatever the setting, a malformed request is INVALID
        let got = ask(&mut client, "user_id=x&type=both&phrase=a&hashtag=b");
        assert_eq!(got.text(), format!("{TEAM_LINE}INVALID"));
        assert_eq!(
            server.metric("trident_store_lookups_total{result=\"missing\"}"),
            1
        );
        assert_eq!(
            server.metric("trident_store_lookups_total{result=\"found\"}"),
            1
        );
    }
}

/// For every malformed query, and for every setting for queries with nothing to list.
#[test]
fn every_malformed_query_is_invalid() {
    let long = "9".repeat(100_000);
    let digits = format!("user_id={long}&type=both&phrase=a&hashtag=b");
    let zeros = format!("user_id={}1&type=both&phrase=a&hashtag=b", "0".repeat(19));
    let malformed = [
        "",
        "&",
        "=",
        "&&&=&=",
        "user_id=1",
        "user_id=1&type=both",
        "user_id=1&type=both&phrase=a",
        "user_id=1&type=both&hashtag=b",
        "user_id=1&phrase=a&hashtag=b",
        "type=both&phrase=a&hashtag=b",
        "user_id=&type=both&phrase=a&hashtag=b",
        "user_id=1&type=&phrase=a&hashtag=b",
        "user_id=1&type=both&phrase=&hashtag=b",
        "user_id=1&type=both&phrase=a&hashtag=",
        "user_id=1&type=both&phrase&hashtag=b",
        "user_id=1&type=Both&phrase=a&hashtag=b",
        "user_id=1&type=BOTH&phrase=a&hashtag=b",
        "user_id=1&type=both%00&phrase=a&hashtag=b",
        "user_id=1&type=+both&phrase=a&hashtag=b",
        "user_id=1&type=bot&phrase=a&hashtag=b",
        "user_id=1&type=both,reply&phrase=a&hashtag=b",
        "user_id=1&type=%ff&phrase=a&hashtag=b",
        "user_id=-1&type=both&phrase=a&hashtag=b",
        "user_id=%2B1&type=both&phrase=a&hashtag=b",
        "user_id=+1&type=both&phrase=a&hashtag=b",
        "user_id=1+&type=both&phrase=a&hashtag=b",
        "user_id=1.0&type=both&phrase=a&hashtag=b",
        "user_id=1e0&type=both&phrase=a&hashtag=b",
        "user_id=0x1&type=both&phrase=a&hashtag=b",
        "user_id=1%00&type=both&phrase=a&hashtag=b",
        "user_id=%&type=both&phrase=a&hashtag=b",
        "user_id=1%&type=both&phrase=a&hashtag=b",
        "user_id=%D9%A1&type=both&phrase=a&hashtag=b",
        "user_id=abc&type=both&phrase=a&hashtag=b",
        "user_id=9223372036854775808&type=both&phrase=a&hashtag=b",
        "user_id=18446744073709551617&type=both&phrase=a&hashtag=b",
        "USER_ID=1&type=both&phrase=a&hashtag=b",
        "user_id%00=1&type=both&phrase=a&hashtag=b",
        "user_id=1;type=both;phrase=a;hashtag=b",
        "user_id=&user_id=1&type=both&phrase=a&hashtag=b",
        "user_id=1&type=&type=both&phrase=a&hashtag=b",
        &digits,
        &zeros,
    ];
    let users: &[(u64, &[Contact<'_>])] = &[(1, &[(2, 0, &[(1, "a reply", &[])])])];
    for setting in ["invalid", "header", "header_newline"] {
        let directory = TempDir::new();
        let setting = format!("twitter.empty_answer={setting}");
        let line = "http.request_line_bytes_max=200000";
        let server = serve_users(&directory, users, &["--set", &setting, "--set", line]);
        let mut client = server.connect();
        for query in malformed {
            let got = ask(&mut client, query);
            let want = format!("{TEAM_LINE}INVALID");
            let shown = &query[..query.len().min(80)];
            assert_eq!((got.status, got.text()), (200, want), "{shown}");
        }
        let good = "x=%&=&user_id=%31&t%79pe=both&phrase=%zz&hashtag=%00&user_id=x";
        assert_eq!(ids(&ask(&mut client, good)), [2]);
        let counted =
            server.metric("trident_requests_total{endpoint=\"twitter\",outcome=\"invalid\"}");
        assert_eq!(counted, malformed.len() as u64);
    }
}

#[test]
fn percent_garbage_and_control_bytes_are_texts_like_others() {
    let contacts: &[Contact<'_>] = &[
        (2, 0, &[(1, "50% off", &[])]),
        (3, 0, &[(1, "nul\0byte", &[])]),
        (4, 0, &[(1, "\u{fffd}", &[])]),
    ];
    for (phrase, first) in [
        ("0%+", 2),
        ("0%zz%", 4),
        ("%00", 3),
        ("%ff", 4),
        ("%f0%9f%98", 4),
        ("%25%20", 2),
    ] {
        let query = format!("type=reply&phrase={phrase}&hashtag=%");
        assert_eq!(ranked(contacts, &query)[0], first, "{phrase}");
    }
}

/// A request with a phrase of a megabyte, for a user with a hundred thousand contacts: it is answered, and its memory
/// is given back.
#[test]
fn large_phrases_and_large_users_are_bounded() {
    let directory = TempDir::new();
    let path = directory.join("store");
    let repeated = "a".repeat(500);
    let tweets: &[Tweet<'_>] = &[(3, &repeated, &["tag", "tag"])];
    let contacts: Vec<Contact<'_>> = (0..100_000).map(|id| (id, id % 90, tweets)).collect();
    store(
        &path,
        [(1, value(1, &contacts)), (2, value(2, &contacts[..3]))],
    );
    let limits = [
        "http.request_line_bytes_max=4000000",
        "http.head_bytes_max=4000000",
    ];
    let server = serve(&path, &["--set", limits[0], "--set", limits[1]]);
    let mut client = server.connect();
    let phrase = "a".repeat(1 << 20);
    for user in [1, 2] {
        for (phrase, hashtag) in [
            (&phrase[..], "tag"),
            ("a", "TAG"),
            ("aaaaaaaaaaaaaaaaaa", &phrase),
        ] {
            let query = format!("user_id={user}&type=both&phrase={phrase}&hashtag={hashtag}");
            let got = ask(&mut client, &query);
            assert_eq!(ids(&got).len(), if user == 1 { 100_000 } else { 3 });
        }
    }
    // However a phrase is made, it costs little more than a phrase without matches: the rows cost the most.
    let mut time = |phrase: &str| {
        let query = format!("user_id=1&type=both&phrase={phrase}&hashtag=x");
        let times = (0..3).map(|_| {
            let start = Instant::now();
            ask(&mut client, &query);
            start.elapsed()
        });
        times.min().unwrap()
    };
    let plain = time("b");
    for bytes in [1, 2, 17, 64, 65, 250, 499, 501, 1 << 20] {
        let taken = time(&phrase[..bytes]);
        assert!(
            taken < 50 * plain,
            "{bytes} bytes: {taken:?}, {plain:?} without a match"
        );
    }
    let small = server.resident_bytes();
    for _ in 0..20 {
        ask(
            &mut client,
            &format!("user_id=1&type=both&phrase={phrase}&hashtag={phrase}"),
        );
    }
    let (now, answer) = (server.resident_bytes(), 60 << 20);
    assert!(
        now < small + 2 * answer,
        "{small} bytes resident before, {now} after"
    );
}
