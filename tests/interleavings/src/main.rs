//! The product's lock-free files under `loom`: every interleaving of a few threads, and every value that the memory model
//! lets their loads see.
//!
//! ```text
//! interleavings [PREFIX]     # the models whose names begin so; all of them
//! ```
//!
//! Each model prints how many interleavings it has. One that fails panics, with the exit code of a panic.

// The product's files get these crates from the models' world.
#[macro_use(thread_local)]
extern crate world as std;
extern crate world as may;
extern crate world as parking_lot;
extern crate world as rustix;

mod http;
mod metrics;

/// A model and its name.
type Model = (&'static str, fn());

fn main() {
    let prefix = std::env::args().nth(1).unwrap_or_default();
    let models = [http::MODELS, metrics::MODELS].concat();
    let chosen = models.iter().filter(|(name, _)| name.starts_with(&prefix));
    let mut ran = 0;
    for (name, model) in chosen {
        let begun = std::time::Instant::now();
        println!("{name}");
        let interleavings = world::explore(*model);
        println!(
            "    {interleavings} interleavings, {:.1} s",
            begun.elapsed().as_secs_f64()
        );
        assert!(interleavings > 1, "nothing happens at the same time");
        ran += 1;
    }
    assert!(ran > 0, "no model begins with {prefix:?}");
}
