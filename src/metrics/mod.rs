//! Counters: one plain array per thread, summed when read.
//!
//! Each thread adds to its own cells with relaxed loads and stores, so a count costs two memory
//! operations and no locked instruction; a reader sums the arrays of all threads. Names, help texts
//! and labels are declared once, in [`names`].

pub mod names;

use std::{
    cell::Cell,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use parking_lot::Mutex;

pub use names::Counter;

/// The cells of one thread.
struct Shard([AtomicU64; Counter::ALL.len()]);

/// Shards of all threads that ever counted. A thread's shard outlives it: counts never go back.
static SHARDS: Mutex<Vec<&'static Shard>> = Mutex::new(Vec::new());

thread_local! {
    static SHARD: Cell<Option<&'static Shard>> = const { Cell::new(None) };
}

/// Adds `n` to a counter.
///
/// Call it only where no coroutine switch can happen between entry and return.
#[inline]
pub fn add(counter: Counter, n: u64) {
    let shard = SHARD.get().unwrap_or_else(new_shard);
    if let Some(cell) = shard.0.get(counter as usize) {
        // One writer per shard: no read-modify-write needed.
        cell.store(cell.load(Relaxed).wrapping_add(n), Relaxed);
    }
}

#[cold]
fn new_shard() -> &'static Shard {
    let shard: &'static Shard =
        Box::leak(Box::new(Shard(std::array::from_fn(|_| AtomicU64::new(0)))));
    SHARDS.lock().push(shard);
    SHARD.set(Some(shard));
    shard
}

/// The sum of a counter over all threads.
pub fn read(counter: Counter) -> u64 {
    SHARDS
        .lock()
        .iter()
        .map(|shard| shard.0[counter as usize].load(Relaxed))
        .sum()
}

/// Appends every counter in the Prometheus text exposition format.
pub fn write_text(out: &mut Vec<u8>) {
    let mut family = "";
    for &counter in Counter::ALL {
        if counter.family() != family {
            family = counter.family();
            for (keyword, text) in [("HELP", counter.help()), ("TYPE", "counter")] {
                out.extend_from_slice(format!("# {keyword} {family} {text}\n").as_bytes());
            }
        }
        out.extend_from_slice(
            format!("{family}{} {}\n", counter.labels(), read(counter)).as_bytes(),
        );
    }
}

/// Appends one value that goes up and down, in the same format.
pub fn write_gauge(name: &str, help: &str, value: u64, out: &mut Vec<u8>) {
    let text = format!("# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n");
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_all_threads_are_summed() {
        let before = read(Counter::HandlerPanics);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|_| add(Counter::HandlerPanics, 2)));
            }
        });
        assert!(read(Counter::HandlerPanics) >= before + 8000);
    }

    #[test]
    fn the_text_names_every_family_once() {
        let mut out = Vec::new();
        write_text(&mut out);
        let text = String::from_utf8(out).unwrap();
        for counter in Counter::ALL {
            let help = format!("# HELP {} ", counter.family());
            assert_eq!(text.matches(&help).count(), 1, "{help}");
        }
    }
}
