//! `--find`: the highest rate that holds.

use super::{HELLO, reported_against, standin::*};
use crate::harness::pace;
use std::{sync::Mutex, time::Duration};

/// Answers one request at a time, each after 5 ms at the earliest: never more than 200 a second.
fn slow() -> StandIn {
    let gate = Mutex::new(());
    StandIn::always(move || {
        let _one = gate.lock().unwrap();
        pace(Duration::from_millis(5));
        Reply::Bytes(answer(200, "hello"))
    })
}

#[test]
fn the_rate_found_is_below_what_the_server_can_do_and_the_next_above() {
    let flags = "--find p99<100ms -d 500ms -c 16";
    let (code, report) = reported_against(&slow(), HELLO, flags);
    let found = &report["found"];
    assert_eq!(code, 0, "{found}");
    let number = |value: &serde_json::Value| value.as_f64().unwrap_or(f64::NAN);
    let (rate, too_high) = (number(&found["rate"]), number(&found["too_high"]));
    // In half a second, 20 requests more than the server can do may wait without any of them waiting 100 ms.
    assert!(rate <= 250.0, "{found}");
    assert!(rate < too_high && too_high <= rate * 1.04, "{found}");
    let tries = found["tries"].as_array().unwrap();
    for one in tries {
        let held = one["held"].as_bool().unwrap();
        assert!(!held || number(&one["rate"]) <= rate, "{one}");
        assert_eq!(held, one["why"].is_null(), "{one}");
    }
    let at_the_bound = tries.iter().filter(|one| one["rate"] == found["too_high"]);
    assert_eq!(at_the_bound.count(), 2, "a rate is refused twice: {found}");
    // The other figures are those of the best try.
    assert_eq!(report["requirements"][0]["met"], true, "{report}");
    assert_eq!(report["passed"], true);
}

#[test]
fn a_condition_that_no_rate_holds_is_said_and_fails() {
    let flags = "--find p50<1ms -d 200ms -c 4";
    let (code, report) = reported_against(&slow(), HELLO, flags);
    let found = &report["found"];
    assert_eq!(code, 1, "{found}");
    assert!(found["rate"].is_null(), "{found}");
    assert_eq!(report["passed"], false);
    for one in found["tries"].as_array().unwrap() {
        let why = one["why"].as_str().unwrap();
        assert!(why.contains("p50<1ms") || why.contains("answered"), "{one}");
    }
}
