//! The product's files of `src/http` that threads share, the little that they need of its other files, and the models.

#[path = "../../../src/http/deferred.rs"]
#[allow(dead_code, reason = "no model calls all of it")]
mod deferred;
#[path = "../../../src/http/pulse.rs"]
#[allow(dead_code, reason = "no model calls all of it")]
mod pulse;
#[path = "../../../src/http/watch.rs"]
#[allow(dead_code, reason = "no model calls all of it")]
mod watch;

mod clock;
mod promises;
mod questions;
mod slots;

use crate::Model;

/// Where an answer goes. Nothing looks inside here.
pub struct Reply<'a>(#[expect(dead_code)] &'a ());

pub(crate) const MODELS: &[Model] = &[
    (
        "watch: a socket is not shut down after its end",
        slots::no_shutdown_after_close,
    ),
    (
        "watch: who is shut down learns it, once",
        slots::expiry_is_learnt,
    ),
    (
        "watch: a request that has come is not disturbed",
        slots::a_handled_request_is_left_alone,
    ),
    ("watch: two sweeps shut down once", slots::two_sweeps),
    (
        "watch: no connection is beyond the sweep",
        slots::every_slot_is_swept,
    ),
    (
        "deferred: a kept promise wakes its connection",
        promises::kept,
    ),
    ("deferred: so does a dropped one", promises::dropped),
    (
        "deferred: an early or late wake disturbs no later wait",
        promises::one_after_the_other,
    ),
    ("deferred: a connection may end first", promises::abandoned),
    (
        "deferred: a peer is asked only while its connection waits",
        promises::peer,
    ),
    (
        "pulse: a thread that goes on is not silent",
        questions::accept_thread,
    ),
    (
        "pulse: a worker that goes on is not silent",
        questions::worker,
    ),
    ("pulse: a thread that stops is not silent", questions::stop),
];
