//! What a token costs: issued on every decode, verified on `/rest_verify`.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use trident::auth::{Authority, Key, rest_api};

const TIMESTAMP: i64 = 1_706_567_290_739;
const BODY: &[u8] =
    br#"{"team_name":"TEAMID","timestamp":1706567290739,"decoded_qrcode":"Upc7Lu"}"#;

fn auth(c: &mut Criterion) {
    let authority = Authority::new(&Key([7; 32]));
    let token = |message: &[u8]| {
        let mut out = Vec::new();
        authority.issue(b"TEAMID", TIMESTAMP, message, &mut out);
        out
    };
    let mut group = c.benchmark_group("auth");
    for (name, message) in [
        ("issue/6", &b"Upc7Lu"[..]),
        ("issue/22", b"twenty-two characters!"),
    ] {
        let expected = token(message);
        let mut out = Vec::with_capacity(256);
        group.bench_function(name, |b| {
            b.iter(|| {
                out.clear();
                authority.issue(
                    black_box(b"TEAMID"),
                    TIMESTAMP,
                    black_box(message),
                    &mut out,
                );
                assert_eq!(out, expected);
            });
        });
    }
    let genuine = token(b"Upc7Lu");
    group.bench_function("verify/6", |b| {
        b.iter(|| {
            assert!(authority.verify(b"TEAMID", TIMESTAMP, black_box(b"Upc7Lu"), &genuine));
        });
    });
    let mut out = Vec::with_capacity(256);
    group.bench_function("rest_auth", |b| {
        b.iter(|| {
            out.clear();
            rest_api::rest_auth(&authority, black_box(BODY), &mut out).unwrap();
            assert!(out.ends_with(&[&genuine[..], b"\"}"].concat()));
        });
    });
    group.finish();
}

criterion_group!(benches, auth);
criterion_main!(benches);
