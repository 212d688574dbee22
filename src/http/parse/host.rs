//! The grammar of Host and of a target's authority: `uri-host [ ":" port ]` (RFC 9110 §7.2).
//!
//! An invalid host must be refused (RFC 9112 §3.2). IP literals are checked in full, because proxies and
//! backends differ in how they read malformed bracketed text.

use std::net::Ipv6Addr;

use crate::http::scan;

/// Whether `value` is a host with or without a port, an empty host included.
pub(super) fn is_host(value: &[u8]) -> bool {
    let (host, port) = match value {
        [b'[', ..] => match memchr::memchr(b']', value) {
            Some(close) => value.split_at(close + 1),
            None => return false,
        },
        _ => value.split_at(memchr::memchr(b':', value).unwrap_or(value.len())),
    };
    let port_valid = match port {
        [] => true,
        [b':', digits @ ..] => digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    port_valid
        && match host {
            [b'[', address @ .., b']'] => is_ip_literal(address),
            name => is_reg_name(name),
        }
}

/// Whether `address` may stand between brackets: an IPv6 address without zone, or `IPvFuture` (RFC 3986
/// §3.2.2).
fn is_ip_literal(address: &[u8]) -> bool {
    if let [b'v' | b'V', future @ ..] = address {
        let version_end = future.iter().position(|b| !b.is_ascii_hexdigit());
        return match future.split_at_checked(version_end.unwrap_or(future.len())) {
            Some(([_, ..], [b'.', rest @ ..])) => {
                !rest.is_empty() && rest.iter().all(|&b| b == b':' || scan::is_reg_name(b))
            }
            _ => false,
        };
    }
    std::str::from_utf8(address).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok())
}

/// `*( unreserved / pct-encoded / sub-delims )`.
fn is_reg_name(name: &[u8]) -> bool {
    let mut rest = name;
    while let Some((&b, tail)) = rest.split_first() {
        rest = match tail {
            [high, low, after @ ..]
                if b == b'%' && high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                after
            }
            _ if scan::is_reg_name(b) => tail,
            _ => return false,
        };
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ip_literals_are_checked_to_the_end() {
        for host in [
            "[::]",
            "[::1]:",
            "[1:2:3:4:5:6:7:8]:65536",
            "[::ffff:192.0.2.1]",
            "[v1.a]",
            "[VaF.:~!]",
        ] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in [
            "[]",
            "[t]",
            "[1:2:3:4:5:6:7:8:9]",
            "[1::2::3]",
            "[12345::]",
            "[::1%25eth0]",
            "[::1",
            "[::1]]",
            "[::1]x",
            "[v.a]",
            "[v1.]",
            "[v1a]",
            "[vg.a]",
            "[v1.a%20]",
            "::1",
        ] {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }
}
