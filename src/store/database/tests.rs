//! Tests of the parts that need no server.

use super::{lookups::Lookups, *};
use std::{
    sync::{Arc, mpsc},
    time::Instant,
};

const URL: &str = "mysql://ann:p%40ss%2Fword@db.example:3307/trident?socket=%2Frun%2Fs";

#[test]
fn an_address_is_printed_without_its_password() {
    let address = Address::parse(URL).unwrap();
    let shown = "mysql://ann:***@db.example:3307/trident?socket=/run/s";
    assert_eq!(
        (address.to_string(), format!("{address:?}")),
        (shown.into(), shown.into())
    );
    assert!(address.has_password());
    let location = crate::store::Location::Database(address.clone());
    assert!(!format!("{location:?}").contains("p@ss"), "{location:?}");
    let fault = DatabaseFault::Unreachable("no".into());
    let error = DatabaseError { address, fault };
    assert!(!format!("{error} {error:?}").contains("p@ss"), "{error}");
    let plain = Address::parse("mysql://localhost/t").unwrap();
    assert_eq!(plain.to_string(), "mysql://localhost:3306/t");
    assert!(!plain.has_password());
}

#[test]
fn what_is_no_address_is_refused_without_being_repeated() {
    for text in [
        "mysql://",
        "mysql://host",
        "mysql://host/",
        "postgres://u:secret@host/db",
        "mysql://u:sec/ret@host/db",
        "mysql://u:secret@host:99999/db",
        "mysql://u:secret@host/db?require_ssl=true",
        "mysql://u:secret@host/db?no_such=1",
    ] {
        let error = Address::parse(text).unwrap_err().to_string();
        assert!(!error.contains("secret"), "{text}: {error}");
        assert!(Address::is_meant_by(text));
    }
    assert!(!Address::is_meant_by("/srv/store"));
}

fn runtime() -> tokio::runtime::Runtime {
    tasks::runtime().unwrap()
}

fn submit(lookups: &Lookups, user_id: u64) -> Result<mpsc::Receiver<Answer>, Answer> {
    let (send, receive) = mpsc::channel();
    let done: Done = Box::new(move |answer| drop(send.send(answer)));
    match lookups.submit(user_id, || None, done) {
        None => Ok(receive),
        Some(answer) => Err(answer),
    }
}

#[test]
fn a_key_is_asked_for_once_and_everybody_is_answered() {
    let lookups = Lookups::new(10, Duration::from_secs(60));
    assert_eq!(submit(&lookups, 7).unwrap_err(), Err(LookupError::Down));
    assert!(lookups.open() && !lookups.open());
    let waiting: Vec<_> = [7, 3, 7, 7].map(|id| submit(&lookups, id).unwrap()).into();
    assert_eq!(runtime().block_on(lookups.next_batch(64)), [3, 7]);
    let more = submit(&lookups, 7).unwrap();
    let value: Answer = Ok(Some(Arc::from(b"v".as_slice())));
    lookups.deliver(7, &value);
    lookups.deliver(3, &Ok(None));
    let answers: Vec<_> = waiting.iter().map(|w| w.try_recv().unwrap()).collect();
    assert_eq!(
        answers,
        [value.clone(), Ok(None), value.clone(), value.clone()]
    );
    assert_eq!((more.try_recv().unwrap(), lookups.waiting()), (value, 0));
    // a later lookup finds the value that came meanwhile
    let found = lookups.submit(7, || Some(None), Box::new(|_| unreachable!()));
    assert_eq!(found, Some(Ok(None)));
}

#[test]
fn a_full_queue_refuses_and_a_closed_one_answers_those_who_wait() {
    let lookups = Lookups::new(3, Duration::from_secs(60));
    lookups.open();
    let waiting: Vec<_> = [1, 2, 2].map(|id| submit(&lookups, id).unwrap()).into();
    assert_eq!(submit(&lookups, 3).unwrap_err(), Err(LookupError::Busy));
    assert_eq!(runtime().block_on(lookups.next_batch(1)), [1]);
    assert!(lookups.close() && !lookups.close());
    assert!(waiting[0].try_recv().is_err(), "it is being asked for");
    assert_eq!(waiting[1].try_recv(), Ok(Err(LookupError::Down)));
    assert_eq!(waiting[2].try_recv(), Ok(Err(LookupError::Down)));
    lookups.put_back(&[1]);
    lookups.open();
    assert_eq!(runtime().block_on(lookups.next_batch(9)), [1]);
    drop(lookups);
    assert_eq!(waiting[0].try_recv(), Ok(Err(LookupError::Down)));
}

#[test]
fn deadlines_are_kept_and_what_nobody_waits_for_is_not_asked_for() {
    let deadline = Duration::from_millis(30);
    let lookups = Lookups::new(10, deadline);
    lookups.open();
    let start = Instant::now();
    let waiting: Vec<_> = [1, 2, 1].map(|id| submit(&lookups, id).unwrap()).into();
    runtime().block_on(async {
        let expiring = lookups.expire();
        let _ = tokio::time::timeout(10 * deadline, expiring).await;
    });
    for receiver in waiting {
        assert_eq!(receiver.try_recv(), Ok(Err(LookupError::Deadline)));
    }
    assert!(start.elapsed() >= deadline);
    let late = submit(&lookups, 5).unwrap();
    assert_eq!(runtime().block_on(lookups.next_batch(64)), [5]);
    assert!(late.try_recv().is_err());
}

#[test]
fn a_full_table_or_disk_is_told_from_other_failures() {
    let fault = |code| {
        let (message, state) = ("m".into(), "HY000".into());
        let error = mysql_async::ServerError {
            code,
            message,
            state,
        };
        DatabaseFault::from(mysql_async::Error::Server(error))
    };
    for code in [1114, 1021] {
        assert!(matches!(fault(code), DatabaseFault::Full(_)), "{code}");
        assert!(!fault(code).may_be_tried_again() && !fault(code).is_permanent());
    }
    assert!(matches!(fault(1064), DatabaseFault::Statement(_)));
}

#[test]
fn absences_do_not_push_out_values() {
    let kept = cache::ValueCache::new(1 << 20, Policy::Lru);
    kept.keep(1, Some(Arc::from([0u8; 1000].as_slice())));
    for id in 2..100_000 {
        kept.keep(id, None);
    }
    assert!(kept.get(1).unwrap().is_some());
    assert_eq!(kept.get(99_999), Some(None));
    assert_eq!(kept.get(100_000), None);
    let state = kept.stats();
    assert_eq!((state.hits, state.misses), (2, 1));
    assert!(
        state.bytes <= 1 << 20 && state.bytes_max == 1 << 20,
        "{state:?}"
    );
    kept.set(Some(0), Some(Policy::Random));
    assert_eq!((kept.get(1), kept.stats().entries), (None, 0));
}
