//! Values on their way in ([`Raw`], as one source wrote it) and out ([`Value`], as it takes effect).
//!
//! Neither has `Debug`: both may hold a secret.

use std::fmt;

/// A value as one source wrote it, before the type of its setting is known.
pub enum Raw {
    /// Untyped text from the environment or the command line.
    Text(String),
    /// A TOML string.
    String(String),
    /// A TOML integer that fits 64 bits.
    Integer(i64),
    /// A TOML boolean.
    Bool(bool),
    /// A TOML array, or the values of a flag given several times.
    Array(Vec<Raw>),
    /// A value of a type that no setting takes, by the name of its TOML type.
    Other(&'static str),
}

/// Longest piece of a refused value that is repeated in the message, in characters.
const ECHO_CHARS_MAX: usize = 60;

impl Raw {
    /// The text of a string from any source.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The value as it is repeated in a message: quoted, control characters escaped, cut, and
    /// without the password that an address may carry.
    pub fn echo(&self) -> String {
        match self {
            Self::Text(text) | Self::String(text) if text.contains("://") && text.contains('@') => {
                "an address with a user or password (hidden)".into()
            }
            Self::Text(text) | Self::String(text) => {
                match text.char_indices().nth(ECHO_CHARS_MAX) {
                    Some((at, _)) => format!("{:?}…", &text[..at]),
                    None => format!("{text:?}"),
                }
            }
            Self::Integer(value) => value.to_string(),
            Self::Bool(value) => value.to_string(),
            Self::Array(items) => match items.as_slice() {
                [] => "an empty list".into(),
                [item] => format!("a list of {}", item.echo()),
                [item, ..] => format!("a list of {} and {} more", item.echo(), items.len() - 1),
            },
            Self::Other(what) => format!("a TOML {what}"),
        }
    }
}

/// The value of a setting as it takes effect.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// A number, at most `i64::MAX` so that TOML can hold it.
    Integer(u64),
    /// True or false.
    Bool(bool),
    /// Text, address, path, big number.
    Text(String),
    /// Several texts.
    List(Vec<String>),
    /// A secret: only whether there is one.
    Secret {
        /// Whether it has a value.
        set: bool,
    },
}

impl Value {
    /// The value as flags and environment take it: no quotes, lists with commas.
    pub fn plain(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::List(texts) => texts.join(","),
            _ => self.to_string(),
        }
    }

    /// The value as JSON; a secret is `null`.
    pub fn json(&self) -> serde_json::Value {
        match self {
            Self::Integer(value) => (*value).into(),
            Self::Bool(value) => (*value).into(),
            Self::Text(text) => text.as_str().into(),
            Self::List(texts) => texts.as_slice().into(),
            Self::Secret { .. } => serde_json::Value::Null,
        }
    }
}

/// As a TOML literal, except for a secret.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(value) => write!(f, "{value}"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Text(text) => write!(f, "{}", toml::Value::String(text.clone())),
            Self::List(texts) => write!(f, "{}", toml::Value::from(texts.clone())),
            Self::Secret { set: true } => f.write_str("set (hidden)"),
            Self::Secret { set: false } => f.write_str("not set"),
        }
    }
}
