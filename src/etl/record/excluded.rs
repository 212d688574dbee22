//! The list of excluded (popular) hashtags: one per line, compared case-insensitively.
//!
//! Surrounding white space, empty lines and byte order marks are ignored. Excluded tags are missing only in
//! the hashtag counts (`docs/protocol/twitter.md` section 4).

use crate::etl::{error::EtlError, record::escape};
use sha2::{Digest, Sha256};
use std::{collections::HashSet, fs, path::Path};

/// Lower-cased tags as record fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Excluded(HashSet<Vec<u8>>);

impl Excluded {
    /// Reads a file of tags.
    pub fn load(path: &Path) -> Result<Self, EtlError> {
        let bytes = fs::read(path).map_err(|e| EtlError::io("read", path, 0, e))?;
        let refused = |format| EtlError::Format {
            path: path.to_owned(),
            format,
            way_out: "a list of hashtags has one in each line, without #, in UTF-8; --top makes one",
        };
        let text = std::str::from_utf8(&bytes).map_err(|_| refused("not UTF-8"))?;
        match other_format(text) {
            None => Ok(Self::from_lines(text)),
            Some(format) => Err(refused(format)),
        }
    }

    /// Reads the text of such a file.
    pub fn from_lines(lines: &str) -> Self {
        let field = |line: &str| {
            let tag = line
                .strip_prefix('\u{feff}')
                .unwrap_or(line)
                .trim()
                .to_lowercase();
            let mut field = Vec::new();
            escape::push_escaped(&mut field, tag.as_bytes());
            (!field.is_empty()).then_some(field)
        };
        Self(lines.split('\n').filter_map(field).collect())
    }

    /// The sorted list as record fields, each followed by a newline.
    pub fn to_fields(&self) -> Vec<u8> {
        let mut tags: Vec<_> = self.0.iter().collect();
        tags.sort();
        let lines = tags.into_iter().flat_map(|tag| [tag.as_slice(), b"\n"]);
        lines.collect::<Vec<_>>().concat()
    }

    /// Reads what [`to_fields`](Self::to_fields) wrote.
    pub fn from_fields(fields: &[u8]) -> Self {
        let lines = fields.split(|&byte| byte == b'\n');
        let tags = lines.filter(|tag| !tag.is_empty());
        Self(tags.map(<[u8]>::to_vec).collect())
    }

    /// Whether a lower-cased tag, as a record field, is excluded.
    pub fn contains(&self, tag: &[u8]) -> bool {
        self.0.contains(tag)
    }

    /// SHA-256 of the sorted list, hexadecimal: equal lists, equal sums.
    pub fn sha256(&self) -> String {
        Sha256::digest(self.to_fields())
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

/// What `text` is if it cannot be meant as a list of hashtags. A hashtag of a tweet may be any text, so one line alone
/// says nothing.
fn other_format(text: &str) -> Option<&'static str> {
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines().next()?;
    let is_counted = |line: &str| {
        let count = line.rsplit_once(',').map(|(_, count)| count);
        count.is_some_and(|count| count.parse::<u64>().is_ok())
    };
    if first.starts_with(['{', '[']) && first.contains('"') {
        return Some("JSON");
    }
    // The first line may name the columns.
    if lines().skip(1).all(is_counted)
        && (is_counted(first) || lines().nth(1).is_some() && first.contains(','))
    {
        return Some("CSV");
    }
    lines()
        .all(|line| line.starts_with('#'))
        .then_some("hashtags with #")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_list_is_told_from_one() {
        for (text, format) in [
            ("", None),
            ("cloud\n", None),
            ("a,1\ncloud\n", None),
            ("{\n", None),
            ("{\"id\":1}\n{\"id\":2}\n", Some("JSON")),
            ("tag,count\ncloud,12\n", Some("CSV")),
            ("cloud,12\ncmu,3\n", Some("CSV")),
            ("#cloud\n\n#cmu\n", Some("hashtags with #")),
        ] {
            assert_eq!(other_format(text), format, "{text}");
        }
    }

    #[test]
    fn case_blanks_and_marks_do_not_matter() {
        let list = Excluded::from_lines("\u{feff}Cloud\r\n\n  CMU \nİstanbul");
        for tag in ["cloud", "cmu", "i\u{307}stanbul"] {
            assert!(list.contains(tag.as_bytes()), "{tag}");
        }
        assert!(!list.contains(b""));
        assert_eq!(Excluded::from_fields(&list.to_fields()), list);
        assert_eq!(
            list.sha256(),
            Excluded::from_lines("i\u{307}stanbul\ncmu\ncloud").sha256()
        );
        assert_ne!(list.sha256(), Excluded::default().sha256());
    }
}
