//! Where requests go: `http://HOST[:PORT]`, or `HOST[:PORT]` for short.

use crate::load::error::LoadError;
use std::{
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    time::Duration,
};

/// If a name has several addresses: time for each to accept a connection.
const PROBE: Duration = Duration::from_secs(1);

/// A server under test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// As given.
    pub url: String,
    /// Value of the Host field.
    pub host: String,
    /// The first address of the name that accepts a connection, or else its first address.
    pub address: SocketAddr,
}

impl Target {
    /// Reads a URL and resolves its name.
    ///
    /// # Errors
    /// [`LoadError::Usage`]: another scheme, a path, a port that is not a number. [`LoadError::Target`]: a name without
    /// an address.
    pub fn resolve(url: &str) -> Result<Self, LoadError> {
        let refused = |message: &str| LoadError::Target {
            target: url.into(),
            message: message.into(),
        };
        let mistaken = |message: &str| LoadError::Usage(format!("{url}: {message}"));
        let host = match url.split_once("://") {
            None => url,
            Some(("http", host)) => host,
            Some(_) => return Err(mistaken("expected http://HOST[:PORT]; TLS is not spoken")),
        };
        let host = host.strip_suffix('/').unwrap_or(host);
        let plain = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
        if host.is_empty() || !host.chars().all(plain) {
            return Err(mistaken(
                "expected http://HOST[:PORT] without user, path or query",
            ));
        }
        let port = if host.ends_with(']') {
            None
        } else {
            host.rsplit_once(':')
        };
        let is_sound = |(name, port): (&str, &str)| {
            (!name.contains(':') || name.ends_with(']'))
                && !name.is_empty()
                && port.parse::<u16>().is_ok()
        };
        if !port.is_none_or(is_sound) {
            return Err(mistaken(
                "expected HOST or HOST:PORT, [ADDRESS]:PORT for IPv6",
            ));
        }
        let authority = if port.is_some() {
            host.to_owned()
        } else {
            format!("{host}:80")
        };
        let addresses: Vec<SocketAddr> = authority
            .to_socket_addrs()
            .map_err(|error| refused(&format!("{error}; check the name (`getent hosts NAME`)")))?
            .collect();
        let answers = |address: &&SocketAddr| TcpStream::connect_timeout(address, PROBE).is_ok();
        // localhost is ::1 first, and many servers listen on 127.0.0.1 only
        let address = match &addresses[..] {
            [only] => *only,
            several => *(several.iter().find(answers))
                .or(several.first())
                .ok_or_else(|| refused("the name has no address"))?,
        };
        Ok(Self {
            url: format!("http://{host}"),
            host: host.into(),
            address,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_become_addresses() {
        let target = |url| Target::resolve(url).unwrap();
        assert_eq!(target("http://127.0.0.1:8080/").host, "127.0.0.1:8080");
        assert_eq!(target("http://127.0.0.1").address.port(), 80);
        assert_eq!(target("127.0.0.1:8080"), target("http://127.0.0.1:8080/"));
        assert_eq!(
            target("http://[::1]:8081").address,
            "[::1]:8081".parse().unwrap()
        );
        assert_eq!(target("http://[::1]").address, "[::1]:80".parse().unwrap());
    }

    /// On most systems localhost resolves to ::1 first, so the second address is needed.
    #[test]
    fn a_name_is_the_address_that_accepts() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let target = Target::resolve(&format!("http://localhost:{port}")).unwrap();
        assert_eq!(target.address, listener.local_addr().unwrap());
    }

    #[test]
    fn everything_else_is_refused_with_what_was_expected() {
        for url in [
            "https://a",
            "",
            "http://",
            "http://a/b",
            "http://u@a",
            "http://a:x",
            "http://a b",
            "a:80:99",
            "::1",
            ":80",
        ] {
            let message = Target::resolve(url).unwrap_err().to_string();
            assert!(message.starts_with(&format!("{url}: ")), "{message}");
        }
    }
}
