//! Stock may_minihttp 0.1.11 with default features: the same fixed answer to every request.
//!
//! Set up as its own example does it for benchmarks; the allocator is the one trident uses, so the
//! comparison is of loops.

use std::io;

use may_minihttp::{HttpServer, HttpService, Request, Response};
use trident_baseline::{args::Args, fixed_body};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const USAGE: &str = "may_minihttp_hello --port P [--threads 1] [--body-bytes 40]";

#[derive(Clone)]
struct Hello {
    body: &'static str,
}

impl HttpService for Hello {
    fn call(&mut self, _request: Request, response: &mut Response) -> io::Result<()> {
        response.header("Content-Type: text/plain").body(self.body);
        Ok(())
    }
}

fn main() -> io::Result<()> {
    let mut args = Args::from_env(USAGE);
    let port: u16 = args.require("port");
    let threads: usize = args.take("threads", 1);
    let body_bytes: usize = args.take("body-bytes", 40);
    args.finish();
    may::config().set_workers(threads);
    let body = fixed_body(body_bytes).leak();
    let server = HttpServer(Hello { body }).start(("127.0.0.1", port))?;
    server.join().map_err(|_| io::Error::other("panic"))
}
