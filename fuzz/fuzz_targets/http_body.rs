//! Chunked bodies: fed whole and fed in two pieces they give the same bytes and the same outcome.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trident::http::{Fault, Limits, body::Chunked};

/// Body, bytes used and whether it ended, or the fault.
fn decode(pieces: &[&[u8]], limits: &Limits) -> (Vec<u8>, Result<(usize, bool), Fault>) {
    let (mut decoder, mut body, mut used) = (Chunked::default(), Vec::new(), 0);
    for piece in pieces {
        match decoder.feed(piece, &mut body, limits) {
            Ok((n, ended)) => {
                used += n;
                assert!(ended || n == piece.len(), "bytes left over");
                if ended {
                    return (body, Ok((used, true)));
                }
            }
            Err(fault) => return (body, Err(fault)),
        }
    }
    (body, Ok((used, false)))
}

fuzz_target!(|input: &[u8]| {
    let [position, coded @ ..] = input else {
        return;
    };
    let limits = Limits {
        body_bytes_max: 300,
        chunk_overhead_bytes_max: 100,
        ..Limits::default()
    };
    let whole = decode(&[coded], &limits);
    assert!(whole.0.len() <= limits.body_bytes_max);
    let (before, after) = coded.split_at(usize::from(*position) % (coded.len() + 1));
    assert_eq!(decode(&[before, after], &limits), whole);
    let bytes: Vec<&[u8]> = coded.chunks(1).collect();
    assert_eq!(decode(&bytes, &limits), whole);
});
