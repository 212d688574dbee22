//! The grammar, checked against `serde_json`'s.

use super::{Cursor, Piece};
use proptest::prelude::*;
use serde::de::IgnoredAny;

/// Whether `text` is one JSON value.
fn accepted(text: &str) -> bool {
    let mut cursor = Cursor::new(text.as_bytes());
    cursor.skip_value().and_then(|()| cursor.end()).is_ok()
}

/// The value of the string that is the JSON text `text`, if it is Unicode.
fn string(text: &str) -> Option<String> {
    let mut cursor = Cursor::new(text.as_bytes());
    let string = cursor.string().ok()?;
    cursor.end().ok()?;
    assert_eq!(string.escaped, text.contains('\\'));
    let mut value = String::new();
    for piece in string.pieces(text.as_bytes()) {
        match piece {
            Piece::Plain(bytes) => value.push_str(std::str::from_utf8(bytes).unwrap()),
            Piece::Char(c) => value.push(c),
            Piece::LoneSurrogate(unit) => {
                assert!((0xd800..0xe000).contains(&unit));
                return None;
            }
        }
    }
    Some(value)
}

#[test]
fn a_table_of_texts() {
    for text in [
        "0",
        "-0",
        "10",
        "1.5",
        "1e5",
        "1E+5",
        "1e-5",
        "-1.5e10",
        "\"\"",
        "\"a\\u00e9\\n\"",
        "[]",
        "{}",
        "[[],{}]",
        "{\"a\":{\"b\":[1,2]},\"c\":null}",
        " [ 1 , 2 ] ",
        "true",
        "false",
        "null",
        "\"\\ud800\"",
        "\"\u{7f}\u{e9}\"",
        "1e999",
        "123456789012345678901234567890",
    ] {
        assert!(accepted(text), "{text}");
    }
    for text in [
        "",
        " ",
        "00",
        "01",
        "-",
        "+1",
        "1.",
        ".1",
        "1e",
        "1e+",
        "--1",
        "\"",
        "\"a",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\\u123\"",
        "\"\n\"",
        "\"\0\"",
        "[",
        "]",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{",
        "}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{1:1}",
        "{\"a\" 1}",
        "[1}",
        "{\"a\":1]",
        "tru",
        "nul",
        "True",
        "NaN",
        "Infinity",
        "-Infinity",
        "'a'",
        "1 1",
        "[] []",
        "\u{a0}1",
        "/**/1",
        "\u{feff}1",
    ] {
        assert!(!accepted(text), "{text}");
    }
}

#[test]
fn only_the_bracket_that_is_asked_for_opens() {
    assert_eq!(Cursor::new(b" {\"").open(b'{', b'}'), Ok(true));
    assert_eq!(Cursor::new(b"{ }").open(b'{', b'}'), Ok(false));
    for text in [&b""[..], b" ", b"[", b"}"] {
        assert!(Cursor::new(text).open(b'{', b'}').is_err());
    }
}

#[test]
fn nesting_ends_where_the_caller_says() {
    let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
    let accepted = |text: &str, depth_max| {
        let mut cursor = Cursor::with_depth_max(text.as_bytes(), depth_max);
        cursor.skip_value().and_then(|()| cursor.end()).is_ok()
    };
    for depth_max in [1, 63, 64, 65, 128, 1024] {
        // The innermost container is empty: it is closed at once and not counted.
        assert!(accepted(&nested(depth_max + 1), depth_max), "{depth_max}");
        assert!(!accepted(&nested(depth_max + 2), depth_max), "{depth_max}");
    }
    assert!(self::accepted(&nested(100_000)));
    assert!(!self::accepted(&(nested(100_000) + "]")));
}

#[test]
fn strings_with_surrogates() {
    assert_eq!(string("\"\\ud83d\\ude00\"").as_deref(), Some("\u{1f600}"));
    assert_eq!(string("\"\\uD83D\\uDE00x\"").as_deref(), Some("\u{1f600}x"));
    for lone in [
        "\"\\ud800\"",
        "\"\\udc00\"",
        "\"\\ud800x\"",
        "\"\\ud800\\ud800\"",
        "\"\\ude00\\ud83d\"",
    ] {
        assert_eq!(string(lone), None, "{lone}");
        assert!(accepted(lone), "{lone}");
    }
    // The first half is alone; the second and third are a pair.
    assert_eq!(string("\"\\ud83d\\ud83d\\ude00\""), None);
    assert_eq!(string("\"\\ud800\\u12\""), None);
}

/// JSON-like texts: pieces of the grammar in any order, often right, often nearly so.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"a\"",
        "\"",
        "\\",
        "0",
        "-",
        "1",
        ".5",
        "e3",
        "true",
        "null",
        " ",
        "\n",
        "\\u00e9",
        "\\n",
        "\"key\":",
        "[1,2]",
        "{\"b\":[]}",
        "\u{e9}",
        "9999999999999999999",
        "\u{1}",
    ]);
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// Values that are right.
fn values() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        (-1e300..1e300).prop_map(Into::into),
        ".{0,20}".prop_map(Into::into),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::hash_map(".{0,8}", inner, 0..6)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn pieces_are_judged_as_serde_json_does(text in pieces()) {
        prop_assert_eq!(accepted(&text), serde_json::from_str::<IgnoredAny>(&text).is_ok());
    }

    #[test]
    fn strings_are_read_as_serde_json_does(text in "\"([a-z\u{e9}\u{1f600}\"]|\\\\[nrtbfu\"/x]|\\\\u[0-9a-d]{4}|\\\\ud83d\\\\ude0[0-9a]|\\\\ud[89a-f]00){0,10}\"") {
        prop_assert_eq!(string(&text), serde_json::from_str::<String>(&text).ok());
    }
}

proptest! {
    #[test]
    fn values_are_accepted_and_damaged_ones_judged_alike(value in values(), at: prop::sample::Index, with in "[\\[\\]{},:\"\\\\0e. -]") {
        let mut text = value.to_string();
        prop_assert!(accepted(&text));
        let at = at.index(text.len());
        if text.is_char_boundary(at) && text.is_char_boundary(at + 1) {
            text.replace_range(at..at + 1, &with);
            prop_assert_eq!(accepted(&text), serde_json::from_str::<IgnoredAny>(&text).is_ok(), "{}", text);
        }
    }
}
