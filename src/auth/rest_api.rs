//! The authority as other programs call it: `POST /rest_auth` and `POST /rest_verify`
//! (docs/protocol/auth.md).
//!
//! ```text
//! {"team_name":"TEAMID","timestamp":1706567290739,"decoded_qrcode":"Upc7Lu"}
//!   -> {"message":"SUCCESS","token":"<64 hex digits>"}
//! the same with "token":"…" -> {"message":"SUCCESS","valid":true}
//! anything else             -> status 400, {"message":"timestamp is missing"}
//! ```
//!
//! Bodies in, bodies out: the caller sets the status and bounds the body. Unknown fields are ignored and of
//! a repeated field the last one counts. Nesting costs no stack here: the JSON crate finds the end of a
//! [`RawValue`] without recursion.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::Authority;

/// Why a body got status 400; the text names what is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRequest {
    /// Not JSON at all; the parser's reason and place.
    #[error("the body is not JSON: {0}")]
    NotJson(String),
    /// JSON, but not an object.
    #[error("the body must be a JSON object")]
    NotAnObject,
    /// A required field is not there.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A field has the wrong JSON type.
    #[error("{field} must be {expected}")]
    WrongType {
        /// Name of the field.
        field: &'static str,
        /// What it has to be.
        expected: &'static str,
    },
}

impl BadRequest {
    /// Appends the body of the 400 answer, `{"message":"<what is wrong>"}`, to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        let message = serde_json::Value::String(self.to_string());
        out.extend_from_slice(format!("{{\"message\":{message}}}").as_bytes());
    }
}

/// Answers `POST /rest_auth`: appends the token in its JSON to `out`.
pub fn rest_auth(authority: &Authority, body: &[u8], out: &mut Vec<u8>) -> Result<(), BadRequest> {
    let claim = Claim::parse(body)?;
    out.extend_from_slice(b"{\"message\":\"SUCCESS\",\"token\":\"");
    authority.issue(
        claim.team.as_bytes(),
        claim.timestamp,
        claim.message.as_bytes(),
        out,
    );
    out.extend_from_slice(b"\"}");
    Ok(())
}

/// Answers `POST /rest_verify`: appends whether the token is genuine to `out`.
pub fn rest_verify(
    authority: &Authority,
    body: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), BadRequest> {
    let claim = Claim::parse(body)?;
    let token = text(claim.token, "token")?;
    let valid = authority.verify(
        claim.team.as_bytes(),
        claim.timestamp,
        claim.message.as_bytes(),
        token.as_bytes(),
    );
    out.extend_from_slice(b"{\"message\":\"SUCCESS\",\"valid\":");
    out.extend_from_slice(if valid { b"true}" } else { b"false}" });
    Ok(())
}

/// What a body claims, the three common fields checked.
struct Claim<'b> {
    team: String,
    timestamp: i64,
    message: String,
    token: Option<&'b RawValue>,
}

impl<'b> Claim<'b> {
    fn parse(body: &'b [u8]) -> Result<Self, BadRequest> {
        let fields: Fields<'b> = serde_json::from_slice(body).map_err(|error| {
            if error.is_data() {
                BadRequest::NotAnObject
            } else {
                BadRequest::NotJson(error.to_string())
            }
        })?;
        Ok(Self {
            timestamp: integer(fields.timestamp, "timestamp")?,
            team: text(fields.team_name, "team_name")?,
            message: text(fields.decoded_qrcode, "decoded_qrcode")?,
            token: fields.token,
        })
    }
}

fn text(value: Option<&RawValue>, field: &'static str) -> Result<String, BadRequest> {
    let json = value.ok_or(BadRequest::Missing(field))?.get();
    if !json.starts_with('"') {
        let expected = "a string";
        return Err(BadRequest::WrongType { field, expected });
    }
    // The search for the string's end accepts half a surrogate pair.
    serde_json::from_str(json).map_err(|error| BadRequest::NotJson(format!("{field}: {error}")))
}

fn integer(value: Option<&RawValue>, field: &'static str) -> Result<i64, BadRequest> {
    let json = value.ok_or(BadRequest::Missing(field))?.get();
    let expected = "an integer of at most 64 bits, in milliseconds";
    serde_json::from_str(json).map_err(|_| BadRequest::WrongType { field, expected })
}

/// The fields of a body, unchecked. No `derive`: that refuses a repeated field.
#[derive(Default)]
struct Fields<'b> {
    team_name: Option<&'b RawValue>,
    timestamp: Option<&'b RawValue>,
    decoded_qrcode: Option<&'b RawValue>,
    token: Option<&'b RawValue>,
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Fields<'de>, A::Error> {
        let mut fields = Fields::default();
        while let Some(name) = entries.next_key::<String>()? {
            let field = match name.as_str() {
                "team_name" => &mut fields.team_name,
                "timestamp" => &mut fields.timestamp,
                "decoded_qrcode" => &mut fields.decoded_qrcode,
                "token" => &mut fields.token,
                _ => {
                    entries.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *field = Some(entries.next_value()?);
        }
        Ok(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Key;

    const BODY: &str =
        r#"{"team_name":"TEAMID","timestamp":1706567290739,"decoded_qrcode":"Upc7Lu"}"#;

    fn authority() -> Authority {
        Authority::new(&Key([3; 32]))
    }

    fn auth(body: &str) -> Result<String, BadRequest> {
        let mut out = Vec::new();
        rest_auth(&authority(), body.as_bytes(), &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    fn verify(body: &str) -> Result<String, BadRequest> {
        let mut out = Vec::new();
        rest_verify(&authority(), body.as_bytes(), &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    fn issued() -> String {
        let mut token = Vec::new();
        authority().issue(b"TEAMID", 1706567290739, b"Upc7Lu", &mut token);
        String::from_utf8(token).unwrap()
    }

    #[test]
    fn auth_answers_the_token_of_the_three_fields() {
        let expected = format!(r#"{{"message":"SUCCESS","token":"{}"}}"#, issued());
        assert_eq!(auth(BODY).unwrap(), expected);
        let reordered = r#" { "x" : [[{}]], "decoded_qrcode":"\u0055pc7Lu",
            "timestamp":1706567290739, "team_name":"wrong", "team_name":"TEAMID" } "#;
        assert_eq!(auth(reordered).unwrap(), expected);
    }

    #[test]
    fn verify_tells_genuine_from_forged() {
        let with = |token: &str| BODY.replace('}', &format!(r#","token":"{token}"}}"#));
        let yes = r#"{"message":"SUCCESS","valid":true}"#;
        let no = r#"{"message":"SUCCESS","valid":false}"#;
        assert_eq!(verify(&with(&issued())).unwrap(), yes);
        assert_eq!(verify(&with(&issued().replace(|_| true, "0"))).unwrap(), no);
        assert_eq!(verify(&with("")).unwrap(), no);
        assert_eq!(verify(&with(&issued()).replace("739", "738")).unwrap(), no);
        assert_eq!(verify(BODY), Err(BadRequest::Missing("token")));
    }

    #[test]
    fn a_wrong_body_is_told_what_is_wrong() {
        let cases = [
            (
                "",
                "the body is not JSON: EOF while parsing a value at line 1 column 0",
            ),
            (
                "{\"team_name\":",
                "the body is not JSON: EOF while parsing a value at line 1 column 13",
            ),
            (
                &BODY.replace('}', "} x"),
                "the body is not JSON: trailing characters at line 1 column 76",
            ),
            ("[]", "the body must be a JSON object"),
            ("\"{}\"", "the body must be a JSON object"),
            ("{}", "timestamp is missing"),
            (&BODY.replace("team_name", "team"), "team_name is missing"),
            (
                &BODY.replace("\"Upc7Lu\"", "null"),
                "decoded_qrcode must be a string",
            ),
            (
                &BODY.replace("\"TEAMID\"", "{\"a\":[1]}"),
                "team_name must be a string",
            ),
            (
                &BODY.replace("\"TEAMID\"", "7"),
                "team_name must be a string",
            ),
        ];
        for (body, expected) in cases {
            assert_eq!(auth(body).unwrap_err().to_string(), expected, "{body}");
        }
        for number in [
            "\"1\"",
            "1.0",
            "1e3",
            "true",
            "9223372036854775808",
            "-9223372036854775809",
            "1e999",
            "-0",
        ] {
            let error = auth(&BODY.replace("1706567290739", number)).unwrap_err();
            let is_type =
                matches!(&error, BadRequest::WrongType { field, .. } if *field == "timestamp");
            assert!(is_type, "{number}: {error}");
        }
        let half_a_pair = auth(&BODY.replace("Upc7Lu", "\\ud800")).unwrap_err();
        assert!(
            matches!(half_a_pair, BadRequest::NotJson(_)),
            "{half_a_pair}"
        );
        for number in ["9223372036854775807", "-9223372036854775808", "-1", "0"] {
            auth(&BODY.replace("1706567290739", number)).unwrap();
        }
    }

    #[test]
    fn the_400_body_is_json_whatever_the_reason() {
        let mut out = Vec::new();
        BadRequest::NotJson("a \"quote\" \\ and\na line".into()).write(&mut out);
        let answer: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(
            answer["message"],
            "the body is not JSON: a \"quote\" \\ and\na line"
        );
    }

    /// A coroutine has 64 KiB of stack; nesting in the body must not use it up.
    #[test]
    fn deep_nesting_fits_a_small_stack() {
        let run = || {
            for depth in [100, 100_000] {
                for nested in ["[".repeat(depth), "{\"a\":".repeat(depth)] {
                    assert!(auth(&nested).is_err());
                    assert!(auth(&BODY.replace("\"TEAMID\"", &nested)).is_err());
                    assert!(auth(&BODY.replace('}', &format!(",\"x\":{nested}"))).is_err());
                }
                let closed = "[".repeat(depth) + &"]".repeat(depth);
                auth(&BODY.replace('}', &format!(",\"x\":{closed}}}"))).unwrap();
            }
        };
        std::thread::Builder::new()
            .stack_size(48 << 10)
            .spawn(run)
            .unwrap()
            .join()
            .unwrap();
    }
}
