//! Closed-loop HTTP load: N connections, one batch of D pipelined requests in flight on each.
//!
//! Must be far lighter than any server it measures, so it spins instead of sleeping, parses nothing
//! after the first pass (`targets.rs`), and does one send, one recv and one clock read per batch.
//! Started by `scripts/bench`; prints one line of JSON:
//!
//! * `rps`, `requests`, `elapsed_s`: complete responses within the measured time, after the warm-up;
//! * `p50_us`, `p99_us`, `p999_us`, `max_us`: send to last byte, of a whole batch;
//! * `server_cpu_us_per_request`, `server_busy`: CPU time of `--server-pid`, all threads; busy may
//!   exceed 1 on several cores;
//! * `client_busy`: share of the time not spent waiting for bytes. Near 1 means the client is the
//!   bottleneck and the figures say nothing about the server.
//!
//! `--requests-per-connection N` closes a connection after N answers, or the batch that reaches them, and makes a new one.
//!
//! Closed loop: a stalled server lowers `rps` instead of piling up requests, and quantiles are of the
//! requests that were sent (no correction for omitted ones).

use std::{
    hint,
    io::{self, Write},
    net::TcpStream,
    path::PathBuf,
    time::{Duration, Instant},
};

use trident_baseline::{
    args::Args,
    histogram::Histogram,
    sys,
    targets::{OK, RESPONSE_BYTES_MAX, Targets, connect, refused},
};

const USAGE: &str = "blast --port P --targets FILE [--conns 64] [--depth 1] [--seconds 1] \
                     [--warmup 0.2] [--core C] [--server-pid PID] [--requests-per-connection N]";

/// Looks at one connection before turning to the next one, which may be ready already.
const TRIES_PER_CONNECTION: u32 = 8;
/// Pauses between two looks: without them the socket's lock is taken so often that the server pays.
const PAUSES_PER_TRY: u32 = 24;
/// If no response comes for this long, the server has lost one or has stopped.
const STALL: Duration = Duration::from_secs(3);

struct Connection {
    stream: TcpStream,
    /// Response bytes still to come for the batch in flight.
    missing_bytes: usize,
    /// Target that starts the batch after the one in flight.
    next: usize,
    sent_at: Instant,
    /// Whether the next bytes are the start of a response.
    at_start: bool,
    /// Requests answered on it.
    answered: u64,
}

fn main() -> io::Result<()> {
    let mut args = Args::from_env(USAGE);
    let port: u16 = args.require("port");
    let path: PathBuf = args.require("targets");
    let conns: usize = args.take("conns", 64);
    let depth: usize = args.take("depth", 1);
    let seconds: f64 = args.take("seconds", 1.0);
    let warmup: f64 = args.take("warmup", 0.2);
    let core: Option<usize> = args.take_optional("core");
    let server_pid: Option<i32> = args.take_optional("server-pid");
    let requests_per_connection: u64 = args.take("requests-per-connection", u64::MAX);
    args.finish();
    if let Some(core) = core {
        sys::pin_to_core(core)?;
    }
    let mut targets = Targets::read(&path, depth, port)?;
    let mut streams: Vec<TcpStream> = (0..conns)
        .map(|_| connect(port))
        .collect::<Result<_, _>>()?;
    let Some(first) = streams.first_mut() else {
        return Err(io::Error::other("--conns 0"));
    };
    targets.learn(first)?;
    let spin = spin_cost(first)?;
    let mut load = Load::start(&targets, streams, port, requests_per_connection)?;
    load.run_for(Duration::from_secs_f64(warmup))?;
    load.forget();
    let server_before = server_pid.map(sys::cpu_time).transpose()?;
    let elapsed = load.run_for(Duration::from_secs_f64(seconds))?;
    let server_after = server_pid.map(sys::cpu_time).transpose()?;
    let server = server_before.zip(server_after).map(|(a, b)| b - a);
    report(&load, elapsed, spin, server)
}

/// Time of one fruitless look at an idle connection, pauses included.
fn spin_cost(idle: &TcpStream) -> io::Result<Duration> {
    const LOOKS: u32 = 5_000;
    let begin = Instant::now();
    for _ in 0..LOOKS {
        if sys::recv_now(idle, &mut [0; 64])?.is_some() {
            return Err(io::Error::other("bytes nobody asked for"));
        }
        pause();
    }
    Ok(begin.elapsed() / LOOKS)
}

fn pause() {
    for _ in 0..PAUSES_PER_TRY {
        hint::spin_loop();
    }
}

struct Load<'a> {
    targets: &'a Targets,
    port: u16,
    /// Requests after which a connection is replaced.
    requests_per_connection: u64,
    connections: Vec<Connection>,
    depth: u64,
    buffer: Vec<u8>,
    latency: Histogram,
    max: Duration,
    requests: u64,
    fruitless_looks: u64,
}

impl<'a> Load<'a> {
    /// Sends the first batch on every connection, each starting elsewhere in the list so that
    /// unequal targets are mixed at every moment.
    fn start(
        targets: &'a Targets,
        streams: Vec<TcpStream>,
        port: u16,
        requests_per_connection: u64,
    ) -> io::Result<Self> {
        let conns = streams.len();
        let begin = |(i, stream): (usize, TcpStream)| {
            let first = i * targets.count() / conns % targets.count();
            send_batch(&stream, targets.batch(first))?;
            Ok(Connection {
                stream,
                missing_bytes: targets.batch_response_bytes(first),
                next: targets.after_batch(first),
                sent_at: Instant::now(),
                at_start: true,
                answered: 0,
            })
        };
        Ok(Self {
            targets,
            port,
            requests_per_connection,
            connections: streams
                .into_iter()
                .enumerate()
                .map(begin)
                .collect::<io::Result<_>>()?,
            depth: targets.depth() as u64,
            buffer: vec![0; RESPONSE_BYTES_MAX],
            latency: Histogram::default(),
            max: Duration::ZERO,
            requests: 0,
            fruitless_looks: 0,
        })
    }

    /// Keeps the load up for a time; returns how long it really was.
    fn run_for(&mut self, time: Duration) -> io::Result<Duration> {
        let begin = Instant::now();
        let mut progress_at = begin;
        let mut requests_seen = self.requests;
        loop {
            for index in 0..self.connections.len() {
                self.serve_connection(index)?;
            }
            let now = Instant::now();
            if self.requests != requests_seen {
                requests_seen = self.requests;
                progress_at = now;
            } else if now - progress_at > STALL {
                return Err(io::Error::other("no response any more"));
            }
            if now - begin >= time {
                return Ok(now - begin);
            }
        }
    }

    fn forget(&mut self) {
        self.latency.clear();
        self.max = Duration::ZERO;
        self.requests = 0;
        self.fruitless_looks = 0;
    }

    /// Looks for bytes a few times; when the batch is complete, sends the next one.
    #[inline]
    fn serve_connection(&mut self, index: usize) -> io::Result<()> {
        let connection = &mut self.connections[index];
        for _ in 0..TRIES_PER_CONNECTION {
            let Some(n) = sys::recv_now(&connection.stream, &mut self.buffer)? else {
                self.fruitless_looks += 1;
                pause();
                continue;
            };
            let answer = &self.buffer[..n];
            if n == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if n > connection.missing_bytes || (connection.at_start && !answer.starts_with(OK)) {
                return Err(refused(answer));
            }
            connection.missing_bytes -= n;
            connection.at_start = connection.missing_bytes == 0;
            if connection.missing_bytes > 0 {
                continue;
            }
            let now = Instant::now();
            let took = now - connection.sent_at;
            self.latency.record(took.as_nanos() as u64);
            self.max = self.max.max(took);
            self.requests += self.depth;
            connection.answered += self.depth;
            if connection.answered >= self.requests_per_connection {
                connection.stream = sys::connect_from(index, self.port)?;
                connection.answered = 0;
            }
            send_batch(&connection.stream, self.targets.batch(connection.next))?;
            connection.sent_at = now;
            connection.missing_bytes = self.targets.batch_response_bytes(connection.next);
            connection.next = self.targets.after_batch(connection.next);
            return Ok(());
        }
        Ok(())
    }
}

fn send_batch(stream: &TcpStream, batch: &[u8]) -> io::Result<()> {
    // The server owes nothing on this connection, so its receive buffer is empty and takes a batch
    // whole; anything else is a batch too large for this client.
    match sys::send_now(stream, batch)? {
        Some(n) if n == batch.len() => Ok(()),
        _ => Err(io::Error::other("batch does not fit the socket buffer")),
    }
}

fn report(
    load: &Load,
    elapsed: Duration,
    spin: Duration,
    server: Option<Duration>,
) -> io::Result<()> {
    let seconds = elapsed.as_secs_f64();
    let waiting = load.fruitless_looks as f64 * spin.as_secs_f64();
    let mut line = format!(
        "{{\"rps\":{:.0},\"requests\":{},\"elapsed_s\":{seconds:.4},\"p50_us\":{:.1},\
         \"p99_us\":{:.1},\"p999_us\":{:.1},\"max_us\":{:.1},\"client_busy\":{:.3},\
         \"request_bytes\":{:.1},\"response_bytes\":{:.1}",
        load.requests as f64 / seconds,
        load.requests,
        load.latency.quantile_us(0.5),
        load.latency.quantile_us(0.99),
        load.latency.quantile_us(0.999),
        load.max.as_secs_f64() * 1e6,
        (1.0 - waiting / seconds).max(0.0),
        load.targets.request_bytes_mean(),
        load.targets.response_bytes_mean(),
    );
    if let Some(cpu) = server {
        line += &format!(
            ",\"server_cpu_us_per_request\":{:.4},\"server_busy\":{:.3}",
            cpu.as_secs_f64() * 1e6 / load.requests.max(1) as f64,
            cpu.as_secs_f64() / seconds
        );
    }
    writeln!(io::stdout(), "{line}}}")
}
