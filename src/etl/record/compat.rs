//! How strings that are not Unicode are treated (`docs/protocol/twitter.md` section 2, rules 1 and 3).

use serde::{Deserialize, Serialize};

/// Which treatment of damaged strings is applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compat {
    /// Keep the tweet; bytes that are not UTF-8 and halves of surrogate pairs become U+FFFD.
    #[default]
    Replace,
    /// Like Spark's JSON reader: drop a line that is not UTF-8; halves of surrogate pairs become `?`.
    Spark,
}

impl Compat {
    /// The replacement for half of a surrogate pair.
    pub(crate) fn lone_surrogate(self) -> char {
        match self {
            Self::Replace => char::REPLACEMENT_CHARACTER,
            Self::Spark => '?',
        }
    }
}
