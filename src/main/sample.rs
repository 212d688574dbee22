//! The built-in store of `/twitter`: for `trident serve` and `trident explain` when no store is named.

use std::path::PathBuf;
use trident::etl::sample;

/// The directory of the built-in store.
///
/// # Errors
/// A warning: the other endpoints are served all the same.
pub fn store() -> Result<PathBuf, String> {
    let places = sample::directories(|name| std::env::var_os(name));
    sample::prepare(&places).map_err(|error| {
        format!("twitter.store: {error}; /twitter is off until --twitter-store names a store")
    })
}
