//! The Accept field (RFC 9110 §12.5.1), only for pictures.

use crate::{codec::query, qrcode::Format};

/// The picture a client asks for by name with the highest weight; `None` if it prefers plain text or names no
/// picture. Wildcards do not count: they get the protocol's answer. Several fields are one list.
pub(super) fn picture<'a>(accept: impl Iterator<Item = &'a [u8]>) -> Option<Format> {
    let mut best = (0, None);
    for range in accept.flat_map(|list| list.split(|&b| b == b',')) {
        let mut parts = range.split(|&b| b == b';').map(<[u8]>::trim_ascii);
        let format = match parts.next() {
            Some(name) if name.eq_ignore_ascii_case(b"image/svg+xml") => Some(Format::Svg),
            Some(name) if name.eq_ignore_ascii_case(b"image/png") => Some(Format::Png),
            Some(name) if name.eq_ignore_ascii_case(b"text/plain") => None,
            _ => continue,
        };
        let weight = parts.find_map(weight).unwrap_or(1000);
        if weight > best.0 {
            best = (weight, format);
        }
    }
    best.1
}

/// Thousandths of a `q` parameter; 0 if it is malformed, `None` for another parameter.
fn weight(parameter: &[u8]) -> Option<u32> {
    let (name, value) = query::pairs(parameter).next()?;
    if !name.eq_ignore_ascii_case(b"q") {
        return None;
    }
    Some(match value {
        [b'1'] | [b'1', b'.', ..] => 1000,
        [b'0', b'.', digits @ ..] if digits.len() <= 3 && digits.iter().all(u8::is_ascii_digit) => {
            let padded = digits.iter().map(|b| u32::from(b - b'0')).chain([0; 3]);
            padded.take(3).fold(0, |weight, digit| weight * 10 + digit)
        }
        _ => 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_named_pictures_are_asked_for() {
        let cases: &[(&str, Option<Format>)] = &[
            ("", None),
            ("*/*", None),
            ("image/*", None),
            ("image/png", Some(Format::Png)),
            ("IMAGE/SVG+XML", Some(Format::Svg)),
            ("image/png;q=0.5, image/svg+xml;q=0.9", Some(Format::Svg)),
            ("image/png;q=0", None),
            ("text/plain, image/png", None),
            ("text/plain;q=0.1, image/png;q=0.11", Some(Format::Png)),
            (
                "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8",
                Some(Format::Svg),
            ),
            ("image/png;level=1;q=1.000", Some(Format::Png)),
            ("image/png;q=x, ,;", None),
        ];
        for (accept, want) in cases {
            let given = [accept.as_bytes()];
            assert_eq!(picture(given.into_iter()), *want, "{accept}");
        }
        let spread = [&b"text/plain;q=0.5"[..], b"image/png"];
        assert_eq!(picture(spread.into_iter()), Some(Format::Png));
    }
}
