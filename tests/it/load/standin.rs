//! A server that answers as a test tells it to, one thread per connection.

use socket2::SockRef;
use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

/// What to do with a request.
pub enum Reply {
    /// Send these bytes.
    Bytes(String),
    /// Send these bytes, then close.
    Close(String),
    /// Reset the connection.
    Reset,
    /// Say nothing, keep the connection.
    Silence,
}

/// A stand-in; it lives as long as the test process.
pub struct StandIn {
    pub url: String,
    /// Requests it has seen.
    pub requests: Arc<AtomicU64>,
    /// Connections it has accepted.
    pub connections: Arc<AtomicU64>,
}

/// A whole answer with status and body.
pub fn answer(status: u16, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n\r\n{body}")
}

impl StandIn {
    /// Starts a stand-in that asks `reply` what to do with the request of this number, from 0.
    pub fn start(reply: impl Fn(u64) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(AtomicU64::new(0));
        let (counter, reply) = (Arc::clone(&requests), Arc::new(reply));
        let connections = Arc::new(AtomicU64::new(0));
        let accepted = Arc::clone(&connections);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                accepted.fetch_add(1, Relaxed);
                let (counter, reply) = (Arc::clone(&counter), Arc::clone(&reply));
                thread::spawn(move || serve(stream, &counter, &*reply));
            }
        });
        Self {
            url,
            requests,
            connections,
        }
    }

    /// A stand-in that always does the same.
    pub fn always(reply: impl Fn() -> Reply + Send + Sync + 'static) -> Self {
        Self::start(move |_| reply())
    }
}

fn serve(mut stream: TcpStream, requests: &AtomicU64, reply: &dyn Fn(u64) -> Reply) {
    let mut received = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        while let Some(end) = received.windows(4).position(|at| at == b"\r\n\r\n") {
            received.drain(..end + 4);
            match reply(requests.fetch_add(1, Relaxed)) {
                Reply::Bytes(bytes) => {
                    if stream.write_all(bytes.as_bytes()).is_err() {
                        return;
                    }
                }
                Reply::Close(bytes) => {
                    let _ = stream.write_all(bytes.as_bytes());
                    let _ = stream.shutdown(Shutdown::Both);
                    return;
                }
                Reply::Reset => {
                    let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
                    return;
                }
                Reply::Silence => {}
            }
        }
        match stream.read(&mut chunk) {
            Ok(n) if n > 0 => received.extend_from_slice(&chunk[..n]),
            _ => return,
        }
    }
}
