//! `trident explain`: why is a request INVALID?
//!
//! The handler's own parser and decoder decide; this module finds the parameter or the candidate that failed,
//! and draws the matrix.

use super::{
    MESSAGE_BYTES_MAX, QrCode, Query, Reject, Scratch, hex_text,
    layout::Symbol,
    locate::{self, Rows},
    matrix::Tables,
    parse, render,
};
use crate::{
    codec::query::{self, Plus},
    explain::{Broken, Explanation, Verdict, counted, quoted},
};

impl QrCode {
    /// Explains a request by the query of its URL.
    pub fn explain(&self, raw: &[u8]) -> Explanation {
        let request = parameters(raw);
        match parse(raw) {
            Ok(Query::Encode { data, format }) => self.explain_encode(request, data, format),
            Ok(Query::Decode { data, timestamp }) => self.explain_decode(request, data, timestamp),
            Err(reject) => Explanation {
                request,
                verdict: Verdict::Invalid(malformed(reject, raw)),
            },
        }
    }

    fn explain_encode(
        &self,
        request: String,
        data: &[u8],
        format: Option<super::Format>,
    ) -> Explanation {
        let (mut scratch, mut out) = (Scratch::default(), Vec::new());
        let outcome = match format {
            Some(format) => self.render(&mut scratch, format, data, &mut out),
            None => self.encode(&mut scratch, data, &mut out),
        };
        let bytes_max = match format {
            Some(_) => render::TEXT_BYTES_MAX,
            None => MESSAGE_BYTES_MAX,
        };
        let verdict = match (outcome, format) {
            (Err(reject), _) => Verdict::Invalid(broken(
                reject,
                "data",
                &format!("at most {bytes_max} bytes"),
                counted(decoded(data).len(), "byte"),
            )),
            (Ok(()), Some(_)) => Verdict::Valid(format!("  a picture of {} bytes\n", out.len())),
            (Ok(()), None) => {
                let drawn = self.drawn(decoded(data).as_slice());
                Verdict::Valid(format!(
                    "{drawn}  answer  {}\n",
                    String::from_utf8_lossy(&out)
                ))
            }
        };
        Explanation { request, verdict }
    }

    /// The matrix of a message, before encryption.
    fn drawn(&self, message: &[u8]) -> String {
        fn cells<const WORDS: usize>(tables: &Tables<WORDS>, message: &[u8]) -> Option<Vec<bool>> {
            let (image, key) = (tables.image(message)?, tables.encrypt(&[0; 32]));
            let cells = tables.side().pow(2);
            Some(
                (0..cells)
                    .map(|at| {
                        let bits = (cells - at / 32 * 32).min(32);
                        (image[at / 32] ^ key[at / 32]) >> (bits - 1 - at % 32) & 1 == 1
                    })
                    .collect(),
            )
        }
        let (cells, side) = match cells(&self.v1, message) {
            Some(cells) => (cells, Symbol::V1.side()),
            None => (
                cells(&self.v2, message).unwrap_or_default(),
                Symbol::V2.side(),
            ),
        };
        draw(cells.chunks(side))
    }

    fn explain_decode(
        &self,
        mut request: String,
        data: &[u8],
        timestamp: Option<i64>,
    ) -> Explanation {
        let text = decoded(data);
        if let Some(mut grid) = hex_text::parse(&text) {
            for (row, key) in grid.iter_mut().zip(&self.key) {
                *row ^= key;
            }
            let rows: Vec<Vec<bool>> = grid
                .iter()
                .map(|row| (0..32).map(|at| row >> (31 - at) & 1 == 1).collect())
                .collect();
            request.push_str("the grid, decrypted:\n");
            request.push_str(&draw(rows.iter().map(Vec::as_slice)));
        }
        let verdict = match self.decode(&mut Scratch::default(), data) {
            Ok(message) => {
                let then = match timestamp {
                    Some(_) => "the answer is its token for the timestamp",
                    None => "the answer itself, without a timestamp",
                };
                Verdict::Valid(format!(
                    "  message  {} ({then})\n",
                    quoted(message.as_bytes())
                ))
            }
            Err(Reject::NoCode) => Verdict::Invalid(self.no_code(&text)),
            Err(reject) => Verdict::Invalid(malformed_grid(reject, &text)),
        };
        Explanation { request, verdict }
    }

    /// The matrix where three finders mark a code.
    fn no_code(&self, text: &[u8]) -> Broken {
        let mut grid = hex_text::parse(text).unwrap_or_default();
        for (row, key) in grid.iter_mut().zip(&self.key) {
            *row ^= key;
        }
        let mut candidates = Vec::new();
        locate::find(&grid, |symbol, rows| -> Option<()> {
            candidates.push(match symbol {
                Symbol::V1 => candidate(&self.v1, symbol, rows),
                Symbol::V2 => candidate(&self.v2, symbol, rows),
            });
            None
        });
        let finders = locate::finders(&grid);
        let places: Vec<_> = (0..32)
            .flat_map(|row| (0..32).map(move |column| (row, column)))
            .filter(|(row, column)| finders[*row] >> (31 - column) & 1 == 1)
            .map(|(row, column)| format!("({row},{column})"))
            .collect();
        let found = if candidates.is_empty() {
            format!(
                "{} finders, no three at the corners of a square",
                places.len()
            )
        } else {
            candidates.join("; ")
        };
        let place = match places.as_slice() {
            [] => "the decrypted grid".into(),
            _ => format!("finders at row and column {}", places.join(" ")),
        };
        let expected = "a 21x21 or 25x25 code that re-encodes to itself, turned or not";
        broken(Reject::NoCode, &place, expected, found)
    }
}

/// The rule of `reject`, broken at `place`.
fn broken(reject: Reject, place: &str, expected: &str, found: String) -> Broken {
    let (section, rule) = reject.rule();
    Broken {
        reason: reject.name(),
        section,
        rule,
        place: place.into(),
        expected: expected.into(),
        found,
    }
}

/// Why the square `rows` is not a code.
fn candidate<const WORDS: usize>(tables: &Tables<WORDS>, symbol: Symbol, rows: &Rows) -> String {
    let side = symbol.side();
    let mut buffer = [0; MESSAGE_BYTES_MAX];
    let Some(message) = tables.read(rows, &mut buffer) else {
        let (min, max) = (symbol.bytes_min(), symbol.bytes_max());
        return format!("a {side}x{side} square whose length is not {min} to {max}");
    };
    let there = tables.encrypt(rows);
    let right = tables.image(message).unwrap_or(there);
    let different: u32 = there
        .iter()
        .zip(right)
        .map(|(there, right)| (there ^ right).count_ones())
        .sum();
    format!(
        "a {side}x{side} square that reads {}, which encodes to {different} other cells",
        quoted(message)
    )
}

/// Rows of cells, two characters each.
fn draw<'c>(rows: impl Iterator<Item = &'c [bool]>) -> String {
    let mut text = String::new();
    for row in rows {
        text.push_str("  ");
        text.extend(row.iter().map(|black| if *black { "##" } else { ".." }));
        text.push('\n');
    }
    text
}

fn decoded(raw: &[u8]) -> Vec<u8> {
    let mut value = Vec::new();
    query::percent_decode(raw, Plus::Space, &mut value);
    value
}

/// The first value of a parameter, decoded.
fn parameter(raw: &[u8], name: &[u8]) -> Option<Vec<u8>> {
    query::pairs(raw)
        .find(|(key, _)| *key == name)
        .map(|(_, value)| decoded(value))
}

const NAMES: [&str; 4] = ["type", "data", "timestamp", "format"];

fn parameters(raw: &[u8]) -> String {
    let line = |name: &&str| {
        let value = parameter(raw, name.as_bytes())?;
        Some(format!("{name}  {}\n", quoted(&value)))
    };
    NAMES.iter().filter_map(line).collect()
}

/// The parameter that is missing or malformed.
fn malformed(reject: Reject, raw: &[u8]) -> Broken {
    let expected = match reject {
        Reject::Type => "encode or decode",
        Reject::Format => "svg, png or text, or no format for the protocol's matrix",
        Reject::Timestamp => "a decimal integer of 64 bits, or no timestamp",
        _ => "a text; it may be empty",
    };
    let found = match parameter(raw, reject.name().as_bytes()) {
        Some(value) => quoted(&value),
        None => "nothing: the parameter is missing".into(),
    };
    broken(reject, reject.name(), expected, found)
}

/// The word that is not part of a grid.
fn malformed_grid(reject: Reject, text: &[u8]) -> Broken {
    let shown = String::from_utf8_lossy(text);
    let words: Vec<_> = shown.split("0x").skip(1).collect();
    let is_word = |word: &str| {
        let digits = word.trim_start_matches('0');
        !word.is_empty()
            && digits.len() <= 8
            && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
    };
    let bad = words.iter().position(|word| !is_word(word));
    let (place, found) = match bad {
        _ if !text.starts_with(b"0x") => ("data, the first word".into(), quoted(text)),
        Some(at) => (
            format!("data, word {at}"),
            quoted(format!("0x{}", words[at]).as_bytes()),
        ),
        None => ("data".into(), counted(words.len(), "word")),
    };
    let expected = "32 words, each 0x and a hex number of at most 32 bits, nothing between them";
    broken(reject, &place, expected, found)
}

#[cfg(test)]
mod tests;
