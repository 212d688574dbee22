//! The stop: no request lost, every answer the last of its connection, an end by the deadline.

use std::{
    io::ErrorKind,
    net::{SocketAddr, TcpListener, TcpStream},
    os::{fd::AsRawFd, unix::process::CommandExt},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};
use socket2::{Domain, SockRef, Socket, Type};
use trident::http::{Acceptor, Limits, Listener, Server as Http, Settings};

use crate::{
    harness::{Client, GET, PATIENCE, READY, Server, eventually, pace, raise_descriptor_limit},
    in_process::Echo,
};

/// A server that drains for `accept_ms` and ends by `deadline_ms`.
fn draining(accept_ms: u32, deadline_ms: u32) -> Server {
    Server::with(&[
        &format!("drain.accept_ms={accept_ms}"),
        &format!("drain.deadline_ms={deadline_ms}"),
        "drain.quiet_ms=0",
    ])
}

/// A request other than a health check.
const ENCODE: &[u8] = b"GET /qrcode?type=encode&data=x HTTP/1.1\r\nHost: t\r\n\r\n";

/// What one client saw.
#[derive(Debug, Default)]
struct Seen {
    answers: AtomicUsize,
    /// Answers on a connection that was opened after the first `Connection: close`.
    after_reconnect: AtomicUsize,
    /// Requests without an answer on a connection that had not announced its end.
    lost: AtomicUsize,
}

impl Seen {
    /// Asks on kept connections, with `pause` between requests, and opens another when the server
    /// announces the end of one, until no connection is accepted any more.
    fn ask_until_refused(&self, server: &Server, pause: Duration) {
        let mut reconnected = false;
        while let Ok(stream) = TcpStream::connect_timeout(&server.address, PATIENCE) {
            let mut client = Client::over(stream);
            let mut announced = false;
            while !announced {
                client.send(GET);
                let Some(answer) = client.response() else {
                    self.lost.fetch_add(1, Relaxed);
                    break;
                };
                assert_eq!(answer.status, 200);
                announced = answer.closes();
                self.answers.fetch_add(1, Relaxed);
                self.after_reconnect
                    .fetch_add(usize::from(reconnected), Relaxed);
                pace(pause);
            }
            reconnected = true;
        }
    }
}

/// Whether the server accepts no connection any more.
fn is_refused(server: &Server) -> bool {
    TcpStream::connect_timeout(&server.address, PATIENCE)
        .is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

#[test]
fn no_request_is_lost_under_load() {
    let mut server = draining(1000, 20_000);
    let seen = Seen::default();
    thread::scope(|scope| {
        for index in 0..16 {
            // Some are busy, some are idle when something happens.
            let pause = Duration::from_millis(if index % 2 == 0 { 0 } else { 7 });
            let (server, seen) = (&server, &seen);
            scope.spawn(move || seen.ask_until_refused(server, pause));
        }
        assert!(eventually(|| seen.answers.load(Relaxed) > 1000));
        server.signal("TERM");
    });
    assert!(server.wait().success(), "{}", server.log());
    assert_eq!(seen.lost.load(Relaxed), 0, "{seen:?}");
    assert!(
        seen.after_reconnect.load(Relaxed) > 16,
        "new connections are served: {seen:?}"
    );
}

#[test]
fn readiness_fails_at_once_and_every_answer_is_the_last() {
    let mut server = draining(60_000, 120_000);
    let mut kept: Vec<Client> = (0..8).map(|_| server.connect()).collect();
    for client in &mut kept {
        assert!(!client.ask(GET).closes());
    }
    assert_eq!(server.ask(READY).status, 200);
    server.signal("TERM");
    assert!(eventually(|| server.ask(READY).status == 503));
    for client in &mut kept {
        let answer = client.ask(GET);
        assert!(answer.status == 200 && answer.closes(), "{answer:?}");
        assert_eq!(client.response(), None);
    }
    for request in [GET, b"GET /no HTTP/1.1\r\nHost: t\r\n\r\n", READY] {
        let mut fresh = server.connect();
        fresh.send(&[request, GET].concat());
        assert!(
            fresh
                .response()
                .expect("still accepted and answered")
                .closes()
        );
        assert_eq!(
            fresh.response(),
            None,
            "nothing is served behind the last answer"
        );
    }
    let admin = Client::connect(server.admin.unwrap()).ask(READY);
    assert_eq!(admin.status, 503, "the admin listener tells the same");
    let alive = server.ask(GET);
    assert_eq!(alive.status, 200, "alive, only not ready");
    assert!(server.is_running());
}

/// Requests in flight when accepting ends are answered; idle connections are closed.
#[test]
fn requests_in_flight_are_finished() {
    let mut server = draining(300, 60_000);
    let mut idle = server.connect();
    idle.ask(GET);
    let begin = b"POST /blockchain HTTP/1.1\r\nHost: t\r\nContent-Length: 8\r\n\r\nabcd";
    let mut in_flight: Vec<Client> = (0..8).map(|_| server.connect()).collect();
    for client in &mut in_flight {
        client.send(begin);
    }
    server.signal("TERM");
    assert_eq!(idle.rest(), b"", "closed without a word");
    assert!(
        eventually(|| is_refused(&server)),
        "connections are accepted after the drain"
    );
    for client in &mut in_flight {
        client.send(b"efgh");
        let answer = client.response().expect("an answer");
        assert!(answer.status == 200 && answer.closes(), "{answer:?}");
        assert_eq!(client.rest(), b"");
    }
    assert!(server.wait().success());
}

/// With hours of drain ahead, Ctrl-C ends a server at once if nobody is connected any more.
#[test]
fn an_interrupt_ends_a_server_that_nobody_is_connected_to() {
    let mut server = draining(3_000_000, 3_600_000);
    server.ask(GET);
    server.signal("INT");
    assert!(server.wait().success(), "{}", server.log());
}

/// If a client is connected, the server waits for it, and no answer is lost.
#[test]
fn an_interrupt_drains_until_nobody_is_connected() {
    let mut server = draining(3_000_000, 3_600_000);
    let mut kept = server.connect();
    kept.ask(GET);
    server.signal("INT");
    assert!(eventually(|| server.ask(READY).status == 503));
    let answer = kept.ask(GET);
    assert!(answer.status == 200 && answer.closes(), "{answer:?}");
    assert_eq!(kept.rest(), b"");
    assert!(server.wait().success(), "{}", server.log());
}

/// Accepting goes on while somebody asks, and ends although health checks go on.
#[test]
fn accepting_ends_when_nobody_asks_any_more() {
    let mut server = Server::with(&[
        "drain.accept_ms=0",
        "drain.quiet_ms=2000",
        "drain.deadline_ms=3600000",
    ]);
    server.ask(ENCODE);
    server.signal("TERM");
    assert!(eventually(|| server.ask(READY).status == 503));
    // Three times as long as it would be quiet, if nobody asked.
    for _ in 0..60 {
        assert_eq!(server.ask(ENCODE).status, 200);
        pace(Duration::from_millis(100));
    }
    let probed = || {
        let Ok(stream) = TcpStream::connect_timeout(&server.address, PATIENCE) else {
            return false;
        };
        let mut client = Client::over(stream);
        client.send(READY);
        client.response().is_some()
    };
    assert!(eventually(|| !probed()), "health checks keep it open");
    assert!(server.wait().success(), "{}", server.log());
}

/// Clients that go on asking are refused in time to finish the requests in flight.
#[test]
fn accepting_ends_before_the_deadline_under_load() {
    let mut server = Server::with(&[
        "drain.accept_ms=0",
        "drain.quiet_ms=3600000",
        "drain.finish_ms=598000",
        "drain.deadline_ms=600000",
    ]);
    let seen = Seen::default();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| seen.ask_until_refused(&server, Duration::from_millis(1)));
        }
        assert!(eventually(|| seen.answers.load(Relaxed) > 100));
        server.signal("TERM");
    });
    assert!(server.wait().success(), "{}", server.log());
    assert_eq!(seen.lost.load(Relaxed), 0, "{seen:?}");
}

#[test]
fn a_second_signal_exits_now() {
    let mut server = draining(3_000_000, 3_600_000);
    let mut kept = server.connect();
    kept.ask(GET);
    server.signal("TERM");
    assert!(eventually(|| server.ask(READY).status == 503));
    assert!(server.is_running());
    server.signal("INT");
    server.wait();
    assert_eq!(kept.rest(), b"");
}

/// A client that never finishes its request does not keep the server.
#[test]
fn the_deadline_holds_with_a_stuck_client() {
    let settings = [
        "drain.accept_ms=100",
        "drain.quiet_ms=0",
        "drain.deadline_ms=1000",
        "http.body_timeout_ms=3600000",
    ];
    let mut server = Server::with(&settings);
    let mut stuck = server.connect();
    stuck.send(b"POST /blockchain HTTP/1.1\r\nHost: t\r\nContent-Length: 8\r\n\r\nabcd");
    server.ask(GET);
    server.signal("TERM");
    assert!(server.wait().success(), "{}", server.log());
    assert_eq!(stuck.rest(), b"");
}

/// Connections that were made before the stop and have sent nothing get their time for a request.
#[test]
fn requests_on_connections_made_before_are_answered() {
    let mut server = draining(400, 60_000);
    let mut silent: Vec<Client> = (0..4).map(|_| server.connect()).collect();
    server.ask(GET);
    server.signal("TERM");
    assert!(
        eventually(|| is_refused(&server)),
        "connections are accepted after the drain"
    );
    for client in &mut silent {
        let answer = client.ask(GET);
        assert!(answer.status == 200 && answer.closes());
    }
    assert!(server.wait().success());
}

/// `sh` that hands the listeners over by the protocol of sd_listen_fds(3): descriptors from 3 on, and
/// the server's own process number, which is the shell's.
#[allow(unsafe_code)] // placing descriptors in the child has no safe counterpart
fn activated(listeners: &[TcpListener], names: &str, arguments: &[&str]) -> Server {
    let script = "export LISTEN_PID=$$; exec \"$@\"";
    let mut command = Server::shell(script, arguments);
    command
        .env("LISTEN_FDS", listeners.len().to_string())
        .env("LISTEN_FDNAMES", names);
    let descriptors: Vec<i32> = listeners.iter().map(AsRawFd::as_raw_fd).collect();
    let place = move || {
        // SAFETY: these calls are async-signal-safe and touch nothing but the child's descriptors.
        let placed = unsafe {
            // Out of the way first: a listener may be descriptor 3 itself.
            let aside = descriptors
                .iter()
                .map(|fd| libc::fcntl(*fd, libc::F_DUPFD_CLOEXEC, 100));
            let mut ends = [-1; 4];
            let count = aside.zip(&mut ends).map(|(fd, end)| *end = fd).count();
            (0..count).all(|index| libc::dup2(ends[index], 3 + index as i32) >= 0)
        };
        if placed {
            Ok(())
        } else {
            Err(std::io::Error::last_os_error())
        }
    };
    // SAFETY: `place` allocates nothing and takes no locks.
    unsafe { command.pre_exec(place) };
    Server::spawn(command)
}

fn listeners(count: usize) -> Vec<TcpListener> {
    (0..count)
        .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
        .collect()
}

#[test]
fn inherited_listeners_are_all_served_and_outlive_the_server() {
    let passed = listeners(2);
    let settings = [
        "--admin",
        "off",
        "--set",
        "drain.accept_ms=300",
        "--set",
        "drain.quiet_ms=0",
        "--set",
        "drain.deadline_ms=60000",
    ];
    let mut server = activated(&passed, "", &settings);
    let addresses: Vec<_> = passed
        .iter()
        .map(|listener| listener.local_addr().unwrap())
        .collect();
    for _ in 0..3 {
        for address in &addresses {
            assert_eq!(Client::connect(*address).ask(GET).status, 200);
        }
    }
    server.signal("TERM");
    assert!(server.wait().success());
    for (listener, address) in passed.iter().zip(addresses) {
        // Nobody accepts at the moment; the socket still queues connections for the next server.
        let waiting = Client::connect(address);
        let (accepted, _) = listener.accept().expect("not shut down");
        assert_eq!(
            accepted.peer_addr().unwrap(),
            waiting.stream.local_addr().unwrap()
        );
    }
}

/// The next server gets the connections that the first one left in the queue.
#[test]
fn a_restart_behind_inherited_listeners_loses_nothing() {
    let passed = listeners(1);
    let address = passed[0].local_addr().unwrap();
    let settings = [
        "--admin",
        "off",
        "--set",
        "drain.accept_ms=200",
        "--set",
        "drain.quiet_ms=0",
        "--set",
        "drain.deadline_ms=60000",
    ];
    let stop = AtomicBool::new(false);
    let answers = AtomicUsize::new(0);
    let lost = AtomicUsize::new(0);
    let mut server = activated(&passed, "", &settings);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(Relaxed) {
                    let mut client = Client::connect(address);
                    for _ in 0..20 {
                        client.send(GET);
                        let Some(answer) = client.response() else {
                            lost.fetch_add(1, Relaxed);
                            break;
                        };
                        answers.fetch_add(1, Relaxed);
                        if answer.closes() {
                            break;
                        }
                    }
                }
            });
        }
        for _ in 0..3 {
            let before = answers.load(Relaxed);
            assert!(eventually(|| answers.load(Relaxed) > before + 500));
            server.signal("TERM");
            assert!(server.wait().success());
            server = activated(&passed, "", &settings);
        }
        stop.store(true, Relaxed);
    });
    assert_eq!(
        lost.load(Relaxed),
        0,
        "of {} requests",
        answers.load(Relaxed)
    );
}

/// `FileDescriptorName=admin` makes a listener the admin's.
#[test]
fn an_inherited_listener_can_be_the_admins() {
    let passed = listeners(2);
    let server = activated(&passed, "web:admin", &[]);
    let admin = passed[1].local_addr().unwrap();
    assert_eq!(
        (server.address, server.admin),
        (passed[0].local_addr().unwrap(), Some(admin))
    );
    let metrics = b"GET /metrics HTTP/1.1\r\nHost: t\r\n\r\n";
    assert_eq!(server.ask(metrics).status, 404);
    assert_eq!(Client::connect(admin).ask(metrics).status, 200);
}

/// Descriptors meant for another process are not touched.
#[test]
fn descriptors_of_another_process_are_not_taken() {
    let script = "export LISTEN_PID=1 LISTEN_FDS=1; exec \"$@\"";
    let arguments = ["--listen", "127.0.0.1:0", "--admin", "off"];
    let server = Server::spawn(Server::shell(script, &arguments));
    assert_eq!(server.ask(GET).status, 200);
}

/// At the moment of the stop, the queue is longer than one batch.
#[test]
fn the_whole_queue_is_accepted_at_the_stop() {
    stops_with_waiting(2500, |_| ());
}

/// A listener that is already bound to an interface cannot be bound to another, so handshakes go on; its queue is emptied
/// too.
#[test]
fn the_queue_is_accepted_where_handshakes_go_on() {
    stops_with_waiting(200, |listener| {
        SockRef::from(listener).bind_device(Some(b"lo")).unwrap();
    });
}

/// From now on this thread, and those that it starts, have no more privileges than a service of its own user.
fn drop_privileges() {
    let sets = CapabilitySets {
        effective: CapabilitySet::empty(),
        ..capabilities(None).unwrap()
    };
    set_capabilities(None, sets).unwrap();
}

/// Starts and stops accepting on a listener with so many requests in its queue; all are answered.
fn stops_with_waiting(waiting: usize, prepare: impl FnOnce(&TcpListener)) {
    let limit = raise_descriptor_limit();
    assert!(limit > 2 * waiting as u64 + 200, "descriptors: {limit}");
    Settings {
        workers: 2,
        pin_workers: false,
        stack_bytes: 64 << 10,
    }
    .apply()
    .unwrap();
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    socket.bind(&any.into()).unwrap();
    socket.listen(4096).unwrap();
    let socket = TcpListener::from(socket);
    prepare(&socket);
    let address = socket.local_addr().unwrap();
    let mut clients: Vec<Client> = (0..waiting)
        .map(|_| {
            let mut client = Client::connect(address);
            client.send(GET);
            client
        })
        .collect();
    drop_privileges();
    let server = Http::start(Limits::default()).unwrap();
    let listener = Listener::new(socket, false, &server.host(Arc::new(Echo)));
    Acceptor::start(&server, vec![listener]).unwrap().stop();
    for client in &mut clients {
        assert_eq!(client.response().expect("an answer").status, 200);
    }
}
