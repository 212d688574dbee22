//! Whether an answer's body is right.
//!
//! One [`Checker`] per worker. A body that took work to verify is remembered with its entry, so that
//! the same bytes are compared the next time and nothing is unpacked twice. Nothing here calls the
//! server's code: a shared fault must not score full marks.

use crate::load::{
    Identity,
    judge::chain,
    judge::matrix,
    plan::corpus::{Corpus, Entry, Expect, Request},
};
use sha2::{Digest, Sha256};

/// What is to be said of a body.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is right.
    Correct,
    /// It is wrong, and why.
    Wrong(&'static str),
    /// Another request will tell.
    Ask(Box<Question>),
}

/// A request whose answer tells whether an earlier one was right.
#[derive(Debug, PartialEq, Eq)]
pub struct Question {
    /// What to send.
    pub request: Request,
    /// Its target, for records.
    pub target: String,
    /// The body it must be answered with.
    pub expected: Box<[u8]>,
    /// The body in question.
    asked_about: Box<[u8]>,
}

/// Checks bodies against a corpus.
pub struct Checker<'a> {
    first_line: Vec<u8>,
    entries: &'a [Entry],
    /// The last body of each entry that was verified.
    verified: Vec<Option<Box<[u8]>>>,
}

impl<'a> Checker<'a> {
    /// A checker that has verified nothing yet.
    pub fn new(corpus: &'a Corpus, identity: &Identity) -> Self {
        Self {
            first_line: identity.first_line().into_bytes(),
            entries: &corpus.entries,
            verified: vec![None; corpus.entries.len()],
        }
    }

    /// What is to be said of `body`, which answers the entry at `index`.
    pub fn check(&mut self, index: usize, body: &[u8]) -> Verdict {
        let verified = match &self.entries[index].expect {
            Expect::Any => Ok(()),
            Expect::Exact(expected) => same(body, expected),
            Expect::Sha256(digest) => same(&Sha256::digest(body), digest),
            expect => {
                if self.verified[index].as_deref() == Some(body) {
                    return Verdict::Correct;
                }
                let Some(result) = body.strip_prefix(&self.first_line[..]) else {
                    return Verdict::Wrong("first line");
                };
                if let Expect::DecodesTo(text) = expect {
                    return self.question(text, body, result);
                }
                let outcome = verify(expect, result);
                if outcome.is_ok() {
                    self.verified[index] = Some(body.into());
                }
                outcome
            }
        };
        verified.map_or_else(Verdict::Wrong, |()| Verdict::Correct)
    }

    fn question(&self, text: &str, body: &[u8], result: &[u8]) -> Verdict {
        match matrix::decode_question(result) {
            Err(fault) => Verdict::Wrong(fault),
            Ok(data) => {
                let target = format!("/qrcode?type=decode&data={data}");
                Verdict::Ask(Box::new(Question {
                    request: Request::get(&target),
                    target,
                    expected: [&self.first_line[..], text.as_bytes()].concat().into(),
                    asked_about: body.into(),
                }))
            }
        }
    }

    /// Takes the answer to a question about the entry at `index`.
    pub fn answered(&mut self, index: usize, question: &Question, body: &[u8]) -> Verdict {
        if *body != *question.expected {
            return Verdict::Wrong("decode does not give back what was encoded");
        }
        self.verified[index] = Some(question.asked_about.clone());
        Verdict::Correct
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
