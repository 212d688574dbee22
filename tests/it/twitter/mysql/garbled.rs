//! Between Trident and MariaDB, a proxy that changes bits, cuts, delays, resets and swallows.

use super::*;
use crate::harness::pace;
use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

/// Number of users in the database; as many are asked for that do not exist.
const USERS: u64 = 200;

/// How the proxy harms a piece of data.
#[derive(Clone, Copy)]
enum Harm {
    Flip,
    Cut,
    Delay,
    Reset,
    Swallow,
}

/// They take turns, so that each is tried in a short run too.
const HARMS: [Harm; 8] = [
    Harm::Flip,
    Harm::Cut,
    Harm::Flip,
    Harm::Delay,
    Harm::Flip,
    Harm::Reset,
    Harm::Flip,
    Harm::Swallow,
];

/// Of so many pieces one is harmed. Nearly every harm costs a connection, and some thirty pieces make a new one: with
/// more harm hardly any would come to be, and hardly an answer be given that could be wrong.
const PIECES_PER_HARM: u64 = 40;

/// A proxy that does harm while it is told to.
#[derive(Clone)]
struct Proxy {
    address: SocketAddr,
    is_harmful: Arc<AtomicBool>,
    /// Open connections of Trident.
    open: Arc<AtomicUsize>,
    /// How often it did harm.
    harms: Arc<AtomicUsize>,
}

impl Proxy {
    fn before(database: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Self {
            address: listener.local_addr().unwrap(),
            is_harmful: Arc::default(),
            open: Arc::default(),
            harms: Arc::default(),
        };
        let accepting = proxy.clone();
        thread::spawn(move || {
            for (number, client) in (1u64..).zip(listener.incoming()) {
                let (Ok(client), Ok(server)) = (client, TcpStream::connect(database)) else {
                    continue;
                };
                let proxy = accepting.clone();
                thread::spawn(move || {
                    proxy.open.fetch_add(1, Relaxed);
                    thread::scope(|scope| {
                        scope.spawn(|| proxy.pump(&client, &server, 2 * number));
                        scope.spawn(|| proxy.pump(&server, &client, 2 * number + 1));
                    });
                    proxy.open.fetch_sub(1, Relaxed);
                });
            }
        });
        proxy
    }

    fn pump(&self, mut from: &TcpStream, mut to: &TcpStream, seed: u64) {
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let mut bytes = vec![0; 16 << 10];
        while let Ok(count) = from.read(&mut bytes) {
            if count == 0 {
                break;
            }
            let mut piece = &mut bytes[..count];
            if self.is_harmful.load(Relaxed) && random.below(PIECES_PER_HARM) == 0 {
                match HARMS[self.harms.fetch_add(1, Relaxed) % HARMS.len()] {
                    Harm::Flip => {
                        let at = random.below(count as u64) as usize;
                        piece[at] ^= 1 << random.below(8);
                    }
                    Harm::Cut => piece = &mut bytes[..random.below(count as u64) as usize],
                    Harm::Delay => pace(Duration::from_millis(random.below(30))),
                    Harm::Reset => break,
                    Harm::Swallow => continue,
                }
            }
            if to.write_all(piece).is_err() {
                break;
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }
}

/// The same harms for the same seed (xorshift64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// What became of requests.
#[derive(Debug, Default)]
struct Answers {
    right: u64,
    refused: u64,
    wrong: Vec<String>,
}

impl Answers {
    /// Asks for users at random, half of whom do not exist. After a refusal the client waits, for a shorter time
    /// than the answer asks.
    fn of(server: &Server, requests: u64, seed: u64) -> Self {
        let (mut client, mut random) = (server.connect(), Random(seed));
        let mut answers = Self::default();
        for _ in 0..requests {
            let user = 1 + random.below(2 * USERS);
            let want = match user {
                ..=USERS => answer(user, "first"),
                _ => format!("{TEAM_LINE}INVALID"),
            };
            let got = ask(&mut client, &about(user));
            match got.status {
                200 if got.text() == want => answers.right += 1,
                500 | 503 => {
                    answers.refused += 1;
                    pace(Duration::from_millis(20));
                }
                _ => answers.wrong.push(format!("user {user}: {got:?}")),
            }
        }
        answers
    }

    fn add(mut self, other: Self) -> Self {
        self.right += other.right;
        self.refused += other.refused;
        self.wrong.extend(other.wrong);
        self
    }
}

/// The answers to `requests` of four clients, while harm is done. Meanwhile connections are bounded.
fn answers_in_harm(server: &Server, proxy: &Proxy, requests: u64) -> Answers {
    let most = trident::store::database::Options::default().connections_max + 1;
    proxy.is_harmful.store(true, Relaxed);
    let answers = thread::scope(|scope| {
        let clients = [77, 78, 79, 80]
            .map(|seed| scope.spawn(move || Answers::of(server, requests / 4, seed)));
        while !clients.iter().all(|client| client.is_finished()) {
            let is_bounded = eventually(|| proxy.open.load(Relaxed) <= most);
            assert!(is_bounded, "{:?} connections", proxy.open);
            pace(Duration::from_millis(10));
        }
        let answers = clients.map(|client| client.join().unwrap());
        answers.into_iter().fold(Answers::default(), Answers::add)
    });
    proxy.is_harmful.store(false, Relaxed);
    answers
}

/// Whatever happens on the way, an answer is right or it is none: 503 or 500, never another user's rows, never
/// "no such user" of one that exists. `TRIDENT_TEST_CASES` sets the number of requests; a run of 100,000 also demands
/// the recovery within a second, which a busy machine need not give.
#[test]
fn what_happens_on_the_way_is_never_an_answer() {
    let Some((_place, database)) = filled(USERS, &[]) else {
        return;
    };
    let requests: u64 = std::env::var(CASES).map_or(4_000, |text| text.parse().unwrap());
    let proxy = Proxy::before(database.address());
    let url = database.url_through(proxy.address);
    for cache in ["twitter.cache_bytes=0", "twitter.cache_bytes=200000"] {
        let server = connected_to(&url, &[cache, "twitter.mysql_deadline_ms=1000"]);
        let answers = answers_in_harm(&server, &proxy, requests / 2);
        let began = Instant::now();
        let mut client = server.connect();
        for user in 1..=USERS {
            let is_right = || ask(&mut client, &about(user)).text() == answer(user, "first");
            assert!(eventually(is_right), "{user}: it does not recover");
        }
        let recovery = began.elapsed();
        let Answers {
            right,
            refused,
            wrong,
        } = answers;
        eprintln!(
            "{cache}: {right} right, {refused} refused, {} wrong; {:?} harms so far; all {USERS} users again after {recovery:?}",
            wrong.len(),
            proxy.harms
        );
        assert!(wrong.is_empty(), "{wrong:?}");
        assert!(right >= refused && refused > 0, "{right} {refused}");
        assert!(requests < 100_000 || recovery < Duration::from_secs(1));
        let panics = server.metric("trident_handler_panics_total");
        assert_eq!(panics, 0, "{}", server.log());
        drop(server);
        assert!(eventually(|| proxy.open.load(Relaxed) == 0));
    }
    assert!(
        proxy.harms.load(Relaxed) >= HARMS.len(),
        "not all were tried"
    );
}
