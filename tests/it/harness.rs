//! What every black-box test needs: the real binary on a free port, and a client that sees bytes.
//!
//! [`Server`] starts `trident serve`, reads the addresses it prints and kills it when dropped.
//! [`Client`] writes raw bytes and reads whole answers; it knows no more of HTTP than the framing
//! of the answers this server sends (Content-Length, nothing else). Every wait has a limit far
//! beyond what a loaded machine needs: it turns a hang into a failure and measures nothing.

use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// How long anything may take before it counts as hanging.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The plainest request: an answer of 200.
pub const GET: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n";

/// The auth key of every server started here: 32 bytes in hex.
pub const AUTH_KEY: &str = "6b657920666f722074657374732c206e6f7420666f7220616e79206f74686572";

/// Asks whether the server is ready.
pub const READY: &[u8] = b"GET /readyz HTTP/1.1\r\nHost: t\r\n\r\n";

/// Names, with commas, the tests to leave out on this machine: see [`required`].
const SKIP: &str = "TRIDENT_SKIP";

/// Whether a test that needs `programs` is to run: not if `TRIDENT_SKIP` contains `name`.
///
/// # Panics
/// One of the programs is not installed. If the test passed without it, it would report what was never tried.
#[must_use]
pub fn required(name: &str, programs: &[&str]) -> bool {
    let missing: Vec<&str> = programs
        .iter()
        .copied()
        .filter(|program| !is_installed(program))
        .collect();
    let obstacle = format!(
        "{} not installed (scripts/test does that)",
        missing.join(", ")
    );
    unless_skipped(name, (!missing.is_empty()).then_some(obstacle))
}

/// As [`required`], for requirements other than programs.
///
/// # Panics
/// There is an obstacle.
#[must_use]
pub fn unless_skipped(name: &str, obstacle: Option<String>) -> bool {
    let skipped = std::env::var(SKIP).unwrap_or_default();
    if skipped.split(',').any(|skipped| skipped == name) {
        eprintln!("left out: {SKIP} contains {name}");
        return false;
    }
    if let Some(obstacle) = obstacle {
        panic!("{obstacle}; {SKIP}={name} leaves out the tests that need it");
    }
    true
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

#[test]
#[should_panic(expected = "no-such-program not installed")]
fn a_missing_program_fails_the_tests_that_need_it() {
    let _ = required("nothing", &["sh", "no-such-program"]);
}

/// Keeps variables of this process from being read as settings by `command`.
pub fn without_settings(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TRIDENT_") {
            command.env_remove(name);
        }
    }
    command
}

/// A running `trident serve`.
pub struct Server {
    child: Child,
    stderr: Arc<Mutex<String>>,
    /// The public listener.
    pub address: SocketAddr,
    /// The admin listener, if there is one.
    pub admin: Option<SocketAddr>,
}

impl Server {
    /// Starts the server on free ports, with further arguments after `serve`.
    pub fn start(arguments: &[&str]) -> Self {
        let mut command = Self::command();
        command
            .args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .args(arguments);
        Self::spawn(command)
    }

    /// As [`start`](Self::start), with settings written as `key=value`.
    pub fn with(settings: &[&str]) -> Self {
        let arguments: Vec<&str> = settings
            .iter()
            .flat_map(|setting| ["--set", setting])
            .collect();
        Self::start(&arguments)
    }

    /// `trident serve` without further arguments.
    pub fn command() -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trident"));
        without_settings(&mut command).arg("serve");
        command
    }

    /// Runs `script` with `sh`, which must end in `exec "$@"`: `$@` is the server's command line.
    pub fn shell(script: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("sh");
        without_settings(&mut command)
            .args(["-c", script, "sh", env!("CARGO_BIN_EXE_trident"), "serve"])
            .args(arguments);
        command
    }

    /// A server with one worker that may have 64 descriptors.
    pub fn with_few_descriptors(admin: &str) -> Self {
        let arguments = [
            "--listen",
            "127.0.0.1:0",
            "--admin",
            admin,
            "--workers",
            "1",
        ];
        Self::spawn(Self::shell("ulimit -n 64; exec \"$@\"", &arguments))
    }

    /// Starts `command`, which becomes the server, and waits until it has printed its addresses.
    pub fn spawn(mut command: Command) -> Self {
        // Settings come from the test alone; the key of a test is not secret.
        without_settings(&mut command);
        let mut child = command
            .env("TRIDENT_AUTH_KEY", AUTH_KEY)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server's binary can be started");
        let stderr = Arc::new(Mutex::new(String::new()));
        let lines = lines_of(child.stdout.take().unwrap());
        collect(child.stderr.take().unwrap(), Arc::clone(&stderr));
        let (mut address, mut admin) = (None, None);
        let give_up = Instant::now() + PATIENCE;
        while let Ok(line) = lines.recv_timeout(give_up.saturating_duration_since(Instant::now())) {
            let listening = |name: &str| {
                line.trim()
                    .strip_prefix(name)?
                    .trim()
                    .strip_prefix("http://")?
                    .parse()
                    .ok()
            };
            if let Some(found) = listening("serving") {
                address.get_or_insert(found);
            } else if let Some(found) = listening("admin") {
                admin = Some(found);
            } else if address.is_some() {
                break; // the addresses stand together
            }
        }
        let Some(address) = address else {
            let _ = child.kill();
            panic!(
                "no address printed; standard error:\n{}",
                stderr.lock().unwrap()
            );
        };
        Self {
            child,
            stderr,
            address,
            admin,
        }
    }

    /// A new connection to the public listener.
    pub fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// The answer to one request on a connection of its own.
    pub fn ask(&self, request: &[u8]) -> Response {
        self.connect().ask(request)
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args(["-s", name, &self.pid().to_string()])
            .status();
        assert!(
            sent.is_ok_and(|status| status.success()),
            "cannot send SIG{name}"
        );
    }

    /// Whether the process still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for the process to end by itself.
    pub fn wait(&mut self) -> ExitStatus {
        let give_up = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(
                Instant::now() < give_up,
                "the server does not end; standard error:\n{}",
                self.log()
            );
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// What the server has written to standard error.
    pub fn log(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    /// Waits until the server has logged `text`: its output is read by another thread and may come after its answers.
    #[track_caller]
    pub fn logged(&self, text: &str) {
        let is_there = eventually(|| self.log().contains(text));
        assert!(is_there, "{text}: {}", self.log());
    }

    /// Its own resident memory in bytes: pages of the program and of a mapped store do not count.
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("RssAnon:"))
            .unwrap();
        line.split_whitespace()
            .nth(1)
            .unwrap()
            .parse::<u64>()
            .unwrap()
            * 1024
    }

    /// All metrics of the server, read at one time.
    pub fn metrics(&self) -> Metrics {
        let address = self.admin.expect("metrics are on the admin listener");
        let request = b"GET /metrics HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n";
        let answer = Client::connect(address).ask(request);
        assert_eq!(answer.status, 200, "{answer:?}");
        Metrics(answer.text())
    }

    /// One sum of [`metrics`](Self::metrics).
    pub fn metric(&self, name: &str) -> u64 {
        self.metrics().sum(name)
    }

    /// Connections open now, the one that asks included.
    pub fn connections_open(&self) -> u64 {
        let metrics = self.metrics();
        let count = |name: &str| metrics.sum(&format!("trident_connections_{name}_total"));
        count("accepted") - count("refused") - count("closed")
    }
}

/// Samples in the Prometheus text format.
pub struct Metrics(pub String);

impl Metrics {
    /// All of them, as they came.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// The sum of all samples whose name, labels included, starts with `name`.
    pub fn sum(&self, name: &str) -> u64 {
        let samples: Vec<u64> = self
            .0
            .lines()
            .filter(|line| line.starts_with(name))
            .map(|line| line.rsplit(' ').next().unwrap().parse().unwrap())
            .collect();
        assert!(!samples.is_empty(), "no metric {name} in\n{}", self.0);
        samples.iter().sum()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- the server's standard error ---\n{}", self.log());
        }
    }
}

fn lines_of(stream: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let _ = send.send(line); // goes on reading: the server must never block on its output
        }
    });
    receive
}

fn collect(stream: impl Read + Send + 'static, into: Arc<Mutex<String>>) {
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let mut text = into.lock().unwrap();
            text.push_str(&line);
            text.push('\n');
        }
    });
}

/// Retries `condition` until it holds; false when it did not in [`PATIENCE`].
pub fn eventually(mut condition: impl FnMut() -> bool) -> bool {
    let give_up = Instant::now() + PATIENCE;
    while Instant::now() < give_up {
        if condition() {
            return true;
        }
        thread::sleep(Duration::from_millis(20));
    }
    condition()
}

/// Only for the pace of a peer that is slow on purpose, or for a random moment to kill at. For everything else a test
/// waits for an event: see [`eventually`] and [`far_end`](crate::far_end).
pub fn pace(pause: Duration) {
    thread::sleep(pause);
}

/// Raises this process's limit of open descriptors as far as allowed; returns the limit.
pub fn raise_descriptor_limit() -> u64 {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, raised).unwrap();
    maximum.unwrap_or(u64::MAX) // `None` means no limit
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Names in lower case, and values, in order.
    pub fields: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// The value of the first field called `name` (lower case).
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    /// Whether the answer announces the end of the connection.
    pub fn closes(&self) -> bool {
        self.field("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A connection that is examined byte by byte.
pub struct Client {
    /// The socket.
    pub stream: TcpStream,
    received: Vec<u8>,
}

impl Client {
    /// Connects.
    pub fn connect(address: SocketAddr) -> Self {
        Self::over(
            TcpStream::connect_timeout(&address, PATIENCE).expect("the server accepts connections"),
        )
    }

    /// A client on a connection made elsewhere.
    pub fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self {
            stream,
            received: Vec::new(),
        }
    }

    /// Writes all of `bytes`; a failure shows when reading.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Ends the sending side.
    pub fn finish(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Sends a request and reads its answer.
    pub fn ask(&mut self, request: &[u8]) -> Response {
        self.send(request);
        self.response()
            .expect("an answer before the end of the connection")
    }

    /// The next answer; `None` at the end of the connection.
    pub fn response(&mut self) -> Option<Response> {
        self.read_response(false)
    }

    /// The next answer, which has no body because it answers HEAD.
    pub fn head_response(&mut self) -> Option<Response> {
        self.read_response(true)
    }

    fn read_response(&mut self, head_only: bool) -> Option<Response> {
        let head_end = loop {
            if let Some(at) = self
                .received
                .windows(4)
                .position(|window| window == b"\r\n\r\n")
            {
                break at + 4;
            }
            if !self.receive() {
                assert!(self.received.is_empty(), "cut off: {:?}", self.excerpt());
                return None;
            }
        };
        let mut response = parse_head(&self.received[..head_end]);
        let interim = response.status < 200;
        let body_bytes = match response.field("content-length") {
            _ if head_only || interim || response.status == 304 => 0,
            Some(length) => length.parse().expect("a decimal Content-Length"),
            None => panic!("an answer without Content-Length: {response:?}"),
        };
        while self.received.len() < head_end + body_bytes {
            assert!(self.receive(), "the body is cut off: {response:?}");
        }
        response.body = self.received[head_end..head_end + body_bytes].to_vec();
        self.received.drain(..head_end + body_bytes);
        Some(response)
    }

    /// Everything until the end of the connection, a reset included.
    pub fn rest(&mut self) -> Vec<u8> {
        while self.receive() {}
        std::mem::take(&mut self.received)
    }

    /// The start of what was received and not yet taken for an answer.
    fn excerpt(&self) -> String {
        let shown = self.received.len().min(300);
        String::from_utf8_lossy(&self.received[..shown]).into_owned()
    }

    /// Reads once; false at the end.
    fn receive(&mut self) -> bool {
        let mut chunk = [0; 16 << 10];
        loop {
            return match self.stream.read(&mut chunk) {
                Ok(n) => {
                    self.received.extend_from_slice(&chunk[..n]);
                    n > 0
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    panic!("no answer and no end; so far: {:?}", self.excerpt())
                }
                Err(_) => false,
            };
        }
    }

    /// Whether bytes were received that nobody has asked for yet.
    pub fn has_unread(&self) -> bool {
        !self.received.is_empty()
    }

    /// Whether a further request on this connection gets exactly its own answer.
    pub fn is_in_sync(&mut self) -> bool {
        self.send(b"GET /sync-probe HTTP/1.1\r\nHost: t\r\n\r\n");
        self.response()
            .is_some_and(|response| response.status == 404)
            && self.received.is_empty()
    }
}

/// Status and fields of an answer's head, checked for form.
fn parse_head(head: &[u8]) -> Response {
    let text = std::str::from_utf8(head).expect("an ASCII head");
    let mut lines = text.trim_end_matches("\r\n").split("\r\n");
    let status_line = lines.next().unwrap();
    let status = status_line
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..4)?.strip_suffix(' ')?.parse().ok())
        .unwrap_or_else(|| panic!("malformed status line {status_line:?}"));
    let fields = lines.map(|line| {
        let (name, value) = line
            .split_once(": ")
            .unwrap_or_else(|| panic!("malformed field {line:?}"));
        (name.to_ascii_lowercase(), value.to_owned())
    });
    let response = Response {
        status,
        fields: fields.collect(),
        body: Vec::new(),
    };
    if status >= 200 {
        assert!(
            response.field("date").is_some(),
            "an answer without Date: {text}"
        );
    }
    response
}
