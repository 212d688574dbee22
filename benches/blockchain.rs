//! What does a `/blockchain` request cost, and which stage costs it?
//!
//! `whole/…` is the endpoint from `cc` to the packed answer on a warm worker. `typical` has the shape of the
//! mean public request; `mix` takes 64 different ones in turn, as a server does, so branches are not learnt
//! by heart and the figure is higher. `stage/…` are the parts of `typical` in order; they add up to its
//! `whole`. Requests and answers come from the protocol's reference; every answer is compared before it
//! is timed, and every timed run must succeed.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use flate2::read::ZlibDecoder;
use serde_json::Value;
use std::{hint::black_box, io::Read};
use trident::{
    blockchain::{
        Blockchain, Options, Reject, Scratch, balances::Balances, chain, hash, mine, new_block,
        request::ChainRequest, sign::Rsa, wire::Wire,
    },
    codec::base64url,
};

const REQUESTS: &str = include_str!("data/blockchain_requests.jsonl");

struct Case {
    name: String,
    cc: Vec<u8>,
    /// The block the answer must end with; none for an INVALID request.
    new_block: Option<Value>,
}

fn cases() -> Vec<Case> {
    let case = |line| {
        let value: Value = serde_json::from_str(line).expect("the file is JSON lines");
        let text = |key: &str| value[key].as_str().expect("a string").to_owned();
        Case {
            name: text("name"),
            cc: text("cc").into_bytes(),
            new_block: value.get("new_block").cloned(),
        }
    };
    REQUESTS.lines().map(case).collect()
}

fn json_of(packed: &[u8]) -> Vec<u8> {
    let mut stream = Vec::new();
    base64url::decode(packed, &mut stream).expect("base64");
    let mut json = Vec::new();
    ZlibDecoder::new(stream.as_slice())
        .read_to_end(&mut json)
        .expect("zlib");
    json
}

/// Answers `case` and compares: the old chain unchanged, the new block as the reference has it.
fn check(endpoint: &Blockchain, scratch: &mut Scratch, case: &Case) {
    let mut out = Vec::new();
    let outcome = endpoint.answer(scratch, &case.cc, &mut out);
    let Some(new_block) = &case.new_block else {
        assert!(outcome.is_err(), "{} must be INVALID", case.name);
        return;
    };
    assert_eq!(outcome, Ok(()), "{}", case.name);
    let request: Value = serde_json::from_slice(&json_of(&case.cc)).expect("JSON");
    let answer: Value = serde_json::from_slice(&json_of(&out)).expect("JSON");
    let mut expected = request["chain"].as_array().expect("an array").clone();
    expected.push(new_block.clone());
    assert_eq!(answer["chain"].as_array(), Some(&expected), "{}", case.name);
}

fn whole(c: &mut Criterion) {
    let endpoint = Blockchain::new(Options::default());
    let mut scratch = endpoint.scratch();
    let mut out = Vec::new();
    let cases = cases();
    cases
        .iter()
        .for_each(|case| check(&endpoint, &mut scratch, case));
    let (mix, single): (Vec<_>, Vec<_>) = cases.iter().partition(|case| case.name == "mix");
    let mut group = c.benchmark_group("blockchain/whole");
    group.throughput(Throughput::Elements(1));
    for case in single {
        group.bench_function(&case.name, |b| {
            b.iter(|| {
                out.clear();
                let outcome = endpoint.answer(&mut scratch, black_box(&case.cc), &mut out);
                assert_eq!(outcome.is_ok(), case.new_block.is_some());
            });
        });
    }
    let mut turn = mix.iter().cycle();
    group.bench_function("mix", |b| {
        b.iter(|| {
            out.clear();
            let case = turn.next().expect("never ends");
            assert_eq!(
                endpoint.answer(&mut scratch, black_box(&case.cc), &mut out),
                Ok(())
            );
        });
    });
    group.finish();
}

fn stages(c: &mut Criterion) {
    let options = Options::default();
    let cases = cases();
    let cc = &cases
        .iter()
        .find(|case| case.name == "typical")
        .expect("in the file")
        .cc;
    let json = json_of(cc);
    let json = json.as_slice();
    let mut group = c.benchmark_group("blockchain/stage");

    let mut wire = Wire::new(options.inflated_bytes_max, options.compression_level);
    group.bench_function("1_base64_decode", |b| {
        b.iter(|| assert_eq!(wire.decode(black_box(cc)), Ok(())))
    });
    group.bench_function("2_inflate", |b| {
        b.iter(|| assert_eq!(wire.inflate(), Ok(json)))
    });

    let mut request = ChainRequest::default();
    group.throughput(Throughput::Bytes(json.len() as u64));
    group.bench_function("3_parse", |b| {
        b.iter(|| assert_eq!(request.parse(black_box(json)), Ok(())))
    });

    let team = options.team_account;
    let mut balances = Balances::default();
    let mut chain_end_ns = 0;
    group.bench_function("4_rules_without_hashes", |b| {
        b.iter(|| chain_end_ns = chain::check(&request, json, team, &mut balances).expect("valid"));
    });

    new_block::complete(&mut request, team, chain_end_ns);
    let (mut messages, mut hashes) = Default::default();
    group.bench_function("5_transaction_hashes", |b| {
        b.iter(|| {
            assert_eq!(
                hash::check_transactions(&mut request, black_box(json), &mut messages),
                Ok(())
            )
        });
    });
    group.bench_function("6_block_hashes", |b| {
        b.iter(|| {
            assert_eq!(
                hash::check_blocks(&request, black_box(json), &mut messages, &mut hashes),
                Ok(())
            )
        });
    });

    let rsa = Rsa::new(&options.modulus, &options.team_private_exponent);
    group.bench_function("7_signatures", |b| {
        b.iter(|| -> Result<(), Reject> {
            rsa.check(&request.chain_txs)
                .and_then(|()| rsa.check(&request.new_txs))
        });
    });

    let threshold = mine::threshold(request.new_target.of(json, &request.unescaped));
    group.bench_function("8_mining", |b| {
        b.iter(|| {
            let seed_state = hash::new_seed_state(black_box(&request), &mut messages);
            mine::search(&seed_state, threshold, options.mining_tries_max).expect("found")
        });
    });

    let seed_state = hash::new_seed_state(&request, &mut messages);
    let found = mine::search(&seed_state, threshold, options.mining_tries_max).expect("found");
    let mut text = Vec::new();
    group.bench_function("9_text_and_own_signatures", |b| {
        b.iter(|| {
            text.clear();
            new_block::write(black_box(&request), json, &rsa, found, &mut text);
        });
    });
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("10_deflate", |b| b.iter(|| wire.deflate(black_box(&text))));
    let mut out = Vec::new();
    group.bench_function("11_base64_encode", |b| {
        b.iter(|| {
            out.clear();
            wire.encode(&mut out);
        });
    });
    assert_eq!(json_of(&out), text);
    group.finish();
}

criterion_group!(benches, whole, stages);
criterion_main!(benches);
