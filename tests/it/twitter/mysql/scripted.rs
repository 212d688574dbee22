//! A server that follows a script, written from the protocol's documentation. It does what neither MariaDB does nor a
//! good MySQL 8, which is not packaged here.

mod tls;

use super::*;
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
        mpsc,
    },
    thread,
};

const EOF: &[u8] = &[0xFE, 0, 0, 2, 0];
const OK: &[u8] = &[0, 0, 0, 2, 0, 0, 0];
const NONCE: &[u8; 20] = b"abcdefghijklmnopqrst";

/// A socket, with TLS or without.
trait Wire: Read + Write + Send {}

impl<T: Read + Write + Send> Wire for T {}

/// A connection, at the server's end.
struct Session {
    stream: Box<dyn Wire>,
    number: u8,
}

impl Session {
    /// The next packet of the client; `None` = it has closed.
    fn receive(&mut self) -> Option<Vec<u8>> {
        let mut header = [0; 4];
        self.stream.read_exact(&mut header).ok()?;
        let length = u32::from_le_bytes([header[0], header[1], header[2], 0]);
        let mut payload = vec![0; length as usize];
        self.stream.read_exact(&mut payload).ok()?;
        self.number = header[3];
        Some(payload)
    }

    fn send(&mut self, payload: &[u8]) {
        self.number = self.number.wrapping_add(1);
        let [low, middle, high, _] = (payload.len() as u32).to_le_bytes();
        let packet = [&[low, middle, high, self.number], payload].concat();
        let _ = self.stream.write_all(&packet);
    }

    /// Greets as MySQL 8 without TLS and returns the client's response.
    fn greet(&mut self, plugin: &str) -> Option<Vec<u8>> {
        self.greet_with(plugin, 0)
    }

    /// As above, with a further capability.
    fn greet_with(&mut self, plugin: &str, capability: u32) -> Option<Vec<u8>> {
        // PROTOCOL_41, SECURE_CONNECTION, PLUGIN_AUTH, CONNECT_WITH_DB, and what the guard must hide:
        // DEPRECATE_EOF, MULTI_RESULTS, LOCAL_FILES, COMPRESS.
        let capabilities: u32 =
            1 | 8 | 1 << 5 | 1 << 7 | 1 << 9 | 1 << 15 | 1 << 17 | 1 << 19 | 1 << 24 | capability;
        let [low_0, low_1, high_0, high_1] = capabilities.to_le_bytes();
        let greeting = [
            b"\x0a8.4.0\0\x01\0\0\0",
            &NONCE[..8],
            &[0, low_0, low_1, 45, 2, 0, high_0, high_1, 21],
            &[0; 10],
            &NONCE[8..],
            &[0],
            plugin.as_bytes(),
            &[0],
        ]
        .concat();
        self.number = u8::MAX;
        self.send(&greeting);
        let response = self.receive()?;
        let answered = u32::from_le_bytes(response[..4].try_into().unwrap());
        let hidden = 1 << 5 | 1 << 7 | 1 << 17 | 1 << 24;
        assert_eq!(answered & hidden, 0, "{answered:032b}");
        Some(response)
    }

    /// Accepts the client's login.
    fn log_in(&mut self) -> Option<()> {
        self.greet("mysql_native_password")?;
        self.send(OK);
        Some(())
    }

    /// Answers the client's questions about schema and data, by text protocol.
    fn tell_meta(&mut self, meta: &str) {
        self.send(&[2]);
        for _ in 0..2 {
            self.send(&column(0xFD));
        }
        self.send(EOF);
        let mut row = b"\x011\xfc".to_vec();
        row.extend((meta.len() as u16).to_le_bytes());
        row.extend(meta.as_bytes());
        self.send(&row);
        self.send(EOF);
    }

    /// Asks for the password itself and passes it on; then tells `meta` whatever is asked.
    fn take_password(&mut self, passed_on: &mpsc::Sender<Vec<u8>>, meta: &str) {
        self.send(b"\x01\x04");
        let Some(password) = self.receive() else {
            return;
        };
        let _ = passed_on.send(password);
        self.send(OK);
        while self.receive().is_some() {
            self.tell_meta(meta);
        }
    }
}

/// A column definition of this type.
fn column(kind: u8) -> Vec<u8> {
    let mut column = b"\x03def\0\0\0\x01a\0\x0c\x3f\0\xff\xff\0\0".to_vec();
    column.extend([kind, 0, 0, 0, 0, 0]);
    column
}

/// Runs `script` for each connection. Returns the address and the number of open connections.
fn server(script: impl Fn(Session) + Send + Sync + 'static) -> (SocketAddr, Arc<AtomicUsize>) {
    accepting(move |stream| {
        script(Session {
            stream: Box::new(stream),
            number: 0,
        });
    })
}

/// As above, with the bare connection.
fn accepting(script: impl Fn(TcpStream) + Send + Sync + 'static) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let open = Arc::new(AtomicUsize::new(0));
    let (script, counter) = (Arc::new(script), Arc::clone(&open));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (Ok(stream), script, open) = (stream, Arc::clone(&script), Arc::clone(&counter))
            else {
                return;
            };
            thread::spawn(move || {
                open.fetch_add(1, Relaxed);
                script(stream);
                open.fetch_sub(1, Relaxed);
            });
        }
    });
    (address, open)
}

fn url(address: SocketAddr, parameters: &str) -> String {
    format!("mysql://{}@{address}/trident?{parameters}", database::USER)
}

/// The metadata of a store, as a database holds them.
fn meta() -> String {
    let directory = TempDir::new();
    let meta = store(
        &directory.join("s"),
        [(1, value(1, &[(2, 0, &[(1, "a", &[])])]))],
    );
    serde_json::to_string(&meta).unwrap()
}

/// A server that asks for the password itself is sent nothing that contains it.
#[test]
fn an_impostor_is_not_sent_the_password() {
    for (plugin, request) in [
        ("caching_sha2_password", &b"\x01\x04"[..]),
        (
            "mysql_native_password",
            b"\xfecaching_sha2_password\0abcdefghijklmnopqrst\0",
        ),
        ("mysql_native_password", b"\xfemysql_clear_password\0"),
        (
            "mysql_native_password",
            b"\xfesha256_password\0abcdefghijklmnopqrst\0",
        ),
        ("mysql_native_password", b"\xfedialog\0"),
    ] {
        let (send, sent) = mpsc::channel();
        let (address, _) = server(move |mut session| {
            let Some(response) = session.greet(plugin) else {
                return;
            };
            session.send(request);
            let more = session.receive();
            send.send((response, more)).unwrap();
        });
        let (code, err) = told(serving(&url(address, ""), &[]));
        assert_eq!(code, 69, "{request:?}: {err}");
        let (response, more) = sent.recv().unwrap();
        assert_eq!(more, None, "{request:?}");
        let secret = database::PASSWORD[1].as_bytes();
        assert!(!response.windows(secret.len()).any(|part| part == secret));
        if plugin.starts_with("caching") {
            assert!(err.contains("ssl=verify-identity"), "{err}");
        }
    }
}

/// What a server says of itself is shown, and does nothing to the terminal or the log that shows it.
#[test]
fn errors_of_the_server_are_shown_escaped() {
    let (address, _) = server(|mut session| {
        if session.greet("mysql_native_password").is_some() {
            session.send(b"\xff\x15\x04#28000no entry\x1b[31m\ntrident: all is well\r\x07");
        }
    });
    let (code, err) = told(serving(&url(address, ""), &[]));
    assert_eq!(code, 69, "{err}");
    assert!(
        err.contains(r"no entry\u{1b}[31m\ntrident: all is well\r\u{7}"),
        "{err}"
    );
    let is_shown = |c: char| !c.is_control();
    assert!(
        err.trim_end()
            .lines()
            .all(|line| line.chars().all(is_shown)),
        "{err:?}"
    );
    assert!(
        !err.lines().any(|line| line == "trident: all is well"),
        "{err}"
    );
}

/// With the server's key in a file the password goes out encrypted for it, and for nobody else.
#[test]
fn a_pinned_key_gets_the_password() {
    if !crate::harness::required("mariadb", &["openssl"]) {
        return;
    }
    let directory = TempDir::new();
    in_shell(
        &directory,
        "openssl genrsa -out key.pem 2048; openssl rsa -in key.pem -pubout -out public.pem",
    );
    let (send, sent) = mpsc::channel();
    let meta = meta();
    let (address, _) = server(move |mut session| {
        if session.greet("caching_sha2_password").is_some() {
            session.take_password(&send, &meta);
        }
    });
    let key = format!(
        "ssl=off&server-public-key={}",
        directory.join("public.pem").display()
    );
    let server = serve_from(&url(address, &key), &[]);
    assert!(eventually(
        || server.ask(crate::harness::READY).status == 200
    ));
    fs::write(directory.join("sent"), sent.recv().unwrap()).unwrap();
    let mixed = in_shell(
        &directory,
        "openssl pkeyutl -decrypt -inkey key.pem -pkeyopt rsa_padding_mode:oaep -in sent",
    );
    let password: Vec<u8> = mixed
        .iter()
        .zip(NONCE.iter().cycle())
        .map(|(a, b)| a ^ b)
        .collect();
    assert_eq!(password, [database::PASSWORD[1].as_bytes(), b"\0"].concat());

    fs::write(
        directory.join("public.pem"),
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
    )
    .unwrap();
    let (code, err) = told(serving(&url(address, &key), &[]));
    assert!(code == 69 && err.contains("no RSA public key"), "{err}");
}

/// Sizes beyond any memory are refused before anything is reserved, at the start and later.
#[test]
fn sizes_are_bounded_before_memory_is_reserved() {
    for lie in [
        &[0xFE, 0, 0, 0, 0, 0, 0, 0, 0x80][..],
        &[0xFE, 0, 0, 0, 0, 0, 1, 0, 0],
        &[0xFD, 0xFF, 0xFF, 0xFF],
        &[0xFB, b'/'],
        &[],
    ] {
        let lies = Arc::new(AtomicUsize::new(0));
        let (told, meta) = (Arc::clone(&lies), meta());
        let (address, _) = server(move |mut session| {
            session.log_in();
            while session.receive().is_some() {
                if told.fetch_add(1, Relaxed) < 8 {
                    session.send(lie);
                } else {
                    session.tell_meta(&meta);
                }
            }
        });
        let server = serve_from(&url(address, ""), &[]);
        assert!(eventually(
            || server.ask(crate::harness::READY).status == 200
        ));
        assert!(lies.load(Relaxed) > 8);
        assert_eq!(
            server.metric("trident_handler_panics_total"),
            0,
            "{}",
            server.log()
        );
        assert!(eventually(|| server
            .log()
            .contains("which is no MySQL server")
            || server.log().contains("sends ")));
    }
}

/// A result that stops halfway costs its lookups; its connection is closed.
#[test]
fn connections_are_bounded_whatever_the_server_does() {
    let meta = meta();
    let (address, open) = server(move |mut session| {
        session.log_in();
        while let Some(command) = session.receive() {
            match command[0] {
                0x16 => {
                    let parameters = command.iter().filter(|byte| **byte == b'?').count();
                    session.send(&[0, 1, 0, 0, 0, 2, 0, parameters as u8, 0, 0, 0, 0]);
                    for _ in 0..parameters {
                        session.send(&column(8));
                    }
                    session.send(EOF);
                    session.send(&column(8));
                    session.send(&column(0xFC));
                    session.send(EOF);
                }
                0x17 => {
                    session.send(&[2]);
                    session.send(&column(8));
                    session.send(&column(0xFC));
                    session.send(EOF);
                    // The beginning of a row of 200 bytes.
                    let _ = session.stream.write_all(&[200, 0, 0, 5, 0, 0, 1]);
                }
                _ => session.tell_meta(&meta),
            }
        }
    });
    let settings = [
        "twitter.mysql_deadline_ms=50",
        "twitter.mysql_connect_timeout_ms=5000",
    ];
    let server = serve_from(&url(address, ""), &settings);
    assert!(eventually(
        || server.ask(crate::harness::READY).status == 200
    ));
    let mut client = server.connect();
    for user in 0..40 {
        assert_refused(&ask(&mut client, &about(user)));
    }
    let most = trident::store::database::Options::default().connections_max + 1;
    // A closed connection and its replacement may overlap for a moment.
    assert!(eventually(|| open.load(Relaxed) <= most), "{open:?}");
    assert!(server.metric("trident_database_connects_total{outcome=\"ok\"}") > 2 * most as u64);
}
