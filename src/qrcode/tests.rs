//! The endpoint against real vectors, against cases of an independent implementation, and against
//! the rules applied cell by cell.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

const VECTORS: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/data/qrcode_vectors.json"
));
const CASES: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/data/qrcode_cases.tsv"
));

/// Cells by row, true = black.
type Cells = Vec<Vec<bool>>;

fn encode(data_raw: &[u8]) -> Result<String, Reject> {
    let endpoint = QrCode::new();
    let mut out = b"before ".to_vec();
    endpoint.encode(&mut endpoint.scratch(), data_raw, &mut out)?;
    Ok(String::from_utf8(out)
        .unwrap()
        .strip_prefix("before ")
        .unwrap()
        .to_owned())
}

fn decode(data_raw: &[u8]) -> Result<Vec<u8>, Reject> {
    let endpoint = QrCode::new();
    endpoint
        .decode(&mut endpoint.scratch(), data_raw)
        .map(|message| message.as_bytes().to_vec())
}

/// Every byte escaped, so that nothing in a message is taken for syntax.
fn percent_encoded(message: &[u8]) -> Vec<u8> {
    message
        .iter()
        .flat_map(|b| format!("%{b:02x}").into_bytes())
        .collect()
}

/// The clear square of `message`, cell by cell from the rules.
fn square(message: &[u8]) -> Cells {
    let symbol = if message.len() <= 13 {
        Symbol::V1
    } else {
        Symbol::V2
    };
    let mut payload = vec![message.len() as u8];
    for byte in message {
        payload.extend([*byte, byte.count_ones() as u8 & 1]);
    }
    payload.extend([0b1110_1100, 0b0001_0001].iter().cycle().take(50));
    let mut cells = vec![vec![false; symbol.side()]; symbol.side()];
    for (row, column) in positions(symbol.side()) {
        cells[row][column] = symbol.fixed((row, column)).unwrap_or(false);
    }
    for (bit, (row, column)) in symbol.filling_order().into_iter().enumerate() {
        cells[row][column] = payload[bit / 8] >> (7 - bit % 8) & 1 == 1;
    }
    cells
}

fn positions(side: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..side).flat_map(move |row| (0..side).map(move |column| (row, column)))
}

/// Turned clockwise.
fn turned(cells: &Cells, quarters: usize) -> Cells {
    let side = cells.len();
    let mut cells = cells.clone();
    for _ in 0..quarters {
        cells = (0..side)
            .map(|row| {
                (0..side)
                    .map(|column| cells[side - 1 - column][row])
                    .collect()
            })
            .collect();
    }
    cells
}

/// The words of `cells`, XORed with the key stream.
fn encrypted(cells: &Cells) -> String {
    let stream = key_stream::stream();
    let bits: Vec<bool> = cells
        .concat()
        .iter()
        .enumerate()
        .map(|(m, &cell)| cell != (stream[m / 8] >> (m % 8) & 1 == 1))
        .collect();
    let word = |bits: &[bool]| {
        bits.iter()
            .fold(0u32, |word, &bit| word << 1 | u32::from(bit))
    };
    bits.chunks(32)
        .map(|bits| format!("{:#x}", word(bits)))
        .collect()
}

/// The clear cells of an encode answer.
fn decrypted(text: &str) -> Vec<bool> {
    let stream = key_stream::stream();
    let words: Vec<&str> = text.split("0x").skip(1).collect();
    let cells = if words.len() == 14 { 441 } else { 625 };
    (0..cells)
        .map(|m| {
            let word = u32::from_str_radix(words[m / 32], 16).unwrap();
            let width = (cells - m / 32 * 32).min(32);
            (word >> (width - 1 - m % 32) ^ u32::from(stream[m / 8] >> (m % 8))) & 1 == 1
        })
        .collect()
}

/// A grid of `noise` with `square` in it at (`row`, `column`).
fn grid(square: &Cells, (row, column): (usize, usize), noise: &[u32; 32]) -> Cells {
    let mut cells: Cells = noise
        .iter()
        .map(|word| {
            (0..32)
                .map(|column| word >> (31 - column) & 1 == 1)
                .collect()
        })
        .collect();
    for (cells, from) in cells[row..].iter_mut().zip(square) {
        cells[column..column + from.len()].copy_from_slice(from);
    }
    cells
}

#[test]
fn real_vectors() {
    let file: serde_json::Value = serde_json::from_str(VECTORS).unwrap();
    let mut kinds = HashMap::new();
    for vector in file["vectors"].as_array().unwrap() {
        let field = |name: &str| vector[name].as_str().unwrap();
        let (kind, message, hex) = (field("kind"), field("message"), field("hex"));
        let answer = || encode(&percent_encoded(message.as_bytes())).unwrap();
        *kinds.entry(kind.to_owned()).or_insert(0) += 1;
        match kind {
            "payload" => {
                let cells = decrypted(&answer());
                let symbol = Symbol::V1;
                let order = symbol.filling_order();
                let bits = order
                    .iter()
                    .map(|(row, column)| cells[row * symbol.side() + column]);
                let bits: String = bits.map(|bit| if bit { '1' } else { '0' }).collect();
                let payload: String = (0..hex.len())
                    .map(|i| {
                        format!(
                            "{:x}",
                            u8::from_str_radix(&bits[4 * i..4 * i + 4], 2).unwrap()
                        )
                    })
                    .collect();
                assert_eq!(payload, hex);
            }
            "encode-unencrypted" => {
                let side = if message.len() <= 13 { 21 } else { 25 };
                let clear: Cells = decrypted(&answer()).chunks(side).map(Vec::from).collect();
                assert_eq!(clear, clear_cells(hex, side));
            }
            "encode" => assert_eq!(answer(), hex),
            "decode" => {
                assert_eq!(decode(hex.as_bytes()).unwrap(), message.as_bytes());
                assert_eq!(
                    decode(&percent_encoded(hex.as_bytes())).unwrap(),
                    message.as_bytes()
                );
            }
            other => panic!("{other}"),
        }
    }
    let expected = [
        ("payload", 1),
        ("encode-unencrypted", 2),
        ("encode", 2),
        ("decode", 4),
    ];
    assert_eq!(
        kinds,
        expected
            .map(|(kind, count)| (kind.to_owned(), count))
            .into()
    );
}

/// The cells an unencrypted text stands for.
fn clear_cells(text: &str, side: usize) -> Cells {
    let words: Vec<&str> = text.split("0x").skip(1).collect();
    let cells = side * side;
    let bits: Vec<bool> = (0..cells)
        .map(|m| {
            let width = (cells - m / 32 * 32).min(32);
            u32::from_str_radix(words[m / 32], 16).unwrap() >> (width - 1 - m % 32) & 1 == 1
        })
        .collect();
    bits.chunks(side).map(Vec::from).collect()
}

#[test]
fn cases_of_an_independent_implementation() {
    let mut counts = [0, 0];
    for line in CASES.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.split('\t').collect();
        match fields[..] {
            ["encode", message, answer] => {
                counts[0] += 1;
                assert_eq!(
                    encode(message.as_bytes()).as_deref(),
                    Ok(answer),
                    "{message}"
                );
            }
            ["decode", grid, message] => {
                counts[1] += 1;
                let mut expected = Vec::new();
                percent_decode(message.as_bytes(), Plus::Literal, &mut expected);
                assert_eq!(decode(grid.as_bytes()), Ok(expected), "{message}");
            }
            _ => panic!("{line}"),
        }
    }
    assert_eq!(counts, [300, 300]);
}

#[test]
fn messages_have_22_bytes_at_most() {
    assert_eq!(encode(b"").unwrap().matches("0x").count(), 14);
    assert_eq!(encode(&[b'x'; 13]).unwrap().matches("0x").count(), 14);
    assert_eq!(encode(&[b'x'; 14]).unwrap().matches("0x").count(), 20);
    assert_eq!(encode(&[b'x'; 22]).unwrap().matches("0x").count(), 20);
    assert_eq!(
        encode(&percent_encoded(&[0xff; 22]))
            .unwrap()
            .matches("0x")
            .count(),
        20
    );
    for length in [23, 24, 66, 67, 1 << 16] {
        assert_eq!(
            encode(&vec![b'x'; length]),
            Err(Reject::TooLong),
            "{length}"
        );
        assert_eq!(
            encode(&percent_encoded(&vec![b'x'; length])),
            Err(Reject::TooLong),
            "{length}"
        );
    }
}

#[test]
fn a_plus_is_a_space_and_a_stray_percent_sign_is_itself() {
    assert_eq!(encode(b"CC+Team"), encode(b"CC%20Team"));
    assert_eq!(encode(b"100%"), encode(b"100%25"));
    assert_eq!(encode(b"%zz"), encode(b"%25zz"));
    assert_ne!(encode(b"CC%2bTeam"), encode(b"CC+Team"));
}

#[test]
fn bytes_that_are_not_utf8_come_back_as_replacement_characters() {
    let message = [b'a', 0xff, b'b', 0xe2, 0x82, b'c'];
    let cells = grid(&square(&message), (3, 4), &[0; 32]);
    assert_eq!(
        encode(&percent_encoded(&message)).unwrap(),
        encrypted(&square(&message))
    );
    assert_eq!(
        decode(encrypted(&cells).as_bytes()).unwrap(),
        "a\u{fffd}b\u{fffd}c".as_bytes()
    );
    let cells = grid(&square(&[0xff; 22]), (7, 7), &[0; 32]);
    assert_eq!(
        decode(encrypted(&cells).as_bytes()).unwrap(),
        "\u{fffd}".repeat(22).as_bytes()
    );
}

#[test]
fn a_failed_call_leaves_the_output_alone() {
    let endpoint = QrCode::new();
    let mut scratch = endpoint.scratch();
    let mut out = b"kept".to_vec();
    let long = [b'x'; 9000];
    assert!(endpoint.encode(&mut scratch, &long, &mut out).is_err());
    assert!(
        endpoint
            .render(&mut scratch, Format::Png, &long, &mut out)
            .is_err()
    );
    assert_eq!(out, b"kept");
    endpoint
        .render(&mut scratch, Format::Svg, b"a+b", &mut out)
        .unwrap();
    assert!(out.starts_with(b"kept<svg "));
}

#[test]
fn any_flipped_cell_of_the_code_is_noticed_and_none_beside_it() {
    for (message, at) in [(&b"CC Team"[..], (5, 9)), (b"CC Team is awesome!", (7, 0))] {
        let code = square(message);
        let side = code.len();
        for (row, column) in positions(32) {
            let mut cells = grid(&turned(&code, 3), at, &[0x5a5a_c3c3; 32]);
            cells[row][column] ^= true;
            let inside =
                (at.0..at.0 + side).contains(&row) && (at.1..at.1 + side).contains(&column);
            let expected = if inside {
                Err(Reject::NoCode)
            } else {
                Ok(message.to_vec())
            };
            assert_eq!(
                decode(encrypted(&cells).as_bytes()),
                expected,
                "{row},{column}"
            );
        }
    }
}

#[test]
fn a_short_message_in_the_large_symbol_is_no_code() {
    // What a 25x25 square of 13 bytes would be: right but for the size.
    let mut cells = square(b"fourteen bytes");
    let mut payload = vec![13u8];
    for byte in b"fourteen byte" {
        payload.extend([*byte, byte.count_ones() as u8 & 1]);
    }
    payload.extend([0b1110_1100, 0b0001_0001].iter().cycle().take(50));
    for (bit, (row, column)) in Symbol::V2.filling_order().into_iter().enumerate() {
        cells[row][column] = payload[bit / 8] >> (7 - bit % 8) & 1 == 1;
    }
    let cells = grid(&cells, (0, 0), &[0; 32]);
    assert_eq!(decode(encrypted(&cells).as_bytes()), Err(Reject::NoCode));
}

#[test]
fn a_false_candidate_gives_way_to_the_code() {
    let message = b"Upc7Lu";
    for quarters in 0..4 {
        let mut cells = grid(&turned(&square(message), quarters), (11, 11), &[0; 32]);
        // Three finders of a square of the same size that is looked at earlier.
        let finder = square(b"");
        for (top, left) in [(0, 0), (0, 14), (14, 0)] {
            for (row, column) in positions(7) {
                cells[top + row][left + column] = finder[row][column];
            }
        }
        assert_eq!(decode(encrypted(&cells).as_bytes()).unwrap(), message);
    }
}

#[test]
fn grids_without_a_code_are_rejected() {
    for noise in [
        [0; 32],
        [u32::MAX; 32],
        std::array::from_fn(|row| 0x9e37_79b9u32 << (row % 7)),
    ] {
        let cells = grid(&Cells::new(), (0, 0), &noise);
        assert_eq!(decode(encrypted(&cells).as_bytes()), Err(Reject::NoCode));
    }
    assert_eq!(decode(b""), Err(Reject::Words));
    assert_eq!(
        decode(encode(b"CC Team").unwrap().as_bytes()),
        Err(Reject::Words),
        "14 words"
    );
}

proptest! {
    #[test]
    fn encoding_is_what_the_rules_give(message in prop::collection::vec(any::<u8>(), 0..=22)) {
        let expected = encrypted(&square(&message));
        prop_assert_eq!(encode(&percent_encoded(&message)), Ok(expected));
    }

    #[test]
    fn a_hidden_message_is_found(
        message in prop::collection::vec(any::<u8>(), 0..=22),
        quarters in 0usize..4,
        place in (0usize..12, 0usize..12),
        noise in any::<[u32; 32]>(),
    ) {
        let square = turned(&square(&message), quarters);
        let room = 33 - square.len();
        let cells = grid(&square, (place.0 % room, place.1 % room), &noise);
        let expected = String::from_utf8_lossy(&message).into_owned().into_bytes();
        prop_assert_eq!(decode(encrypted(&cells).as_bytes()), Ok(expected));
    }

    #[test]
    fn a_damaged_text_is_decoded_or_rejected(
        noise in any::<[u32; 32]>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut text = encrypted(&grid(&square(b"Upc7Lu"), (2, 3), &noise)).into_bytes();
        for (at, byte) in edits {
            let at = at.index(text.len());
            text[at] = byte;
        }
        let _ = decode(&text);
        let _ = decode(&text[..cut.index(text.len())]);
        let _ = encode(&text);
    }

    #[test]
    fn any_bytes_are_answered(data in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = decode(&data);
        let _ = encode(&data);
        prop_assert!(render::Code::new(&data).is_ok());
    }
}
