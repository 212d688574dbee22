//! What entries of the table have in common: the usual entry, bounds, and the forms of texts.

use crate::config::{
    field::Rule,
    setting::{Secrecy, Setting},
};

/// The common case, to be completed.
pub const PLAIN: Setting = Setting {
    key: "",
    flag: None,
    env: None,
    field: |draft| &mut draft.log.level,
    rule: Rule::Any,
    secrecy: Secrecy::Public,
    summary: "",
    reason: "",
};

pub const fn integer(min: u64, max: u64) -> Rule {
    Rule::Integer { min, max, step: 1 }
}

/// A timeout: at least one millisecond, at most a day.
pub const TIMEOUT_MS: Rule = integer(1, 86_400_000);

pub fn is_user_signal(text: &str) -> bool {
    matches!(text, "" | "SIGUSR1" | "SIGUSR2")
}

pub const TOKEN: &str = "16 to 256 visible ASCII characters, in quotes, or \"\" for none";

/// Characters that an HTTP field can carry, and enough of them that nobody can guess the token.
pub fn is_token(text: &str) -> bool {
    text.is_empty()
        || (16..=256).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

pub const IDENTITY: &str =
    "a text of 1 to 64 bytes without commas and control characters, in quotes";

/// The first line of an answer is `name,account`: a comma or a line end would break it.
pub fn is_identity(text: &str) -> bool {
    (1..=64).contains(&text.len()) && !text.contains(|c: char| c == ',' || c.is_control())
}

pub const HTTP_URL: &str = "http://HOST[:PORT]/PATH without user and password, https not being built in, \
                        or \"\" for none";

/// User and password would be printed with the rest of the URL.
pub fn is_http_url(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("http://") else {
        return text.is_empty();
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    !authority.is_empty()
        && !authority.starts_with(':')
        && !authority.contains('@')
        && rest.bytes().all(|b| b.is_ascii_graphic())
}

pub const LOG_LEVEL: &str =
    "off, error, warn, info, debug or trace, or MODULE=LEVEL, separated by commas";
