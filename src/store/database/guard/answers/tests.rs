//! Conversations, whole and byte by byte.

use super::*;
use proptest::{collection::vec, prelude::*};

/// A packet with this payload.
fn packet(payload: &[u8]) -> Vec<u8> {
    let [low, middle, high, _] = (payload.len() as u32).to_le_bytes();
    let mut bytes = vec![low, middle, high, 1];
    bytes.extend_from_slice(payload);
    bytes
}

fn packets(payloads: &[&[u8]]) -> Vec<u8> {
    payloads
        .iter()
        .flat_map(|payload| packet(payload))
        .collect()
}

const EOF: &[u8] = &[0xFE, 0, 0, 2, 0];
const EOF_AND_MORE: &[u8] = &[0xFE, 0, 0, 8, 0];
const COLUMN: &[u8] = b"\x03def\0\0\0\x01a\0\x0c\x3f\0\x08\0\0\0\x08\0\0\0\0\0";
const ROW: &[u8] = &[0, 0, 7, 0, 0, 0, 0, 0, 0, 0];
const OK: &[u8] = &[0, 0, 0, 2, 0, 0, 0];
const EXECUTE: &[u8] = &[COM_STMT_EXECUTE, 1, 0, 0, 0, 0, 1, 0, 0, 0];
const PREPARE: &[u8] = b"\x16SELECT ?";

/// What the guard says to `answer` after `command`, in whatever pieces it comes.
fn check(command: &[u8], answer: &[u8]) -> Result<(), &'static str> {
    let whole = {
        let mut answers = Answers::default();
        answers.commands(&packet(command));
        answers.check(answer)
    };
    let mut answers = Answers::default();
    for byte in packet(command) {
        answers.commands(&[byte]);
    }
    let bytewise = answer.iter().try_for_each(|byte| answers.check(&[*byte]));
    assert_eq!(whole, bytewise);
    whole
}

#[test]
fn answers_that_servers_send_pass() {
    let huge = vec![0; 70_000];
    for (command, answer) in [
        (
            EXECUTE,
            packets(&[&[2], COLUMN, COLUMN, EOF, ROW, ROW, EOF]),
        ),
        (EXECUTE, packets(&[&[1], COLUMN, EOF, EOF])),
        (
            EXECUTE,
            packets(&[&[2], COLUMN, COLUMN, EOF, ROW, &huge, EOF]),
        ),
        (
            EXECUTE,
            packets(&[&[1], COLUMN, EOF, ROW, b"\xff\x28\x04#70100Killed"]),
        ),
        (EXECUTE, packets(&[b"\xff\x7a\x04#42S02No such table"])),
        (b"\x03DROP TABLE a", packets(&[OK])),
        (
            PREPARE,
            packets(&[
                &[0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0],
                COLUMN,
                EOF,
                COLUMN,
                EOF,
            ]),
        ),
        (PREPARE, packets(&[&[0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]])),
        (b"\x0e", packets(&[OK])),
        // A shutdown while nothing was asked.
        (
            &[COM_STMT_CLOSE, 1, 0, 0, 0],
            packets(&[b"\xff\x1d\x04#08S01Shutdown"]),
        ),
    ] {
        assert_eq!(check(command, &answer), Ok(()), "{command:?}");
    }
}

#[test]
fn answers_that_no_server_sends_do_not() {
    for (command, answer) in [
        // Any number of columns the driver would make room for.
        (EXECUTE, packets(&[&[0xFE, 0, 0, 0, 0, 0, 0, 0, 0x80]])),
        (EXECUTE, packets(&[&[0xFC, 0xFF, 0xFF]])),
        (EXECUTE, packets(&[&[17]])),
        (EXECUTE, packets(&[&[]])),
        (EXECUTE, packets(&[&[1], COLUMN, COLUMN])),
        (EXECUTE, packets(&[&[1], COLUMN, EOF, ROW, EOF_AND_MORE])),
        (EXECUTE, packets(&[&[0, 0, 0, 8, 0]])),
        (EXECUTE, packets(&[&[0, 0]])),
        (EXECUTE, packets(&[b"\xfb/etc/passwd"])),
        (EXECUTE, packets(&[&[1], COLUMN, EOF, EOF, ROW])),
        (
            PREPARE,
            packets(&[&[0, 1, 0, 0, 0, 0xFF, 0xFF, 1, 0, 0, 0, 0]]),
        ),
        (PREPARE, packets(&[&[0, 1]])),
        (&[COM_STMT_CLOSE, 1, 0, 0, 0], packets(&[OK])),
        (b"\x0e", packets(&[OK, OK])),
    ] {
        assert!(check(command, &answer).is_err(), "{command:?} {answer:?}");
    }
}

#[test]
fn an_answer_without_end_ends() {
    let mut answers = Answers::default();
    answers.commands(&packet(EXECUTE));
    answers.check(&packets(&[&[1], COLUMN, EOF])).unwrap();
    let rows = packet(&vec![0; 1 << 20]);
    let sent = (0..2_000).find(|_| answers.check(&rows).is_err()).unwrap();
    assert_eq!(
        sent as u64,
        (ANSWER_BYTES_MAX >> 20) - 1,
        "headers count too"
    );
}

#[test]
fn rows_are_counted() {
    let mut answers = Answers::default();
    answers.commands(&packet(EXECUTE));
    answers.check(&packets(&[&[1], COLUMN, EOF])).unwrap();
    let row = packet(ROW);
    let passed = (0..=ROWS_MAX).find(|_| answers.check(&row).is_err());
    assert_eq!(passed, Some(ROWS_MAX));
}

proptest! {
    #[test]
    fn no_bytes_panic(command in vec(any::<u8>(), 0..40), answer in vec(any::<u8>(), 0..400)) {
        let mut answers = Answers::default();
        answers.commands(&packet(&command));
        let _ = answers.check(&answer);
        let _ = answers.check(&packet(&answer));
    }
}

#[test]
fn a_packet_that_is_continued_is_one() {
    let mut answers = Answers::default();
    answers.commands(&packet(EXECUTE));
    answers.check(&packets(&[&[1], COLUMN, EOF])).unwrap();
    let mut row = vec![0xFF, 0xFF, 0xFF, 4];
    row.extend(vec![0; CONTINUED]);
    answers.check(&row).unwrap();
    // The continuation looks like an end of the rows but is not one.
    answers.check(&packet(EOF)).unwrap();
    answers.check(&packets(&[ROW, EOF])).unwrap();
    assert_eq!(answers.next, Next::Idle);
}
