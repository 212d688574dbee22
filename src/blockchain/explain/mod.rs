//! `trident explain`: why is a request INVALID?
//!
//! The handler's code decides and returns only a reason. This module finds the first place in the request
//! that breaks the reason's rule, and computes the right value. The handler stops at the first fault, so it
//! stopped at this place.
//!
//! ```text
//! transport  cc to JSON                                   §1
//! members    members of the JSON                          §2, with a JSON tree
//! rules      order, amounts, balances, hashes, signatures §3 to §5
//! show       the chain as text
//! ```
//!
//! `view` is the parsed request and the findings of the four.

mod members;
mod rules;
mod show;
#[cfg(test)]
mod tests;
mod transport;
mod view;

use super::{Blockchain, Reject, request::ChainRequest, wire::Wire};
use crate::explain::{Broken, Explanation, Verdict};
use view::{Finding, Parsed};

impl Blockchain {
    /// Explains the request whose `cc` text is `cc`, percent-encoded or not.
    pub fn explain(&self, cc: &[u8]) -> Explanation {
        let mut scratch = self.scratch();
        let mut packed = Vec::new();
        let outcome = self.answer(&mut scratch, cc, &mut packed);
        let mut wire = Wire::new(self.options.inflated_bytes_max, 0);
        let unpacked = wire.unpack(cc).map(<[u8]>::to_vec);
        let mut request = ChainRequest::default();
        let parsed = unpacked
            .as_ref()
            .is_ok_and(|json| request.parse(json).is_ok());
        let json = unpacked.unwrap_or_default();
        let view = Parsed {
            request: &request,
            json: &json,
        };
        let verdict = match outcome {
            Ok(()) => Verdict::Valid(show::answer(&packed, &mut wire)),
            Err(reject) => Verdict::Invalid(self.broken(reject, cc, &view)),
        };
        let request = if parsed {
            show::request(&view)
        } else {
            show::unparsed(&json)
        };
        Explanation { request, verdict }
    }

    fn broken(&self, reject: Reject, cc: &[u8], view: &Parsed<'_>) -> Broken {
        let finding = transport::finding(&self.options, reject, cc, view.json)
            .or_else(|| members::finding(reject, view.json))
            .or_else(|| rules::finding(self, reject, view))
            .unwrap_or_else(|| Finding::new("the request", "see the rule", "something else"));
        let (section, rule) = reject.rule();
        Broken {
            reason: reject.name(),
            section,
            rule,
            place: finding.place,
            expected: finding.expected,
            found: finding.found,
        }
    }
}
