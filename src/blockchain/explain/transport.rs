//! Faults between `cc` and its JSON (docs/protocol/blockchain.md §1).

use super::view::Finding;
use crate::{
    blockchain::{Options, Reject, json::DEPTH_MAX, wire::Wire},
    codec::query::{Plus, percent_decode},
    explain::{counted, quoted},
};
use flate2::{Decompress, FlushDecompress, Status};

/// Characters shown on either side of a fault.
const CONTEXT_BYTES: usize = 20;

/// The place of a fault of the transport; `None` for any other reason.
pub(super) fn finding(
    options: &Options,
    reject: Reject,
    cc: &[u8],
    json: &[u8],
) -> Option<Finding> {
    match reject {
        Reject::Base64 => Some(base64(cc)),
        Reject::Zlib => Some(zlib(options, cc)),
        Reject::InflatedSize => Some(Finding::new(
            "the zlib stream",
            format!(
                "at most {} bytes of JSON (blockchain.inflated_bytes_max) from at most 4096 dynamic blocks",
                options.inflated_bytes_max
            ),
            format!("more, from {} of cc", counted(cc.len(), "character")),
        )),
        Reject::Json => Some(syntax(json)),
        _ => None,
    }
}

fn base64(cc: &[u8]) -> Finding {
    let mut text = Vec::new();
    percent_decode(cc, Plus::Literal, &mut text);
    let text = text.trim_ascii();
    let expected = "base64, URL-safe or standard alphabet, of a zlib stream";
    let digits = text.len() - text.iter().rev().take_while(|byte| **byte == b'=').count();
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_+/".contains(byte);
    let digits = text.get(..digits).unwrap_or_default();
    if digits.is_empty() {
        return Finding::new("cc", expected, "nothing: cc is missing or empty");
    }
    if let Some(at) = digits.iter().position(|byte| !is_digit(byte)) {
        let from = at.saturating_sub(CONTEXT_BYTES);
        let near = digits.get(from..digits.len().min(at + CONTEXT_BYTES));
        let found = format!(
            "{} in {}",
            quoted(&digits[at..=at]),
            quoted(near.unwrap_or_default())
        );
        return Finding::new(format!("cc, character {at}"), expected, found);
    }
    let left = digits.len() % 4;
    Finding::new(
        "the end of cc",
        "2, 3 or 4 characters in the last group, with no bits left over",
        format!(
            "{}, {left} in the last group",
            counted(digits.len(), "character")
        ),
    )
}

fn zlib(options: &Options, cc: &[u8]) -> Finding {
    let mut wire = Wire::new(options.inflated_bytes_max, 0);
    let _ = wire.decode(cc);
    let stream = wire.stream();
    let is_header = matches!(stream, [method, flags, ..]
        if method & 15 == 8
            && method >> 4 <= 7
            && flags & 0x20 == 0
            && u16::from_be_bytes([*method, *flags]).is_multiple_of(31));
    if !is_header {
        let start = stream.get(..2).unwrap_or(stream);
        let expected = "a zlib header without a preset dictionary, such as 78 9c";
        return Finding::new(
            "the zlib stream, bytes 0 and 1",
            expected,
            format!("{start:02x?}"),
        );
    }
    let deflated = stream.get(2..).unwrap_or_default();
    let mut text = Vec::with_capacity(options.inflated_bytes_max + 1);
    let mut inflater = Decompress::new(false);
    let status = inflater.decompress_vec(deflated, &mut text, FlushDecompress::Finish);
    let used = inflater.total_in() as usize;
    let trailer = deflated.get(used..).and_then(|rest| rest.first_chunk());
    match (status, trailer) {
        (Ok(Status::StreamEnd), Some(sum)) => Finding::new(
            format!("the zlib stream, bytes {} to {}", 2 + used, 5 + used),
            format!(
                "Adler-32 {:08x}, that of the {} before",
                libdeflater::adler32(&text),
                counted(text.len(), "byte")
            ),
            format!("{:08x}", u32::from_be_bytes(*sum)),
        ),
        (Err(error), _) => Finding::new(
            format!("the zlib stream, about byte {}", 2 + used),
            "a deflate block",
            format!("{error}, after {} of text", counted(text.len(), "byte")),
        ),
        _ => Finding::new(
            "the end of the zlib stream",
            "the end of the last block and an Adler-32 of four bytes",
            format!(
                "the stream ends after {}, {} of text",
                counted(stream.len(), "byte"),
                text.len()
            ),
        ),
    }
}

fn syntax(json: &[u8]) -> Finding {
    let expected = format!("JSON in UTF-8, nested no deeper than {DEPTH_MAX}");
    let Err(error) = serde_json::from_slice::<serde_json::Value>(json) else {
        return Finding::new("the JSON", expected, "something else");
    };
    let line_start = json
        .split(|byte| *byte == b'\n')
        .take(error.line().saturating_sub(1))
        .map(|line| line.len() + 1)
        .sum::<usize>();
    let at = (line_start + error.column().saturating_sub(1)).min(json.len());
    let from = at.saturating_sub(CONTEXT_BYTES);
    let near = json
        .get(from..json.len().min(at + CONTEXT_BYTES))
        .unwrap_or_default();
    Finding::new(
        format!("the JSON, byte {at}"),
        expected,
        format!("{error}, near {}", quoted(near)),
    )
}
