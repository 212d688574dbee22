//! One batch of keys: the statements for it, and the check of the rows that come back.
//!
//! No row is believed unless it was asked for. A row must be of a key of the batch, and its value carries the user's id
//! under its checksum. The absence of a user is checked as well: before anybody is answered "no such user", the server
//! sends back the keys without a row, each with a checksum over the key and the word `absent`.

use super::{
    DatabaseFault,
    link::Link,
    lookups::{Answer, LookupError},
    schema::{BATCH, Batch},
};
use crate::store::value::User;
use mysql_async::{Params, Row, Value, prelude::Queryable};

/// What came back for a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Read {
    /// `None`: the user was created between the two statements and must be asked for again.
    pub(super) answer: Option<Answer>,
    /// The last batch that the read saw.
    pub(super) batch: Batch,
}

/// The statements for 1, 2, 4, … keys, up to the largest batch or the power of two above it: few enough to be
/// prepared once per connection.
pub(super) struct Statements {
    values: Vec<String>,
    absences: Vec<String>,
}

impl Statements {
    /// `has_batches`: whether the tables have batches, see [`super::schema::Version`].
    pub(super) fn new(keys_max: usize, has_batches: bool) -> Self {
        let batch = if has_batches { BATCH } else { "NULL" };
        let sizes = 0..=keys_max.next_power_of_two().ilog2();
        let sizes = || sizes.clone().map(|log| 1usize << log);
        let values = |keys: usize| {
            let more = ",?".repeat(keys - 1);
            format!("SELECT user_id, data, {batch} FROM trident_users WHERE user_id IN (?{more})")
        };
        let absences = |keys: usize| {
            let more = " UNION ALL SELECT CAST(? AS UNSIGNED)".repeat(keys - 1);
            format!(
                "SELECT k.user_id, CRC32(CONCAT(k.user_id, IF(u.user_id IS NULL, ':absent', ':present'))), {batch} \
                 FROM (SELECT CAST(? AS UNSIGNED) AS user_id{more}) k \
                 LEFT JOIN trident_users u ON u.user_id = k.user_id"
            )
        };
        Self {
            values: sizes().map(values).collect(),
            absences: sizes().map(absences).collect(),
        }
    }

    /// The answers for `keys`, which ascend, in their order.
    ///
    /// # Errors
    /// Also [`DatabaseFault::Garbled`]: the rows are not about these keys.
    pub(super) async fn ask(
        &self,
        link: &mut Link,
        keys: &[u64],
    ) -> Result<Vec<Read>, DatabaseFault> {
        let rows = run(link, &self.values, keys).await?;
        let mut reads = found(keys, rows)?;
        let missing: Vec<u64> = keys
            .iter()
            .zip(&reads)
            .filter(|(_, read)| read.answer.is_none())
            .map(|(key, _)| *key)
            .collect();
        if !missing.is_empty() {
            let rows = run(link, &self.absences, &missing).await?;
            let mut absent = confirmed(&missing, rows)?.into_iter();
            for read in reads.iter_mut().filter(|read| read.answer.is_none()) {
                *read = absent.next().unwrap_or_default();
            }
        }
        Ok(reads)
    }
}

/// The rows of `keys`; a key that does not exist has no row.
async fn run(
    link: &mut Link,
    statements: &[String],
    keys: &[u64],
) -> Result<Vec<Row>, DatabaseFault> {
    let log = keys.len().next_power_of_two().ilog2() as usize;
    let (Some(statement), Some(last)) = (statements.get(log), keys.last()) else {
        return Ok(Vec::new());
    };
    // The last key fills the remaining places.
    let padded = keys.iter().chain(std::iter::repeat(last)).take(1 << log);
    let parameters = padded.map(|key| Value::UInt(*key)).collect();
    let rows = link
        .conn
        .exec(statement.as_str(), Params::Positional(parameters))
        .await;
    rows.map_err(|error| link.explain(error.into()))
}

/// The values among `rows`, by the place of their key.
fn found(keys: &[u64], rows: Vec<Row>) -> Result<Vec<Read>, DatabaseFault> {
    let mut reads = vec![Read::default(); keys.len()];
    for mut row in rows {
        let id: Option<u64> = row.take_opt(0).and_then(Result::ok);
        let value: Option<Vec<u8>> = row.take_opt(1).and_then(Result::ok);
        let place = id.and_then(|id| keys.binary_search(&id).ok());
        let (Some(id), Some(value), Some(read)) =
            (id, value, place.and_then(|place| reads.get_mut(place)))
        else {
            return Err(DatabaseFault::Garbled("a row nobody asked for".into()));
        };
        let answer = match User::verify(id, &value) {
            Ok(_) => Ok(Some(value.into())),
            // Not cached: once the value is repaired, it is served.
            Err(_) => Err(LookupError::Corrupt),
        };
        *read = Read {
            answer: Some(answer),
            batch: batch(&mut row)?,
        };
    }
    Ok(reads)
}

fn batch(row: &mut Row) -> Result<Batch, DatabaseFault> {
    let text: Option<Option<Vec<u8>>> = row.take_opt(2).and_then(Result::ok);
    let text = text.ok_or_else(|| DatabaseFault::Garbled("a row without a batch number".into()))?;
    Batch::parse(text.as_deref())
}

/// "No such user" for each of `keys`, if the server confirms each.
fn confirmed(keys: &[u64], rows: Vec<Row>) -> Result<Vec<Read>, DatabaseFault> {
    let unproven = || DatabaseFault::Garbled("no proof that a user does not exist".into());
    let mut reads: Vec<Option<Read>> = vec![None; keys.len()];
    for mut row in rows {
        let id: Option<u64> = row.take_opt(0).and_then(Result::ok);
        let checksum: Option<u64> = row.take_opt(1).and_then(Result::ok);
        let place = id.and_then(|id| keys.binary_search(&id).ok());
        let (Some(id), Some(checksum), Some(read)) =
            (id, checksum, place.and_then(|place| reads.get_mut(place)))
        else {
            return Err(unproven());
        };
        let answer = if checksum == proof(id, "absent") {
            Some(Ok(None))
        } else if checksum == proof(id, "present") {
            // The user was created between the two statements.
            None
        } else {
            return Err(unproven());
        };
        *read = Some(Read {
            answer,
            batch: batch(&mut row)?,
        });
    }
    let all: Option<Vec<Read>> = reads.into_iter().collect();
    all.ok_or_else(unproven)
}

/// What the server computes for a user.
fn proof(id: u64, state: &str) -> u64 {
    crc32fast::hash(format!("{id}:{state}").as_bytes()).into()
}

#[cfg(test)]
mod tests;
