//! The allocation budget of every request on a warm connection, from socket to socket: none, except where
//! [`allocations_max`] says so.
//!
//! The server runs inside this process under a counting allocator. The client sends prepared bytes
//! and reads into a prepared buffer, so whatever is counted between is the server's.

#[path = "it/sample.rs"]
mod sample;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use trident::{
    app::{
        App, Options, Phase,
        route::{ENDPOINTS, Example},
    },
    http::{Acceptor, Limits, Listener, Server, Settings},
    metrics::Endpoint,
};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call is handed on to the system allocator unchanged.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const REQUESTS: u64 = 200;

/// Allocations that an endpoint may make for its example.
fn allocations_max(endpoint: Endpoint) -> u64 {
    match endpoint {
        // `qrcodegen` allocates its matrix and its scratch.
        Endpoint::QrPicture => 30,
        // Tokens for other programs, in JSON, by serde: a few per second.
        Endpoint::RestAuth | Endpoint::RestVerify => 10,
        _ => 0,
    }
}

/// One exchange; the answer's length is known from the first one.
fn exchange(stream: &mut TcpStream, request: &[u8], answer: &mut [u8]) {
    stream.write_all(request).unwrap();
    stream.read_exact(answer).unwrap();
}

#[test]
fn warm_requests_allocate_nothing() {
    Settings {
        workers: 1,
        pin_workers: false,
        stack_bytes: 64 << 10,
    }
    .apply()
    .unwrap();
    let mut options = Options::default();
    options.twitter.store = Some(sample::store(2).into());
    let limits = Limits {
        turn_us: u64::MAX, // a turn that a busy machine interrupts is not costly here: going behind others allocates
        ..Limits::default()
    };
    let server = Server::start(limits).unwrap();
    let app = App::open(options).unwrap();
    app.health().enter(Phase::Ready);
    let app = server.host(Arc::new(app));
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let listener = Listener::new(socket, false, &app);
    let _acceptor = Acceptor::start(&server, vec![listener]).unwrap();
    let mut stream = TcpStream::connect(address).unwrap();

    let get =
        |target: &str| format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n");
    let mut requests: Vec<_> = [
        ("/qrcode?type=encode&data=CC+Team".to_owned(), "0x66d92b80"),
        (sample::first_target("qr_decode.txt"), "TEAMID"),
        (
            sample::first_target("blockchain_valid.txt"),
            "TEAMID,000000000000\ne",
        ),
        ("/blockchain?cc=bm90IHpsaWI=".to_owned(), "INVALID"),
        (
            "/twitter?user_id=7&type=both&phrase=some%20&hashtag=TAG".to_owned(),
            "1\tname\tdescription\tsome text\n0\tname",
        ),
        (
            "/twitter?user_id=8&type=both&phrase=a&hashtag=b".to_owned(),
            "INVALID",
        ),
    ]
    .into_iter()
    .map(|(target, want)| (get(&target), want, 0))
    .collect();
    for form in ENDPOINTS.iter().flat_map(|endpoint| endpoint.requests) {
        let request = match form.example {
            Example::Get(target) | Example::FirstStep(target) => get(target),
            Example::Post(target, body) => {
                let len = body.len();
                let head = format!("POST {target} HTTP/1.1\r\nHost: localhost\r\n");
                format!("{head}Content-Length: {len}\r\n\r\n{body}")
            }
            Example::None => continue,
        };
        requests.push((request, "", allocations_max(form.label)));
    }
    for (request, want, allocations_max) in requests {
        stream.write_all(request.as_bytes()).unwrap();
        let mut first = vec![0; 64 << 10];
        let n = stream.read(&mut first).unwrap();
        let text = String::from_utf8_lossy(&first[..n]);
        assert!(
            text.starts_with("HTTP/1.1 200 OK\r\n") && text.contains(want),
            "{request}: {text}"
        );
        let answer = &mut first[..n];
        (0..REQUESTS).for_each(|_| exchange(&mut stream, request.as_bytes(), answer));
        // The least of three rounds: work that the process does once a second is not the request's.
        let mut round = || {
            let before = ALLOCATIONS.load(Relaxed);
            (0..REQUESTS).for_each(|_| exchange(&mut stream, request.as_bytes(), answer));
            ALLOCATIONS.load(Relaxed) - before
        };
        let allocations = (0..3).map(|_| round()).min();
        assert!(
            allocations.is_some_and(|n| n <= allocations_max * REQUESTS),
            "{allocations:?} in {REQUESTS} requests of {request}"
        );
    }
}
