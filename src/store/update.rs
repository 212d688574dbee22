//! One batch of changes, whichever store takes it.
//!
//! `etl::update` reads and writes through [`Update`] and does not know which kind of store it is. A database answers
//! each read after a round trip, so a caller that will read many records announces them first (`prefetch_…`).

use super::{
    Store, StoreError, StoredTweet, UpdateError, Work, database, embedded, embedded::Table,
};

/// A batch of changes: invisible before it is committed, undone when it is dropped.
pub struct Update<'s>(Inner<'s>);

enum Inner<'s> {
    Embedded(Box<embedded::Update<'s>>),
    Database(Box<database::Update<'s>>),
}

impl Store {
    /// Begins a batch; waits while another process has one open.
    ///
    /// # Errors
    /// The store keeps no history, was not opened for updates, or was replaced.
    pub fn update(&self) -> Result<Update<'_>, UpdateError> {
        let update = self.begin_update()?;
        Ok(Update(Inner::Embedded(Box::new(update))))
    }
}

impl<'s> From<database::Update<'s>> for Update<'s> {
    fn from(update: database::Update<'s>) -> Self {
        Self(Inner::Database(Box::new(update)))
    }
}

impl Update<'_> {
    /// How much has been read and written so far.
    pub fn work(&self) -> Work {
        match &self.0 {
            Inner::Embedded(update) => update.work(),
            Inner::Database(update) => update.work(),
        }
    }

    /// The excluded hashtags of the store, as given when it was built.
    pub fn excluded(&self) -> Result<&[u8], StoreError> {
        match &self.0 {
            Inner::Embedded(update) => update.excluded(),
            Inner::Database(update) => Ok(update.excluded()),
        }
    }

    /// What the store knows of a tweet.
    pub fn tweet(&self, id: u64) -> Result<Option<StoredTweet<'_>>, StoreError> {
        match &self.0 {
            Inner::Embedded(update) => update.tweet(id),
            Inner::Database(update) => Ok(update.get(Table::Tweets, id)?.map(StoredTweet::of)),
        }
    }

    /// The state of a user.
    pub fn user_state(&self, id: u64) -> Result<Option<&[u8]>, StoreError> {
        match &self.0 {
            Inner::Embedded(update) => update.user_state(id),
            Inner::Database(update) => update.get(Table::UserStates, id),
        }
    }

    /// The value of a user.
    pub fn value(&self, id: u64) -> Result<Option<&[u8]>, StoreError> {
        match &self.0 {
            Inner::Embedded(update) => update.value(id),
            Inner::Database(update) => update.get(Table::Values, id),
        }
    }

    /// Announces reads of these tweets.
    pub fn prefetch_tweets(&self, ids: impl IntoIterator<Item = u64>) -> Result<(), StoreError> {
        self.prefetch(Table::Tweets, ids)
    }

    /// Announces reads of the states of these users.
    pub fn prefetch_user_states(
        &self,
        ids: impl IntoIterator<Item = u64>,
    ) -> Result<(), StoreError> {
        self.prefetch(Table::UserStates, ids)
    }

    /// Announces reads of the values of these users.
    pub fn prefetch_values(&self, ids: impl IntoIterator<Item = u64>) -> Result<(), StoreError> {
        self.prefetch(Table::Values, ids)
    }

    fn prefetch(&self, table: Table, ids: impl IntoIterator<Item = u64>) -> Result<(), StoreError> {
        match &self.0 {
            // The file is mapped.
            Inner::Embedded(_) => Ok(()),
            Inner::Database(update) => update.prefetch(table, ids),
        }
    }

    /// Stores a tweet; it replaces a tweet with the same id.
    pub fn put_tweet(&mut self, id: u64, record: &[u8]) -> Result<(), UpdateError> {
        match &mut self.0 {
            Inner::Embedded(update) => update.put_tweet(id, record),
            Inner::Database(update) => update.put(Table::Tweets, id, Some(record)),
        }
    }

    /// Notes that a tweet is deleted, instead of the tweet if it is stored.
    pub fn put_deletion(&mut self, id: u64) -> Result<(), UpdateError> {
        match &mut self.0 {
            Inner::Embedded(update) => update.put_deletion(id),
            Inner::Database(update) => update.put(Table::Tweets, id, Some(StoredTweet::DELETED)),
        }
    }

    /// Stores the state of a user; `None`: no tweet mentions the user any more.
    pub fn put_person(&mut self, id: u64, record: Option<&[u8]>) -> Result<(), UpdateError> {
        match &mut self.0 {
            Inner::Embedded(update) => update.put_person(id, record),
            Inner::Database(update) => update.put(Table::UserStates, id, record),
        }
    }

    /// Stores the value of a user; `None`: the user has no contacts any more.
    pub fn put_value(&mut self, id: u64, value: Option<&[u8]>) -> Result<(), UpdateError> {
        match &mut self.0 {
            Inner::Embedded(update) => update.put_value(id, value),
            Inner::Database(update) => update.put(Table::Values, id, value),
        }
    }

    /// Makes the batch durable and visible; returns its number since the store was built.
    ///
    /// # Errors
    /// Nothing was changed, with two exceptions. If the store was replaced meanwhile, the change is in the replaced
    /// store. If the database was lost during the commit and not found again, the outcome is unknown.
    pub fn commit(self) -> Result<u64, UpdateError> {
        match self.0 {
            Inner::Embedded(update) => Ok(update.commit()?.batches),
            Inner::Database(update) => update.commit(),
        }
    }
}
