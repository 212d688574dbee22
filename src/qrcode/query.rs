//! Parses the query of `/qrcode` (docs/protocol/qrcode.md, first paragraph).

use std::borrow::Cow;

use super::Reject;
use crate::codec::query::{self, Plus};

/// A parsed query. Texts are still percent-encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Query<'q> {
    /// `type=encode`.
    Encode {
        /// Raw value of `data`; may be empty.
        data: &'q [u8],
        /// `format`, when the query has one: a standard code instead of the protocol's answer.
        format: Option<Format>,
    },
    /// `type=decode`.
    Decode {
        /// Raw value of `data`.
        data: &'q [u8],
        /// `timestamp` in milliseconds. With one the answer is a token for it, without one (an
        /// older client) the message itself.
        timestamp: Option<i64>,
    },
}

/// Pictures of a standard, scannable code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `format=svg`
    Svg,
    /// `format=png`
    Png,
    /// `format=text`: for a terminal.
    Text,
}

/// Splits `query`. Of a repeated parameter the first one counts, unknown ones are ignored, and so
/// is a parameter the type has no use for. Names are compared as they stand, values decoded.
///
/// Rejected: a `type` that is missing or neither `encode` nor `decode`, `data` missing, a `format`
/// that is not one of [`Format`]'s, a `timestamp` that is not a decimal integer of 64 bits (an optional
/// `-`, then digits).
pub fn parse(query: &[u8]) -> Result<Query<'_>, Reject> {
    let mut parameters = [None; 4];
    for (name, value) in query::pairs(query) {
        let index = match name {
            b"type" => 0,
            b"data" => 1,
            b"timestamp" => 2,
            b"format" => 3,
            _ => continue,
        };
        parameters[index] = parameters[index].or(Some(value));
    }
    let [kind, data, timestamp, format] = parameters;
    let kind = decoded(kind.ok_or(Reject::Type)?);
    let data = data.ok_or(Reject::Data);
    match &*kind {
        b"encode" => Ok(Query::Encode {
            data: data?,
            format: format.map(parse_format).transpose()?,
        }),
        b"decode" => Ok(Query::Decode {
            data: data?,
            timestamp: timestamp.map(parse_timestamp).transpose()?,
        }),
        _ => Err(Reject::Type),
    }
}

fn parse_format(raw: &[u8]) -> Result<Format, Reject> {
    match &*decoded(raw) {
        b"svg" => Ok(Format::Svg),
        b"png" => Ok(Format::Png),
        b"text" => Ok(Format::Text),
        _ => Err(Reject::Format),
    }
}

fn parse_timestamp(raw: &[u8]) -> Result<i64, Reject> {
    let value = decoded(raw);
    let text = std::str::from_utf8(&value).map_err(|_| Reject::Timestamp)?;
    // The standard library's number may also begin with `+`, JSON's may not.
    if text.starts_with('+') {
        return Err(Reject::Timestamp);
    }
    text.parse().map_err(|_| Reject::Timestamp)
}

/// `raw` without percent-encoding; allocates only if there is some.
fn decoded(raw: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr2(b'%', b'+', raw).is_none() {
        return Cow::Borrowed(raw);
    }
    let mut value = Vec::new();
    query::percent_decode(raw, Plus::Space, &mut value);
    Cow::Owned(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encode(data: &[u8], format: Option<Format>) -> Result<Query<'_>, Reject> {
        Ok(Query::Encode { data, format })
    }

    fn decode(data: &[u8], timestamp: Option<i64>) -> Result<Query<'_>, Reject> {
        Ok(Query::Decode { data, timestamp })
    }

    #[test]
    fn both_types_are_told_apart() {
        assert_eq!(parse(b"type=encode&data=CC+Team"), encode(b"CC+Team", None));
        assert_eq!(
            parse(b"type=decode&data=0x1&timestamp=17"),
            decode(b"0x1", Some(17))
        );
        assert_eq!(parse(b"data=0x1&type=decode"), decode(b"0x1", None));
        assert_eq!(
            parse(b"type=%65ncode&data=a%20b&x=%&&=&y"),
            encode(b"a%20b", None)
        );
    }

    #[test]
    fn empty_data_is_there_and_missing_data_is_not() {
        assert_eq!(parse(b"type=encode&data="), encode(b"", None));
        assert_eq!(parse(b"type=encode&data"), encode(b"", None));
        for query in [
            "type=encode",
            "type=decode",
            "type=decode&timestamp=1",
            "type=encode&Data=a",
        ] {
            assert_eq!(parse(query.as_bytes()), Err(Reject::Data), "{query}");
        }
    }

    #[test]
    fn the_type_must_be_known() {
        for query in [
            "",
            "data=a",
            "type=&data=a",
            "type=Encode&data=a",
            "type=encode2&data=a",
            "a&=b",
        ] {
            assert_eq!(parse(query.as_bytes()), Err(Reject::Type), "{query}");
        }
    }

    #[test]
    fn the_first_of_repeated_parameters_counts() {
        let query = b"type=encode&type=decode&data=a&data=b&format=svg&format=x";
        assert_eq!(parse(query), encode(b"a", Some(Format::Svg)));
        assert_eq!(
            parse(b"data=&type=decode&timestamp=1&data=b&timestamp=x"),
            decode(b"", Some(1))
        );
    }

    #[test]
    fn formats_are_svg_png_and_text() {
        assert_eq!(
            parse(b"type=encode&data=a&format=png"),
            encode(b"a", Some(Format::Png))
        );
        assert_eq!(
            parse(b"type=encode&data=a&format=text"),
            encode(b"a", Some(Format::Text))
        );
        assert_eq!(parse(b"type=encode&data=a&format="), Err(Reject::Format));
        assert_eq!(parse(b"type=encode&data=a&format=PNG"), Err(Reject::Format));
        assert_eq!(parse(b"type=decode&data=a&format=gif"), decode(b"a", None));
    }

    #[test]
    fn timestamps_are_integers_of_64_bits() {
        let with = |text: &str| {
            parse(format!("type=decode&data=a&timestamp={text}").as_bytes()).map(|request| {
                match request {
                    Query::Decode { timestamp, .. } => timestamp,
                    Query::Encode { .. } => None,
                }
            })
        };
        assert_eq!(with("1706567290739"), Ok(Some(1_706_567_290_739)));
        assert_eq!(with("-1"), Ok(Some(-1)));
        assert_eq!(with("0017"), Ok(Some(17)));
        assert_eq!(with("%31%37"), Ok(Some(17)));
        assert_eq!(with("9223372036854775807"), Ok(Some(i64::MAX)));
        assert_eq!(with("-9223372036854775808"), Ok(Some(i64::MIN)));
        for text in [
            "",
            "-",
            "+1",
            "%2B1",
            "1.0",
            "1e3",
            "0x1",
            "1+",
            "%201",
            "9223372036854775808",
            "-9223372036854775809",
            "99999999999999999999",
            "null",
            "%ff",
            "%D9%A1",
        ] {
            assert_eq!(with(text), Err(Reject::Timestamp), "{text}");
        }
        assert_eq!(parse(b"type=encode&data=a&timestamp=x"), encode(b"a", None));
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_or_rejected(query in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = parse(&query);
            let _ = parse(&[b"type=decode&data=a&timestamp=", &query[..]].concat());
            let _ = parse(&[b"type=encode&data=a&format=", &query[..]].concat());
        }
    }
}
