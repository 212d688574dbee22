//! `--find`: the highest rate at which all conditions hold.
//!
//! A closed loop tells roughly how much the servers do. From there, tries at fixed rates (open loop) go up or down until
//! one holds and one does not, and then halve the distance between these two, as ratios. The machine's own noise can only
//! spoil a try, so a rate counts as too high when [`TRIES_PER_RATE`] tries in a row fail.

use crate::load::{
    error::LoadError,
    format::count_text,
    options::Options,
    report::{
        figures::Report,
        found::{Found, Try},
    },
    session::{Files, RunOutput, Session},
    tally::collect::Progress,
};
use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

/// Not measured, at the beginning of each try.
const WARMUP: Duration = Duration::from_millis(300);
/// Tries at one rate before it counts as too high.
const TRIES_PER_RATE: usize = 2;
/// Tries in all, so that the search ends.
const TRIES_MAX: usize = 28;
/// The search ends when the least rate that fails is at most this many times the highest that holds.
const PRECISION: f64 = 1.03;
/// The rate of the first try, as a share of what a closed loop reached.
const FIRST: f64 = 0.8;
/// Servers that answer less than this share of the rate do not keep up with it, whatever the conditions say.
const KEEPING_UP: f64 = 0.98;
/// Steps up and down until one rate holds and another does not.
const UP: f64 = 1.25;
const DOWN: f64 = 0.5;

/// Finds the rate. The report is that of the best try, or of the last one if no rate holds.
pub(super) fn find(
    session: &Session<'_>,
    options: &Options,
    progress: &mut Progress<'_>,
    stop: &AtomicBool,
) -> Result<RunOutput, LoadError> {
    let mut attempt = |rate: Option<f64>| {
        let one = Options {
            rate,
            warmup: WARMUP,
            ..options.clone()
        };
        let mut silent = Progress {
            out: progress.out,
            terminal: None,
            quiet: true,
        };
        let run = session.measure(&one, Files::default(), &mut silent, stop)?;
        let result = rate.map(|rate| tried(rate, &run.report));
        if let Some(result) = result.as_ref().filter(|_| !progress.quiet) {
            let _ = writeln!(progress.out, "{}", result.text());
        }
        Ok::<_, LoadError>((run, result))
    };
    let (closed, _) = attempt(None)?;
    let mut search = Search::from(closed.report.total.rps);
    let (mut tries, mut best, mut last) = (Vec::new(), None, closed);
    while let Some(rate) = search.next(tries.len()).filter(|_| !stop.load(Relaxed)) {
        let (run, result) = attempt(Some(rate))?;
        let held = result.as_ref().is_some_and(|result| result.held);
        search.record(rate, held);
        tries.extend(result);
        if held {
            best = Some(run);
        } else {
            last = run;
        }
    }
    let mut output = best.unwrap_or(last);
    output.report.set_found(Found {
        conditions: options.find.clone().unwrap_or_default(),
        rate: search.low,
        too_high: search.high,
        tries,
    });
    Ok(output)
}

/// The try that `report` is about.
fn tried(rate: f64, report: &Report) -> Try {
    let total = &report.total;
    let unmet = report.requirements.iter().find(|one| !one.met);
    let unmet = unmet.map(|one| format!("{} measured {}", one.requirement, one.actual_text));
    let keeps_up = total.rps >= rate * KEEPING_UP;
    let late = (!keeps_up).then(|| format!("only {} were answered", count_text(total.rps)));
    Try {
        rate,
        rps: total.rps,
        p50_us: total.latency_us.p50,
        p99_us: total.latency_us.p99,
        held: report.passed && keeps_up,
        why: report.setup.ended_early.clone().or(unmet).or(late),
    }
}

/// Which rate comes next.
#[derive(Debug)]
struct Search {
    /// The highest rate that held.
    low: Option<f64>,
    /// The least rate that is too high.
    high: Option<f64>,
    rate: f64,
    failed: usize,
}

impl Search {
    fn from(closed_loop: f64) -> Self {
        Self {
            low: None,
            high: None,
            rate: rounded((closed_loop * FIRST).max(1.0)),
            failed: 0,
        }
    }

    /// The rate of the next try after `tries` tries; `None` at the end.
    fn next(&self, tries: usize) -> Option<f64> {
        let is_precise =
            matches!((self.low, self.high), (Some(low), Some(high)) if high <= low * PRECISION);
        let is_least = self.low.is_none() && self.high.is_some_and(|high| high <= 1.0);
        (tries < TRIES_MAX && !is_precise && !is_least).then_some(self.rate)
    }

    fn record(&mut self, rate: f64, held: bool) {
        if held {
            self.low = Some(self.low.map_or(rate, |low| low.max(rate)));
        } else {
            self.failed += 1;
            if self.failed < TRIES_PER_RATE {
                return;
            }
            self.high = Some(rate);
        }
        self.failed = 0;
        self.rate = rounded(match (self.low, self.high) {
            (Some(low), Some(high)) => (low * high).sqrt(),
            (Some(low), None) => low * UP,
            (None, Some(high)) => (high * DOWN).max(1.0),
            (None, None) => rate,
        });
    }
}

/// Three digits: more than the precision needs, and easy to read.
fn rounded(rate: f64) -> f64 {
    let unit = 10_f64.powf((rate.log10().floor() - 3.0).max(0.0));
    (rate / unit).round() * unit
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The tries and the result against servers whose knee is at `knee`; the tries in `spoiled` fail although the
    /// servers are not to blame.
    fn searched(knee: f64, closed_loop: f64, spoiled: &[usize]) -> (usize, Option<f64>) {
        let mut search = Search::from(closed_loop);
        let mut tries = 0;
        while let Some(rate) = search.next(tries) {
            search.record(rate, rate <= knee && !spoiled.contains(&tries));
            tries += 1;
        }
        (tries, search.low)
    }

    proptest! {
        #[test]
        fn the_knee_is_found_wherever_it_is(knee in 50.0..5e6_f64, share in 0.3..1.5_f64) {
            let (tries, found) = searched(knee, knee / share, &[]);
            let found = found.unwrap();
            prop_assert!(found <= knee && found >= knee / 1.04, "{found} of {knee} after {tries}");
            prop_assert!(tries <= 20, "{tries}");
        }

        #[test]
        fn a_spoiled_try_does_not_move_it(knee in 50.0..5e6_f64, first in 0_usize..12, gap in 2_usize..6) {
            let (_, found) = searched(knee, knee * 1.2, &[first, first + gap]);
            prop_assert!(found.unwrap() >= knee / 1.04 && found.unwrap() <= knee);
        }
    }

    #[test]
    fn a_search_without_an_answer_ends() {
        assert_eq!(searched(0.0, 100_000.0, &[]), (TRIES_MAX, None));
        assert_eq!(searched(0.0, 3.0, &[]).1, None);
        let (tries, found) = searched(f64::INFINITY, 1_000.0, &[]);
        assert_eq!(tries, TRIES_MAX);
        assert!(found.unwrap() > 100_000.0);
    }
}
