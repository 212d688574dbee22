//! Auth tokens as a pure function of (key, team, timestamp, message); see [`Authority`].

/// Settings of the authority.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Who computes tokens.
    pub mode: Mode,
    /// HMAC key of the embedded authority; `None` makes a random one at start.
    pub key: Option<Key>,
    /// The external authority, used when `mode` is [`Mode::Rest`].
    pub rest: RestOptions,
}

/// Who computes tokens.
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
    /// Time from the request to the authority until the decode is given up.
    pub deadline: std::time::Duration,
    /// Threads that make calls, hence calls under way at once.
    pub connections_max: usize,
    /// Calls that may wait for a thread; one more is refused at once.
    pub queue_max: usize,
}

impl Default for RestOptions {
    fn default() -> Self {
        Self {
            url: String::new(),
            deadline: std::time::Duration::from_millis(500),
            connections_max: 16,
            queue_max: 1024,
        }
    }
}

/// A 32-byte HMAC key. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(pub [u8; 32]);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(…)")
    }
}
