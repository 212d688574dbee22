//! Auth tokens: proof that a message was decoded by this team (docs/protocol/auth.md).
//!
//! [`Authority`] issues and verifies tokens as pure functions of (key, team, timestamp, message);
//! `/qrcode` and the two REST calls of [`rest_api`] share it. [`RestClient`] asks an external
//! authority instead, for teams that must use one. The configuration reads the key from a file or the
//! environment.
//!
//! `token` computes tokens, `rest_api` answers for them, `rest_client` asks for them.

pub mod rest_api;
mod rest_client;
mod token;

pub use rest_client::{DEADLINE_MAX, Done, RestClient, RestError, StartError};
pub use token::{Authority, TOKEN_BYTES};

use std::{fmt, fs::File, io, io::Read, time::Duration};

use crate::codec::hex;

/// Settings of the authority.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Which program computes tokens.
    pub mode: Mode,
    /// HMAC key of the embedded authority; `None` makes a random one at start.
    pub key: Option<Key>,
    /// The external authority, used when `mode` is [`Mode::Rest`].
    pub rest: RestOptions,
}

/// Which program computes tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// A library call in this process.
    #[default]
    Embedded,
    /// A REST call to an external authority.
    Rest,
}

/// Settings of the client of an external authority.
#[derive(Clone, Debug)]
pub struct RestOptions {
    /// `http://host:port/rest_auth`.
    pub url: String,
    /// Timeout of a request to the authority.
    pub deadline: Duration,
    /// Threads that make calls: the most calls under way at once.
    pub connections_max: usize,
    /// Calls that may wait for a thread; a further one is refused at once.
    pub queue_max: usize,
}

impl Default for RestOptions {
    fn default() -> Self {
        Self {
            url: String::new(),
            deadline: Duration::from_millis(500),
            connections_max: 16,
            queue_max: 1024,
        }
    }
}

/// A 32-byte HMAC key. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(pub [u8; 32]);

/// Why a text is not a key. The message never repeats the text, which may be a mistyped secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not 64 characters long.
    #[error("the auth key must be 64 hex digits, got {0} characters")]
    Length(usize),
    /// A character is not a hex digit.
    #[error("the auth key must be 64 hex digits, character {0} is not one")]
    Digit(usize),
}

impl Key {
    /// The key written as 64 hex digits of either case. White space around them is ignored: a key
    /// file usually ends with a newline.
    pub fn from_hex(text: &str) -> Result<Self, KeyError> {
        let digits = text.trim_ascii().as_bytes();
        if digits.len() != 64 {
            return Err(KeyError::Length(digits.len()));
        }
        let mut key = [0; 32];
        for (index, &digit) in digits.iter().enumerate() {
            let value = hex::digit(digit).ok_or(KeyError::Digit(index + 1))?;
            key[index / 2] = key[index / 2] << 4 | value;
        }
        Ok(Self(key))
    }

    /// A random key from the kernel. Tokens made with it do not outlive the process.
    pub fn random() -> io::Result<Self> {
        let mut key = [0; 32];
        File::open("/dev/urandom")?.read_exact(&mut key)?;
        Ok(Self(key))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_64_hex_digits() {
        let text = "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F";
        let key: Vec<u8> = (0..32).collect();
        assert_eq!(Key::from_hex(text).unwrap().0.as_slice(), key);
        assert_eq!(
            Key::from_hex(&format!(" {text}\n")).unwrap().0.as_slice(),
            key
        );
        assert_eq!(Key::from_hex(&text[1..]), Err(KeyError::Length(63)));
        assert_eq!(
            Key::from_hex(&format!("{text}0")),
            Err(KeyError::Length(65))
        );
        assert_eq!(
            Key::from_hex(&text.replace('f', "g")),
            Err(KeyError::Digit(32))
        );
        assert_eq!(Key::from_hex(""), Err(KeyError::Length(0)));
    }

    #[test]
    fn random_keys_differ_and_no_key_is_printed() {
        let key = Key::random().unwrap();
        assert_ne!(key, Key::random().unwrap());
        assert_eq!(
            format!(
                "{:?}",
                Options {
                    key: Some(key),
                    ..Options::default()
                }
                .key
            ),
            "Some(Key(…))"
        );
    }
}
