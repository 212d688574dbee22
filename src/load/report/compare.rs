//! `trident load compare`: two saved reports side by side, and which differences exceed the spread.
//!
//! The spread comes from the seconds of each run: twice the standard error of their mean, more for few seconds (Welch's
//! t at 95 %). It tells a difference from noise within the runs; it does not know what else differed between them.

use crate::load::{
    error::LoadError,
    format::{count_text, duration_text, error_text, escaped, percent_text},
    report::html::STYLE,
};
use serde::Deserialize;
use std::{collections::BTreeMap, fmt::Write, fs, path::Path};

/// With fewer seconds there is no spread.
const SECONDS_MIN: usize = 3;

/// The compared part of a report that `--json` wrote.
#[derive(Deserialize)]
struct Saved {
    setup: Setup,
    total: Figures,
    endpoints: BTreeMap<String, Figures>,
    stages: Vec<Stage>,
    timeline: Vec<Second>,
}

#[derive(Deserialize)]
struct Setup {
    version: String,
    started: String,
    host: String,
    command: String,
    endpoints: Vec<String>,
}

#[derive(Deserialize)]
struct Figures {
    rps: f64,
    correctness: f64,
    errors: f64,
    latency_us: BTreeMap<String, f64>,
}

#[derive(Deserialize)]
struct Stage {
    measured: bool,
}

#[derive(Deserialize)]
struct Second {
    stage: usize,
    rps: Vec<f64>,
    p50_us: f64,
    p99_us: f64,
}

/// Two runs, A and B.
pub struct Comparison {
    runs: [Setup; 2],
    lines: Vec<Line>,
}

struct Line {
    what: String,
    texts: [String; 2],
    ratio: Option<f64>,
    /// By how many percent B may differ from A by chance, and whether it differs by more.
    spread: Option<(f64, bool)>,
}

/// Reads two reports of `--json`.
///
/// # Errors
/// A file cannot be read, or is not such a report.
pub fn read(a: &Path, b: &Path) -> Result<Comparison, LoadError> {
    let (a, b) = (saved(a)?, saved(b)?);
    let mut lines = of_figures("all", &a.total, &b.total);
    lines[0].spread = spread(&a, &b, |second| Some(second.rps.iter().sum()));
    for line in &mut lines {
        match line.what.as_str() {
            "all p50" => line.spread = spread(&a, &b, |second| Some(second.p50_us)),
            "all p99" => line.spread = spread(&a, &b, |second| Some(second.p99_us)),
            _ => {}
        }
    }
    for (name, figures) in &a.endpoints {
        if let Some(other) = b.endpoints.get(name) {
            let mut of_endpoint = of_figures(name, figures, other);
            let place = |run: &Saved| run.setup.endpoints.iter().position(|known| known == name);
            if let (Some(in_a), Some(in_b)) = (place(&a), place(&b)) {
                let (one, two) = (seconds(&a, |s| s.rps.get(in_a).copied()), {
                    seconds(&b, |s| s.rps.get(in_b).copied())
                });
                of_endpoint[0].spread = welch(&one, &two);
            }
            lines.extend(of_endpoint);
        }
    }
    Ok(Comparison {
        runs: [a.setup, b.setup],
        lines,
    })
}

fn saved(path: &Path) -> Result<Saved, LoadError> {
    let text = fs::read(path).map_err(|source| LoadError::Input {
        path: path.into(),
        source,
    })?;
    serde_json::from_slice(&text).map_err(|error| {
        LoadError::Usage(format!(
            "{}: not a report of trident load --json: {error}",
            path.display()
        ))
    })
}

/// The lines of an endpoint, or of all; throughput comes first.
fn of_figures(name: &str, a: &Figures, b: &Figures) -> Vec<Line> {
    let line = |what: &str, values: [f64; 2], text: fn(f64) -> String| Line {
        what: format!("{name} {what}"),
        texts: values.map(text),
        ratio: (values[0] > 0.0).then(|| values[1] / values[0]),
        spread: None,
    };
    let mut lines = vec![
        line("requests/s", [a.rps, b.rps], count_text),
        line("correct", [a.correctness, b.correctness], percent_text),
        line("errors", [a.errors, b.errors], error_text),
    ];
    for (field, what) in [("p50", "p50"), ("p99", "p99"), ("p999", "p99.9")] {
        if let (Some(a), Some(b)) = (a.latency_us.get(field), b.latency_us.get(field)) {
            lines.push(line(what, [*a, *b], duration_text));
        }
    }
    lines
}

/// The values of the measured seconds of a run; the last one may be a part of a second and is left out.
fn seconds(run: &Saved, value: impl Fn(&Second) -> Option<f64>) -> Vec<f64> {
    let is_measured = |second: &&Second| {
        run.stages
            .get(second.stage)
            .is_some_and(|stage| stage.measured)
    };
    let mut values: Vec<f64> = run
        .timeline
        .iter()
        .filter(is_measured)
        .filter_map(value)
        .collect();
    values.pop();
    values
}

fn spread(
    a: &Saved,
    b: &Saved,
    value: impl Fn(&Second) -> Option<f64> + Copy,
) -> Option<(f64, bool)> {
    welch(&seconds(a, value), &seconds(b, value))
}

/// By how many percent of A's mean the means may differ by chance, and whether they differ by more.
fn welch(a: &[f64], b: &[f64]) -> Option<(f64, bool)> {
    if a.len().min(b.len()) < SECONDS_MIN {
        return None;
    }
    let ((mean_a, error_a), (mean_b, error_b)) = (mean(a), mean(b));
    let both = error_a + error_b;
    let freedom = |error: f64, count: usize| error * error / (count - 1) as f64;
    let degrees = both * both / (freedom(error_a, a.len()) + freedom(error_b, b.len()));
    // Neither varies at all: every difference exceeds the spread.
    let degrees = if degrees.is_finite() { degrees } else { 2.0 };
    // Student's t at 95 % for two degrees of freedom and more, within 8 %.
    let t = 1.96 + 2.4 / degrees + 3.2 / (degrees * degrees);
    let by_chance = t * both.sqrt();
    (mean_a > 0.0).then(|| {
        (
            100.0 * by_chance / mean_a,
            (mean_b - mean_a).abs() > by_chance,
        )
    })
}

/// Mean, and the square of its standard error.
fn mean(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values
        .iter()
        .map(|value| (value - mean).powi(2))
        .sum::<f64>()
        / (count - 1.0);
    (mean, variance / count)
}

impl Line {
    fn ratio_text(&self) -> String {
        self.ratio.map_or("–".into(), |ratio| format!("{ratio:.3}"))
    }

    fn verdict(&self) -> String {
        match self.spread {
            None => "–".into(),
            Some((percent, true)) => format!("differs: beyond ±{percent:.1} %"),
            Some((percent, false)) => format!("within ±{percent:.1} %"),
        }
    }
}

impl Comparison {
    /// As a table of text.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for (name, run) in ["A", "B"].iter().zip(&self.runs) {
            let _ = writeln!(
                out,
                "{name}  {}  trident {}  {}\n   {}",
                run.started, run.version, run.host, run.command
            );
        }
        let _ = writeln!(
            out,
            "\n{:<32} {:>12} {:>12} {:>8}  spread",
            "", "A", "B", "B/A"
        );
        for line in &self.lines {
            let _ = writeln!(
                out,
                "{:<32} {:>12} {:>12} {:>8}  {}",
                line.what,
                line.texts[0],
                line.texts[1],
                line.ratio_text(),
                line.verdict()
            );
        }
        out
    }

    /// As a page.
    pub fn html(&self) -> String {
        let mut out = format!(
            "<!doctype html><html lang='en'><head><meta charset='utf-8'>\
             <meta name='viewport' content='width=device-width,initial-scale=1'>\
             <title>Two runs – trident load</title><style>{STYLE}</style></head><body><main>\
             <h1>Two runs</h1><dl class='settings'>"
        );
        for (name, run) in ["A", "B"].iter().zip(&self.runs) {
            let _ = write!(
                out,
                "<dt>{name}</dt><dd>{}, trident {}, {}<br>{}</dd>",
                escaped(&run.started),
                escaped(&run.version),
                escaped(&run.host),
                escaped(&run.command)
            );
        }
        out.push_str("</dl><h2>Figures</h2><div class='scroll'><table><thead><tr>");
        for name in ["", "A", "B", "B/A", "spread"] {
            let _ = write!(out, "<th scope='col'>{name}</th>");
        }
        out.push_str("</tr></thead><tbody>");
        for line in &self.lines {
            let strong = if matches!(line.spread, Some((_, true))) {
                " class='bad'"
            } else {
                ""
            };
            let _ = write!(
                out,
                "<tr><th scope='row'>{}</th><td>{}</td><td>{}</td><td>{}</td><td{strong}>{}</td></tr>",
                escaped(&line.what),
                line.texts[0],
                line.texts[1],
                line.ratio_text(),
                line.verdict()
            );
        }
        out.push_str(
            "</tbody></table></div><p class='note'>The spread comes from the seconds of each run (95 %). It does not \
             know what else differed between the runs.</p></main></body></html>\n",
        );
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_told_from_noise() {
        let noisy = |mean: f64| [0.9, 1.1, 0.95, 1.05, 1.0, 1.08, 0.92].map(|part| part * mean);
        let (percent, differs) = welch(&noisy(1_000.0), &noisy(1_020.0)).unwrap();
        assert!(!differs && (5.0..12.0).contains(&percent), "{percent}");
        assert!(welch(&noisy(1_000.0), &noisy(1_200.0)).unwrap().1);
        assert!(welch(&noisy(1_000.0), &noisy(850.0)).unwrap().1);
        // no variation at all
        assert!(!welch(&[5.0; 4], &[5.0; 4]).unwrap().1);
        assert!(welch(&[5.0; 4], &[6.0; 4]).unwrap().1);
        assert_eq!(welch(&[1.0, 2.0], &noisy(1.0)), None);
    }
}
