//! Listening sockets: bound here, or inherited from a service manager.

use std::{
    env, io,
    net::{SocketAddr, TcpListener},
};

use anyhow::{Context, bail};
use socket2::{Domain, Protocol, Socket, Type};

use crate::remedy::Trying;

/// The name of inherited descriptors that belong to the admin listener (`FileDescriptorName=`).
const ADMIN_NAME: &str = "admin";

/// The audience of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Everybody.
    Public,
    /// The operator.
    Admin,
}

/// An open listening socket.
pub struct Bound {
    /// The socket.
    pub socket: TcpListener,
    /// Its audience.
    pub audience: Audience,
    /// Other processes accept from it too, or will.
    pub inherited: bool,
}

/// Every inherited listener; for an audience without one, listeners bound to the given addresses.
pub fn open(
    listen: &[SocketAddr],
    admin: Option<SocketAddr>,
    backlog: u32,
) -> anyhow::Result<Vec<Bound>> {
    let mut listeners = inherited()?;
    let lacks = |listeners: &[Bound], audience| {
        !listeners
            .iter()
            .any(|listener| listener.audience == audience)
    };
    if lacks(&listeners, Audience::Public) {
        for address in listen {
            listeners.push(bind(*address, backlog, Audience::Public)?);
        }
    }
    if let Some(address) = admin.filter(|_| lacks(&listeners, Audience::Admin)) {
        listeners.push(bind(address, backlog, Audience::Admin)?);
    }
    if lacks(&listeners, Audience::Public) {
        bail!("no public listener: set `listen` or pass sockets");
    }
    Ok(listeners)
}

/// Listeners passed by the protocol of sd_listen_fds(3), all of them. They are never shut down and keep
/// their backlog and options.
fn inherited() -> anyhow::Result<Vec<Bound>> {
    let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut passed = listenfd::ListenFd::from_env();
    let mut listeners = Vec::new();
    for index in 0..passed.len() {
        let name = names.split(':').nth(index).unwrap_or_default();
        let socket = passed.take_tcp_listener(index).with_context(|| {
            format!("inherited descriptor {index} (`{name}`) is not a TCP listener")
        })?;
        let audience = match name {
            ADMIN_NAME => Audience::Admin,
            _ => Audience::Public,
        };
        listeners.extend(socket.map(|socket| Bound {
            socket,
            audience,
            inherited: true,
        }));
    }
    Ok(listeners)
}

fn bind(address: SocketAddr, backlog: u32, audience: Audience) -> anyhow::Result<Bound> {
    let bound = || -> io::Result<TcpListener> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        // Not SO_REUSEPORT: a second server on the same port is a mistake that must not pass silently.
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
        Ok(socket.into())
    };
    let socket = bound()
        .map_err(Trying::Listen.explained())
        .with_context(|| format!("cannot listen on {address}"))?;
    Ok(Bound {
        socket,
        audience,
        inherited: false,
    })
}
