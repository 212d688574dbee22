//! The stack budget: how much of a worker's stack each endpoint uses, and the deepest of its inputs.
//!
//! Turns run on a stack of [`HANDLER_STACK_BYTES`]; here a handler runs on painted memory of that size, and the
//! remaining paint shows how deep it went.

#[path = "it/sample.rs"]
mod sample;

use trident::{
    app::{
        App, Options,
        route::{ENDPOINTS, Example},
    },
    http::{Framing, Head, Heads, Method, Mode, Reply, Request, Service},
};

/// As in `http::worker`; half of it is the budget.
const HANDLER_STACK_BYTES: usize = 1 << 20;

const PAINT: u8 = 0xEE;

/// Bytes of stack `f` used.
#[allow(unsafe_code)]
fn stack_used(f: impl FnOnce()) -> usize {
    let mut stack = vec![PAINT; HANDLER_STACK_BYTES];
    let base = stack.as_mut_ptr();
    // SAFETY: the memory is ours, writable, larger than anything a handler uses (asserted by the paint
    // at its low end), and `f` returns.
    unsafe { psm::on_stack(base.add(base.align_offset(64)), HANDLER_STACK_BYTES - 64, f) };
    HANDLER_STACK_BYTES
        - stack
            .iter()
            .position(|&b| b != PAINT)
            .unwrap_or(HANDLER_STACK_BYTES)
}

fn call(
    app: &App,
    worker: &mut <App as Service>::Worker,
    method: Method,
    target: &str,
    body: &[u8],
) -> Vec<u8> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let head = Head {
        authority: b"",
        method,
        path: path.as_bytes(),
        query: query.as_bytes(),
        fields: b"",
        minor: 1,
        keep_alive: true,
        expects_continue: false,
        framing: Framing::Length(body.len() as u64),
        bytes: 0,
    };
    let mut out = Vec::new();
    let mut heads = Heads::default();
    let reply = Reply::new(&mut out, &mut heads, Mode::of(&head, true));
    let outcome = app.call(worker, &Request { head: &head, body }, reply);
    assert!(outcome.is_answered());
    out
}

#[test]
#[allow(clippy::print_stdout)] // the figures, shown with --nocapture
fn every_endpoint_stays_within_half_of_the_stack() {
    let mut options = Options::default();
    options.twitter.store = Some(sample::store(1000).into());
    let app = App::open(options).unwrap();
    let mut worker = app.worker();
    let long = "x".repeat(2_953);
    let deep = "[".repeat(100_000);
    let mut cases: Vec<(&str, Method, String, &[u8])> = vec![
        (
            "blockchain",
            Method::Get,
            sample::first_target("blockchain_valid.txt"),
            b"",
        ),
        (
            "qrcode encode",
            Method::Get,
            "/qrcode?type=encode&data=CC+Team".into(),
            b"",
        ),
        (
            "qrcode decode",
            Method::Get,
            sample::first_target("qr_decode.txt"),
            b"",
        ),
        (
            "qrcode png",
            Method::Get,
            format!("/qrcode?type=encode&format=png&data={long}"),
            b"",
        ),
        (
            "qrcode svg",
            Method::Get,
            format!("/qrcode?type=encode&format=svg&data={long}"),
            b"",
        ),
        (
            "twitter",
            Method::Get,
            "/twitter?user_id=7&type=both&phrase=some&hashtag=%C3%89".into(),
            b"",
        ),
        (
            "rest_auth",
            Method::Post,
            "/rest_auth".into(),
            deep.as_bytes(),
        ),
    ];
    for form in ENDPOINTS.iter().flat_map(|endpoint| endpoint.requests) {
        cases.push(match form.example {
            Example::Get(target) | Example::FirstStep(target) => {
                (form.request, Method::Get, target.into(), b"")
            }
            Example::Post(target, body) => {
                (form.request, Method::Post, target.into(), body.as_bytes())
            }
            Example::None => continue,
        });
    }
    for (name, method, target, body) in cases {
        let mut answer = Vec::new();
        let used = stack_used(|| answer = call(&app, &mut worker, method, &target, body));
        assert!(answer.starts_with(b"HTTP/1.1 "), "{name}");
        println!("{name}: {used} bytes of stack");
        assert!(
            used < HANDLER_STACK_BYTES / 2,
            "{name}: {used} bytes of stack"
        );
    }
}
