//! Access checks: Host names against DNS rebinding, origins against pages of other sites.

use std::net::{IpAddr, Ipv6Addr};

use crate::http::Request;

/// The answer to a page of another site.
pub(super) const CROSS_SITE: &str = "not from pages of other sites";

/// Whether Host names this server as its operator would: by an address, by a name without a dot, which no
/// public domain has, or by one of `names` (separated by commas). In DNS rebinding, a page of another site
/// lets its own name point here, and the browser sends that name.
pub(super) fn is_own_host(request: &Request<'_>, names: &str) -> bool {
    let host = request.host();
    let Ok(host) = std::str::from_utf8(host) else {
        return false;
    };
    if let Some((literal, _port)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return literal.parse::<Ipv6Addr>().is_ok();
    }
    let name = host.split(':').next().unwrap_or_default();
    // An operator has no reason to percent-encode a name; `evil%2ecom` hides its dot.
    if name.contains('%') {
        return false;
    }
    !name.contains('.')
        || name.parse::<IpAddr>().is_ok()
        || names
            .split(',')
            .any(|own| own.trim().eq_ignore_ascii_case(name))
}

/// Whether a page of another site sent the request, according to the browser.
pub(super) fn is_cross_site(request: &Request<'_>) -> bool {
    let site = request.field(b"sec-fetch-site");
    if site.is_some_and(|site| site != b"same-origin" && site != b"none") {
        return true;
    }
    let host = request.host();
    request
        .field(b"origin")
        .is_some_and(|origin| origin.strip_prefix(b"http://") != Some(host))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::request::parse_request;

    fn with<T>(fields: &str, ask: impl FnOnce(&Request<'_>) -> T) -> T {
        parse_request("/", fields, ask)
    }

    #[test]
    fn addresses_and_dotless_names_are_own_others_must_be_listed() {
        for (host, own) in [
            ("127.0.0.1:9090", true),
            ("[::1]:9090", true),
            ("localhost:9090", true),
            ("trident-1", true),
            ("ops.example.com:9090", true),
            ("OPS.example.com", true),
            ("evil.example.com:9090", false),
            ("127.0.0.1.example.com", false),
            ("evil%2ecom", false),
            ("evil%2Ecom:9090", false),
            ("localhos%74", false),
            ("[v1.a]", false),
        ] {
            let names = "a.example, ops.example.com";
            let fields = format!("Host: {host}\r\n");
            assert_eq!(with(&fields, |r| is_own_host(r, names)), own, "{host}");
        }
    }

    #[test]
    fn the_target_s_authority_counts_instead_of_host() {
        for (target, host, own) in [
            ("http://evil.example.com/admin/state", "127.0.0.1", false),
            ("http://127.0.0.1:9090/", "evil.example.com", true),
            ("https://evil.example.com", "localhost", false),
            ("/", "evil.example.com", false),
        ] {
            let fields = format!("Host: {host}\r\n");
            let is_own = parse_request(target, &fields, |r| is_own_host(r, ""));
            assert_eq!(is_own, own, "{target} {host}");
        }
        let fields = "Host: a:1\r\nOrigin: http://a:1\r\n";
        assert!(parse_request("http://b:1/", fields, is_cross_site));
    }

    #[test]
    fn pages_of_other_sites_are_known_by_what_browsers_send() {
        for (fields, cross) in [
            ("", false),
            ("Origin: http://a:1\r\n", false),
            ("Origin: https://a:1\r\n", true),
            ("Origin: http://b\r\n", true),
            ("Origin: null\r\n", true),
            ("Sec-Fetch-Site: same-origin\r\n", false),
            ("Sec-Fetch-Site: cross-site\r\n", true),
            ("Sec-Fetch-Site: same-site\r\n", true),
        ] {
            let fields = format!("Host: a:1\r\n{fields}");
            assert_eq!(with(&fields, is_cross_site), cross, "{fields}");
        }
    }
}
