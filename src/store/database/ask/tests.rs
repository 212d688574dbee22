//! What rows are worth, without a server.

use super::*;
use crate::store::value::Encoder;
use mysql_async::{Column, consts::ColumnType};
use mysql_common::row::new_row;
use std::sync::Arc;

fn row(values: Vec<Value>) -> Row {
    let columns: Vec<Column> = values
        .iter()
        .map(|_| Column::new(ColumnType::MYSQL_TYPE_BLOB))
        .collect();
    new_row(values, Arc::from(columns))
}

fn value(user_id: u64) -> Vec<u8> {
    let mut encoder = Encoder::default();
    encoder.contact(9, false, 0, b"name", b"about");
    encoder.tweet(1, 1, 1, b"text", []);
    let mut out = Vec::new();
    encoder.finish(user_id, &mut out).unwrap();
    out
}

fn value_row(id: u64, value: Vec<u8>) -> Row {
    row(vec![Value::UInt(id), Value::Bytes(value)])
}

#[test]
fn rows_are_believed_for_the_keys_that_were_asked_for() {
    let answers = found(
        &[3, 5, 8],
        vec![value_row(8, value(8)), value_row(3, value(3))],
    )
    .unwrap();
    let places: Vec<bool> = answers.iter().map(Option::is_some).collect();
    assert_eq!(places, [true, false, true]);
    assert_eq!(answers[2], Some(Ok(Some(value(8).into()))));
    // The value of another user, under the id of this one.
    let swapped = found(&[3, 5], vec![value_row(3, value(5))]).unwrap();
    assert_eq!(swapped, [Some(Err(LookupError::Corrupt)), None]);
    for odd in [
        value_row(4, value(4)),
        row(vec![Value::NULL, Value::Bytes(value(3))]),
        row(vec![Value::UInt(3), Value::NULL]),
        row(vec![Value::UInt(3)]),
        row(vec![]),
    ] {
        let answer = found(&[3, 5], vec![odd.clone()]);
        assert!(
            matches!(answer, Err(Fault::Garbled(_))),
            "{odd:?}: {answer:?}"
        );
    }
}

#[test]
fn nobody_is_absent_without_proof() {
    let absent = |id: u64| row(vec![Value::UInt(id), Value::UInt(absence(id))]);
    let present = crc32fast::hash(b"7:present").into();
    assert_eq!(
        confirmed(&[2, 7], vec![absent(7), absent(2), absent(7)]),
        Ok(vec![Ok(None); 2])
    );
    for rows in [
        vec![],
        vec![absent(2)],
        vec![absent(2), absent(8)],
        vec![
            absent(2),
            row(vec![Value::UInt(7), Value::UInt(absence(2))]),
        ],
        vec![absent(2), row(vec![Value::UInt(7), Value::UInt(present)])],
        vec![absent(2), row(vec![Value::UInt(7), Value::NULL])],
        vec![absent(2), row(vec![Value::UInt(7)])],
    ] {
        let answer = confirmed(&[2, 7], rows.clone());
        assert!(
            matches!(answer, Err(Fault::Garbled(_))),
            "{rows:?}: {answer:?}"
        );
    }
}
