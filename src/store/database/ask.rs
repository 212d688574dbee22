//! One batch of keys: the statements for it, and what the rows that come back are worth.
//!
//! Nothing that comes back is believed unless it was asked for. A row must be of a key of the batch, and its value
//! carries the user's id under its checksum. That a user does not exist must be said as well: the keys without a row
//! are sent back by the server, each with a checksum over itself and the word `absent`, before anybody is answered
//! "no such user".

use super::{
    Fault,
    link::Link,
    lookups::{Answer, LookupError},
};
use crate::store::value::User;
use mysql_async::{Params, Row, Value, prelude::Queryable};

/// The statements for 1, 2, 4, … keys, up to the largest batch or the power of two above it: few enough to be
/// prepared once per connection.
pub(super) struct Statements {
    values: Vec<String>,
    absences: Vec<String>,
}

impl Statements {
    pub(super) fn new(keys_max: usize) -> Self {
        let sizes = 0..=keys_max.next_power_of_two().ilog2();
        let sizes = || sizes.clone().map(|log| 1usize << log);
        let values = |keys: usize| {
            let more = ",?".repeat(keys - 1);
            format!("SELECT user_id, data FROM trident_users WHERE user_id IN (?{more})")
        };
        let absences = |keys: usize| {
            let more = " UNION ALL SELECT CAST(? AS UNSIGNED)".repeat(keys - 1);
            format!(
                "SELECT k.user_id, CRC32(CONCAT(k.user_id, IF(u.user_id IS NULL, ':absent', ':present'))) \
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
    /// Also [`Fault::Garbled`]: what came is not about these keys.
    pub(super) async fn ask(&self, link: &mut Link, keys: &[u64]) -> Result<Vec<Answer>, Fault> {
        let rows = run(link, &self.values, keys).await?;
        let mut answers = found(keys, rows)?;
        let missing: Vec<u64> = keys
            .iter()
            .zip(&answers)
            .filter(|(_, answer)| answer.is_none())
            .map(|(key, _)| *key)
            .collect();
        if !missing.is_empty() {
            let rows = run(link, &self.absences, &missing).await?;
            let mut absent = confirmed(&missing, rows)?.into_iter();
            for answer in answers.iter_mut().filter(|answer| answer.is_none()) {
                *answer = absent.next();
            }
        }
        let all: Option<Vec<Answer>> = answers.into_iter().collect();
        all.ok_or_else(|| Fault::Garbled("fewer answers than keys".into()))
    }
}

/// The rows of `keys`; those that do not exist have none.
async fn run(link: &mut Link, statements: &[String], keys: &[u64]) -> Result<Vec<Row>, Fault> {
    let log = keys.len().next_power_of_two().ilog2() as usize;
    let (Some(statement), Some(last)) = (statements.get(log), keys.last()) else {
        return Ok(Vec::new());
    };
    // The rest is the last key again.
    let padded = keys.iter().chain(std::iter::repeat(last)).take(1 << log);
    let parameters = padded.map(|key| Value::UInt(*key)).collect();
    let rows = link
        .conn
        .exec(statement.as_str(), Params::Positional(parameters))
        .await;
    rows.map_err(|error| link.explain(error.into()))
}

/// The values among `rows`, by the place of their key.
fn found(keys: &[u64], rows: Vec<Row>) -> Result<Vec<Option<Answer>>, Fault> {
    let mut answers = vec![None; keys.len()];
    for mut row in rows {
        let id: Option<u64> = row.take_opt(0).and_then(Result::ok);
        let value: Option<Vec<u8>> = row.take_opt(1).and_then(Result::ok);
        let place = id.and_then(|id| keys.binary_search(&id).ok());
        let (Some(id), Some(value), Some(answer)) =
            (id, value, place.and_then(|place| answers.get_mut(place)))
        else {
            return Err(Fault::Garbled("a row nobody asked for".into()));
        };
        *answer = Some(match User::verify(id, &value) {
            Ok(_) => Ok(Some(value.into())),
            // Not kept: once it is mended it is served.
            Err(_) => Err(LookupError::Corrupt),
        });
    }
    Ok(answers)
}

/// "No such user" for each of `keys`, if the server says so of each.
fn confirmed(keys: &[u64], rows: Vec<Row>) -> Result<Vec<Answer>, Fault> {
    let mut is_absent = vec![false; keys.len()];
    for mut row in rows {
        let id: Option<u64> = row.take_opt(0).and_then(Result::ok);
        let checksum: Option<u64> = row.take_opt(1).and_then(Result::ok);
        let place = id.and_then(|id| keys.binary_search(&id).ok());
        let is_proven = id
            .zip(checksum)
            .is_some_and(|(id, checksum)| absence(id) == checksum);
        match place.and_then(|place| is_absent.get_mut(place)) {
            Some(absent) if is_proven => *absent = true,
            // Or the user came into being between the two statements: asked again it is found.
            _ => return Err(Fault::Garbled("no proof that a user does not exist".into())),
        }
    }
    if is_absent.contains(&false) {
        return Err(Fault::Garbled("no proof that a user does not exist".into()));
    }
    Ok(vec![Ok(None); keys.len()])
}

/// What the server computes for a user that does not exist.
fn absence(id: u64) -> u64 {
    crc32fast::hash(format!("{id}:absent").as_bytes()).into()
}

#[cfg(test)]
mod tests;
