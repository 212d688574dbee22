//! Builds a store: called by the ETL and whoever else has values to store.

use super::{
    Content, Meta, StoreError, USER_ID_MAX,
    embedded::{Access, Store, Writing},
    place::Staging,
    seal::{self, Depth},
};
use std::path::Path;

/// Bytes of values per transaction: large enough that committing does not matter, small enough that
/// the pages of a transaction are little memory.
const BATCH_BYTES: usize = 16 << 20;

/// A store that does not have its name yet. Dropping it unfinished leaves nothing behind.
pub struct StoreWriter {
    staging: Staging,
    writing: Writing,
    content: Content,
    /// Ids with the ends of their values in `batch`.
    ends: Vec<(u64, usize)>,
    batch: Vec<u8>,
    last_id: Option<u64>,
}

impl StoreWriter {
    /// Starts a store that will be called `target`.
    ///
    /// With `replace` an existing store of that name is replaced in one step; servers that have it
    /// open keep reading the old one until they reload.
    ///
    /// # Errors
    /// The name is taken, or the directory beside it cannot be made.
    pub fn create(target: &Path, replace: bool) -> Result<Self, StoreError> {
        let staging = Staging::beside(target, replace)?;
        Ok(Self {
            writing: Writing::create(staging.path())?,
            staging,
            content: Content::default(),
            ends: Vec::new(),
            batch: Vec::new(),
            last_id: None,
        })
    }

    /// Adds the value of a user, as [`Encoder`](crate::twitter::model::Encoder) made it. Ids ascend.
    ///
    /// # Errors
    /// The id does not ascend or is above [`USER_ID_MAX`], the value is not one, the disk is full.
    pub fn put(&mut self, user_id: u64, value: &[u8]) -> Result<(), StoreError> {
        let refused = |why: String| StoreError::Refused { user_id, why };
        if user_id > USER_ID_MAX {
            return Err(refused("ids end at 2^63-1".into()));
        }
        if let Some(last) = self.last_id.filter(|last| *last >= user_id) {
            return Err(refused(format!("ids must ascend, the last was {last}")));
        }
        self.content
            .add(user_id, value)
            .map_err(|corrupt| refused(corrupt.to_string()))?;
        self.last_id = Some(user_id);
        self.batch.extend_from_slice(value);
        self.ends.push((user_id, self.batch.len()));
        if self.batch.len() >= BATCH_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    /// Completes the store, syncs it, reads it back, and gives it its name.
    ///
    /// # Errors
    /// Anything that keeps the store from being complete and durable; the name is then untouched.
    pub fn finish(mut self) -> Result<Meta, StoreError> {
        self.flush()?;
        let meta = self.content.meta();
        self.writing.finish(&meta)?;
        let path = self.staging.path();
        seal::write(path)?;
        let store = Store::open_for(path, Access::Scan, Depth::Full)?;
        super::tools::compare_content(&store, &meta)?;
        drop(store);
        self.staging.publish()?;
        Ok(meta)
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        let mut start = 0;
        let batch = &self.batch;
        let users = self.ends.iter().map(|&(id, end)| {
            let value = batch.get(start..end).unwrap_or_default();
            start = end;
            (id, value)
        });
        self.writing.append(batch.len(), users)?;
        self.batch.clear();
        self.ends.clear();
        Ok(())
    }
}
