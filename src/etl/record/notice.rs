//! Lines of Twitter's streams that are not tweets (`docs/protocol/twitter.md` section 11).
//!
//! The mapper asks here about lines without a tweet id, so a line that has one is never a notice.

use crate::codec::json::{Cursor, Syntax};
use crate::etl::record::extract::{Id, id, members};

/// What a notice is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A tweet was deleted: the only notice that has an effect.
    Delete,
    /// Places are to be removed from a user's tweets; no place is stored.
    ScrubGeo,
    /// Tweets that the stream left out.
    Limit,
    /// A tweet is withheld in some countries.
    StatusWithheld,
    /// A user is withheld in some countries.
    UserWithheld,
    /// The client reads too slowly.
    Warning,
}

impl Notice {
    /// All notices, in the order in which they are looked for.
    pub const ALL: [Self; 6] = [
        Self::Delete,
        Self::ScrubGeo,
        Self::Limit,
        Self::StatusWithheld,
        Self::UserWithheld,
        Self::Warning,
    ];

    /// The member that holds it, and its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delete => "delete",
            Self::ScrubGeo => "scrub_geo",
            Self::Limit => "limit",
            Self::StatusWithheld => "status_withheld",
            Self::UserWithheld => "user_withheld",
            Self::Warning => "warning",
        }
    }
}

/// The notice that `line` is, and the tweet that it deletes; `None` if it is neither a notice nor JSON.
pub(crate) fn read(line: &[u8]) -> Option<(Notice, Option<u64>)> {
    let mut cursor = Cursor::new(line);
    let mut deleted = Id::default();
    let mut found = [false; Notice::ALL.len()];
    if cursor.peek() != b'{' {
        return None;
    }
    let walk = members(&mut cursor, |cursor, key| {
        match Notice::ALL.iter().position(|n| n.name().as_bytes() == key) {
            Some(0) => deleted = status_id(cursor)?,
            Some(at) => {
                found[at] = cursor.peek() == b'{';
                cursor.skip_value()?;
            }
            None => cursor.skip_value()?,
        }
        Ok(())
    });
    walk.and_then(|()| cursor.end()).ok()?;
    let deleted = deleted.value();
    found[Notice::Delete as usize] = deleted.is_some();
    let notice = Notice::ALL.into_iter().zip(found).find(|(_, found)| *found);
    notice.map(|(notice, _)| (notice, deleted.filter(|_| notice == Notice::Delete)))
}

/// The id in `{"status":{"id":…,"id_str":…}}`; the owner of the tweet does not matter.
fn status_id(cursor: &mut Cursor<'_>) -> Result<Id, Syntax> {
    let mut status = Id::default();
    members(cursor, |cursor, key| {
        if key != b"status" {
            return cursor.skip_value();
        }
        status = Id::default();
        members(cursor, |cursor, key| {
            match key {
                b"id" => status.number = id(cursor)?,
                b"id_str" => status.string = id(cursor)?,
                _ => cursor.skip_value()?,
            }
            Ok(())
        })
    })?;
    Ok(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deletions_name_a_tweet() {
        for (line, tweet) in [
            (
                r#"{"delete":{"status":{"id":7,"id_str":"8","user_id":9,"user_id_str":"9"},"timestamp_ms":"1"}}"#,
                8,
            ),
            (
                r#" { "delete" : { "x":[{}], "status": {"id":7} } , "limit": {} } "#,
                7,
            ),
            (r#"{"delete":{"status":{"id":7,"id_str":"x"}}}"#, 7),
            (
                r#"{"delete":{"status":{"id":1}},"d\u0065lete":{"status":{"id":0}}}"#,
                0,
            ),
        ] {
            assert_eq!(
                read(line.as_bytes()),
                Some((Notice::Delete, Some(tweet))),
                "{line}"
            );
        }
    }

    #[test]
    fn other_notices_are_objects() {
        for notice in &Notice::ALL[1..] {
            let line = format!("{{\"{}\":{{\"track\":1}}}}", notice.name());
            assert_eq!(read(line.as_bytes()), Some((*notice, None)), "{line}");
        }
        for line in [
            "",
            "7",
            "[{\"limit\":{}}]",
            "{\"limit\":{}",
            "{\"limit\":{}} x",
            "{\"limit\":7}",
            "{\"delete\":{\"direct_message\":{\"id\":7}}}",
            "{\"delete\":{\"status\":{\"id\":-7}}}",
            "{\"delete\":{\"status\":{\"id\":7}},\"delete\":null}",
        ] {
            assert_eq!(read(line.as_bytes()), None, "{line}");
        }
    }
}
