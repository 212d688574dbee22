//! `mysql://USER:PASSWORD@HOST:PORT/DATABASE`, percent-encoded as in any URL.
//!
//! An address is printed from its parsed parts, so that neither a password nor a parameter can slip
//! into a log.

use mysql_async::Opts;
use std::fmt;
use thiserror::Error;

/// How addresses begin.
const SCHEME: &str = "mysql://";

/// The address of a database, with user and password.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(Opts);

/// The text is not an address. The message does not repeat it, because it may hold a password.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error(
    "expected mysql://USER:PASSWORD@HOST:PORT/DATABASE without TLS, characters such as @ and / percent-encoded"
)]
pub struct BadAddress;

impl Address {
    /// Whether `text` is an address rather than a path.
    pub fn is_meant_by(text: &str) -> bool {
        text.contains("://")
    }

    /// Reads an address; it names a database.
    pub fn parse(text: &str) -> Result<Self, BadAddress> {
        if !text.starts_with(SCHEME) {
            return Err(BadAddress);
        }
        let opts = Opts::from_url(text).map_err(|_| BadAddress)?;
        match opts.db_name() {
            // TLS is not built in: connecting would fail.
            Some(name) if !name.is_empty() && opts.ssl_opts().is_none() => Ok(Self(opts)),
            _ => Err(BadAddress),
        }
    }

    /// Whether it holds a password: other users of the machine could read it on a command line.
    pub fn has_password(&self) -> bool {
        self.0.pass().is_some()
    }

    pub(super) fn opts(&self) -> Opts {
        self.0.clone()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let opts = &self.0;
        f.write_str(SCHEME)?;
        if let Some(user) = opts.user() {
            let hidden = if self.has_password() { ":***" } else { "" };
            write!(f, "{}{hidden}@", user.escape_default())?;
        }
        let database = opts.db_name().unwrap_or_default().escape_default();
        write!(
            f,
            "{}:{}/{database}",
            opts.ip_or_hostname(),
            opts.tcp_port()
        )?;
        match opts.socket() {
            Some(socket) => write!(f, "?socket={}", socket.escape_default()),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
