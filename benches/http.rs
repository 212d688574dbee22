//! HTTP in memory: what parsing a head and writing an answer cost without a socket.
//!
//! `first` parses a header section, `again` recognises the one it saw before, as a connection's
//! requests do.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use trident::http::{
    Framing, Head, Heads, Limits, Mode, Reply,
    body::Chunked,
    parse::{self, Memo, Parsed},
};

const SHORT: &str = "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n";
const BROWSER_FIELDS: &str = "Host: balancer.example:80\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) \
    AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Safari/537.36\r\nAccept: text/html,application/xml;\
    q=0.9,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate\r\nConnection: \
    keep-alive\r\nX-Forwarded-For: 10.1.2.3\r\nX-Forwarded-Proto: http\r\nX-Amzn-Trace-Id: \
    Root=1-67891233-abcdef012345678912345678\r\nCache-Control: max-age=0\r\n\r\n";

fn inputs() -> [(&'static str, String); 3] {
    let long = format!(
        "GET /healthz?pad={} HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n",
        "x".repeat(1983)
    );
    let browser = format!("GET /qrcode?type=encode&data=CC+Team HTTP/1.1\r\n{BROWSER_FIELDS}");
    [
        ("short", SHORT.to_owned()),
        ("long target", long),
        ("browser", browser),
    ]
}

fn complete<'b>(bytes: &'b [u8], limits: &Limits, memo: &mut Memo) -> Head<'b> {
    match parse::head_with(bytes, limits, memo) {
        Ok(Parsed::Complete(head)) => head,
        other => panic!("{other:?}"),
    }
}

fn heads(c: &mut Criterion) {
    let limits = Limits::default();
    let mut group = c.benchmark_group("head");
    for (name, text) in inputs() {
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(BenchmarkId::new("first", name), |b| {
            b.iter(|| {
                let head = complete(black_box(text.as_bytes()), &limits, &mut Memo::default());
                assert_eq!(head.bytes, text.len());
            });
        });
        let mut memo = Memo::default();
        group.bench_function(BenchmarkId::new("again", name), |b| {
            b.iter(|| {
                let head = complete(black_box(text.as_bytes()), &limits, &mut memo);
                assert_eq!((head.bytes, head.framing), (text.len(), Framing::Length(0)));
            });
        });
    }
    group.finish();
}

fn answers(c: &mut Criterion) {
    let mut heads = Heads::default();
    let mut out = Vec::with_capacity(4096);
    let mode = Mode {
        head_only: false,
        keep_alive: true,
        minor: 1,
    };
    for bytes in [40usize, 1000] {
        let body = vec![b'x'; bytes];
        c.bench_function(&format!("answer/{bytes} bytes"), |b| {
            b.iter(|| {
                out.clear();
                let reply = Reply::new(&mut out, &mut heads, mode);
                reply.text(|out| out.extend_from_slice(black_box(&body)));
                assert!(out.ends_with(&body));
            });
        });
    }
}

fn chunked(c: &mut Criterion) {
    let limits = Limits::default();
    let coded = [
        format!("1000\r\n{}\r\n", "x".repeat(4096)).repeat(16),
        "0\r\n\r\n".into(),
    ]
    .concat();
    let mut body = Vec::with_capacity(1 << 17);
    let mut group = c.benchmark_group("chunked");
    group.throughput(Throughput::Bytes(coded.len() as u64));
    group.bench_function("64 KiB in 16 chunks", |b| {
        b.iter(|| {
            body.clear();
            let fed = Chunked::default().feed(black_box(coded.as_bytes()), &mut body, &limits);
            assert_eq!((fed, body.len()), (Ok((coded.len(), true)), 64 << 10));
        });
    });
    group.finish();
}

criterion_group!(benches, heads, answers, chunked);
criterion_main!(benches);
