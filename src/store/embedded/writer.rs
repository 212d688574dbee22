//! Builds a store; called by the ETL and, to merge updates, by `maintenance`.

use super::{
    content::{Content, compare_content},
    data_file::DataFile,
    files::{DATA_FILE, HISTORY_FILE, Table},
    seal::{self, Depth},
    staging::{IfExists, Staging},
    store::{Access, Store},
};
use crate::store::{
    Meta, StoreError, USER_ID_MAX,
    value::{Corrupt, Value},
};
use std::{io::Read as _, path::Path};

/// Bytes of values per transaction: large enough to make commits cheap, small enough that the pages of a
/// transaction take little memory.
const BATCH_BYTES: usize = 16 << 20;

/// What a record takes in a page beside its value: key, header, place in the page's table. It counts where values are
/// empty.
const RECORD_BYTES: usize = 32;

/// A store that does not have its name yet. Dropping it unfinished leaves nothing behind.
pub struct StoreWriter {
    staging: Staging,
    users: Batches<[u8; 8]>,
    history: Option<Batches<[u8; 9]>>,
    content: Content,
    /// A store of this content may already have the name.
    may_be_there: bool,
}

/// A file that is written transaction by transaction.
struct Batches<K> {
    file: DataFile,
    /// Keys, with the ends of their values in `bytes`.
    ends: Vec<(K, usize)>,
    bytes: Vec<u8>,
    last_key: Option<K>,
}

impl<K: AsRef<[u8]> + Copy + PartialOrd> Batches<K> {
    fn create(staging: &Staging, name: &str) -> Result<Self, StoreError> {
        Ok(Self {
            file: DataFile::create(staging.path(), name)?,
            ends: Vec::new(),
            bytes: Vec::new(),
            last_key: None,
        })
    }

    fn ascends(&self, key: K) -> bool {
        self.last_key.is_none_or(|last| last < key)
    }

    fn put(&mut self, key: K, value: &[u8]) -> Result<(), StoreError> {
        self.last_key = Some(key);
        if value.len() >= BATCH_BYTES {
            let mut rest = value;
            return self.put_from(key, value.len(), |piece| {
                let (front, after) = rest.split_at(piece.len());
                piece.copy_from_slice(front);
                rest = after;
                Ok(())
            });
        }
        self.bytes.extend_from_slice(value);
        self.ends.push((key, self.bytes.len()));
        if self.batch_bytes() >= BATCH_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    /// Appends a record by itself, see [`DataFile::append_from`].
    fn put_from(
        &mut self,
        key: K,
        bytes: usize,
        fill: impl FnMut(&mut [u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.last_key = Some(key);
        self.flush()?;
        self.file.append_from(key.as_ref(), bytes, fill)
    }

    fn batch_bytes(&self) -> usize {
        self.bytes.len() + self.ends.len() * RECORD_BYTES
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        let batch_bytes = self.batch_bytes();
        let mut start = 0;
        let bytes = &self.bytes;
        let records = self.ends.iter().map(|&(key, end)| {
            let value = bytes.get(start..end).unwrap_or_default();
            start = end;
            (key, value)
        });
        self.file.append(batch_bytes, records)?;
        self.bytes.clear();
        self.ends.clear();
        Ok(())
    }
}

impl StoreWriter {
    /// Starts the store `target`.
    ///
    /// With `replace` an existing store of that name is replaced in one step; servers keep reading the old
    /// store until they reload.
    ///
    /// # Errors
    /// The name is taken, or the directory beside it cannot be created.
    pub fn create(target: &Path, replace: bool) -> Result<Self, StoreError> {
        Self::start(target, IfExists::replace_if(replace))
    }

    /// Starts the store `target` for a resumed run that may already have built it. If so,
    /// [`StoreWriter::finish`] keeps that store with its updates.
    ///
    /// # Errors
    /// The directory beside the name cannot be created.
    pub fn resume(target: &Path) -> Result<Self, StoreError> {
        let resumed = Self::start(target, IfExists::RefuseAtEnd)?;
        Ok(Self {
            may_be_there: true,
            ..resumed
        })
    }

    /// Starts a store that replaces `store`, and no other.
    ///
    /// # Errors
    /// The directory beside it cannot be created.
    pub(super) fn in_place_of(store: &Store) -> Result<Self, StoreError> {
        let path = store.path();
        let identity = store.identity();
        let identity = identity.ok_or_else(|| StoreError::Replaced(path.into()))?;
        Self::start(path, IfExists::ReplaceOnly(identity))
    }

    fn start(target: &Path, if_exists: IfExists) -> Result<Self, StoreError> {
        let staging = Staging::beside(target, if_exists)?;
        Ok(Self {
            users: Batches::create(&staging, DATA_FILE)?,
            history: None,
            staging,
            content: Content::default(),
            may_be_there: false,
        })
    }

    /// Makes the store keep history, so that it can take in more tweets later; `excluded` are the hashtags
    /// left out of the counts. Call it first.
    pub fn begin_history(&mut self, excluded: &[u8]) -> Result<(), StoreError> {
        self.history = Some(Batches::create(&self.staging, HISTORY_FILE)?);
        self.put_history(Table::Excluded, 0, excluded)
    }

    /// Adds the record of a kept tweet to the history. Ids ascend; all tweets come before all user states.
    pub fn put_tweet(&mut self, tweet_id: u64, record: &[u8]) -> Result<(), StoreError> {
        self.put_history(Table::Tweets, tweet_id, record)
    }

    /// Notes in the history that a tweet is deleted, in the order of the tweets.
    pub fn put_deletion(&mut self, tweet_id: u64) -> Result<(), StoreError> {
        self.put_history(Table::Tweets, tweet_id, b"")
    }

    /// Adds the state of a user to the history. Ids ascend.
    pub fn put_person(&mut self, user_id: u64, record: &[u8]) -> Result<(), StoreError> {
        self.put_history(Table::UserStates, user_id, record)
    }

    pub(super) fn put_history(
        &mut self,
        table: Table,
        id: u64,
        record: &[u8],
    ) -> Result<(), StoreError> {
        let refused = |why: &str| refused(id, why.into());
        let key = table.key(id);
        match &mut self.history {
            None => Err(refused("the store keeps no history")),
            Some(history) if !history.ascends(key) => Err(refused("history must ascend")),
            Some(history) => {
                self.content.add_history(table, id, record);
                history.put(key, record)
            }
        }
    }

    /// Adds the value of a user, as [`Encoder`](crate::store::value::Encoder) made it. Ids ascend.
    ///
    /// # Errors
    /// The id does not ascend or is above [`USER_ID_MAX`], the value is malformed, or the disk is full.
    pub fn put(&mut self, user_id: u64, value: &[u8]) -> Result<(), StoreError> {
        let key = self.user_key(user_id)?;
        self.content
            .add(user_id, value)
            .map_err(|corrupt| refused(user_id, corrupt.to_string()))?;
        self.users.put(key, value)
    }

    /// As [`StoreWriter::put`], of a value that may be too large for memory; the checksum of such a value is checked too.
    ///
    /// # Errors
    /// As [`StoreWriter::put`]; or the value ends early. The store cannot be finished then.
    pub fn put_value(&mut self, user_id: u64, value: Value<'_>) -> Result<(), StoreError> {
        let (bytes, mut read) = match value {
            Value::Whole(value) => return self.put(user_id, value),
            Value::Stream { bytes, read } => (bytes, read),
        };
        let corrupt = |corrupt: Corrupt| refused(user_id, corrupt.to_string());
        let unread = |error| refused(user_id, format!("its value cannot be read: {error}"));
        let length = usize::try_from(bytes).map_err(|_| corrupt(Corrupt::Length))?;
        if length < BATCH_BYTES {
            // Whoever made it had little memory. The file must not show that.
            let mut value = vec![0; length];
            read.read_exact(&mut value).map_err(unread)?;
            return self.put(user_id, &value);
        }
        let key = self.user_key(user_id)?;
        let mut incoming = self.content.begin(user_id, bytes);
        self.users.put_from(key, length, |piece| {
            read.read_exact(piece).map_err(unread)?;
            incoming.add(piece).map_err(corrupt)
        })?;
        incoming.end().map_err(corrupt)
    }

    fn user_key(&self, user_id: u64) -> Result<[u8; 8], StoreError> {
        if user_id > USER_ID_MAX {
            return Err(refused(user_id, "ids end at 2^63-1".into()));
        }
        let key = user_id.to_be_bytes();
        if !self.users.ascends(key) {
            let last = self.users.last_key.map_or(0, u64::from_be_bytes);
            return Err(refused(
                user_id,
                format!("ids must ascend, the last was {last}"),
            ));
        }
        Ok(key)
    }

    /// Completes the store, syncs it, reads it back, and gives it its name.
    ///
    /// # Errors
    /// The store could not be made complete and durable; the name is then untouched. After
    /// [`StoreWriter::resume`]: a store of this name has other contents.
    pub fn finish(self) -> Result<Meta, StoreError> {
        let Self {
            staging,
            users,
            history,
            content,
            may_be_there,
        } = self;
        let meta = content.meta();
        if let Err(error) = complete(staging.path(), users, history, &meta) {
            return Err(staging.discard(error));
        }
        match staging.publish() {
            Err(StoreError::Exists(target)) if may_be_there && is_built(&target, &meta) => {}
            published => published?,
        }
        Ok(meta)
    }
}

/// Writes the rest of the files and the seal, and reads all of it back.
fn complete(
    path: &Path,
    mut users: Batches<[u8; 8]>,
    history: Option<Batches<[u8; 9]>>,
    meta: &Meta,
) -> Result<(), StoreError> {
    users.flush()?;
    users.file.append_meta(meta)?;
    users.file.finish()?;
    if let Some(mut history) = history {
        history.flush()?;
        history.file.finish()?;
    }
    seal::write(path)?;
    let store = Store::open_for(path, Access::Scan, Depth::Full)?;
    compare_content(&store, meta)
}

fn refused(user_id: u64, why: String) -> StoreError {
    StoreError::Refused { user_id, why }
}

/// Whether the store at `target` was built with this content, regardless of updates.
fn is_built(target: &Path, meta: &Meta) -> bool {
    Store::open(target).is_ok_and(|store| store.meta() == meta)
}
