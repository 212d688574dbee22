//! What the service manager hears: readiness once it is true, beats while requests are served, and the stop. The
//! manager is a datagram socket of the test.

use std::{
    io::Write,
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram},
    },
    process::Stdio,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use crate::harness::{Client, GET, PATIENCE, READY, Server};

/// The receiving end of sd_notify(3).
struct Manager {
    socket: UnixDatagram,
    /// `NOTIFY_SOCKET`: a name outside the file system, so that nothing is left to remove.
    name: String,
}

impl Manager {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Relaxed);
        let name = format!("trident-notify-{}-{number}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        Self {
            socket: UnixDatagram::bind_addr(&address).unwrap(),
            name: format!("@{name}"),
        }
    }

    /// As systemd has it: a path.
    fn at_path() -> Self {
        let name = format!(
            "{}/notify-{}",
            env!("CARGO_TARGET_TMPDIR"),
            std::process::id()
        );
        let _ = std::fs::remove_file(&name);
        Self {
            socket: UnixDatagram::bind(&name).unwrap(),
            name,
        }
    }

    /// A server with this manager, with a watchdog period in milliseconds or none.
    fn start(&self, watchdog_ms: u32, settings: &[&str]) -> Server {
        let mut command = Server::command();
        command
            .args([
                "--listen",
                "127.0.0.1:0",
                "--admin",
                "off",
                "--workers",
                "2",
            ])
            .args(settings.iter().flat_map(|setting| ["--set", setting]))
            .env("NOTIFY_SOCKET", &self.name);
        if watchdog_ms > 0 {
            command.env("WATCHDOG_USEC", (watchdog_ms * 1000).to_string());
        }
        Server::spawn(command)
    }

    /// The next message; `None` if none comes in `patience`.
    fn message_within(&self, patience: Duration) -> Option<String> {
        self.socket.set_read_timeout(Some(patience)).unwrap();
        let mut bytes = [0; 4096];
        let length = self.socket.recv(&mut bytes).ok()?;
        Some(String::from_utf8(bytes[..length].to_vec()).unwrap())
    }

    /// Messages up to and including the first with the line `line`.
    fn until(&self, line: &str) -> Vec<String> {
        let mut seen = Vec::new();
        while let Some(message) = self.message_within(PATIENCE) {
            let found = has(&message, line);
            seen.push(message);
            if found {
                return seen;
            }
        }
        panic!("`{line}` was not told; what was: {seen:?}");
    }

    /// The next message, which must come.
    fn next(&self) -> String {
        self.message_within(PATIENCE).expect("a message")
    }

    /// Whether the next messages come without a beat.
    fn only_tells_status(&self, messages: usize) -> bool {
        let mut next = (0..messages).map(|_| self.next());
        next.all(|message| !status(&message).is_empty() && !has(&message, "WATCHDOG=1"))
    }
}

/// Whether it reports a worker that has not run for a second or more; a shorter time means a busy machine.
fn is_stuck(message: &str) -> bool {
    let status = status(message);
    status.contains("; worker ") && !status.ends_with(" stuck for 0 s")
}

fn has(message: &str, line: &str) -> bool {
    message.lines().any(|l| l == line)
}

fn status(message: &str) -> &str {
    let line = message.lines().find(|line| line.starts_with("STATUS="));
    line.unwrap_or_default()
}

/// When READY is sent, the next request succeeds, and so does the readiness check.
#[test]
fn ready_is_told_when_requests_succeed() {
    let manager = Manager::new();
    let server = manager.start(0, &[]);
    let before = manager.until("READY=1");
    for message in &before[..before.len() - 1] {
        assert!(!message.contains("READY") && status(message) != "STATUS=ready");
    }
    assert_eq!(status(&before[before.len() - 1]), "STATUS=ready");
    assert_eq!(server.ask(READY).status, 200);
    assert_eq!(server.ask(GET).status, 200);
}

/// A start that fails never says READY, and neither does a wrong configuration, which ends with the code
/// that keeps the manager from trying again.
#[test]
fn a_failed_start_is_never_ready() {
    let store = "twitter.store=/nonexistent/store";
    for (arguments, code) in [
        (["--listen", "192.0.2.1:1"], 1),
        (["--set", "drain.accept_ms=x"], 64),
        (["--set", store], 69),
    ] {
        let manager = Manager::new();
        let status = Server::command()
            .args(["--admin", "off"])
            .args(arguments)
            .env("NOTIFY_SOCKET", &manager.name)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert_eq!(status.code(), Some(code), "{arguments:?}");
        while let Some(message) = manager.message_within(Duration::from_millis(1)) {
            assert!(!message.contains("READY"), "{message}");
        }
    }
}

#[test]
fn beats_tell_the_rate_and_go_on() {
    let manager = Manager::new();
    let server = manager.start(400, &[]);
    manager.until("READY=1");
    for _ in 0..100 {
        assert_eq!(server.ask(GET).status, 200);
    }
    let loaded = (0..PATIENCE.as_millis()).any(|_| {
        let told = manager.until("WATCHDOG=1").pop().unwrap();
        let text = status(&told).strip_prefix("STATUS=ready: ").unwrap();
        assert!(text.ends_with(" connections"), "{text}");
        text.split_once(" requests/s, ").unwrap().0 != "0"
    });
    assert!(loaded, "requests show in the status");
}

/// Without WATCHDOG_USEC, or with that of another process, there is a status and no beat.
#[test]
fn no_beats_where_no_watchdog_waits() {
    let manager = Manager::new();
    let mut command = Server::command();
    command
        .args(["--listen", "127.0.0.1:0", "--admin", "off"])
        .env("NOTIFY_SOCKET", &manager.name)
        .env("WATCHDOG_USEC", "100000")
        .env("WATCHDOG_PID", "1");
    let _server = Server::spawn(command);
    manager.until("READY=1");
    assert!(manager.only_tells_status(2));
}

/// A request for a hash that hardly exists: holds its worker for as long as the search is allowed to last.
pub fn endless_search() -> Vec<u8> {
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    zlib.write_all(br#"{"chain":[],"new_target":"00000001","new_tx":[]}"#)
        .unwrap();
    let cc = base64_simd::URL_SAFE.encode_to_string(zlib.finish().unwrap());
    format!("GET /blockchain?cc={cc} HTTP/1.1\r\nHost: t\r\n\r\n").into_bytes()
}

/// A search that is allowed to last for minutes: the process lives, the other worker answers, and the beats stop.
#[test]
fn beats_stop_when_a_worker_is_stuck() {
    let manager = Manager::new();
    let server = manager.start(400, &["blockchain.mining_tries_max=4294967295"]);
    manager.until("WATCHDOG=1");
    let mut stuck = server.connect();
    stuck.send(&endless_search());
    let told = (0..PATIENCE.as_millis())
        .map(|_| manager.next())
        .find(|message| is_stuck(message))
        .expect("the stuck worker is reported");
    assert!(!told.contains("WATCHDOG"), "{told}");
    assert!(manager.only_tells_status(9));
}

#[test]
fn the_stop_is_told_first_of_all() {
    let manager = Manager::new();
    let mut server = manager.start(
        400,
        &[
            "drain.accept_ms=3000",
            "drain.quiet_ms=0",
            "drain.deadline_ms=60000",
        ],
    );
    manager.until("READY=1");
    server.signal("TERM");
    let told = manager.until("STOPPING=1").pop().unwrap();
    assert_eq!(status(&told), "STATUS=draining");
    assert_eq!(server.ask(READY).status, 503, "not ready by then");
    // A reload now must not send READY again; beats go on.
    server.signal("HUP");
    let rest = manager.until("STATUS=stopped");
    assert!(rest.iter().all(|message| !message.contains("READY=1")));
    assert!(rest.iter().any(|message| has(message, "WATCHDOG=1")));
    assert!(rest.iter().any(|message| has(message, "STATUS=finishing")));
    assert!(server.wait().success());
}

#[test]
fn a_reload_is_told_from_begin_to_end() {
    let manager = Manager::at_path();
    let server = manager.start(0, &[]);
    manager.until("READY=1");
    server.signal("HUP");
    let begun = manager.until("RELOADING=1").pop().unwrap();
    let stamp = begun
        .lines()
        .find_map(|line| line.strip_prefix("MONOTONIC_USEC="))
        .unwrap();
    assert!(stamp.parse::<u64>().unwrap() > 0);
    let ended = manager.until("READY=1").pop().unwrap();
    assert!(status(&ended).contains("reload"), "{ended}");
    assert_eq!(server.ask(READY).status, 200);
}

/// Address space of a process in bytes, most of it as from now on; `None` = no limit.
#[allow(unsafe_code)] // limits of another process have no counterpart in std
fn limit_address_space(pid: u32, bytes: Option<u64>) {
    let limit = libc::rlimit {
        rlim_cur: bytes.unwrap_or(libc::RLIM_INFINITY),
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: `limit` is a valid rlimit for the kernel to read, and the old one is not asked for.
    let set = unsafe {
        libc::prlimit(
            pid as libc::pid_t,
            libc::RLIMIT_AS,
            &limit,
            std::ptr::null_mut(),
        )
    };
    assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
}

/// While no stack can be mapped no connection is served, so there are no beats; once there is room
/// they go on, although the question itself had been lost.
#[test]
fn beats_go_on_after_memory_ran_out() {
    let manager = Manager::new();
    let mut server = manager.start(400, &["workers=1"]);
    manager.until("WATCHDOG=1");
    // Stacks of connections that have ended are kept for others: these use them up.
    let mut held: Vec<Client> = (0..600).map(|_| server.connect()).collect();
    for client in &mut held {
        assert_eq!(client.ask(GET).status, 200);
    }
    let status = std::fs::read_to_string(format!("/proc/{}/statm", server.pid())).unwrap();
    let pages: u64 = status.split(' ').next().unwrap().parse().unwrap();
    limit_address_space(server.pid(), Some(pages * 4096));
    let mut starved = Vec::new();
    let is_silent = (0..400).any(|_| {
        starved.push(server.connect());
        is_stuck(&manager.next())
    });
    assert!(is_silent, "beats although no connection can be served");
    assert!(server.is_running());
    limit_address_space(server.pid(), None);
    manager.until("WATCHDOG=1");
    assert_eq!(held[0].ask(GET).status, 200);
    assert_eq!(server.ask(GET).status, 200);
}
