//! What `/qrcode` costs without HTTP: encode for both symbols, decode for both, decode with its
//! token, grids that hold no code, and the pictures.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use trident::{
    auth::{Authority, Key},
    qrcode::{Format, QrCode, Query, Reject, parse},
};

const CASES: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/data/qrcode_cases.tsv"
));
const TIMESTAMP: i64 = 1_706_567_290_739;

/// (first field, answer) of the cases of `kind` whose message has `length` bytes.
fn cases(kind: &str, length: usize) -> Vec<(&'static str, &'static str)> {
    let cases: Vec<_> = CASES
        .lines()
        .map(|line| line.split('\t').collect::<Vec<_>>())
        .filter(|fields| fields[0] == kind)
        .map(|fields| (fields[1], fields[2]))
        .filter(|(first, second)| {
            let message = if kind == "encode" { first } else { second };
            message.len() == length && message.bytes().all(|b| b.is_ascii_alphanumeric())
        })
        .collect();
    assert!(!cases.is_empty(), "no {kind} case of {length} bytes");
    cases
}

/// The text of a grid whose clear rows are `rows`, given the key stream.
fn grid_text(rows: &[u32; 32], key: &[u32; 32]) -> String {
    rows.iter()
        .zip(key)
        .map(|(row, key)| format!("{:#x}", row ^ key))
        .collect()
}

/// The key stream by its definition.
fn key() -> [u32; 32] {
    let mut x = 0.1f64;
    let bytes: [u8; 128] = std::array::from_fn(|_| {
        let byte = (255.0 * x) as u8;
        x = 4.0 * x * (1.0 - x);
        byte.reverse_bits()
    });
    std::array::from_fn(|word| u32::from_be_bytes(bytes[4 * word..][..4].try_into().unwrap()))
}

/// Sixteen finders that leave four candidates of 21x21 which all read as the empty message, so
/// that each is turned, read, encoded and compared before it is refused.
fn many_candidates() -> [u32; 32] {
    const FINDER: [u32; 7] = [0x7f, 0x41, 0x5d, 0x5d, 0x5d, 0x41, 0x7f];
    let mut rows = [0u32; 32];
    for top in [0, 6, 14, 20] {
        for left in [0, 6, 14, 20] {
            // Every candidate lacks its bottom left corner: turning it costs the most.
            if top < 14 || left >= 14 {
                for (row, pattern) in rows[top..].iter_mut().zip(FINDER) {
                    *row |= pattern << (25 - left);
                }
            }
        }
    }
    rows
}

fn encode(c: &mut Criterion) {
    let endpoint = QrCode::new();
    let mut scratch = endpoint.scratch();
    let mut out = Vec::with_capacity(256);
    let mut group = c.benchmark_group("qrcode/encode");
    for length in [6, 13, 22] {
        let cases = cases("encode", length);
        let mut turn = cases.iter().cycle();
        group.bench_function(format!("{length}"), |b| {
            b.iter(|| {
                let (message, answer) = turn.next().unwrap();
                out.clear();
                endpoint
                    .encode(&mut scratch, black_box(message.as_bytes()), &mut out)
                    .unwrap();
                assert_eq!(out, answer.as_bytes());
            });
        });
    }
    let (message, answer) = cases("encode", 6)[0];
    let query = format!("type=encode&data={message}");
    group.bench_function("6/from_query", |b| {
        b.iter(|| {
            let Ok(Query::Encode { data, format: None }) = parse(black_box(query.as_bytes()))
            else {
                panic!("{query}");
            };
            out.clear();
            endpoint.encode(&mut scratch, data, &mut out).unwrap();
            assert_eq!(out, answer.as_bytes());
        });
    });
    group.finish();
}

fn decode(c: &mut Criterion) {
    let endpoint = QrCode::new();
    let mut scratch = endpoint.scratch();
    let mut group = c.benchmark_group("qrcode/decode");
    for length in [6, 13, 22] {
        let cases = cases("decode", length);
        let mut turn = cases.iter().cycle();
        group.bench_function(format!("{length}"), |b| {
            b.iter(|| {
                let (grid, message) = turn.next().unwrap();
                let found = endpoint
                    .decode(&mut scratch, black_box(grid.as_bytes()))
                    .unwrap();
                assert_eq!(found.as_bytes(), message.as_bytes());
            });
        });
    }
    let authority = Authority::new(&Key([7; 32]));
    let (grid, message) = cases("decode", 6)[0];
    let query = format!("type=decode&data={grid}&timestamp={TIMESTAMP}");
    let mut token = Vec::new();
    authority.issue(b"TEAMID", TIMESTAMP, message.as_bytes(), &mut token);
    let mut out = Vec::with_capacity(256);
    group.bench_function("6/from_query_with_token", |b| {
        b.iter(|| {
            let request = parse(black_box(query.as_bytes()));
            let Ok(Query::Decode {
                data,
                timestamp: Some(timestamp),
            }) = request
            else {
                panic!("{query}");
            };
            let found = endpoint.decode(&mut scratch, data).unwrap();
            out.clear();
            authority.issue(b"TEAMID", timestamp, found.as_bytes(), &mut out);
            assert_eq!(out, token);
        });
    });
    group.finish();
}

fn decode_hostile(c: &mut Criterion) {
    let endpoint = QrCode::new();
    let mut scratch = endpoint.scratch();
    let mut group = c.benchmark_group("qrcode/hostile");
    let key = key();
    let noise = std::array::from_fn(|row| 0x9e37_79b9u32.wrapping_mul(2 * row as u32 + 1));
    let wide: String = (0..32).map(|_| format!("0x{}", "0".repeat(2000))).collect();
    for (name, text, reject) in [
        ("noise", grid_text(&noise, &key), Reject::NoCode),
        (
            "many_candidates",
            grid_text(&many_candidates(), &key),
            Reject::NoCode,
        ),
        ("64_kilobytes_of_zeros", wide, Reject::NoCode),
        (
            "cut_short",
            grid_text(&noise, &key)[..200].to_owned(),
            Reject::Words,
        ),
    ] {
        group.bench_function(name, |b| {
            b.iter(|| {
                let found = endpoint.decode(&mut scratch, black_box(text.as_bytes()));
                assert_eq!(found.err(), Some(reject));
            });
        });
    }
    group.finish();
}

fn render(c: &mut Criterion) {
    let endpoint = QrCode::new();
    let mut scratch = endpoint.scratch();
    let mut out = Vec::new();
    let mut group = c.benchmark_group("qrcode/render");
    for length in [22, 2953] {
        let text = "t".repeat(length);
        for (format, start) in [
            (Format::Svg, &b"<svg"[..]),
            (Format::Png, b"\x89PNG"),
            (Format::Text, "█".as_bytes()),
        ] {
            group.bench_function(format!("{format:?}/{length}"), |b| {
                b.iter(|| {
                    out.clear();
                    endpoint
                        .render(&mut scratch, format, black_box(text.as_bytes()), &mut out)
                        .unwrap();
                    assert!(out.starts_with(start));
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, encode, decode, decode_hostile, render);
criterion_main!(benches);
