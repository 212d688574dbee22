//! The records of users that one tweet yields, made by the code of a run.

use crate::etl::{
    error::EtlError,
    record::excluded::Excluded,
    record::records::UserRecord,
    stage::tweets::{TweetOutput, TweetReducer},
};

/// The records of users that the second stage of a run makes from a tweet.
pub(super) struct Events(Vec<u8>);

impl Events {
    pub(super) fn of(record: &[u8], excluded: &Excluded) -> Result<Self, EtlError> {
        let mut events = Self(Vec::new());
        let mut reducer = TweetReducer::new(excluded);
        reducer.line(record, &mut events)?;
        reducer.finish(&mut events)?;
        Ok(events)
    }

    /// The users whose records these are.
    pub(super) fn users(&self) -> Result<Vec<u64>, EtlError> {
        self.lines()
            .map(|line| UserRecord::parse(line).map(|(user, ..)| user))
            .collect()
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = &[u8]> {
        let lines = self.0.split(|&byte| byte == b'\n');
        lines.filter(|line| !line.is_empty())
    }
}

impl TweetOutput for Events {
    fn kept(&mut self, _record: &[u8]) -> Result<(), EtlError> {
        Ok(())
    }

    fn deleted(&mut self, _id: u64) -> Result<(), EtlError> {
        Ok(())
    }

    fn tag(&mut self, _tag: &[u8]) -> Result<(), EtlError> {
        Ok(())
    }

    fn event(&mut self, _user: u64, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), EtlError> {
        write(&mut self.0);
        self.0.push(b'\n');
        Ok(())
    }
}
