//! `cc` text to JSON and back: percent-encoding, base64, zlib (docs/protocol/blockchain.md §1).
//!
//! Called by the endpoint first and last. `codec` has the codecs; this module decides which variations of
//! the text are accepted.

use super::Reject;
use crate::codec::{
    base64url,
    query::{Plus, percent_decode},
    zlib::{Deflater, InflateError, Inflater},
};

/// The coders of both directions, and their buffers.
pub struct Wire {
    /// `cc` without percent-encoding, if it had any.
    plain: Vec<u8>,
    /// A zlib stream, of the request or of the answer.
    stream: Vec<u8>,
    inflater: Inflater,
    deflater: Deflater,
}

impl Wire {
    /// Coders that refuse JSON of more than `inflated_bytes_max` bytes and deflate at `level`.
    pub fn new(inflated_bytes_max: usize, level: u8) -> Self {
        Self {
            plain: Vec::new(),
            stream: Vec::new(),
            inflater: Inflater::new(inflated_bytes_max),
            deflater: Deflater::new(level),
        }
    }

    /// Decodes the raw query value `cc` to JSON.
    ///
    /// Accepted beyond what genuine clients send: either alphabet, percent-encoded or not; any number of
    /// `=` at the end; ASCII whitespace around the text; bytes after the end of the zlib stream.
    pub fn unpack(&mut self, cc: &[u8]) -> Result<&[u8], Reject> {
        self.decode(cc)?;
        self.inflate()
    }

    /// The first half of [`unpack`](Self::unpack): `cc` to a zlib stream.
    pub fn decode(&mut self, cc: &[u8]) -> Result<(), Reject> {
        let text = if memchr::memchr(b'%', cc).is_some() {
            self.plain.clear();
            percent_decode(cc, Plus::Literal, &mut self.plain);
            self.plain.as_slice()
        } else {
            cc
        };
        self.stream.clear();
        base64url::decode(trim(text), &mut self.stream)
            .map_err(|base64url::Malformed| Reject::Base64)
    }

    /// The stream last decoded.
    pub(super) fn stream(&self) -> &[u8] {
        &self.stream
    }

    /// The second half of [`unpack`](Self::unpack): the stream last decoded to JSON.
    pub fn inflate(&mut self) -> Result<&[u8], Reject> {
        self.inflater
            .inflate(&self.stream)
            .map_err(|error| match error {
                InflateError::Malformed => Reject::Zlib,
                InflateError::TooLarge => Reject::InflatedSize,
            })
    }

    /// Appends `json`, packed for clients, to `out`.
    pub fn pack(&mut self, json: &[u8], out: &mut Vec<u8>) {
        self.deflate(json);
        self.encode(out);
    }

    /// The first half of [`pack`](Self::pack): `json` to a zlib stream, with the help of the request inflated last.
    pub fn deflate(&mut self, json: &[u8]) {
        self.stream.clear();
        self.deflater
            .deflate_answer(json, &self.inflater, &mut self.stream);
    }

    /// The second half of [`pack`](Self::pack): the last stream as base64 with padding.
    pub fn encode(&self, out: &mut Vec<u8>) {
        base64url::encode(&self.stream, out);
    }

    /// Empties the buffers and shrinks each to at most `bytes` bytes. The inflater shrinks its own buffers.
    pub fn shrink_to(&mut self, bytes: usize) {
        self.plain.clear();
        self.plain.shrink_to(bytes);
        self.stream.clear();
        self.stream.shrink_to(bytes);
    }
}

/// `text` without surrounding whitespace as Python's `str.strip` defines it for ASCII, which is more than
/// `trim_ascii` removes.
fn trim(mut text: &[u8]) -> &[u8] {
    let is_space = |byte: u8| matches!(byte, b'\t'..=b'\r' | 0x1c..=0x1f | b' ');
    while let Some((_, rest)) = text.split_first().filter(|(first, _)| is_space(**first)) {
        text = rest;
    }
    while let Some((_, rest)) = text.split_last().filter(|(last, _)| is_space(**last)) {
        text = rest;
    }
    text
}
