//! The shards: threads that count, end and leave their shard to others, and one that sums.

use std::{cell::Cell, thread};

use super::{
    Counter::{First, Second},
    Distribution, Endpoint, Latency,
    histogram::Cells,
    shard::{Totals, add, answers, observe, read},
};

pub(super) fn growing() {
    let reading = thread::spawn(|| {
        let (early, late) = (answers(), read(First));
        assert!(early <= late && [0, 1, 3].contains(&early) && [0, 1, 3].contains(&late));
    });
    add(First, 1);
    add(First, 2);
    reading.join().unwrap();
    assert_eq!((read(First), read(Second)), (3, 0));
}

/// One leaves its shard to two.
pub(super) fn threads() {
    let count = || add(First, 1);
    thread::spawn(count).join().unwrap();
    let next = [thread::spawn(count), thread::spawn(count)];
    next.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(read(First), 3);
}

/// A thread counts while its thread-locals are dropped, and another one takes over its shard.
pub(super) fn at_the_end() {
    struct Last;

    impl Drop for Last {
        fn drop(&mut self) {
            add(First, 1);
        }
    }

    thread_local! {
        static LAST: Cell<Option<Last>> = const { Cell::new(None) };
    }

    let ending = thread::spawn(|| {
        LAST.with(|last| last.set(Some(Last)));
        add(First, 1);
    });
    let next = thread::spawn(|| add(First, 1));
    ending.join().unwrap();
    next.join().unwrap();
    assert_eq!(read(First), 3);
}

/// The cells of one thread: the sums of all threads lock for each series, which is beside the point here.
pub(super) fn observed() {
    let cells: &'static Cells = Box::leak(Box::default());
    let reading = thread::spawn(|| {
        let mut early = Distribution::default();
        early.add_cells(cells);
        assert!(early.count() <= 3 && [0, 10, 16].contains(&early.sum_ns()));
        early
    });
    cells.add(5, 2);
    cells.add(6, 1);
    let early = reading.join().unwrap();
    let mut late = Distribution::default();
    late.add_cells(cells);
    assert_eq!((late.count(), late.sum_ns()), (3, 16));
    assert_eq!(late.since(&early).count() + early.count(), 3);
    observe(Latency::Handler, Endpoint::Other, 5, 2);
    let totals = Totals::read().latency(Latency::Handler, Endpoint::Other);
    assert_eq!((totals.count(), totals.sum_ns()), (2, 10));
}
