//! The reasons of INVALID in one list: what `trident_invalid_total` counts.
//!
//! The services declare their reasons (`reject`); this file joins them into one list. A count is an
//! addition at an index: no name is touched until the counts are read.

use crate::{
    blockchain,
    metrics::{self, Endpoint, Reason},
    qrcode, twitter,
};

/// Why an answer is INVALID.
#[derive(Clone, Copy)]
pub(super) enum Invalid {
    Blockchain(blockchain::Reject),
    QrCode(qrcode::Reject),
    Twitter(twitter::Reject),
    /// The external auth authority gave no token.
    Authority,
}

const QRCODE: usize = blockchain::Reject::ALL.len();
const TWITTER: usize = QRCODE + qrcode::Reject::ALL.len();
const AUTHORITY: usize = TWITTER + twitter::Reject::ALL.len();
const _: () = assert!(AUTHORITY < metrics::REASONS_MAX);

impl Invalid {
    /// Counts it.
    #[inline]
    pub(super) fn count(self) {
        metrics::add_invalid(match self {
            Self::Blockchain(reject) => reject as usize,
            Self::QrCode(reject) => QRCODE + reject as usize,
            Self::Twitter(reject) => TWITTER + reject as usize,
            Self::Authority => AUTHORITY,
        });
    }
}

/// Every reason, in the order of the counts.
pub fn reasons() -> Vec<Reason> {
    let reason = |endpoint, name| Reason { endpoint, name };
    let mut reasons = Vec::with_capacity(AUTHORITY + 1);
    let blockchain = blockchain::Reject::ALL.iter();
    reasons.extend(blockchain.map(|reject| reason(Endpoint::Blockchain, reject.name())));
    let qrcode = qrcode::Reject::ALL.iter();
    reasons.extend(qrcode.map(|reject| reason(qrcode_endpoint(*reject), reject.name())));
    let twitter = twitter::Reject::ALL.iter();
    reasons.extend(twitter.map(|reject| reason(Endpoint::Twitter, reject.name())));
    reasons.push(reason(Endpoint::QrDecode, "authority"));
    reasons
}

/// The endpoint that was asked for, as far as the request says it.
const fn qrcode_endpoint(reject: qrcode::Reject) -> Endpoint {
    use qrcode::Reject;
    match reject {
        Reject::Type | Reject::Data | Reject::Format | Reject::Timestamp => Endpoint::QrOther,
        Reject::TooLong => Endpoint::QrEncode,
        Reject::Words | Reject::NoCode => Endpoint::QrDecode,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, path::Path};

    /// Fails unless `place` stands in `document`.
    fn assert_exists(document: &str, place: &str) {
        if place.ends_with(" paragraph") {
            return;
        }
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(document);
        let text = fs::read_to_string(path).unwrap();
        let (section, items) = place.split_once(", ").unwrap_or((place, ""));
        let number = section.strip_prefix('§').unwrap();
        let heading = format!("\n## {number}. ");
        let (_, section) = text.split_once(&heading).expect(place);
        let numbers = items.split(|c: char| !c.is_ascii_digit());
        for item in numbers.filter(|item| !item.is_empty()) {
            let is_item = |line: &str| line.trim_start().starts_with(&format!("{item}. "));
            assert!(section.lines().any(is_item), "{document} {place}");
        }
    }

    #[test]
    fn names_are_plain_and_the_rules_exist() {
        let blockchain = blockchain::Reject::ALL.iter();
        let blockchain = blockchain.map(|reject| (reject.name(), reject.rule()));
        let qrcode = qrcode::Reject::ALL.iter();
        let qrcode = qrcode.map(|reject| (reject.name(), reject.rule()));
        let twitter = twitter::Reject::ALL.iter();
        let twitter = twitter.map(|reject| (reject.name(), reject.rule()));
        for (name, (section, rule)) in blockchain.chain(qrcode).chain(twitter) {
            let is_plain =
                |byte: u8| byte.is_ascii_lowercase() || byte == b'_' || byte.is_ascii_digit();
            assert!(name.bytes().all(is_plain), "{name}");
            assert!(!rule.is_empty() && !rule.ends_with('.'), "{rule}");
            let (document, place) = section.split_once(' ').unwrap();
            assert_exists(document, place);
        }
    }
}
