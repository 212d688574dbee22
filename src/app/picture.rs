//! Pictures of `/qrcode`: a standard code for a person, cached by clients that ask more than once.
//!
//! A picture is a function of its request alone, so caches may keep it for ever, and a client that has it is
//! told so (304). Its entity tag is a digest of its bytes: a release that draws differently has other tags.

use sha2::{Digest, Sha256};

use super::state::{App, Worker};
use crate::{
    http::{BY_ACCEPT, Reply, Request, Status, TEXT},
    metrics::Counter,
    qrcode::Format,
};

/// A year, the longest time that RFC 9111 caches are expected to keep an answer; `immutable` (RFC 8246): not even a
/// reload asks again.
const CACHE_CONTROL: (&str, &str) = ("Cache-Control", "public, max-age=31536000, immutable");

/// What is asked for.
pub(super) struct Picture<'r> {
    pub(super) format: Format,
    /// Still percent-encoded.
    pub(super) data: &'r [u8],
    /// Whether `Accept` chose the format.
    pub(super) negotiated: bool,
}

impl Picture<'_> {
    /// No protocol line, and a status where a text cannot be drawn.
    pub(super) fn answer(
        &self,
        app: &App,
        worker: &mut Worker,
        request: &Request<'_>,
        reply: Reply<'_>,
    ) -> Counter {
        let vary: &[_] = if self.negotiated { &[BY_ACCEPT] } else { &[] };
        let mut drawn = Vec::new();
        let scratch = &mut worker.qrcode;
        let outcome = app
            .qrcode
            .render(scratch, self.format, self.data, &mut drawn);
        if outcome.is_err() {
            reply.send(Status::ContentTooLarge, TEXT, vary, |out| {
                let text = "text too long: a QR code holds 2,953 bytes at most\n";
                out.extend_from_slice(text.as_bytes());
            });
            return Counter::QrPictureTooLong;
        }
        let tag = entity_tag(&drawn);
        let fields = [("ETag", tag.as_str()), CACHE_CONTROL, BY_ACCEPT];
        let fields = &fields[..2 + vary.len()];
        if is_any(request.values(b"if-none-match"), tag.as_bytes()) {
            reply.not_modified(fields);
        } else {
            reply.send(Status::Ok, self.content_type(), fields, |out| {
                out.append(&mut drawn)
            });
        }
        Counter::QrPictureValid
    }

    const fn content_type(&self) -> &'static str {
        match self.format {
            Format::Svg => "image/svg+xml",
            Format::Png => "image/png",
            Format::Text => TEXT,
        }
    }
}

/// A quoted digest; 64 bits tell the pictures of one URL apart.
fn entity_tag(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(digest);
    format!("\"{:016x}\"", u64::from_be_bytes([a, b, c, d, e, f, g, h]))
}

/// Whether an `If-None-Match` names `tag`, by the weak comparison (RFC 9110 §13.1.2): `*`, or a list of tags with or
/// without `W/`. A malformed member ends the search: the picture is sent.
fn is_any<'a>(mut fields: impl Iterator<Item = &'a [u8]>, tag: &[u8]) -> bool {
    fields.any(|list| {
        let mut rest = list;
        if rest == b"*" {
            return true;
        }
        loop {
            rest = rest.trim_ascii_start();
            if let Some(after) = rest.strip_prefix(b",") {
                rest = after; // an empty member
                continue;
            }
            let opaque = rest.strip_prefix(b"W/").unwrap_or(rest);
            // A tag may contain a comma.
            let Some(inner) = opaque.strip_prefix(b"\"") else {
                return false;
            };
            let Some(end) = memchr::memchr(b'"', inner) else {
                return false;
            };
            let (member, after) = opaque.split_at(end + 2);
            if member == tag {
                return true;
            }
            rest = after.trim_ascii_start();
            if !rest.starts_with(b",") {
                return false;
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_of_if_none_match_are_compared_weakly() {
        for (fields, expected) in [
            (&[][..], false),
            (&["*"], true),
            (&["\"a\""], true),
            (&["W/\"a\""], true),
            (&["w/\"a\""], false),
            (&["\"b\", \"a\""], true),
            (&["\"b\"", "\"a\""], true),
            (&[" , ,\"b,\" ,W/\"a\""], true),
            (&["\"b,\"a\",\"", "x"], false),
            (&["\"b\" \"a\""], false),
            (&["a"], false),
            (&["\"a"], false),
            (&["\"aa\""], false),
            (&["\"A\""], false),
            (&["*, \"b\""], false),
        ] {
            let values = fields.iter().map(|field| field.as_bytes());
            assert_eq!(is_any(values, b"\"a\""), expected, "{fields:?}");
        }
    }
}
