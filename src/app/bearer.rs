//! Bearer tokens (RFC 6750) of what changes a running server: the controls and the tweets.

use sha2::{Digest, Sha256};

use crate::http::{Reply, Request, Status, TEXT};

/// The bearer token of the request (RFC 6750 §2.1), if it has one.
pub fn token<'b>(request: &Request<'b>) -> Option<&'b [u8]> {
    let given = request.field(b"authorization")?;
    let (scheme, given) = given.split_at_checked(b"Bearer ".len())?;
    let is_bearer = scheme.eq_ignore_ascii_case(b"Bearer ");
    is_bearer.then(|| given.trim_ascii())
}

/// Whether the request carries `expected` as its bearer token. The time does not depend on how much of the token is
/// right, because digests are compared.
pub fn has_token(request: &Request<'_>, expected: &str) -> bool {
    token(request).is_some_and(|given| Sha256::digest(given) == Sha256::digest(expected))
}

/// Refuses with a line of text; 401 says what is wanted instead (RFC 9110 §11.6.1).
#[cold]
pub fn refuse(status: Status, text: &str, reply: Reply<'_>) {
    let fields: &[_] = match status {
        Status::Unauthorized => &[("WWW-Authenticate", "Bearer")],
        _ => &[],
    };
    reply.send(status, TEXT, fields, |out| {
        out.extend_from_slice(text.as_bytes());
        out.push(b'\n');
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::request::parse_request;

    #[test]
    fn only_the_whole_token_will_do() {
        for (field, right) in [
            ("Authorization: Bearer secret-secret\r\n", true),
            ("authorization: bearer  secret-secret \r\n", true),
            ("Authorization: Bearer secret-secre\r\n", false),
            ("Authorization: Bearer secret-secret2\r\n", false),
            ("Authorization: Basic secret-secret\r\n", false),
            ("Authorization: Bearer\r\n", false),
            ("Authorization: x\r\n", false),
            ("", false),
        ] {
            let fields = format!("Host: a\r\n{field}");
            assert_eq!(
                parse_request("/", &fields, |r| has_token(r, "secret-secret")),
                right,
                "{field}"
            );
        }
    }
}
