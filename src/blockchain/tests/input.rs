//! Unusual and hostile text around and inside the JSON.

use super::{
    ask, ask_cc, ask_text,
    build::{TEAM, own, request, reward, sample},
    pack,
};
use crate::blockchain::{Blockchain, KEPT_BYTES, Options, Reject, json::DEPTH_MAX};
use proptest::prelude::*;
use serde_json::Value;

fn ask_default(cc: &[u8]) -> Result<String, Reject> {
    ask_cc(Options::default(), cc)
}

#[test]
fn every_form_of_the_same_text() {
    // Long enough to use both special characters of the alphabet and to need padding.
    let cc = (0..50)
        .map(|spaces| pack(format!("{}{}", sample(), " ".repeat(spaces)).as_bytes()))
        .find(|cc| {
            [b'-', b'_', b'=']
                .iter()
                .all(|special| cc.contains(special))
        })
        .unwrap();
    let expected = ask_default(&cc);
    assert!(expected.is_ok());
    let text = String::from_utf8(cc).unwrap();
    let standard = text.replace('-', "+").replace('_', "/");
    let forms = [
        text.trim_end_matches('=').to_owned(),
        format!("{text}==="),
        text.replace('=', "%3D"),
        text.replace('=', "%3d"),
        standard.clone(),
        standard.replace('+', "%2B").replace('/', "%2F"),
        format!(" \t{text}\r\n"),
        format!("%20{text}%0A"),
    ];
    for form in forms {
        assert_eq!(ask_default(form.as_bytes()), expected, "{form}");
    }
}

#[test]
fn what_is_not_base64_or_not_zlib() {
    for cc in [
        "",
        "=",
        "%3D",
        " ",
        "A",
        "AAAAA",
        "AA*A",
        "AA AA",
        "AA%zzAA",
        "AA==AA",
        "\u{e9}AAA",
    ] {
        assert_eq!(ask_default(cc.as_bytes()), Err(Reject::Base64), "{cc}");
    }
    let mut stream = Vec::new();
    crate::codec::base64url::decode(&pack(sample().to_string().as_bytes()), &mut stream).unwrap();
    let ask_stream = |stream: &[u8]| {
        let mut cc = Vec::new();
        crate::codec::base64url::encode(stream, &mut cc);
        ask_default(&cc)
    };
    assert!(ask_stream(&[&stream[..], b"bytes after the end"].concat()).is_ok());
    for cut in 1..stream.len() {
        assert_eq!(
            ask_stream(&stream[..cut]),
            Err(Reject::Zlib),
            "cut to {cut}"
        );
    }
    let mut wrong_sum = stream.clone();
    *wrong_sum.last_mut().unwrap() ^= 1;
    assert_eq!(ask_stream(&wrong_sum), Err(Reject::Zlib));
}

#[test]
fn the_inflated_size_is_bounded() {
    let text = sample().to_string();
    let with_max = |inflated_bytes_max| {
        ask_cc(
            Options {
                inflated_bytes_max,
                ..Options::default()
            },
            &pack(text.as_bytes()),
        )
    };
    assert!(with_max(text.len()).is_ok());
    assert_eq!(with_max(text.len() - 1), Err(Reject::InflatedSize));
    assert_eq!(
        ask_default(&pack(&vec![b' '; 50 << 20])),
        Err(Reject::InflatedSize)
    );
}

#[test]
fn keys_that_are_no_ones_business() {
    let text = sample().to_string();
    let nested = r#"{"x":[{"chain":[]},"\u0000\ud800",-1.5e+3,true,false,null]}"#;
    let above = text.replacen('{', &format!("{{\"extra\":{nested},"), 1);
    assert_eq!(ask_text(&above), ask_text(&text));

    let in_block = text.replacen("\"all_tx\"", "\"extra\":[1,{}],\"all_tx\"", 1);
    let answer = ask_text(&in_block).unwrap();
    assert_eq!(
        answer["chain"][0]["extra"],
        serde_json::json!([1, {}]),
        "old blocks stay as they are"
    );

    let in_tx = |key: &str, value: &str| {
        ask_text(&text.replacen("\"recv\"", &format!("\"{key}\":{value},\"recv\""), 1))
    };
    assert_eq!(in_tx("extra", "1"), Err(Reject::TransactionKeys));
    assert_eq!(in_tx("recvx", "1"), Err(Reject::TransactionKeys));
    assert_eq!(in_tx("", "1"), Err(Reject::TransactionKeys));
    assert!(in_tx("extra", "null").is_ok(), "null counts as absent");
    assert!(in_tx("fee", "null").is_ok());
    assert!(
        in_tx("extra", "1,\"e\\u0078tra\":null").is_ok(),
        "the last of equal keys wins"
    );
    assert_eq!(
        in_tx("extra", "null,\"e\\u0078tra\":1"),
        Err(Reject::TransactionKeys)
    );
    assert_eq!(
        in_tx("extra", "1,\"extra2\":null"),
        Err(Reject::TransactionKeys)
    );
}

#[test]
fn the_last_of_equal_keys_wins() {
    let text = sample().to_string();
    let expected = ask_text(&text);
    assert!(expected.is_ok());
    for (key, wrong) in [
        ("\"chain\":", "[{\"all_tx\":[{},7]},8]"),
        ("\"chain\":", "null"),
        ("\"new_tx\":", "[{\"recv\":1,\"amt\":1,\"time\":\"1\"}]"),
        ("\"new_tx\":", "3"),
        ("\"new_target\":", "\"00\""),
        ("\"new_target\":", "{}"),
    ] {
        let before = text.replacen(key, &format!("{key}{wrong},{key}"), 1);
        assert_eq!(ask_text(&before), expected, "{key}{wrong} first");
        let after = format!("{},{key}{wrong}}}", text.strip_suffix('}').unwrap());
        assert!(ask_text(&after).is_err(), "{key}{wrong} last");
    }
    for (key, wrong) in [
        ("\"all_tx\":", "[{}]"),
        ("\"all_tx\":", "[{\"recv\":1,\"amt\":1,\"time\":\"1\"}]"),
        ("\"pow\":", "1"),
        ("\"id\":", "1.5"),
        ("\"hash\":", "\"x\""),
        ("\"target\":", "[]"),
        ("\"recv\":", "-1"),
        ("\"amt\":", "\"x\""),
        ("\"fee\":", "null"),
        ("\"sig\":", "99999999999999999999"),
        ("\"time\":", "17"),
        ("\"time\":", "\"x\""),
        ("\"send\":", "{}"),
    ] {
        let before = text.replacen(key, &format!("{key}{wrong},{key}"), 1);
        let (first, copied) = (
            ask_text(&before),
            expected.as_ref().map(|answer| &answer["chain"]),
        );
        assert_eq!(
            first.as_ref().map(|answer| &answer["chain"]),
            copied,
            "{key}{wrong} first"
        );
    }
}

#[test]
fn what_a_null_takes_back_leaves_nothing_behind() {
    let own = own(7, 0, 6).to_string();
    let text = request(&[vec![reward(TEAM, 500_000_000, 5)]], &[]).to_string();
    let with = |json: &str| text.replacen("\"new_tx\":[]", &format!("\"new_tx\":[{json}]"), 1);
    let expected = ask_text(&with(&own));
    assert!(expected.is_ok());
    for key in ["sig", "fee", "send", "hash"] {
        for value in ["9223372036854775807", "-1", "\"x\"", "[]"] {
            let taken_back = own.replacen('{', &format!("{{\"{key}\":{value},\"{key}\":null,"), 1);
            assert_eq!(ask_text(&with(&taken_back)), expected, "{taken_back}");
        }
    }
    // The same for the reward of an old block, whose hash must not see the fee.
    let fee = text.replacen(
        "\"recv\"",
        "\"fee\":5,\"send\":6,\"fee\":null,\"send\":null,\"recv\"",
        1,
    );
    assert!(ask_text(&fee).is_ok());
}

#[test]
fn integers() {
    let with_fee = |fee: &str| {
        ask_text(
            &sample()
                .to_string()
                .replacen("\"fee\":7", &format!("\"fee\":{fee}"), 1),
        )
    };
    assert!(with_fee("7").is_ok());
    for fee in [
        "7.0",
        "7e0",
        "0.7e1",
        "\"7\"",
        "true",
        "[7]",
        "9223372036854775808",
        "18446744073709551623",
    ] {
        assert_eq!(with_fee(fee), Err(Reject::TransactionValue), "{fee}");
    }
    assert_eq!(with_fee("-7"), Err(Reject::Negative));
    assert_eq!(with_fee("-99999999999999999999999"), Err(Reject::Negative));
    for fee in [
        "07",
        "+7",
        "7.",
        ".7",
        "7e",
        "7e+",
        "-",
        "--7",
        "0x7",
        "NaN",
        "Infinity",
        "-Infinity",
        "7 7",
    ] {
        assert_eq!(with_fee(fee), Err(Reject::Json), "{fee}");
    }
    assert_eq!(with_fee("null"), Err(Reject::TransactionKeys));
    // `-0` is zero, and is hashed as 0.
    let text = request(&[vec![reward(TEAM, 500_000_000, 5)]], &[own(7, 0, 6)]).to_string();
    let minus = ask_text(&text.replace("\"amt\":0", "\"amt\":-0")).unwrap();
    assert_eq!(minus, ask_text(&text).unwrap());
}

#[test]
fn text_that_is_not_json() {
    let text = sample().to_string();
    let mut not_utf8 = text.clone().into_bytes();
    not_utf8.splice(1..1, *b"\"\xff\":1,");
    assert_eq!(ask_default(&pack(&not_utf8)), Err(Reject::Json));
    let with_mark = format!("\u{feff}{text}");
    for wrong in [
        &with_mark,
        &text[1..],
        &text[..text.len() - 1],
        &format!("{text}x"),
        &format!("{text}{text}"),
        "",
    ] {
        assert_eq!(ask_text(wrong), Err(Reject::Json), "{wrong}");
    }
    assert!(ask_text(&format!(" \t\r\n{text}\n ")).is_ok());
    assert_eq!(ask_text(&format!("{text}\u{c}")), Err(Reject::Json));
    for not_an_object in ["[]", "7", "\"x\"", "null", "[{}]"] {
        assert_eq!(ask_text(not_an_object), Err(Reject::Shape));
    }
    for wrong_type in ["1", "{}", "\"x\"", "null", "[1]", "[null]", "[[]]", "[{}]"] {
        let request = format!("{{\"new_target\":\"1\",\"new_tx\":[],\"chain\":{wrong_type}}}");
        assert_eq!(ask_text(&request), Err(Reject::Shape), "{wrong_type}");
        let request = format!("{{\"new_target\":\"1\",\"new_tx\":{wrong_type},\"chain\":[]}}");
        assert!(
            matches!(
                ask_text(&request),
                Err(Reject::Shape | Reject::TransactionKeys)
            ),
            "{wrong_type}"
        );
    }
}

#[test]
fn a_lone_surrogate_is_no_text() {
    let text = sample().to_string();
    let target = text.replacen("\"new_target\":\"1\"", "\"new_target\":\"\\ud8001\"", 1);
    assert_eq!(ask_text(&target), Err(Reject::Shape));
    let pair = text.replacen(
        "\"new_target\":\"1\"",
        "\"new_target\":\"\\ud83d\\ude00\"",
        1,
    );
    assert_eq!(ask_text(&pair).unwrap()["chain"][2]["target"], "\u{1f600}");
}

#[test]
fn nesting_is_bounded_but_not_by_the_stack() {
    let nested = |depth: usize| {
        let value = format!("{}{}", "[{\"a\":".repeat(depth / 2), "0") + &"}]".repeat(depth / 2);
        sample()
            .to_string()
            .replacen('{', &format!("{{\"extra\":{value},"), 1)
    };
    assert!(ask_text(&nested(DEPTH_MAX)).is_ok());
    assert_eq!(ask_text(&nested(DEPTH_MAX + 2)), Err(Reject::Json));
    for opening in ["[", "{\"a\":", "{\"chain\":[", "{\"chain\":[{\"all_tx\":["] {
        assert_eq!(
            ask_text(&opening.repeat(200_000 / opening.len())),
            Err(Reject::Json)
        );
    }
}

#[test]
fn long_arrays_leave_no_memory_behind() {
    let endpoint = Blockchain::new(Options {
        inflated_bytes_max: 8 << 20,
        ..Options::default()
    });
    let mut scratch = endpoint.scratch();
    let mut out = Vec::new();
    let mut ask = |json: String| endpoint.answer(&mut scratch, &pack(json.as_bytes()), &mut out);
    let list = |element: &str| vec![element; 1_000_000].join(",");
    let whole = |chain: &str, new_tx: &str| {
        format!("{{\"chain\":[{chain}],\"new_target\":\"1\",\"new_tx\":[{new_tx}]}}")
    };
    assert_eq!(ask(whole(&list("1"), "")), Err(Reject::Shape));
    assert_eq!(ask(whole("", &list("{}"))), Err(Reject::TransactionKeys));
    // A long valid list: many payments of nothing by the team.
    let paid: Vec<_> = (2..20_000).map(|at| own(7, 0, at).to_string()).collect();
    assert_eq!(ask(whole("", &paid.join(","))), Ok(()));
    assert!(scratch.request.chain_txs.capacity() * 100 <= KEPT_BYTES);
    assert!(scratch.request.new_txs.capacity() * 100 <= KEPT_BYTES);
    assert!(scratch.text.capacity() <= KEPT_BYTES);
}

/// A JSON text with the value of `value` but other whitespace, key order and escapes.
fn written_otherwise(value: &Value, random: &mut impl FnMut() -> u32, out: &mut String) {
    let space =
        |random: &mut dyn FnMut() -> u32| ["", "", "", " ", "\n\t", "\r"][random() as usize % 6];
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            let turn = random() as usize % members.len().max(1);
            members.rotate_left(turn);
            out.push('{');
            for (index, (key, member)) in members.into_iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                out.push_str(space(random));
                written_otherwise(&Value::String(key.clone()), random, out);
                out.push_str(space(random));
                out.push(':');
                written_otherwise(member, random, out);
            }
            out.push('}');
        }
        Value::Array(elements) => {
            out.push('[');
            for (index, element) in elements.iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                written_otherwise(element, random, out);
            }
            out.push_str(space(random));
            out.push(']');
        }
        Value::String(text) => {
            out.push('"');
            for c in text.chars() {
                match random() % 12 {
                    0 => out.push_str(&format!("\\u{:04x}", u32::from(c))),
                    1 => out.push_str(&format!("\\u{:04X}", u32::from(c))),
                    _ => out.push(c),
                }
            }
            out.push('"');
        }
        other => out.push_str(&other.to_string()),
    }
    out.push_str(space(random));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn form_does_not_matter(choices in prop::collection::vec(any::<u32>(), 101)) {
        let request = sample();
        let mut index = 0;
        let mut text = String::new();
        written_otherwise(&request, &mut || { index += 1; choices[index % choices.len()] }, &mut text);
        prop_assert_eq!(ask_text(&text), ask(&request));
    }

    #[test]
    fn damaged_text_is_answered_or_refused(at: prop::sample::Index, with: u8, length in 0usize..3) {
        let mut text = sample().to_string().into_bytes();
        let at = at.index(text.len());
        let end = (at + length).min(text.len());
        text.splice(at..end, [with]);
        let _ = ask_default(&pack(&text));
    }
}
