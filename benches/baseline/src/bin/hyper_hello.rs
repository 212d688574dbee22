//! hyper 1, one current-thread tokio runtime and one SO_REUSEPORT listener per thread: the same
//! fixed answer to every request.
//!
//! This is the fast way to run hyper (no work stealing, `pipeline_flush` on), with the allocator
//! trident uses.

use std::{convert::Infallible, io, net::SocketAddr};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, header, service::service_fn};
use hyper_util::rt::TokioIo;
use socket2::{Domain, Socket, Type};
use trident_baseline::{args::Args, fixed_body, on_threads};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const USAGE: &str = "hyper_hello --port P [--threads 1] [--body-bytes 40]";
const BACKLOG: i32 = 4096;

fn main() -> io::Result<()> {
    let mut args = Args::from_env(USAGE);
    let port: u16 = args.require("port");
    let threads: usize = args.take("threads", 1);
    let body_bytes: usize = args.take("body-bytes", 40);
    args.finish();
    let body = Bytes::from(fixed_body(body_bytes));
    on_threads(threads, move || run(port, body.clone()))
}

fn run(port: u16, body: Bytes) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    runtime.block_on(accept_all(port, body))
}

async fn accept_all(port: u16, body: Bytes) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listen(port)?)?;
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        stream.set_nodelay(true).ok();
        let body = body.clone();
        let service = service_fn(move |_: Request<Incoming>| {
            let response = Response::builder()
                .header(header::SERVER, "H")
                .header(header::CONTENT_TYPE, "text/plain")
                .body(Full::new(body.clone()));
            async { Ok::<_, Infallible>(response.unwrap_or_default()) }
        });
        tokio::spawn(
            hyper::server::conn::http1::Builder::new()
                .pipeline_flush(true)
                .serve_connection(TokioIo::new(stream), service),
        );
    }
}

fn listen(port: u16) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], port)).into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
