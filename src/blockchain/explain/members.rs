//! Faults of the JSON's members (docs/protocol/blockchain.md §2), found in a tree of the JSON.
//!
//! The order is the handler's: the chain before `new_target` before `new_tx`; in a block its strings, its id,
//! its transactions.

use super::view::Finding;
use crate::{
    blockchain::Reject,
    explain::{counted, quoted},
};
use serde_json::{Map, Value};

const KEYS: [&str; 7] = ["sig", "recv", "fee", "amt", "time", "send", "hash"];
const KINDS: [(&str, &[&str]); 3] = [
    ("signed", &KEYS),
    ("reward", &["recv", "amt", "time", "hash"]),
    ("own", &["recv", "amt", "time"]),
];

/// The first malformed member, if `reject` means one.
pub(super) fn finding(reject: Reject, json: &[u8]) -> Option<Finding> {
    if !matches!(
        reject,
        Reject::Shape
            | Reject::BlockId
            | Reject::TransactionKeys
            | Reject::TransactionValue
            | Reject::Negative
    ) {
        return None;
    }
    let tree = match serde_json::from_slice::<Value>(json) {
        Ok(tree) => tree,
        // Valid JSON without a UTF-8 form, or nested too deep for the tree's parser.
        Err(error) if reject != Reject::BlockId => {
            return Some(Finding::new(
                "a member",
                "a value as in §2",
                error.to_string(),
            ));
        }
        Err(_) => return None,
    };
    let (found, finding) = request(&tree).err()?;
    (found == reject).then_some(finding)
}

type Checked = Result<(), (Reject, Finding)>;

fn request(tree: &Value) -> Checked {
    let Some(request) = tree.as_object() else {
        return Err((Reject::Shape, wrong("the JSON", "an object", Some(tree))));
    };
    let chain = array(request, "chain", "the request")?;
    for (index, block) in chain.iter().enumerate() {
        self::block(&format!("block {index}"), block)?;
    }
    string(request, "new_target", "the request")?;
    transactions(request, "new_tx", "the request")
}

fn block(place: &str, value: &Value) -> Checked {
    let Some(block) = value.as_object() else {
        return Err((Reject::Shape, wrong(place, "an object", Some(value))));
    };
    for key in ["pow", "hash", "target"] {
        string(block, key, place)?;
    }
    match block.get("id").map(integer) {
        Some(Integer::Natural) => transactions(block, "all_tx", place),
        Some(Integer::Negative) => Err((
            Reject::BlockId,
            wrong(
                &format!("{place}: id"),
                "the block's index",
                block.get("id"),
            ),
        )),
        _ => {
            let expected = "an integer from 0 to 2^63 - 1";
            let finding = wrong(&format!("{place}: id"), expected, block.get("id"));
            Err((Reject::Shape, finding))
        }
    }
}

fn transactions(object: &Map<String, Value>, key: &str, place: &str) -> Checked {
    for (index, tx) in array(object, key, place)?.iter().enumerate() {
        let place = match key {
            "all_tx" => format!("{place}, transaction {index}"),
            _ => format!("{key}, transaction {index}"),
        };
        transaction(&place, tx)?;
    }
    Ok(())
}

fn transaction(place: &str, value: &Value) -> Checked {
    let expected =
        "the keys recv, amt, time (own); with hash (reward); with sig, fee, send, hash (signed)";
    let Some(tx) = value.as_object() else {
        return Err((Reject::TransactionKeys, wrong(place, expected, Some(value))));
    };
    let present: Vec<_> = tx.iter().filter(|(_, value)| !value.is_null()).collect();
    let is_kind = |keys: &[&str]| {
        keys.len() == present.len() && present.iter().all(|(key, _)| keys.contains(&key.as_str()))
    };
    if !KINDS.iter().any(|(_, keys)| is_kind(keys)) {
        let names: Vec<_> = present.iter().map(|(key, _)| key.as_str()).collect();
        let finding = Finding::new(place, expected, keys_found(&names));
        return Err((Reject::TransactionKeys, finding));
    }
    let mut negative = None;
    for (key, value) in present {
        let place = format!("{place}: {key}");
        let is_text = matches!(key.as_str(), "time" | "hash");
        match integer(value) {
            _ if is_text && value.is_string() => {}
            Integer::Natural if !is_text => {}
            Integer::Negative if !is_text => {
                let finding = wrong(&place, "an integer that is not negative", Some(value));
                negative = negative.or(Some(finding));
            }
            _ => {
                let expected = if is_text {
                    "a string"
                } else {
                    "an integer below 2^63"
                };
                return Err((
                    Reject::TransactionValue,
                    wrong(&place, expected, Some(value)),
                ));
            }
        }
    }
    negative.map_or(Ok(()), |finding| Err((Reject::Negative, finding)))
}

/// The keys of a transaction, and the difference from the most similar kind.
fn keys_found(names: &[&str]) -> String {
    let difference = |(_, keys): &&(&str, &[&str])| {
        let missing = keys.iter().filter(|key| !names.contains(key)).count();
        missing + names.iter().filter(|name| !keys.contains(name)).count()
    };
    let mut text = names.join(", ");
    if let Some((kind, keys)) = KINDS.iter().min_by_key(difference) {
        for key in keys.iter().filter(|key| !names.contains(key)) {
            text.push_str(&format!("; {key} is missing for a {kind} transaction"));
        }
        for name in names.iter().filter(|name| !keys.contains(name)) {
            text.push_str(&format!("; {name} is too much for a {kind} transaction"));
        }
    }
    text
}

enum Integer {
    Natural,
    Negative,
    Other,
}

fn integer(value: &Value) -> Integer {
    match value.as_number() {
        Some(number) if number.as_u64().is_some_and(|value| value < 1 << 63) => Integer::Natural,
        Some(number) if number.as_i64().is_some_and(|value| value < 0) => Integer::Negative,
        // The tree's parser reads `-0` as a floating-point number; it is 0.
        Some(number) if number.to_string() == "-0.0" => Integer::Natural,
        _ => Integer::Other,
    }
}

fn array<'v>(
    object: &'v Map<String, Value>,
    key: &str,
    place: &str,
) -> Result<&'v Vec<Value>, (Reject, Finding)> {
    object.get(key).and_then(Value::as_array).ok_or_else(|| {
        let finding = wrong(&format!("{place}: {key}"), "an array", object.get(key));
        (Reject::Shape, finding)
    })
}

fn string(object: &Map<String, Value>, key: &str, place: &str) -> Checked {
    if object.get(key).is_some_and(Value::is_string) {
        return Ok(());
    }
    let finding = wrong(&format!("{place}: {key}"), "a string", object.get(key));
    Err((Reject::Shape, finding))
}

fn wrong(place: &str, expected: &str, value: Option<&Value>) -> Finding {
    let found = match value {
        None => "nothing: the member is missing".into(),
        Some(Value::String(text)) => format!("the string {}", quoted(text.as_bytes())),
        Some(Value::Object(object)) => format!("an object of {}", counted(object.len(), "member")),
        Some(Value::Array(items)) => format!("an array of {}", counted(items.len(), "element")),
        Some(other) => other.to_string(),
    };
    Finding::new(place, expected, found)
}
