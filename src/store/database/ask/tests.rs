//! Which rows are accepted, without a server.

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
    row(vec![Value::UInt(id), Value::Bytes(value), Value::NULL])
}

/// As the server writes it.
fn batch_text(loaded: u64, number: u64) -> Value {
    let numbers = format!("{loaded}:{number}");
    let checksum = crc32fast::hash(numbers.as_bytes());
    Value::Bytes(format!("{numbers}:{checksum}").into_bytes())
}

fn read(answer: Answer, number: u64) -> Read {
    Read {
        answer: Some(answer),
        batch: Batch {
            loaded: if number == 0 { 0 } else { 9 },
            number,
        },
    }
}

#[test]
fn rows_are_believed_for_the_keys_that_were_asked_for() {
    let eight = vec![
        Value::UInt(8),
        Value::Bytes(value(8)),
        batch_text(9, u64::MAX),
    ];
    let reads = found(&[3, 5, 8], vec![row(eight), value_row(3, value(3))]).unwrap();
    let good = |id| Ok(Some(value(id).into()));
    assert_eq!(
        reads,
        [read(good(3), 0), Read::default(), read(good(8), u64::MAX)]
    );
    // The value of another user, under the id of this one.
    let swapped = found(&[3, 5], vec![value_row(3, value(5))]).unwrap();
    assert_eq!(
        swapped,
        [read(Err(LookupError::Corrupt), 0), Read::default()]
    );
    let with_batch = |text: &[u8]| {
        row(vec![
            Value::UInt(3),
            Value::Bytes(value(3)),
            Value::Bytes(text.into()),
        ])
    };
    for odd in [
        row(vec![Value::UInt(3), Value::Bytes(value(3))]),
        with_batch(b""),
        with_batch(b"9:1"),
        with_batch(b"9:1:77"),
        with_batch(b"\xff:1:77"),
        value_row(4, value(4)),
        row(vec![Value::NULL, Value::Bytes(value(3))]),
        row(vec![Value::UInt(3), Value::NULL]),
        row(vec![Value::UInt(3)]),
        row(vec![]),
    ] {
        let answer = found(&[3, 5], vec![odd.clone()]);
        assert!(
            matches!(answer, Err(DatabaseFault::Garbled(_))),
            "{odd:?}: {answer:?}"
        );
    }
}

#[test]
fn nobody_is_absent_without_proof() {
    let said = |id: u64, proof: u64| row(vec![Value::UInt(id), Value::UInt(proof), Value::NULL]);
    let absent = |id: u64| said(id, proof(id, "absent"));
    assert_eq!(
        confirmed(&[2, 7], vec![absent(7), absent(2), absent(7)]),
        Ok(vec![read(Ok(None), 0); 2])
    );
    // The user was created meanwhile: neither absent nor a fault.
    assert_eq!(
        confirmed(&[2, 7], vec![said(7, proof(7, "present")), absent(2)]),
        Ok(vec![read(Ok(None), 0), Read::default()])
    );
    for rows in [
        vec![],
        vec![absent(2)],
        vec![absent(2), absent(8)],
        vec![absent(2), said(7, proof(2, "absent"))],
        vec![absent(2), said(7, proof(2, "present"))],
        vec![absent(2), row(vec![Value::UInt(7), Value::NULL])],
        vec![absent(2), row(vec![Value::UInt(7)])],
    ] {
        let answer = confirmed(&[2, 7], rows.clone());
        assert!(
            matches!(answer, Err(DatabaseFault::Garbled(_))),
            "{rows:?}: {answer:?}"
        );
    }
}
