//! Which lines become which record, and why the others are dropped.

use super::*;

fn record(line: &str) -> Result<String, Dropped> {
    let mut out = Vec::new();
    Extractor::default().extract(line.as_bytes(), &mut out)?;
    Ok(String::from_utf8(out).unwrap())
}

/// A valid tweet that ends with `text_and_more`: the `text` member and all after it.
fn tweet(text_and_more: &str) -> String {
    format!(
        "{{\"created_at\":\"Thu Jan 01 00:00:01 +0000 1970\",\"id\":7,\"lang\":\"en\",\
         \"user\":{{\"id\":8,\"screen_name\":\"s\"}},\
         \"entities\":{{\"hashtags\":[{{\"text\":\"T\"}}]}},\"text\":{text_and_more}}}"
    )
}

const KEPT: &str = "0000000000000000007\tt1\t1\t8\t-\t-\ts\t\t\t\t";

#[test]
fn a_plain_tweet_is_kept() {
    assert_eq!(record(&tweet("\"a\"")).unwrap(), format!("{KEPT}a\tT"));
}

#[test]
fn strings_become_fields() {
    let line = tweet("\"a\\tb\\u000a\\\\ \\/ \\ud83d\\ude00 \\ud83d\"");
    assert_eq!(
        record(&line).unwrap(),
        format!("{KEPT}a\\tb\\n\\\\ / 😀 \u{FFFD}\tT")
    );
}

#[test]
fn the_last_of_repeated_keys_wins() {
    let same = |more: &str| record(&tweet(&format!("\"a\",{more}"))).unwrap();
    assert_eq!(same("\"text\":\"b\""), format!("{KEPT}b\tT"));
    assert_eq!(same("\"t\\u0065xt\":\"b\""), format!("{KEPT}b\tT"));
    assert_eq!(
        same("\"entities\":{\"hashtags\":[0,{\"text\":\"U\"}]}"),
        format!("{KEPT}a\tU")
    );
    let lost = |more: &str| record(&tweet(&format!("\"a\",{more}"))).unwrap_err();
    assert_eq!(lost("\"user\":{}"), Dropped::NoUserId);
    assert_eq!(lost("\"entities\":{}"), Dropped::NoHashtags);
    assert_eq!(
        lost("\"entities\":{\"hashtags\":[1],\"hashtags\":[]}"),
        Dropped::NoHashtags
    );
    assert_eq!(lost("\"text\":null"), Dropped::NoText);
    assert_eq!(lost("\"lang\":\"de\""), Dropped::Language);
    assert_eq!(lost("\"id\":null"), Dropped::NoTweetId);
    assert_eq!(lost("\"created_at\":5"), Dropped::NoCreatedAt);
}

#[test]
fn identifiers() {
    let reply = |value: &str| {
        let line = tweet(&format!("\"a\",\"in_reply_to_user_id\":{value}"));
        record(&line)
            .unwrap()
            .split('\t')
            .nth(4)
            .unwrap()
            .to_owned()
    };
    for (value, read) in [
        ("0", "0"),
        ("-0", "0"),
        ("9223372036854775807", "9223372036854775807"),
        ("9223372036854775808", "-"),
        ("\"0000000000000000012\"", "12"),
        ("\"00000000000000000012\"", "-"),
        ("\"1\\u0032\"", "12"),
        ("\"\"", "-"),
        ("\" 1\"", "-"),
        ("1.0", "-"),
        ("1e3", "-"),
        ("-1", "-"),
        ("true", "-"),
        ("[1]", "-"),
        ("null,\"in_reply_to_user_id_str\":\"5\"", "5"),
        ("1.5,\"in_reply_to_user_id_str\":5", "5"),
        ("4,\"in_reply_to_user_id_str\":\"5\"", "5"),
        ("4,\"in_reply_to_user_id_str\":null", "4"),
        ("4,\"in_reply_to_user_id_str\":\"x\"", "4"),
    ] {
        assert_eq!(reply(value), read, "{value}");
    }
}

#[test]
fn identifiers_that_differ_are_told() {
    let differ = |more: &str| {
        let line = tweet(&format!("\"a\"{more}"));
        let kept = Extractor::default().extract(line.as_bytes(), &mut Vec::new());
        kept.unwrap().ids_differ
    };
    for (more, expected) in [
        ("", false),
        (",\"id_str\":\"7\"", false),
        (",\"id_str\":\"07\"", false),
        (",\"id_str\":\"x\"", false),
        (",\"id_str\":\"8\"", true),
        (",\"user\":{\"id\":8,\"id_str\":\"9\"}", true),
        (
            ",\"in_reply_to_user_id\":1,\"in_reply_to_user_id_str\":\"2\"",
            true,
        ),
        (
            ",\"retweeted_status\":{\"user\":{\"id\":1,\"id_str\":\"2\"}}",
            true,
        ),
        (",\"retweeted_status\":{\"id\":1,\"id_str\":\"2\"}", false),
        (
            ",\"in_reply_to_status_id\":1,\"in_reply_to_status_id_str\":\"2\"",
            false,
        ),
    ] {
        assert_eq!(differ(more), expected, "{more}");
    }
}

#[test]
fn damaged_strings_have_two_ways() {
    let spark = |line: &[u8]| {
        let mut out = Vec::new();
        Extractor::new(Compat::Spark).extract(line, &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    };
    let half = tweet("\"a\\ud83d\\ude00\\udc00\"");
    assert_eq!(spark(half.as_bytes()), Ok(format!("{KEPT}a\u{1F600}?\tT")));
    assert_eq!(
        record(&half).unwrap(),
        format!("{KEPT}a\u{1F600}\u{FFFD}\tT")
    );
    let bad = [tweet("\"a\"").as_bytes(), b" "].concat();
    assert!(spark(&bad).is_ok());
    let bad: Vec<u8> = tweet("\"a\",\"unused\":\"@\"").into();
    let bad: Vec<u8> = bad
        .iter()
        .map(|&byte| if byte == b'@' { 0xFF } else { byte })
        .collect();
    assert_eq!(spark(&bad), Err(Dropped::NotJson));
    assert!(Extractor::default().extract(&bad, &mut Vec::new()).is_ok());
}

#[test]
fn retweets_need_an_id() {
    let fields = |value: &str| {
        let line = tweet(&format!("\"a\",\"retweeted_status\":{value}"));
        let record = record(&line).unwrap();
        let fields: Vec<_> = record.split('\t').map(str::to_owned).collect();
        (fields[5].clone(), fields[8].clone())
    };
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(
        fields("{\"user\":{\"id\":3,\"screen_name\":\"x\"}}"),
        pair("3", "x")
    );
    assert_eq!(fields("{\"user\":{\"screen_name\":\"x\"}}"), pair("-", ""));
    assert_eq!(fields("{\"user\":[]}"), pair("-", ""));
    assert_eq!(fields("7"), pair("-", ""));
}

#[test]
fn lines_that_are_not_one_object() {
    for line in [
        "",
        " ",
        "[]",
        "null",
        "1",
        "\"x\"",
        "{",
        "{}}",
        "{\"a\":NaN}",
        "{\"a\":01}",
        "{\"a\":1.}",
        "{\"a\":.5}",
        "{\"a\":1e}",
        "{\"a\":+1}",
        "{\"a\":\"\u{1}\"}",
        "{\"a\":\"\\q\"}",
        "{\"a\":\"\\u12g4\"}",
        "{\"a\":\"\\u12\"}",
        "{\"a\"}",
        "{\"a\":1,}",
        "{,}",
        "{\"a\":[1,]}",
        "{\"a\":[1}",
        "{\"a\":{]}",
        "{\"a\" 1}",
        "{a:1}",
        "{'a':1}",
        "{\"a\":tru}",
        "\u{feff}{}",
        "{\"a\":1} x",
        "{\"a\":\"b",
        "{\"a\":1 \"b\":2}",
        "{\"a\":[1 2]}",
        "{\"a\":-}",
        "{\"a\":\u{a0}1}",
    ] {
        assert_eq!(record(line).unwrap_err(), Dropped::NotJson, "{line:?}");
    }
    for line in [
        "{}",
        " {\t}\r",
        "{\"a\":[{},[],[[{\"b\":[0,-1.5E+7,null]}]],\"\\u00e9\"]}",
    ] {
        assert_eq!(record(line).unwrap_err(), Dropped::NoTweetId, "{line:?}");
    }
}

#[test]
fn nesting_has_no_limit() {
    for depth in [1, 63, 64, 65, 128, 129, 100_000] {
        let nested = "[".repeat(depth) + &"{\"a\":".repeat(depth) + "1" + &"}".repeat(depth);
        let whole = tweet(&format!("\"a\",\"x\":{nested}{}", "]".repeat(depth)));
        assert!(record(&whole).is_ok(), "{depth}");
        let crossed = tweet(&format!("\"a\",\"x\":{nested}{}}}", "]".repeat(depth - 1)));
        assert_eq!(record(&crossed).unwrap_err(), Dropped::NotJson, "{depth}");
    }
}
