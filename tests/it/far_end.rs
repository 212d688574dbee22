//! The server's end of a test's connection: its state in the kernel, and whether every worker has had a turn.
//!
//! A test that sends and wants to know that the server has *read*, or that it still says nothing, has no answer to wait
//! for. Waiting for a time shows neither on a busy machine. So the kernel is asked instead (sock_diag(7)), and a turn
//! of every worker means that the server had its chance.

use std::{
    io::{ErrorKind, Read, Write},
    net::{IpAddr, SocketAddr},
    thread,
};

use socket2::{Domain, Protocol, Socket, Type};

use crate::harness::{Client, GET, eventually};

/// `NETLINK_SOCK_DIAG`, and its one message: `SOCK_DIAG_BY_FAMILY`.
const SOCK_DIAG: (i32, u16) = (4, 20);
/// `NLM_F_REQUEST`.
const REQUEST: u16 = 1;
/// Bytes of a netlink header.
const HEADER_BYTES: usize = 16;
/// `TCP_ESTABLISHED` and `TCP_CLOSE_WAIT`: the peer may still answer, without and with our end.
const ESTABLISHED: u8 = 1;
const CLOSE_WAIT: u8 = 8;

/// One end of a connection as the kernel sees it.
#[derive(Clone, Copy, Debug)]
struct End {
    state: u8,
    /// Bytes that have arrived and were not read, an end of the stream included.
    unread: u32,
    /// Bytes written that the other side's kernel has not confirmed.
    unconfirmed: u32,
}

/// The end of a connection whose own address is `own`; `None` if it does not exist (any more).
fn look_up(own: SocketAddr, other: SocketAddr) -> Option<End> {
    let socket = Socket::new(
        Domain::from(libc::AF_NETLINK),
        Type::RAW,
        Some(Protocol::from(SOCK_DIAG.0)),
    )
    .unwrap();
    let address = |address: SocketAddr| match address.ip() {
        IpAddr::V4(ip) => [ip.octets().as_slice(), &[0; 12]].concat(),
        IpAddr::V6(_) => panic!("tests listen on 127.0.0.1"),
    };
    let request = [
        &[libc::AF_INET as u8, libc::IPPROTO_TCP as u8, 0, 0][..],
        &u32::MAX.to_ne_bytes(), // in any state
        &own.port().to_be_bytes(),
        &other.port().to_be_bytes(),
        &address(own),
        &address(other),
        &[0; 4],    // through any interface
        &[0xff; 8], // no cookie
    ]
    .concat();
    let header = [
        &((HEADER_BYTES + request.len()) as u32).to_ne_bytes()[..],
        &SOCK_DIAG.1.to_ne_bytes(),
        &REQUEST.to_ne_bytes(),
        &[0; 8],
    ]
    .concat();
    (&socket).write_all(&[header, request].concat()).unwrap();
    let mut answer = [0; 1024];
    let length = (&socket).read(&mut answer).unwrap();
    let number = |at: usize| u32::from_ne_bytes(answer[at..at + 4].try_into().unwrap());
    // Everything else is an error: there is no such socket.
    let is_found = length > 80 && answer[4..6] == SOCK_DIAG.1.to_ne_bytes();
    is_found.then(|| End {
        state: answer[HEADER_BYTES + 1],
        unread: number(HEADER_BYTES + 56),
        unconfirmed: number(HEADER_BYTES + 60),
    })
}

/// Connects until every worker must have had a turn since: the descriptors of connections that are opened one after
/// another and stay open are spread over all workers.
pub fn visit_all_workers(server: SocketAddr) {
    let workers = thread::available_parallelism().map_or(2, usize::from);
    let mut visitors: Vec<Client> = (0..4 * workers).map(|_| Client::connect(server)).collect();
    for visitor in &mut visitors {
        visitor.send(GET);
    }
    for visitor in &mut visitors {
        visitor.response(); // whatever it is
    }
}

impl Client {
    /// The server's end; `None` once it has closed.
    fn far_end(&self) -> Option<End> {
        let near = self.stream.local_addr().unwrap();
        let end = look_up(self.stream.peer_addr().ok()?, near)?;
        matches!(end.state, ESTABLISHED | CLOSE_WAIT).then_some(end)
    }

    fn all_confirmed(&self) -> bool {
        let far = self.stream.peer_addr();
        let near = far.map(|far| look_up(self.stream.local_addr().unwrap(), far));
        near.ok().flatten().is_none_or(|end| end.unconfirmed == 0)
    }

    /// Waits until everything sent is in the server's socket, read or not; after [`finish`](Self::finish) the end as
    /// well.
    pub fn await_arrival(&self) {
        assert!(eventually(|| self.all_confirmed()), "not taken");
    }

    /// Waits until the server has read all that was sent, or has closed.
    pub fn await_read(&self) {
        // The server's end exists before the server accepts it, and then has all bytes unread.
        let is_read = || self.all_confirmed() && self.far_end().is_none_or(|end| end.unread == 0);
        assert!(eventually(is_read), "not read: {:?}", self.far_end());
    }

    /// Whether the server has ended the connection.
    pub fn is_closed(&self) -> bool {
        self.far_end().is_none()
    }

    /// Waits until the server has ended the connection.
    pub fn await_closed(&self) {
        assert!(eventually(|| self.is_closed()), "still open");
    }

    /// Whether the server has read everything, has had its turn, and neither answered nor closed.
    pub fn is_left_waiting(&mut self) -> bool {
        self.await_read();
        visit_all_workers(self.stream.peer_addr().unwrap());
        self.stream.set_nonblocking(true).unwrap();
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false).unwrap();
        !self.has_unread() && peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }
}

/// The evidence itself: a server that reads nothing, reads, answers, and closes.
#[test]
fn the_far_end_is_seen() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = Client::connect(listener.local_addr().unwrap());
    client.send(b"12345");
    client.await_arrival();
    assert_eq!(client.far_end().unwrap().unread, 5);
    let (mut server, _) = listener.accept().unwrap();
    server.read_exact(&mut [0; 2]).unwrap();
    assert_eq!(client.far_end().unwrap().unread, 3);
    server.read_exact(&mut [0; 3]).unwrap();
    client.await_read();
    client.finish();
    client.await_arrival();
    assert_eq!(client.far_end().unwrap().state, CLOSE_WAIT);
    assert_eq!(server.read(&mut [0]).unwrap(), 0);
    client.await_read();
    drop(server);
    assert!(eventually(|| client.far_end().is_none()));
    client.await_read();
}
