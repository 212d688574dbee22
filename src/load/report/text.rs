//! The scoreboard on a terminal.

use crate::load::{
    format::{error_text, percent_text},
    report::{figures::Report, summary::Summary},
};
use std::fmt::Write;

/// The report as lines of text.
pub fn render(report: &Report) -> String {
    let mut out = String::new();
    let checked = if report.setup.checked {
        "every answer checked"
    } else {
        "bodies not checked"
    };
    let _ = writeln!(
        out,
        "{:.1} s on {}; {checked}",
        report.measured_s,
        report.setup.targets.join(", ")
    );
    table(&mut out, "endpoint", report.endpoints.iter());
    if report.endpoints.len() > 1 {
        row(&mut out, "all", &report.total);
    }
    let latency = &report.total.latency_us;
    let _ = writeln!(
        out,
        "of all: p99.99 {}, p99.999 {}",
        report.total.latency_text(latency.p9999),
        report.total.latency_text(latency.p99999)
    );
    if report.targets.len() > 1 {
        out.push('\n');
        table(&mut out, "target", report.targets.iter());
    }
    if report.stages.iter().filter(|stage| stage.measured).count() > 1 {
        stages(&mut out, report);
    }
    for (name, summary) in &report.endpoints {
        for (kind, count) in &summary.wrong {
            let _ = writeln!(out, "{name}: {count} wrong: {kind}");
        }
        for (kind, count) in &summary.failed {
            let _ = writeln!(out, "{name}: {count} failed: {kind}");
        }
    }
    out.push('\n');
    for judgement in report
        .requirements
        .iter()
        .filter(|judgement| !judgement.met)
    {
        let actual = match judgement.actual {
            Some(_) => format!("measured {}", judgement.actual_text),
            None => "nothing was measured".into(),
        };
        let _ = writeln!(out, "not met: {} ({actual})", judgement.requirement);
    }
    if let Some(found) = &report.found {
        let _ = writeln!(out, "{}", found.text());
    }
    if let Some(why) = &report.setup.ended_early {
        let _ = writeln!(out, "ended early: {why}");
    }
    if report.setup.interrupted {
        out.push_str("interrupted\n");
    }
    out.push_str(if report.passed {
        "passed\n"
    } else {
        "FAILED\n"
    });
    out
}

fn table<'a>(out: &mut String, what: &str, rows: impl Iterator<Item = (&'a String, &'a Summary)>) {
    let _ = writeln!(
        out,
        "{what:<24} {:>11} {:>10} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>7}",
        "requests/s", "correct", "errors", "mean", "p50", "p90", "p99", "p99.9", "max", "score"
    );
    for (name, summary) in rows {
        row(out, name, summary);
    }
}

fn row(out: &mut String, name: &str, summary: &Summary) {
    let latency = &summary.latency_us;
    let _ = writeln!(
        out,
        "{name:<24} {:>11.0} {:>10} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>7.2}",
        summary.rps,
        percent_text(summary.correctness),
        error_text(summary.errors),
        summary.latency_text(latency.mean),
        summary.latency_text(latency.p50),
        summary.latency_text(latency.p90),
        summary.latency_text(latency.p99),
        summary.latency_text(latency.p999),
        summary.latency_text(latency.max),
        summary.score,
    );
}

fn stages(out: &mut String, report: &Report) {
    out.push('\n');
    let measured = report.stages.iter().filter(|stage| stage.measured);
    let named: Vec<(String, &Summary)> = measured
        .map(|stage| (stage.name.clone(), &stage.total))
        .collect();
    table(
        out,
        "stage",
        named.iter().map(|(name, summary)| (name, *summary)),
    );
    let turning = report
        .stages
        .iter()
        .find_map(|stage| Some((&stage.name, stage.turns.as_ref()?)));
    let _ = match turning {
        Some((name, why)) => writeln!(out, "turning point {name:?}: {why}"),
        None => writeln!(out, "no turning point"),
    };
}
