//! Between Trident and MariaDB, a proxy that changes bits, cuts, delays, resets and swallows.

use super::*;
use crate::harness::pace;
use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

/// Users of the database, and as many that do not exist.
const USERS: u64 = 200;

/// What the proxy does to a piece of data.
#[derive(Clone, Copy)]
enum Harm {
    Flip,
    Cut,
    Delay,
    Reset,
    Swallow,
}

const HARMS: [Harm; 8] = [
    Harm::Flip,
    Harm::Flip,
    Harm::Flip,
    Harm::Flip,
    Harm::Cut,
    Harm::Delay,
    Harm::Reset,
    Harm::Swallow,
];

/// A proxy that harms one piece in five while it is told to.
struct Proxy {
    address: SocketAddr,
    is_harmful: Arc<AtomicBool>,
    /// Connections of Trident's that are open.
    open: Arc<AtomicUsize>,
}

impl Proxy {
    fn before(database: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Self {
            address: listener.local_addr().unwrap(),
            is_harmful: Arc::default(),
            open: Arc::default(),
        };
        let (is_harmful, open) = (Arc::clone(&proxy.is_harmful), Arc::clone(&proxy.open));
        thread::spawn(move || {
            for (number, client) in (1u64..).zip(listener.incoming()) {
                let (Ok(client), Ok(server)) = (client, TcpStream::connect(database)) else {
                    continue;
                };
                let (is_harmful, open) = (Arc::clone(&is_harmful), Arc::clone(&open));
                thread::spawn(move || {
                    open.fetch_add(1, Relaxed);
                    thread::scope(|scope| {
                        scope.spawn(|| pump(&client, &server, &is_harmful, 2 * number));
                        scope.spawn(|| pump(&server, &client, &is_harmful, 2 * number + 1));
                    });
                    open.fetch_sub(1, Relaxed);
                });
            }
        });
        proxy
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

fn pump(from: &TcpStream, to: &TcpStream, is_harmful: &AtomicBool, seed: u64) {
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let (mut from, mut to) = (from, to);
    let mut bytes = vec![0; 16 << 10];
    while let Ok(count) = from.read(&mut bytes) {
        if count == 0 {
            break;
        }
        let mut piece = &mut bytes[..count];
        if is_harmful.load(Relaxed) && random.below(5) == 0 {
            match HARMS[random.below(HARMS.len() as u64) as usize] {
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

/// Whatever happens on the way, an answer is right or it is none: 503 or 500, never another user's rows, never
/// "no such user" of one that exists. `TRIDENT_TEST_CASES` sets the number of requests.
#[test]
fn what_happens_on_the_way_is_never_an_answer() {
    let Some((_place, database)) = filled(USERS, &[]) else {
        return;
    };
    let requests = std::env::var(CASES).map_or(6_000, |text| text.parse().unwrap());
    let proxy = Proxy::before(database.address());
    let url = database
        .url()
        .replace(&database.address().to_string(), &proxy.address.to_string());
    for cache in ["twitter.cache_bytes=0", "twitter.cache_bytes=200000"] {
        proxy.is_harmful.store(false, Relaxed);
        let settings = [cache, "twitter.mysql_deadline_ms=100"];
        let server = connected_to(&url, &settings);
        proxy.is_harmful.store(true, Relaxed);
        let (right, refused) = (AtomicU64::new(0), AtomicU64::new(0));
        thread::scope(|scope| {
            for start in 0..4u64 {
                let (server, right, refused) = (&server, &right, &refused);
                scope.spawn(move || {
                    let mut client = server.connect();
                    let mut random = Random(start + 77);
                    for _ in 0..requests / 8 {
                        let user = 1 + random.below(2 * USERS);
                        let got = ask(&mut client, &about(user));
                        if got.status != 200 {
                            assert!([500, 503].contains(&got.status), "{got:?}");
                            refused.fetch_add(1, Relaxed);
                            continue;
                        }
                        let want = match user {
                            ..=USERS => answer(user, "first"),
                            _ => format!("{TEAM_LINE}INVALID"),
                        };
                        assert_eq!(got.text(), want, "{user}");
                        right.fetch_add(1, Relaxed);
                    }
                });
            }
        });
        let (right, refused) = (right.into_inner(), refused.into_inner());
        eprintln!("{cache}: {right} right, {refused} refused");
        assert!(
            right > 0 && refused > 0,
            "{right} {refused}: the proxy does harm, and not always"
        );
        let most = trident::store::database::Options::default().connections_max + 1;
        assert!(
            eventually(|| proxy.open.load(Relaxed) <= most),
            "{:?}",
            proxy.open
        );
        proxy.is_harmful.store(false, Relaxed);
        let mut client = server.connect();
        for user in 1..=USERS {
            let is_right = || ask(&mut client, &about(user)).text() == answer(user, "first");
            assert!(eventually(is_right), "{user}: it does not recover");
        }
        assert_eq!(
            server.metric("trident_handler_panics_total"),
            0,
            "{}",
            server.log()
        );
        drop(server);
        assert!(eventually(|| proxy.open.load(Relaxed) == 0));
    }
}
