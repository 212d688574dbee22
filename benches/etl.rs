//! How fast are tweets read, turned into values, and values read?
//!
//! Input is generated (see `trident::synth`), 4,000 lines of the usual mixture, about 14 MB.
//! Every result is checked inside. Run one group: `cargo bench --bench etl -- map`.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use serde::Deserialize;
use std::{hint::black_box, time::Duration};
use trident::{
    codec::json::Cursor,
    etl::{
        record::excluded::Excluded,
        run::pipe::{self, Order, Reducing},
        run::totals::Building,
        sink::user_sink::{SinkError, UserSink},
        stage::map::Mapper,
    },
    store::value::{Encoder, Kind, REPLY, RETWEET, User},
    synth::{
        self, Dataset,
        output::{Form, write_lines},
    },
};

const LINES: u64 = 4_000;

fn tweets() -> Vec<u8> {
    let dataset = Dataset::new(synth::Options::for_lines(1, LINES));
    let mut text = Vec::new();
    let line = |index, line: &mut Vec<u8>| dataset.write_line(index, line);
    write_lines(LINES, 1, Form::Plain, &mut text, line).unwrap();
    text
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&b| b == b'\n').filter(|line| !line.is_empty())
}

/// The fields that the map stage needs, as one would write it with serde: the baseline. It drops
/// what our reader mends and fails on what our reader tolerates, so it does less.
#[derive(Deserialize)]
#[allow(dead_code)]
struct PlainTweet {
    id: Option<u64>,
    id_str: Option<String>,
    created_at: Option<String>,
    text: Option<String>,
    lang: Option<String>,
    user: Option<PlainUser>,
    entities: Option<PlainEntities>,
    in_reply_to_user_id: Option<u64>,
    retweeted_status: Option<PlainRetweet>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct PlainUser {
    id: Option<u64>,
    screen_name: Option<String>,
    description: Option<String>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct PlainRetweet {
    user: Option<PlainUser>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct PlainEntities {
    hashtags: Option<Vec<PlainTag>>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct PlainTag {
    text: Option<String>,
}

fn map(c: &mut Criterion) {
    let text = tweets();
    let mut group = c.benchmark_group("map");
    group.throughput(Throughput::Bytes(text.len() as u64));
    // What reading alone costs: the unit of the ratios.
    group.bench_function("newlines alone", |b| {
        b.iter(|| assert!(memchr::memchr_iter(b'\n', black_box(&text)).count() as u64 == LINES));
    });
    group.bench_function("lines to records", |b| {
        let mut out = Vec::new();
        b.iter(|| {
            out.clear();
            let mut mapper = Mapper::default();
            let kept = lines(&text)
                .filter(|line| mapper.line(line, &mut out).is_some())
                .count();
            assert!(kept > 2_500 && kept < 3_000, "{kept}");
        });
    });
    group.bench_function("syntax check alone", |b| {
        b.iter(|| {
            let good = |line: &&[u8]| {
                let mut cursor = Cursor::new(line);
                cursor.skip_value().and_then(|()| cursor.end()).is_ok()
            };
            assert!(lines(&text).filter(good).count() > 3_900);
        });
    });
    group.bench_function("serde_json alone", |b| {
        b.iter(|| {
            let good = |line: &&[u8]| serde_json::from_slice::<PlainTweet>(line).is_ok();
            assert!(black_box(lines(&text).filter(good).count()) > 3_800);
        });
    });
    group.finish();
}

fn sorted(text: &[u8]) -> Vec<u8> {
    let mut lines: Vec<&[u8]> = lines(text).collect();
    lines.sort_unstable();
    lines
        .iter()
        .flat_map(|line| [line, b"\n".as_slice()])
        .flatten()
        .copied()
        .collect()
}

const WHAT: Reducing = Reducing {
    top: 700,
    history: false,
};
const BUILDING: Building<'static> = Building {
    allow_empty: false,
    top: 700,
    history: None,
};

struct Count(usize);

impl UserSink for Count {
    fn put(&mut self, _: u64, _: &[u8]) -> Result<(), SinkError> {
        self.0 += 1;
        Ok(())
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}

/// The later stages, per byte of records, without the sorts between them.
fn stages(c: &mut Criterion) {
    let excluded = Excluded::default();
    let reduce = |input: &[u8]| {
        let mut out = Vec::with_capacity(input.len() * 4);
        pipe::reduce(input, &Order::Sorted, &excluded, WHAT, &mut out).unwrap();
        out
    };
    let mut records = Vec::new();
    let mut mapper = Mapper::default();
    for line in lines(&tweets()) {
        if mapper.line(line, &mut records).is_some() {
            records.push(b'\n');
        }
    }
    let records = sorted(&records);
    let events = sorted(&reduce(&records));
    let pairs = sorted(&reduce(&events));
    let mut group = c.benchmark_group("stages");
    for (name, input) in [("tweets", &records), ("users", &events)] {
        group.throughput(Throughput::Bytes(input.len() as u64));
        group.bench_function(name, |b| {
            b.iter(|| assert!(reduce(input).len() > input.len() / 2))
        });
    }
    group.throughput(Throughput::Bytes(pairs.len() as u64));
    group.bench_function("values", |b| {
        b.iter(|| {
            let mut sink = Count(0);
            pipe::build(pairs.as_slice(), &Order::Sorted, BUILDING, &mut sink).unwrap();
            assert!(sink.0 > 900, "{}", sink.0);
        });
    });
    group.finish();
}

/// A user with `contacts` contacts of 1.1 tweets each, as in real files.
fn value(contacts: u64) -> Vec<u8> {
    let mut encoder = Encoder::default();
    for other in 0..contacts {
        encoder.contact(
            other,
            false,
            other % 30,
            b"screen_name",
            b"a description of usual length",
        );
        for tweet in 0..1 + u64::from(other % 10 == 0) {
            let types = if other % 3 == 0 { REPLY } else { RETWEET };
            let text = b"RT @screen_name: a text of about the usual length, with a #hashtag and http://t.co/0123456789";
            encoder.tweet(
                other * 2 + tweet,
                1_396_310_400,
                types,
                text,
                [b"hashtag".as_slice()],
            );
        }
    }
    let mut value = Vec::new();
    encoder.finish(1, &mut value).unwrap();
    value
}

/// Reading a value is in the path of every request: `parse` checks it, `walk` visits what a query
/// visits apart from the search itself.
fn model(c: &mut Criterion) {
    let mut group = c.benchmark_group("model");
    for contacts in [2u64, 13, 1_000] {
        let value = value(contacts);
        group.bench_with_input(BenchmarkId::new("parse", contacts), &value, |b, value| {
            b.iter(|| assert_eq!(User::parse(value).unwrap().contact_count() as u64, contacts));
        });
        group.bench_with_input(BenchmarkId::new("walk", contacts), &value, |b, value| {
            b.iter(|| {
                let user = User::parse(value).unwrap();
                let rows = user.contacts().filter(|contact| {
                    let tags: usize = contact
                        .tweets()
                        .map(|t| t.text.len() + t.tags().count())
                        .sum();
                    black_box(tags) > 0 && contact.latest(Kind::Both).is_some()
                });
                assert_eq!(rows.count() as u64, contacts);
            });
        });
    }
    group.finish();
}

fn generator(c: &mut Criterion) {
    let bytes = tweets().len() as u64;
    let mut group = c.benchmark_group("synth");
    group.throughput(Throughput::Bytes(bytes));
    group.bench_function("tweets", |b| {
        b.iter(|| assert_eq!(tweets().len() as u64, bytes))
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).measurement_time(Duration::from_secs(3));
    targets = map, stages, model, generator
}
criterion_main!(benches);
