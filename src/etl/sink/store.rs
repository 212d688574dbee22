//! The embedded store as the place where values go.

use crate::etl::{
    record::excluded::Excluded,
    sink::user_sink::{SinkError, UserSink},
};
use crate::store::{Meta, StoreError, StoreWriter};
use std::path::Path;

/// Builds a store; it gets its name in [`UserSink::finish`].
pub struct StoreSink {
    /// Until it is finished.
    writer: Option<StoreWriter>,
    meta: Option<Meta>,
}

impl StoreSink {
    /// Starts a store that will be called `target`, see [`StoreWriter::create`].
    pub fn create(target: &Path, replace: bool) -> Result<Self, StoreError> {
        Ok(Self::over(StoreWriter::create(target, replace)?))
    }

    /// Goes on with a run that may already have made the store `target`, see [`StoreWriter::resume`].
    pub fn resume(target: &Path) -> Result<Self, StoreError> {
        Ok(Self::over(StoreWriter::resume(target)?))
    }

    fn over(writer: StoreWriter) -> Self {
        Self {
            writer: Some(writer),
            meta: None,
        }
    }

    /// What the finished store says about itself.
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

    fn begin_history(&mut self, excluded: &Excluded) -> Result<(), SinkError> {
        Ok(self.writer()?.begin_history(&excluded.to_fields())?)
    }

    fn put_tweet(&mut self, tweet_id: u64, record: &[u8]) -> Result<(), SinkError> {
        Ok(self.writer()?.put_tweet(tweet_id, record)?)
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
