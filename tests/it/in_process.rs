//! The HTTP loop with a service of the test's own, in this process: for behaviour that the product's endpoints cannot
//! show (decoded bodies, panics, answers that come later).

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use trident::{
    http::{Acceptor, Handled, Limits, Listener, Reply, Request, Server, Service, Settings},
    metrics::Counter,
};

use crate::harness::Client;

/// A server in this process; stops accepting when dropped.
pub struct InProcess<S: Service> {
    /// The listener.
    pub address: SocketAddr,
    /// The server.
    pub server: Arc<Server>,
    /// What it serves.
    pub service: Arc<S>,
    _acceptor: Acceptor,
}

impl<S: Service> InProcess<S> {
    /// Serves `service` on a free port.
    pub fn start(service: S, limits: Limits) -> Self {
        // Stack and workers as in the product; not pinned, because tests run side by side.
        Settings {
            workers: 2,
            pin_workers: false,
            stack_bytes: 64 << 10,
        }
        .apply()
        .unwrap();
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let server = Server::start(limits).unwrap();
        let service = Arc::new(service);
        let hosted = server.host(Arc::clone(&service));
        let listener = Listener::new(socket, false, &hosted);
        let acceptor = Acceptor::start(&server, vec![listener]).unwrap();
        Self {
            address,
            server,
            service,
            _acceptor: acceptor,
        }
    }

    /// A new connection.
    pub fn connect(&self) -> Client {
        Client::connect(self.address)
    }
}

/// Answers with what it was given: method, path, query and body.
pub struct Echo;

impl Service for Echo {
    type Worker = ();

    fn worker(&self) {}

    fn call(&self, _: &mut (), request: &Request<'_>, reply: Reply<'_>) -> Handled {
        let head = &request.head;
        reply.text(|out| {
            out.extend_from_slice(format!("{:?}|", head.method).as_bytes());
            for part in [head.path, head.query, request.body] {
                out.extend_from_slice(part);
                out.push(b'|');
            }
        });
        Counter::OtherValid.into()
    }
}
