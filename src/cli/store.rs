//! `trident store`: what to do with which store. Run by `main`.

use clap::Subcommand;
use std::path::PathBuf;

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum StoreCommand {
    /// Read every byte and check seal, values, order, scores and sums
    Verify {
        /// Directory of the store
        store: PathBuf,
    },
    /// Print counts, sizes and distributions
    Stat {
        /// Directory of the store
        store: PathBuf,
        /// Print one JSON object instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Print one line of JSON per user, by ascending id
    Dump {
        /// Directory of the store
        store: PathBuf,
    },
    /// Copy a store without free pages; the copy is verified and then gets its name
    Snapshot {
        /// Directory of the store
        store: PathBuf,
        /// Directory to make
        target: PathBuf,
    },
    /// Make one store of a store and its updates, in its place
    ///
    /// May run while servers take tweets: batches wait, and none is lost. Afterwards the server answers
    /// them 503 until a reload: `kill -HUP`, or POST /admin/reload on its admin address.
    Fold {
        /// Directory of the store
        store: PathBuf,
    },
    /// Put a verified copy of a snapshot at a name
    ///
    /// A server that has a replaced store open keeps reading the old one until a reload: `kill -HUP`, or
    /// POST /admin/reload on its admin address.
    Restore {
        /// Directory of the snapshot
        snapshot: PathBuf,
        /// Directory to make
        target: PathBuf,
        /// Replace the store that has this name, in one step
        #[arg(long)]
        replace: bool,
    },
}
