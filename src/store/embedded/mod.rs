//! The embedded store: LMDB files in a directory, written once and then only read, with updates beside
//! them.
//!
//! The interface:
//!
//! - [`Store`], [`Reader`]: open a directory and look users up (`store`).
//! - [`StoreWriter`]: builds a directory (`writer`).
//! - [`Update`]: one batch of changes (`update`).
//! - [`maintenance`]: commands for operators: verify, stat, dump, snapshot, restore, fold.
//!
//! The inner files; each names only files above it in this list:
//!
//! - `files`: names of files, tables and keys.
//! - `environment`: opens LMDB.
//! - `mapping`: where mapped bytes are in their file; gives back what has been read of a mapped file.
//! - `data_file`: writes one LMDB file. `seal`: lengths and checksums of the files.
//! - `staging`: a directory that gets its name when it is complete.
//! - `updates`: the LMDB environment that takes changes.
//! - `scan`: all records in order, updates included. `content`: sums and checksum over them.
//!
//! Only this folder names heed.

mod content;
mod data_file;
mod environment;
mod files;
pub mod maintenance;
mod mapping;
mod scan;
mod seal;
mod staging;
mod store;
mod update;
mod updates;
mod writer;

pub(super) use content::{Content, add_history};
pub(super) use files::Table;
pub(super) use scan::Scan;
pub(super) use seal::Depth;
pub(super) use store::Access;
pub use store::{Reader, Store};
pub(super) use update::Update;
pub use update::{StoredTweet, Work};
pub use writer::StoreWriter;

#[cfg(test)]
mod tests;
