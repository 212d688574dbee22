//! Listening sockets: bound here, or inherited from a service manager.

use std::{
    env, io,
    net::{SocketAddr, TcpListener},
};

use anyhow::{Context, bail};
use socket2::{Domain, Protocol, Socket, Type};

use crate::{
    app::{ADMIN, PUBLIC},
    http::Listener,
};

/// The name of inherited descriptors that belong to the admin listener (`FileDescriptorName=`).
const ADMIN_NAME: &str = "admin";

/// Every inherited listener; where none serves a tag, listeners bound to the given addresses.
pub fn open(
    listen: &[SocketAddr],
    admin: Option<SocketAddr>,
    backlog: u32,
) -> anyhow::Result<Vec<Listener>> {
    let mut listeners = inherited()?;
    let lacks = |listeners: &[Listener], tag| !listeners.iter().any(|listener| listener.tag == tag);
    if lacks(&listeners, PUBLIC) {
        for address in listen {
            listeners.push(bind(*address, backlog, PUBLIC)?);
        }
    }
    if let Some(address) = admin.filter(|_| lacks(&listeners, ADMIN)) {
        listeners.push(bind(address, backlog, ADMIN)?);
    }
    if lacks(&listeners, PUBLIC) {
        bail!("no public listener: set `listen` or pass sockets");
    }
    Ok(listeners)
}

/// Listeners passed by the protocol of sd_listen_fds(3), all of them. They are never shut down and
/// keep the backlog and options of whoever made them.
fn inherited() -> anyhow::Result<Vec<Listener>> {
    let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut passed = listenfd::ListenFd::from_env();
    let mut listeners = Vec::new();
    for index in 0..passed.len() {
        let name = names.split(':').nth(index).unwrap_or_default();
        let socket = passed.take_tcp_listener(index).with_context(|| {
            format!("inherited descriptor {index} (`{name}`) is not a TCP listener")
        })?;
        let tag = if name == ADMIN_NAME { ADMIN } else { PUBLIC };
        listeners.extend(socket.map(|socket| Listener {
            socket,
            tag,
            inherited: true,
        }));
    }
    Ok(listeners)
}

fn bind(address: SocketAddr, backlog: u32, tag: u8) -> anyhow::Result<Listener> {
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
        .with_context(|| format!("cannot listen on {address}: is another server running there?"))?;
    Ok(Listener {
        socket,
        tag,
        inherited: false,
    })
}
