//! The fields of a record: numbers and strings between tabs, read and written.

use crate::{codec::decimal, etl::error::EtlError};
use memchr::memchr;

/// Digits of a key: 2^63 - 1 has 19.
pub const KEY_DIGITS: usize = 19;
/// Greatest identifier (`docs/protocol/twitter.md` section 2).
#[cfg(test)]
const ID_MAX: u64 = i64::MAX as u64;

/// The fields of a line from some position on.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a>(Option<&'a [u8]>);

impl<'a> Fields<'a> {
    /// The fields of a whole line or run of fields; an empty run has no fields.
    pub fn of(line: &'a [u8]) -> Self {
        Self((!line.is_empty()).then_some(line))
    }

    /// The remaining fields, tabs included.
    pub fn rest(&self) -> &'a [u8] {
        self.0.unwrap_or_default()
    }

    /// The next count and tag of a `b1` or `m` record; `Some(None)` if they are malformed.
    pub fn next_count(&mut self) -> Option<Option<(u64, &'a [u8])>> {
        let count = self.next()?;
        Some(number(count).zip(self.next()))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let line = self.0?;
        match memchr(b'\t', line) {
            Some(at) => {
                self.0 = Some(&line[at + 1..]);
                Some(&line[..at])
            }
            None => self.0.take(),
        }
    }
}

/// The key of any record.
pub fn key(line: &[u8]) -> Result<u64, EtlError> {
    let digits = line
        .first_chunk::<KEY_DIGITS>()
        .filter(|_| line.get(KEY_DIGITS) == Some(&b'\t'));
    digits
        .and_then(|digits| key_number(digits))
        .ok_or_else(|| EtlError::record(line))
}

/// Appends a key or another 19-digit id.
pub fn push_key(out: &mut Vec<u8>, id: u64) {
    decimal::write_19_digits(out, id);
}

/// Appends a tab and a number.
pub fn push_number(out: &mut Vec<u8>, number: u64) {
    out.push(b'\t');
    decimal::write_u64(out, number);
}

/// Appends a tab and a signed number.
pub fn push_signed(out: &mut Vec<u8>, number: i64) {
    out.push(b'\t');
    if number < 0 {
        out.push(b'-');
    }
    decimal::write_u64(out, number.unsigned_abs());
}

/// Digits of a time that sorts by bytes.
const TIME_DIGITS: usize = 12;
/// Added to such a time: the years 1 to 9999 become positive, and fit.
const TIME_BIAS: i64 = 100_000_000_000;

/// Appends a tab and seconds since 1970 so that the order of bytes is that of time.
pub(crate) fn push_time(out: &mut Vec<u8>, created_at: i64) {
    out.push(b'\t');
    let start = out.len();
    decimal::write_19_digits(out, created_at.saturating_add(TIME_BIAS).unsigned_abs());
    out.drain(start..start + KEY_DIGITS - TIME_DIGITS);
}

/// What [`push_time`] has written.
pub(crate) fn time(field: &[u8]) -> Option<i64> {
    let digits = (field.len() == TIME_DIGITS).then_some(field)?;
    Some(number(digits)? as i64 - TIME_BIAS)
}

/// Appends a tab and an escaped field.
pub fn push_field(out: &mut Vec<u8>, field: &[u8]) {
    out.push(b'\t');
    out.extend_from_slice(field);
}

/// A number of 1 to 19 digits below 2^63.
pub fn number(field: &[u8]) -> Option<u64> {
    decimal::parse_u63(field)
}

/// An id of exactly [`KEY_DIGITS`] digits.
pub(crate) fn key_number(field: &[u8]) -> Option<u64> {
    if field.len() != KEY_DIGITS {
        return None;
    }
    number(field)
}

/// A number that may have a minus sign.
pub(crate) fn signed(field: &[u8]) -> Option<i64> {
    match field.strip_prefix(b"-") {
        Some(digits) => Some(-(number(digits)? as i64)),
        None => Some(number(field)? as i64),
    }
}

/// A number; `-` means that there is none.
pub(crate) fn optional(field: &[u8]) -> Option<Option<u64>> {
    if field == b"-" {
        Some(None)
    } else {
        number(field).map(Some)
    }
}

/// `0` or `1`.
pub(crate) fn flag(field: &[u8]) -> Option<bool> {
    match field {
        b"0" => Some(false),
        b"1" => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn keys_sort_by_bytes_as_by_number(a in 0..=ID_MAX, b in 0..=ID_MAX) {
            let line = |id| {
                let mut line = Vec::new();
                push_key(&mut line, id);
                line.push(b'\t');
                line
            };
            prop_assert_eq!(line(a).cmp(&line(b)), a.cmp(&b));
            prop_assert_eq!(key(&line(a)).unwrap(), a);
        }

        #[test]
        fn times_sort_by_bytes(a in -62_135_956_800..=253_402_660_800i64, b in -62_135_956_800..=253_402_660_800i64) {
            let field = |created_at| {
                let mut field = Vec::new();
                push_time(&mut field, created_at);
                field
            };
            prop_assert_eq!(field(a).cmp(&field(b)), a.cmp(&b));
            prop_assert_eq!(time(&field(a)[1..]), Some(a));
        }

        #[test]
        fn numbers_survive(unsigned in 0..=ID_MAX, integer in -i64::MAX..=i64::MAX) {
            let mut line = Vec::new();
            push_number(&mut line, unsigned);
            push_signed(&mut line, integer);
            prop_assert_eq!(line, format!("\t{unsigned}\t{integer}").into_bytes());
            prop_assert_eq!(number(unsigned.to_string().as_bytes()), Some(unsigned));
            prop_assert_eq!(signed(integer.to_string().as_bytes()), Some(integer));
        }
    }

    #[test]
    fn an_empty_last_field_is_a_field() {
        let fields: Vec<_> = Fields::of(b"a\t\tb\t").collect();
        assert_eq!(fields, [b"a".as_slice(), b"", b"b", b""]);
        assert_eq!(Fields::of(b"").count(), 0);
    }
}
