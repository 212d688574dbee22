//! The built-in store of `/twitter`: for `trident serve` and `trident explain` when no store is named.

use std::path::PathBuf;
use trident::etl::sample;

/// The directory of the built-in store. Without one the other endpoints are served.
pub fn store() -> Option<PathBuf> {
    let places = sample::directories(|name| std::env::var_os(name));
    sample::prepare(&places)
        .inspect_err(
            |error| tracing::warn!(%error, "/twitter is off; name a store with --twitter-store"),
        )
        .ok()
}
