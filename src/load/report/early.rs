//! Whether a requirement can still hold, decided while the run goes on: a run that cannot pass any more ends.
//!
//! Only the given conditions are checked, against the best possible rest of the run: all requests still to come are
//! quick and right. Their number is known at a fixed rate and with a number of requests; in a closed loop at most twice
//! the throughput of the best second is expected.

use crate::load::{
    plan::stage::{Load, Stage},
    report::requirement::Requirement,
    tally::{collect::Collector, counts::Tally},
};
use std::time::Duration;

/// In a closed loop no more than this many times the best second's throughput is expected.
const CLOSED_LOOP_GAIN_MAX: f64 = 2.0;
/// Percentage for a share that is neither 0 nor 100 %, however many requests follow.
const SOME_PERCENT: f64 = 1e-9;

/// Why the run cannot pass any more; `None` while it can.
pub fn hopeless(
    requirements: &[Requirement],
    collected: &Collector<'_>,
    endpoints: &[String],
    elapsed: Duration,
) -> Option<String> {
    let ahead = ahead(collected, elapsed);
    let lost = requirements.iter().find(|requirement| {
        let name = requirement.endpoint.as_ref();
        let endpoint = name.and_then(|name| endpoints.iter().position(|known| known == name));
        is_lost(requirement, &collected.measured(endpoint), ahead)
    })?;
    let seconds = elapsed.as_secs_f64();
    Some(format!(
        "{} could no longer hold after {seconds:.0} s",
        lost.text
    ))
}

/// The most that is still to come.
#[derive(Clone, Copy, Debug)]
struct Ahead {
    /// Measured requests; infinite if nothing is known about them.
    requests: f64,
    /// Length of all measured stages; infinite if a number of requests ends the run.
    whole_s: f64,
}

fn ahead(collected: &Collector<'_>, elapsed: Duration) -> Ahead {
    let rates = collected.rows.iter().map(|row| row.rps.iter().sum());
    let best: Option<f64> = rates.reduce(f64::max);
    let mut out = Ahead {
        requests: 0.0,
        whole_s: 0.0,
    };
    let mut begin = 0.0;
    for (stage, cells) in collected.stages().iter().zip(&collected.by_stage) {
        let seen = cells.iter().map(Tally::requests).sum::<u64>() as f64;
        let whole = stage.duration.as_secs_f64();
        let gone = (elapsed.as_secs_f64() - begin).clamp(0.0, whole);
        begin += whole;
        if stage.measured {
            out.requests += stage_ahead(stage, gone, best, seen);
            out.whole_s += if stage.requests.is_some() {
                f64::INFINITY
            } else {
                whole
            };
        }
    }
    out
}

/// The most that `stage` can still send after `gone` of its seconds.
fn stage_ahead(stage: &Stage, gone: f64, best: Option<f64>, seen: f64) -> f64 {
    let whole = stage.duration.as_secs_f64();
    let in_time = match stage.load {
        // Requests that are due and not yet answered are still to come, too.
        Load::Rate(rate) => rate.events(whole, whole) - seen.min(rate.events(gone, whole)),
        Load::Replay { requests, .. } => requests as f64 - seen,
        Load::Users { .. } => best.map_or(f64::INFINITY, |best| {
            CLOSED_LOOP_GAIN_MAX * best * (whole - gone)
        }),
    };
    let in_number = stage
        .requests
        .map_or(f64::INFINITY, |most| most as f64 - seen);
    in_time.min(in_number).max(0.0)
}

/// Whether no future can meet the condition.
fn is_lost(requirement: &Requirement, seen: &Tally, ahead: Ahead) -> bool {
    if seen.requests() == 0 {
        return false;
    }
    let all = seen.requests() as f64 + ahead.requests;
    let best = if requirement.is_upper_bound() {
        least(requirement, seen, all, ahead.whole_s)
    } else {
        greatest(requirement, seen, all, ahead)
    };
    best.is_some_and(|best| !requirement.holds(Some(best)))
}

/// The least value the metric can end with; `None` if that is not known.
fn least(requirement: &Requirement, seen: &Tally, all: f64, whole_s: f64) -> Option<f64> {
    let latency_ns = &seen.latency_ns;
    if let Some(quantile) = requirement.quantile() {
        // The quantile cannot end below the latency that too many have exceeded already.
        let spared = all - (quantile * all).ceil();
        return (spared.is_finite() && spared < latency_ns.len() as f64).then(|| {
            // Between two ranks, so that rounding does not take the one above.
            let at = 1.0 - (spared + 0.5) / latency_ns.len() as f64;
            latency_ns.value_at_quantile(at) as f64 / 1e3
        });
    }
    let answered = latency_ns.len() as f64;
    match requirement.metric {
        "errors" => share(seen.failed_count(), all),
        "max" => (answered > 0.0).then(|| latency_ns.max() as f64 / 1e3),
        "mean" => (answered > 0.0).then(|| latency_ns.mean() * answered / all / 1e3),
        "requests" => Some(seen.requests() as f64),
        "rps" => Some(seen.requests() as f64 / whole_s),
        "correct_rps" => Some(seen.correct as f64 / whole_s),
        _ => None,
    }
}

/// The greatest value the metric can end with; `None` if that is not known.
fn greatest(requirement: &Requirement, seen: &Tally, all: f64, ahead: Ahead) -> Option<f64> {
    let failed = seen.failed_count() as f64;
    match requirement.metric {
        "correctness" => share(seen.wrong_count(), all - failed).map(|wrong| 100.0 - wrong),
        "requests" => Some(all),
        "rps" if ahead.whole_s.is_finite() => Some(all / ahead.whole_s),
        "correct_rps" if ahead.whole_s.is_finite() => {
            Some((seen.correct as f64 + ahead.requests) / ahead.whole_s)
        }
        _ => None,
    }
}

/// The share in percent. It is 0 only if `part` is 0.
fn share(part: u64, whole: f64) -> Option<f64> {
    let percent = 100.0 * part as f64 / whole;
    Some(if part == 0 {
        0.0
    } else {
        percent.max(SOME_PERCENT)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{
        plan::stage::Ramp,
        report::requirement,
        tally::counts::{Failure, Outcome},
    };

    /// After 970 answers of 1 ms, 20 of 100 ms, one wrong and 9 failures, with `ahead` more requests within 10 s.
    fn lost(condition: &str, ahead: f64) -> bool {
        let mut seen = Tally::default();
        let mut add = |count, outcome, ms| {
            for _ in 0..count {
                seen.record(outcome, Duration::from_millis(ms));
            }
        };
        add(970, Outcome::Correct, 1);
        add(20, Outcome::Correct, 100);
        add(1, Outcome::Wrong("body"), 1);
        add(9, Outcome::Failed(Failure::Reset), 1);
        let ahead = Ahead {
            requests: ahead,
            whole_s: 10.0,
        };
        is_lost(
            &requirement::parse("--require", condition).unwrap()[0],
            &seen,
            ahead,
        )
    }

    #[test]
    fn what_cannot_hold_any_more_is_lost() {
        for (condition, enough) in [
            ("p99<5ms", 1_000.0),
            ("p99.9<5ms", 19_100.0),
            ("mean<500us", 5_000.0),
            ("errors<=0.1%", 8_100.0),
            ("correctness>=99.99", 9_100.0),
            ("requests>=2000", 1_000.0),
            ("rps>=200", 1_000.0),
            ("correct_rps>200", 1_100.0),
        ] {
            assert!(!lost(condition, enough), "{condition}");
            assert!(lost(condition, enough / 4.0), "{condition}");
        }
        for condition in [
            "max<100ms",
            "errors<=0",
            "correctness>=100",
            "requests<1000",
            "rps<50",
        ] {
            assert!(lost(condition, f64::INFINITY), "{condition}");
        }
        // the number of requests to come is unknown, or more of them cannot hurt
        for condition in [
            "p99<5ms",
            "errors<1%",
            "rps>1000000",
            "score>1000",
            "p99>1s",
        ] {
            assert!(!lost(condition, f64::INFINITY), "{condition}");
        }
    }

    #[test]
    fn what_is_to_come_is_known_from_rate_and_number() {
        let stage = |load, requests| Stage {
            name: String::new(),
            duration: Duration::from_secs(10),
            load,
            weights: vec![1.0],
            measured: true,
            requests,
        };
        let rate = Load::Rate(Ramp::steady(100.0));
        let users = Load::Users {
            count: Ramp::steady(1.0),
            think: (Duration::ZERO, Duration::ZERO),
        };
        assert_eq!(stage_ahead(&stage(rate, None), 4.0, None, 350.0), 650.0);
        assert_eq!(
            stage_ahead(&stage(users, None), 4.0, Some(10.0), 1.0),
            120.0
        );
        assert_eq!(stage_ahead(&stage(users, Some(50)), 4.0, None, 20.0), 30.0);
        assert!(stage_ahead(&stage(users, None), 4.0, None, 1.0).is_infinite());
    }
}
