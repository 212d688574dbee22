//! Tests of the whole endpoint. The parts' files test the parts.
//!
//! `build` makes right requests, which `rules` break one by one; `input` has hostile text, `cases` real requests with
//! their answers.

pub(in crate::blockchain) mod build;
mod cases;
mod input;
mod rules;

use super::{Blockchain, Options, Reject};
use crate::codec::base64url;
use flate2::{Compression, read::ZlibDecoder, write::ZlibEncoder};
use serde_json::Value;
use std::io::{Read, Write};

/// `json` as the value of `cc`, made with other coders than the endpoint's.
pub(in crate::blockchain) fn pack(json: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(json).unwrap();
    let mut cc = Vec::new();
    base64url::encode(&encoder.finish().unwrap(), &mut cc);
    cc
}

/// The JSON text of a packed answer.
fn unpack(answer: &[u8]) -> String {
    let mut stream = Vec::new();
    base64url::decode(answer, &mut stream).unwrap();
    let mut text = String::new();
    ZlibDecoder::new(stream.as_slice())
        .read_to_string(&mut text)
        .unwrap();
    text
}

/// The answer's text to the raw query value `cc`.
fn ask_cc(options: Options, cc: &[u8]) -> Result<String, Reject> {
    let endpoint = Blockchain::new(options);
    let mut out = b"before".to_vec();
    let outcome = endpoint.answer(&mut endpoint.scratch(), cc, &mut out);
    let answer = out.strip_prefix(b"before").unwrap();
    match outcome {
        Ok(()) => Ok(unpack(answer)),
        Err(reject) => {
            assert!(
                answer.is_empty(),
                "an INVALID request must leave the buffer as it was"
            );
            Err(reject)
        }
    }
}

/// The answer to a request with the text `json`.
fn ask_text(json: &str) -> Result<Value, Reject> {
    let answer = ask_cc(Options::default(), &pack(json.as_bytes()))?;
    Ok(serde_json::from_str(&answer).unwrap())
}

/// The answer to `request`.
fn ask(request: &Value) -> Result<Value, Reject> {
    ask_text(&request.to_string())
}
