//! Is the body of an answer right?
//!
//! One [`Checker`] per worker. It remembers the verified body of each entry, so that equal bytes need only
//! a comparison the next time. Nothing here calls the server's code: a shared fault must not pass as right.

use crate::load::{
    identity::Identity,
    judge::{chain, expect::Expect, matrix},
    wire::request::RequestBytes,
};
use sha2::{Digest, Sha256};

/// The result of checking a body.
#[derive(Debug, PartialEq, Eq)]
pub enum BodyCheck {
    /// The body is right.
    Correct,
    /// The body is wrong, and why.
    Wrong(&'static str),
    /// The response to another request decides.
    FollowUp(Box<FollowUp>),
}

/// A request whose response shows whether an earlier response was right.
#[derive(Debug, PartialEq, Eq)]
pub struct FollowUp {
    /// What to send.
    pub request: RequestBytes,
    /// Its target, for records.
    pub target: String,
    /// The body of the right response.
    pub expected: Box<[u8]>,
    /// The body of the earlier response.
    earlier_body: Box<[u8]>,
}

/// Checks bodies, and remembers the verified ones.
pub struct Checker {
    team_line: Vec<u8>,
    /// The last body of each entry that was verified.
    verified: Vec<Option<Box<[u8]>>>,
}

impl Checker {
    /// A checker for a corpus of `entries` entries, without verified bodies.
    pub fn new(entries: usize, identity: &Identity) -> Self {
        Self {
            team_line: identity.team_line().into_bytes(),
            verified: vec![None; entries],
        }
    }

    /// Checks `body`, the response to the entry number `index`, which expects `expect`.
    pub fn check(&mut self, index: usize, expect: &Expect, body: &[u8]) -> BodyCheck {
        let verified = match expect {
            Expect::Any => Ok(()),
            Expect::Exact(expected) => same(body, expected),
            Expect::Sha256(digest) => same(&Sha256::digest(body), digest),
            expect => {
                if self.verified[index].as_deref() == Some(body) {
                    return BodyCheck::Correct;
                }
                let Some(result) = body.strip_prefix(&self.team_line[..]) else {
                    return BodyCheck::Wrong("first line");
                };
                if let Expect::DecodesTo(text) = expect {
                    return self.follow_up(text, body, result);
                }
                let outcome = verify(expect, result);
                if outcome.is_ok() {
                    self.verified[index] = Some(body.into());
                }
                outcome
            }
        };
        verified.map_or_else(BodyCheck::Wrong, |()| BodyCheck::Correct)
    }

    fn follow_up(&self, text: &str, body: &[u8], result: &[u8]) -> BodyCheck {
        match matrix::decode_data(result) {
            Err(failure) => BodyCheck::Wrong(failure),
            Ok(data) => {
                let target = format!("/qrcode?type=decode&data={data}");
                BodyCheck::FollowUp(Box::new(FollowUp {
                    request: RequestBytes::get(&target),
                    target,
                    expected: [&self.team_line[..], text.as_bytes()].concat().into(),
                    earlier_body: body.into(),
                }))
            }
        }
    }

    /// Checks the response to a follow-up request about the entry number `index`.
    pub fn check_follow_up(
        &mut self,
        index: usize,
        follow_up: &FollowUp,
        body: &[u8],
    ) -> BodyCheck {
        if *body != *follow_up.expected {
            return BodyCheck::Wrong("decode does not return the encoded message");
        }
        self.verified[index] = Some(follow_up.earlier_body.clone());
        BodyCheck::Correct
    }
}

fn same(got: &[u8], expected: &[u8]) -> Result<(), &'static str> {
    if got == expected {
        Ok(())
    } else if got.len() != expected.len() {
        Err("length")
    } else {
        Err("body")
    }
}

/// Checks that need more than a comparison of bytes.
fn verify(expect: &Expect, result: &[u8]) -> Result<(), &'static str> {
    match expect {
        Expect::Chain(expected) => {
            let answer = chain::unpack(result)?;
            if answer != **expected {
                return Err("chain");
            }
            chain::hashes_hold(&answer)
        }
        Expect::Extends(request) => chain::extends(request, &chain::unpack(result)?),
        _ => {
            let digits = result
                .iter()
                .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
            (result.len() == 64 && digits)
                .then_some(())
                .ok_or("no token of 64 hex digits")
        }
    }
}
