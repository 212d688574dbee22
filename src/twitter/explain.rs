//! `trident explain`: why is a request INVALID?
//!
//! The handler's parser decides; this module finds the parameter that failed. A function gives access to
//! the store, so this module opens nothing.

use super::{Found, Reject, Scratch, query};
use crate::{
    codec::query::{Plus, pairs, percent_decode},
    explain::{Broken, Explanation, Verdict, counted, quoted},
};

const NAMES: [&str; 6] = ["user_id", "type", "phrase", "hashtag", "limit", "offset"];

/// Rows of an answer that are shown.
const ROWS_SHOWN_MAX: usize = 20;

/// Explains a request by the query of its URL. `value` returns what a store holds for a user, or why there is no store.
pub fn explain(
    raw: &[u8],
    value: impl FnOnce(u64) -> Result<Option<Vec<u8>>, String>,
) -> Explanation {
    let values = NAMES.map(|name| parameter(raw, name.as_bytes()));
    let line = |(name, value): (&str, &Option<Vec<u8>>)| {
        value
            .as_ref()
            .map(|value| format!("{name}  {}\n", quoted(value)))
    };
    let request = NAMES.into_iter().zip(&values).filter_map(line).collect();
    let mut scratch = Scratch::default();
    let verdict = match query::parse(raw, &mut scratch.query) {
        Err(reject) => Verdict::Invalid(malformed(reject, raw)),
        Ok(parsed) => match value(parsed.user_id) {
            Err(reason) => Verdict::Valid(format!("  well-formed; {reason}\n")),
            Ok(stored) => {
                let user = parsed.user_id;
                let mut rows = Vec::new();
                let listed = stored.as_deref().map(Found::new).transpose();
                match listed {
                    Err(_) => {
                        Verdict::Valid(format!("  the stored value of user {user} is damaged\n"))
                    }
                    Ok(None) => nothing(&format!("the store does not know user {user}")),
                    Ok(Some(found)) => {
                        match found.write_rows(&parsed, &mut scratch.score, &mut rows) {
                            0 => nothing(&format!("user {user} has no contact of this type")),
                            count => Verdict::Valid(shown(&rows, parsed.page.range(count).len())),
                        }
                    }
                }
            }
        },
    };
    Explanation { request, verdict }
}

fn nothing(why: &str) -> Verdict {
    Verdict::Valid(format!(
        "  nothing to list: {why}; the setting twitter.empty_answer is the answer\n"
    ))
}

fn shown(rows: &[u8], count: usize) -> String {
    let text = String::from_utf8_lossy(rows);
    let mut out = format!(
        "  {}: id, name, description, text\n",
        counted(count, "contact")
    );
    for row in text.lines().take(ROWS_SHOWN_MAX) {
        out.push_str(&format!("  {row}\n"));
    }
    if count > ROWS_SHOWN_MAX {
        out.push_str(&format!("  … and {} more\n", count - ROWS_SHOWN_MAX));
    }
    out
}

/// The first value of a parameter, decoded. Names are decoded too.
fn parameter(raw: &[u8], name: &[u8]) -> Option<Vec<u8>> {
    let value = pairs(raw).find(|(key, _)| decoded(key) == name);
    value.map(|(_, value)| decoded(value))
}

fn decoded(raw: &[u8]) -> Vec<u8> {
    let mut value = Vec::new();
    percent_decode(raw, Plus::Space, &mut value);
    value
}

/// The parameter that is missing or malformed.
fn malformed(reject: Reject, raw: &[u8]) -> Broken {
    let expected = match reject {
        Reject::UserId => "1 to 19 digits, at most 2^63 - 1",
        Reject::Type => "reply, retweet or both, in lower case",
        Reject::Phrase | Reject::Hashtag => "a text that is not empty",
        Reject::Limit => "a number from 1 to 2^63 - 1",
        Reject::Offset => "a number from 0 to 2^63 - 1",
    };
    let (section, rule) = reject.rule();
    Broken {
        reason: reject.name(),
        section,
        rule,
        place: reject.name().into(),
        expected: expected.into(),
        found: match parameter(raw, reject.name().as_bytes()) {
            Some(value) => quoted(&value),
            None => "nothing: the parameter is missing".into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(query: &str) -> Explanation {
        explain(query.as_bytes(), |_| Ok(None))
    }

    #[test]
    fn every_parameter_that_can_be_wrong_is_named() {
        let cases = [
            ("type=both&phrase=a&hashtag=b", "user_id", "missing"),
            (
                "user_id=-1&type=both&phrase=a&hashtag=b",
                "user_id",
                "\"-1\"",
            ),
            (
                "user_id=9223372036854775808&type=both&phrase=a&hashtag=b",
                "user_id",
                "5808",
            ),
            ("user_id=1&type=Both&phrase=a&hashtag=b", "type", "\"Both\""),
            ("user_id=1&type=both&phrase=&hashtag=b", "phrase", "\"\""),
            ("user_id=1&type=both&phrase=a", "hashtag", "missing"),
        ];
        for (query, place, found) in cases {
            let Verdict::Invalid(broken) = explained(query).verdict else {
                panic!("{query}")
            };
            assert_eq!(broken.place, place, "{query}");
            assert!(broken.found.contains(found), "{query}: {broken}");
            assert_eq!(broken.section, "docs/protocol/twitter.md §1");
        }
    }

    #[test]
    fn a_well_formed_request_asks_the_store() {
        let query = "user_id=%31&type=both&phrase=a+b&hashtag=C";
        let explanation = explained(query);
        assert!(
            explanation.request.contains("phrase  \"a b\"\n"),
            "{explanation}"
        );
        let Verdict::Valid(answer) = explanation.verdict else {
            panic!()
        };
        assert!(answer.contains("does not know user 1"), "{answer}");
        let none = explain(query.as_bytes(), |_| Err("no store".into())).verdict;
        assert_eq!(none, Verdict::Valid("  well-formed; no store\n".into()));
        let damaged = explain(query.as_bytes(), |_| Ok(Some(b"x".to_vec()))).verdict;
        assert!(matches!(damaged, Verdict::Valid(text) if text.contains("damaged")));
    }
}
