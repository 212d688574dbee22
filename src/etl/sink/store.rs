//! A sink that builds the embedded store.

use crate::etl::{
    record::excluded::Excluded,
    sink::user_sink::{SinkError, UserSink},
};
use crate::store::{Meta, StoreError, StoreWriter, value::Value};
use std::path::Path;

/// Builds a store; it gets its name in [`UserSink::finish`].
pub struct StoreSink {
    /// `None` when finished.
    writer: Option<StoreWriter>,
    meta: Option<Meta>,
}

impl StoreSink {
    /// Starts the store `target`, see [`StoreWriter::create`].
    pub fn create(target: &Path, replace: bool) -> Result<Self, StoreError> {
        Ok(Self::over(StoreWriter::create(target, replace)?))
    }

    /// Resumes a run that may already have built the store `target`, see [`StoreWriter::resume`].
    pub fn resume(target: &Path) -> Result<Self, StoreError> {
        Ok(Self::over(StoreWriter::resume(target)?))
    }

    fn over(writer: StoreWriter) -> Self {
        Self {
            writer: Some(writer),
            meta: None,
        }
    }

    /// Metadata of the finished store.
    pub fn meta(&self) -> Option<&Meta> {
        self.meta.as_ref()
    }
}

impl StoreSink {
    fn writer(&mut self) -> Result<&mut StoreWriter, SinkError> {
        self.writer
            .as_mut()
            .ok_or_else(|| "the store is finished".into())
    }
}

impl UserSink for StoreSink {
    fn put(&mut self, user_id: u64, value: &[u8]) -> Result<(), SinkError> {
        Ok(self.writer()?.put(user_id, value)?)
    }

    fn put_value(&mut self, user_id: u64, value: Value<'_>) -> Result<(), SinkError> {
        Ok(self.writer()?.put_value(user_id, value)?)
    }

    fn begin_history(&mut self, excluded: &Excluded) -> Result<(), SinkError> {
        Ok(self.writer()?.begin_history(&excluded.to_fields())?)
    }

    fn put_tweet(&mut self, tweet_id: u64, record: &[u8]) -> Result<(), SinkError> {
        Ok(self.writer()?.put_tweet(tweet_id, record)?)
    }

    fn put_deletion(&mut self, tweet_id: u64) -> Result<(), SinkError> {
        Ok(self.writer()?.put_deletion(tweet_id)?)
    }

    fn put_person(&mut self, user_id: u64, record: &[u8]) -> Result<(), SinkError> {
        Ok(self.writer()?.put_person(user_id, record)?)
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        if let Some(writer) = self.writer.take() {
            self.meta = Some(writer.finish()?);
        }
        Ok(())
    }
}
