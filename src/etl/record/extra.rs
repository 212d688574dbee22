//! Records that only pipes have: what goes along with the records of tweets and users.

use crate::etl::{
    error::EtlError,
    record::escape::{push_escaped, unescape},
    record::fields::{KEY_DIGITS, key, push_field, push_key},
};

/// The kind of such a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extra {
    /// `r1`: a part of the report.
    Report,
    /// `g1`: a hashtag and how often it occurs; its key only brings those of a hashtag together.
    Tag,
    /// `k1`: a tweet for later updates, the fields of its `t1` record after the kind; or none, of a deleted tweet.
    Kept,
    /// `p1`: the state of a user for later updates.
    UserState,
}

/// Where the fields after the kind begin.
const REST_AT: usize = KEY_DIGITS + 4;

impl Extra {
    /// The kind of a record; `None` if it is one of a tweet, or of a user's contact, tags or profile.
    pub(crate) fn of(line: &[u8]) -> Option<Self> {
        let kind = line.get(KEY_DIGITS + 1..KEY_DIGITS + 3)?;
        let all = [Self::Report, Self::Tag, Self::Kept, Self::UserState];
        all.into_iter().find(|extra| extra.kind() == kind)
    }

    pub(crate) const fn kind(self) -> &'static [u8] {
        match self {
            Self::Report => b"r1",
            Self::Tag => b"g1",
            Self::Kept => b"k1",
            Self::UserState => b"p1",
        }
    }

    /// The fields after the kind.
    pub(crate) fn rest(line: &[u8]) -> &[u8] {
        line.get(REST_AT..).unwrap_or_default()
    }

    /// Appends a record with a part of the report.
    pub(crate) fn push_report(out: &mut Vec<u8>, json: &[u8]) {
        push_key(out, 0);
        push_field(out, Self::Report.kind());
        out.push(b'\t');
        push_escaped(out, json);
    }

    /// The part of the report in such a record.
    pub(crate) fn report(line: &[u8]) -> Vec<u8> {
        unescape(Self::rest(line)).into_owned()
    }

    /// Appends the record that keeps a `t1` or `d1` record.
    pub(crate) fn push_kept(out: &mut Vec<u8>, record: &[u8]) {
        out.extend_from_slice(&record[..KEY_DIGITS.min(record.len())]);
        push_field(out, Self::Kept.kind());
        out.extend_from_slice(record.get(KEY_DIGITS + 3..).unwrap_or_default());
    }

    /// The tweet id and the `t1` record in such a record; no record if the tweet is deleted.
    pub(crate) fn kept(line: &[u8]) -> Result<(u64, Option<Vec<u8>>), EtlError> {
        let id = key(line)?;
        if line.len() < REST_AT {
            return Ok((id, None));
        }
        let mut record = Vec::with_capacity(line.len());
        push_key(&mut record, id);
        push_field(&mut record, b"t1");
        record.extend_from_slice(&line[KEY_DIGITS + 3..]);
        Ok((id, Some(record)))
    }
}
