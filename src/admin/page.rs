//! The live page: one file, no request to anybody else.

use sha2::{Digest, Sha256};

use crate::http::{Reply, Status};

/// Markup, style and script.
const HTML: &str = include_str!("page.html");

/// The page and its response fields.
pub(super) struct Page {
    /// Content-Security-Policy: the page's own script and style by their digests, requests to this
    /// server alone, nothing else.
    policy: String,
}

impl Page {
    pub(super) fn new() -> Self {
        let policy = format!(
            "default-src 'none'; script-src {}; style-src {}; connect-src 'self'; img-src data:; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            digest("script"),
            digest("style"),
        );
        Self { policy }
    }

    /// `GET /` on the admin listener.
    pub(super) fn answer(&self, reply: Reply<'_>) {
        let fields = [
            ("Content-Security-Policy", self.policy.as_str()),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
            ("Cache-Control", "no-cache"),
        ];
        let html = "text/html; charset=utf-8";
        reply.send(Status::Ok, html, &fields, |out| {
            out.extend_from_slice(HTML.as_bytes());
        });
    }
}

/// The source expression of the page's only element of a kind.
fn digest(element: &str) -> String {
    let digest = Sha256::digest(content(element).as_bytes());
    let base64 = base64_simd::STANDARD.encode_to_string(digest);
    format!("'sha256-{base64}'")
}

fn content(element: &str) -> &'static str {
    let (open, close) = (format!("<{element}>"), format!("</{element}>"));
    let rest = HTML.split_once(&open).map_or("", |(_, rest)| rest);
    rest.split_once(&close).map_or("", |(content, _)| content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_one_file_with_one_script_and_one_style() {
        for element in ["script", "style"] {
            assert!(content(element).len() > 1000, "{element}");
            assert_eq!(HTML.matches(&format!("<{element}")).count(), 1, "{element}");
        }
        for foreign in [
            "http://",
            "https://",
            "src=",
            "@import",
            "url(",
            " style=",
            " onclick=",
        ] {
            let found = HTML
                .replace("http://www.w3.org/2000/svg", "")
                .contains(foreign);
            assert!(!found, "{foreign}");
        }
    }
}
