//! What the simulated server serves: `/ID/SIZE/HOW`, answered now, later, never or by a panic, from an edition that a reload
//! replaces.

use std::{
    cell::RefCell,
    collections::HashMap,
    mem,
    panic::resume_unwind,
    rc::Rc,
    sync::{Arc, LazyLock, Weak},
};

use super::clock::SimClock;
use crate::{
    http::{Deferred, Handled, Promise, Reply, Request, Service},
    metrics::Counter,
};

/// Ids of requests: the client's number times this, and the request's index.
const IDS: usize = 1000;

/// Ticks that pass while a long request is handled: with a second that its client took for its head more than the
/// deadline of heads, without it less.
const LONG_TICKS: usize = 17;

/// What a reload replaces, as it replaces a store. An answer is of the edition that its request found.
#[derive(Default)]
struct Edition(usize);

#[derive(Default)]
struct State {
    clock: Option<Rc<SimClock>>,
    /// Open promises: the number of the request, and whether the promise will be dropped.
    open: Vec<(usize, bool, Promise<()>)>,
    /// Open promises that are settled only after some time.
    slow: Vec<(usize, Promise<()>)>,
    /// The requests that came, in their order.
    called: Vec<usize>,
    /// The long requests that were handled, and when.
    long: Vec<(usize, u64)>,
    edition: Arc<Edition>,
    /// Editions that were replaced.
    replaced: Vec<Weak<Edition>>,
    /// The editions that requests found, but for the first.
    found: HashMap<usize, usize>,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

pub(super) struct Scripted;

/// The id of a client's request.
pub(super) fn id(client: usize, index: usize) -> usize {
    client * IDS + index
}

/// The client of a request.
pub(super) fn client_of(id: usize) -> usize {
    id / IDS
}

/// Appends the answer to request `id`, which sent `received` bytes of body and has been handled.
pub(super) fn body(into: &mut Vec<u8>, id: usize, size: usize, received: usize) {
    let found = STATE.with_borrow(|state| state.found.get(&id).copied());
    append(into, id, size, received, found.unwrap_or_default());
}

fn append(into: &mut Vec<u8>, id: usize, size: usize, received: usize, edition: usize) {
    use std::io::Write;
    static LETTERS: LazyLock<Vec<u8>> =
        LazyLock::new(|| (b'a'..=b'z').cycle().take(21_000).collect());
    let _ = write!(into, "{id} {received} {edition} "); // into a vector: it cannot fail
    into.extend_from_slice(&LETTERS[id % 26..][..size]);
}

/// Begins a simulation with this clock, or forgets the last one.
pub(super) fn clear(clock: Option<Rc<SimClock>>) {
    // Dropped promises must not find the state borrowed.
    let last = STATE.replace(State {
        clock,
        ..State::default()
    });
    drop(last);
}

/// Replaces the edition. Returns the new one.
pub(super) fn reload() -> usize {
    STATE.with_borrow_mut(|state| {
        let next = Arc::new(Edition(state.edition.0 + 1));
        let old = mem::replace(&mut state.edition, next);
        state.replaced.push(Arc::downgrade(&old));
        state.edition.0
    })
}

/// Editions that were replaced and that somebody still has.
pub(super) fn held() -> usize {
    STATE.with_borrow_mut(|state| {
        state.replaced.retain(|edition| edition.strong_count() > 0);
        state.replaced.len()
    })
}

/// Promises that are open.
pub(super) fn open() -> usize {
    STATE.with_borrow(|state| state.open.len())
}

/// Slow promises that are open.
pub(super) fn slow() -> usize {
    STATE.with_borrow(|state| state.slow.len())
}

/// The first of a client's requests that is slow.
pub(super) fn first_slow(client: usize) -> Option<usize> {
    STATE.with_borrow(|state| {
        let ids = state.slow.iter().map(|(id, _)| *id);
        ids.filter(|id| client_of(*id) == client)
            .map(|id| id % IDS)
            .min()
    })
}

/// Keeps the first slow promise. Returns the number of its request.
pub(super) fn settle_slow() -> usize {
    let (id, promise) = STATE.with_borrow_mut(|state| state.slow.remove(0));
    promise.keep(());
    id
}

/// Keeps the promise at `index`, or drops it if its request asks for that. Returns the number of the request.
pub(super) fn settle(index: usize) -> usize {
    let (id, is_lost, promise) = STATE.with_borrow_mut(|state| state.open.swap_remove(index));
    if !is_lost {
        promise.keep(());
    }
    id
}

/// The requests that came.
pub(super) fn called() -> Vec<usize> {
    STATE.with_borrow(|state| state.called.clone())
}

/// How many requests of a client came.
pub(super) fn called_by(client: usize) -> usize {
    STATE.with_borrow(|state| {
        let of_client = |id: &&usize| client_of(**id) == client;
        state.called.iter().filter(of_client).count()
    })
}

/// The long requests that were handled since the last call, and when they ended.
pub(super) fn take_long() -> Vec<(usize, u64)> {
    STATE.with_borrow_mut(|state| mem::take(&mut state.long))
}

impl Service for Scripted {
    type Worker = ();

    fn worker(&self) {}

    fn call(&self, (): &mut (), request: &Request<'_>, reply: Reply<'_>) -> Handled {
        let path = std::str::from_utf8(request.head.path).unwrap_or_default();
        let mut parts = path.split('/').skip(1);
        let mut number = || parts.next()?.parse::<usize>().ok();
        let (Some(id), Some(size)) = (number(), number()) else {
            reply.text(|out| out.extend_from_slice(b"no such request was sent"));
            return Counter::OtherValid.into();
        };
        let how = parts.next().unwrap_or_default();
        let edition = STATE.with_borrow_mut(|state| {
            state.called.push(id);
            if state.edition.0 > 0 {
                state.found.insert(id, state.edition.0);
            }
            Arc::clone(&state.edition)
        });
        let received = request.body.len();
        match how {
            "panic" => resume_unwind(Box::new(how.to_owned())),
            "long" => be_long(id),
            _ => {}
        }
        if matches!(how, "now" | "long") {
            reply.text(|out| append(out, id, size, received, edition.0));
            return Counter::OtherValid.into();
        }
        let (promise, deferred) = Deferred::new(move |kept: Option<()>, reply: Reply<'_>| {
            if kept.is_some() {
                reply.text(|out| append(out, id, size, received, edition.0));
            }
            Counter::OtherValid
        });
        match how {
            "soon" => promise.keep(()),
            "slow" => STATE.with_borrow_mut(|state| state.slow.push((id, promise))),
            _ => STATE.with_borrow_mut(|state| state.open.push((id, how == "lost", promise))),
        }
        deferred.into()
    }
}

/// Lets seconds pass.
fn be_long(id: usize) {
    let clock = STATE.with_borrow(|state| state.clock.clone());
    let Some(clock) = clock else { return };
    for _ in 0..LONG_TICKS {
        clock.pass_a_tick_in_a_turn();
    }
    STATE.with_borrow_mut(|state| state.long.push((id, clock.now_ms())));
}
