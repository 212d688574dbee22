//! What the simulated server serves: `/ID/SIZE/HOW`, answered now, later, never or by a panic.

use std::{cell::RefCell, panic::resume_unwind};

use crate::{
    http::{Deferred, Handled, Promise, Reply, Request, Service},
    metrics::Counter,
};

thread_local! {
    /// Open promises: the number of the request, and whether the promise will be dropped.
    static OPEN: RefCell<Vec<(usize, bool, Promise<()>)>> = const { RefCell::new(Vec::new()) };
    /// Open promises that are settled only after some time.
    static SLOW: RefCell<Vec<(usize, Promise<()>)>> = const { RefCell::new(Vec::new()) };
    /// The requests that came, in their order.
    static CALLED: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

pub(super) struct Scripted;

/// The answer to request `id`, which sent `received` bytes of body.
pub(super) fn body(id: usize, size: usize, received: usize) -> Vec<u8> {
    let mut body = format!("{id} {received} ").into_bytes();
    body.extend((0..size).map(|at| b'a' + ((at + id) % 26) as u8));
    body
}

/// Forgets a simulation.
pub(super) fn clear() {
    OPEN.take();
    SLOW.take();
    CALLED.take();
}

/// Promises that are open.
pub(super) fn open() -> usize {
    OPEN.with_borrow(Vec::len)
}

/// Slow promises that are open.
pub(super) fn slow() -> usize {
    SLOW.with_borrow(Vec::len)
}

/// The first of a client's requests that is slow.
pub(super) fn first_slow(client: usize) -> Option<usize> {
    let of_client = |(id, _): &(usize, Promise<()>)| (id / 100 == client).then_some(id % 100);
    SLOW.with_borrow(|slow| slow.iter().filter_map(of_client).min())
}

/// Keeps the first slow promise. Returns the number of its request.
pub(super) fn settle_slow() -> usize {
    let (id, promise) = SLOW.with_borrow_mut(|slow| slow.remove(0));
    promise.keep(());
    id
}

/// Keeps the promise at `index`, or drops it if its request asks for that. Returns the number of the request.
pub(super) fn settle(index: usize) -> usize {
    let (id, is_lost, promise) = OPEN.with_borrow_mut(|open| open.swap_remove(index));
    if !is_lost {
        promise.keep(());
    }
    id
}

/// The requests that came.
pub(super) fn called() -> Vec<usize> {
    CALLED.with_borrow(Clone::clone)
}

impl Service for Scripted {
    type Worker = ();

    fn worker(&self) {}

    fn call(&self, (): &mut (), request: &Request<'_>, reply: Reply<'_>) -> Handled {
        let path = String::from_utf8_lossy(request.head.path).into_owned();
        let parts: Vec<&str> = path.split('/').collect();
        let [_, id, size, how] = parts[..] else {
            reply.text(|out| out.extend_from_slice(b"no such request was sent"));
            return Counter::OtherValid.into();
        };
        let (id, size) = (id.parse().unwrap_or(0), size.parse().unwrap_or(0));
        CALLED.with_borrow_mut(|called| called.push(id));
        let body = body(id, size, request.body.len());
        if how == "panic" {
            resume_unwind(Box::new(how.to_owned()));
        }
        if how == "now" {
            reply.text(|out| out.extend_from_slice(&body));
            return Counter::OtherValid.into();
        }
        let (promise, deferred) = Deferred::new(move |kept: Option<()>, reply: Reply<'_>| {
            if kept.is_some() {
                reply.text(|out| out.extend_from_slice(&body));
            }
            Counter::OtherValid
        });
        match how {
            "soon" => promise.keep(()),
            "slow" => SLOW.with_borrow_mut(|slow| slow.push((id, promise))),
            _ => OPEN.with_borrow_mut(|open| open.push((id, how == "lost", promise))),
        }
        deferred.into()
    }
}
