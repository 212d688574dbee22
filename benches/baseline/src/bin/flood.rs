//! One greedy neighbour: a connection that pipelines without pause, and one that does not.
//!
//! Measures what the flooder costs a well-behaved connection of the same worker (start the server
//! with one worker). Both connections live in one loop on one core, so that the probe never waits for
//! the flooder's turn on the client's side longer than one send and one recv. Prints one line of JSON:
//! the probe's latency without and with the flood, and what the flooder got meanwhile.

use std::{
    io::{self, Write},
    net::TcpStream,
    path::PathBuf,
    time::{Duration, Instant},
};

use trident_baseline::{
    args::Args,
    histogram::Histogram,
    sys,
    targets::{Targets, connect},
};

const USAGE: &str = "flood --port P --targets FILE [--seconds 2] [--depth 256] [--core C]";

/// Most bytes of one recv of the flooder: bounds how long the probe waits for the client.
const RECV_BYTES: usize = 64 << 10;

fn main() -> io::Result<()> {
    let mut args = Args::from_env(USAGE);
    let port: u16 = args.require("port");
    let path: PathBuf = args.require("targets");
    let seconds: f64 = args.take("seconds", 2.0);
    let depth: usize = args.take("depth", 256);
    let core: Option<usize> = args.take_optional("core");
    args.finish();
    if let Some(core) = core {
        sys::pin_to_core(core)?;
    }
    let time = Duration::from_secs_f64(seconds);
    let mut probe = Probe::connect(port, &path)?;
    let alone = probe.run(time, || Ok(()))?;
    let mut flooder = Flooder::connect(port, &path, depth)?;
    let flooded = probe.run(time, || flooder.push())?;
    writeln!(
        io::stdout(),
        "{{\"alone\":{},\"flooded\":{},\"flooder_response_mb\":{:.1}}}",
        summary(&alone),
        summary(&flooded),
        flooder.received_bytes as f64 / 1e6
    )
}

fn summary(latency: &Histogram) -> String {
    format!(
        "{{\"answers\":{},\"p50_us\":{:.1},\"p99_us\":{:.1},\"max_us\":{:.1}}}",
        latency.count(),
        latency.quantile_us(0.5),
        latency.quantile_us(0.99),
        latency.quantile_us(1.0)
    )
}

/// One request at a time.
struct Probe {
    stream: TcpStream,
    targets: Targets,
}

impl Probe {
    fn connect(port: u16, path: &std::path::Path) -> io::Result<Self> {
        let mut targets = Targets::read(path, 1, port)?;
        let mut stream = connect(port)?;
        targets.learn(&mut stream)?;
        Ok(Self { stream, targets })
    }

    /// Asks for `time`, calling `meanwhile` between two looks; a request still unanswered at the end
    /// counts with the time it has waited so far.
    fn run(
        &mut self,
        time: Duration,
        mut meanwhile: impl FnMut() -> io::Result<()>,
    ) -> io::Result<Histogram> {
        let mut latency = Histogram::default();
        let mut buffer = [0; 4096];
        let begin = Instant::now();
        while begin.elapsed() < time {
            let sent_at = Instant::now();
            self.stream.write_all(self.targets.batch(0))?;
            let mut missing_bytes = self.targets.batch_response_bytes(0);
            while missing_bytes > 0 && begin.elapsed() < 4 * time {
                meanwhile()?;
                match sys::recv_now(&self.stream, &mut buffer)? {
                    Some(n) if n == 0 || n > missing_bytes => {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    Some(n) => missing_bytes -= n,
                    None => {}
                }
            }
            latency.record(sent_at.elapsed().as_nanos() as u64);
        }
        Ok(latency)
    }
}

/// Sends whenever the socket takes something, reads whenever something is there.
struct Flooder {
    stream: TcpStream,
    batch: Vec<u8>,
    /// Bytes of `batch` sent already.
    sent: usize,
    buffer: Vec<u8>,
    received_bytes: u64,
}

impl Flooder {
    fn connect(port: u16, path: &std::path::Path, depth: usize) -> io::Result<Self> {
        Ok(Self {
            stream: connect(port)?,
            batch: Targets::read(path, depth, port)?.batch(0).to_vec(),
            sent: 0,
            buffer: vec![0; RECV_BYTES],
            received_bytes: 0,
        })
    }

    fn push(&mut self) -> io::Result<()> {
        if let Some(n) = sys::send_now(&self.stream, &self.batch[self.sent..])? {
            self.sent = (self.sent + n) % self.batch.len();
        }
        match sys::recv_now(&self.stream, &mut self.buffer)? {
            Some(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Some(n) => self.received_bytes += n as u64,
            None => {}
        }
        Ok(())
    }
}
