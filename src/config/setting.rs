//! What a setting is: an entry of the table in `table`, and the names derived from it.

use super::{
    field::{Field, Rule},
    quantity::{self, Unit},
    value::{Raw, Value},
};
use std::path::PathBuf;

/// Prefix of every environment variable of ours.
pub const ENV_PREFIX: &str = "TRIDENT_";

/// One setting, with all its properties.
#[derive(Clone, Copy)]
pub struct Setting {
    /// Name in the file and after `--set`: `http.idle_timeout_ms`. The part before the dot, if any,
    /// is its section; the unit comes last.
    pub key: &'static str,
    /// Flag without dashes and the name of its value. A setting without a flag is given by `--set`.
    pub flag: Option<(&'static str, &'static str)>,
    /// Environment variable where it is not derived from the key.
    pub env: Option<&'static str>,
    /// Where the value lives. The default is what `Draft::default` holds there.
    pub field: fn(&mut Draft) -> &mut dyn Field,
    /// Bounds.
    pub rule: Rule,
    /// Visibility of the value, and its permitted sources.
    pub secrecy: Secrecy,
    /// One line for `-h` and tables: lower case, no full stop.
    pub summary: &'static str,
    /// Sentences with the interaction with other settings and the reason for the default.
    pub reason: &'static str,
}

/// Whether a value may be seen, and where it may come from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Secrecy {
    /// Printed, taken from everywhere.
    Public,
    /// Printed only while it is the default, which is public; taken from everywhere.
    Hidden,
    /// Never printed, taken from the environment only.
    Environment,
}

/// Everything the table can write to, before it is checked as a whole.
#[derive(Clone, Default)]
pub struct Draft {
    /// Listeners, workers, limits.
    pub serve: crate::serve::Options,
    /// Identity and endpoints.
    pub app: crate::app::Options,
    /// The log.
    pub log: crate::log::Options,
    /// File with the auth key; its content ends up in `app.auth.key`.
    pub auth_key_file: Option<PathBuf>,
}

impl Setting {
    /// Section in the file, empty for the top level.
    pub fn section(&self) -> &'static str {
        self.key.split_once('.').map_or("", |(section, _)| section)
    }

    /// Key within its section.
    pub fn name(&self) -> &'static str {
        self.key.split_once('.').map_or(self.key, |(_, name)| name)
    }

    /// Environment variable: `http.idle_timeout_ms` is `TRIDENT_HTTP_IDLE_TIMEOUT_MS`.
    pub fn env_name(&self) -> String {
        match self.env {
            Some(name) => name.to_owned(),
            None => format!("{ENV_PREFIX}{}", self.key.replace('.', "_").to_uppercase()),
        }
    }

    /// Unit in words, from the end of the key.
    pub fn unit(&self) -> Option<&'static str> {
        let key = self.key.trim_end_matches("_max");
        if key.ends_with("_ms") {
            Some("milliseconds")
        } else if key.ends_with("_us") {
            Some("microseconds")
        } else if key.ends_with("_bytes") {
            Some("bytes")
        } else if self.name() == "seconds" {
            Some("seconds")
        } else {
            None
        }
    }

    /// What the number of this setting counts.
    pub fn quantity(&self) -> Unit {
        match self.unit() {
            Some("microseconds") => Unit::Microseconds,
            Some("milliseconds") => Unit::Milliseconds,
            Some("bytes") => Unit::Bytes,
            Some("seconds") => Unit::Seconds,
            _ => Unit::Items,
        }
    }

    /// The integer that a text such as `64K` stands for, if this setting is an integer.
    pub fn measured(&self, raw: &Raw) -> Option<Raw> {
        let text = raw
            .text()
            .filter(|_| matches!(self.rule, Rule::Integer { .. }))?;
        let number = quantity::parse(text, self.quantity())?;
        i64::try_from(number).ok().map(Raw::Integer)
    }

    /// What is allowed, with the unit, as it follows the word "expected".
    pub fn allowed(&self) -> String {
        let mut allowed = (self.field)(&mut Draft::default()).allowed(&self.rule);
        if let Some(unit) = self.unit() {
            allowed = format!("{allowed} ({unit})");
        }
        allowed
    }

    /// The value in `draft`.
    pub fn value(&self, draft: &Draft) -> Value {
        (self.field)(&mut draft.clone()).value(&self.rule)
    }

    /// The value when no source gives one.
    pub fn default(&self) -> Value {
        self.value(&Draft::default())
    }

    /// The value in `draft` as it may be shown.
    pub fn shown(&self, draft: &Draft) -> Value {
        let value = self.value(draft);
        match self.secrecy {
            Secrecy::Hidden if value != self.default() => Value::Secret { set: true },
            _ => value,
        }
    }

    /// Whether a list flag adds up when it is repeated.
    pub fn is_list(&self) -> bool {
        matches!(self.default(), Value::List(_))
    }
}
