//! Query strings: never a panic, and percent-decoding as the simplest program does it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trident::codec::query::{Plus, first, pairs, percent_decode};

/// Byte by byte.
fn decode_slowly(raw: &[u8], plus: Plus) -> Vec<u8> {
    let digit = |at: usize| raw.get(at).and_then(|b| (*b as char).to_digit(16));
    let (mut at, mut out) = (0, Vec::new());
    while at < raw.len() {
        match (raw[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 2;
            }
            (b'+', ..) if plus == Plus::Space => out.push(b' '),
            (byte, ..) => out.push(byte),
        }
        at += 1;
    }
    out
}

fuzz_target!(|raw: &[u8]| {
    for plus in [Plus::Space, Plus::Literal] {
        let mut out = b"kept".to_vec();
        percent_decode(raw, plus, &mut out);
        assert_eq!(out.split_off(4), decode_slowly(raw, plus));
        assert_eq!(out, b"kept");
    }
    for (name, _) in pairs(raw).take(20) {
        let value = pairs(raw).find(|pair| pair.0 == name).map(|pair| pair.1);
        assert_eq!(first(raw, name), value);
    }
    let _ = trident::qrcode::parse(raw);
});
