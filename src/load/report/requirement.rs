//! `--require` and `--find`: conditions a run must meet.
//!
//! ```text
//! condition  = [endpoint "."] metric op value
//! op         = ">=" | "<=" | ">" | "<"
//! value      = decimal [unit]       us, ms or s for a latency; % is allowed for a share
//! ```
//!
//! Commas separate conditions. Without an endpoint a condition applies to all requests together.

use crate::load::{
    error::LoadError,
    format::{count_text, duration_text, error_text, percent_text},
    report::summary::Summary,
};
use serde::Serialize;
use std::collections::BTreeMap;

/// The metrics of conditions: name and kind.
const METRICS: &[(&str, Kind)] = &[
    ("correctness", Kind::Percent),
    ("errors", Kind::Percent),
    ("requests", Kind::Number),
    ("rps", Kind::Number),
    ("correct_rps", Kind::Number),
    ("score", Kind::Number),
    ("mean", Kind::Latency),
    ("p50", Kind::Latency),
    ("p90", Kind::Latency),
    ("p99", Kind::Latency),
    ("p99.9", Kind::Latency),
    ("p99.99", Kind::Latency),
    ("p99.999", Kind::Latency),
    ("max", Kind::Latency),
];

/// Operators, longer ones first.
const OPERATORS: &[&str] = &[">=", "<=", ">", "<"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Percent,
    Number,
    Latency,
}

/// One condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Requirement {
    /// As given.
    pub text: String,
    /// The endpoint; `None` for all requests together.
    pub endpoint: Option<String>,
    /// One of the metrics' names.
    pub metric: &'static str,
    operator: &'static str,
    /// In percent, requests, requests per second or microseconds.
    value: f64,
}

/// Reads conditions separated by commas.
///
/// # Errors
/// The message gives the position of the first mistake, from 1.
pub fn parse(flag: &str, text: &str) -> Result<Vec<Requirement>, LoadError> {
    let mut at = 0;
    let mut out = Vec::new();
    for condition in text.split(',') {
        out.push(parse_one(condition).map_err(|(offset, message)| {
            let position = text[..at + offset].chars().count() + 1;
            LoadError::Usage(format!("{flag} {text:?}, position {position}: {message}"))
        })?);
        at += condition.len() + 1;
    }
    Ok(out)
}

fn parse_one(text: &str) -> Result<Requirement, (usize, String)> {
    let start = text.len() - text.trim_start().len();
    let Some((at, operator)) = OPERATORS
        .iter()
        .filter_map(|operator| Some((text.find(operator)?, *operator)))
        .min_by_key(|(at, operator)| (*at, 2 - operator.len()))
    else {
        return Err((start, "expected a condition such as qrcode.p99<5ms".into()));
    };
    let name = text[..at].trim();
    let (endpoint, metric) = match name.split_once('.') {
        _ if kind(name).is_some() => (None, name),
        Some((endpoint, metric)) => (Some(endpoint).filter(|name| *name != "all"), metric),
        None => (None, name),
    };
    let metric_at = start + name.len() - metric.len();
    let Some((metric, kind)) = kind(metric) else {
        let names: Vec<&str> = METRICS.iter().map(|(name, _)| *name).collect();
        return Err((
            metric_at,
            format!("{metric:?} is none of {}", names.join(", ")),
        ));
    };
    let after = at + operator.len();
    let value = text[after..].trim();
    let value_at = after + text[after..].len() - text[after..].trim_start().len();
    Ok(Requirement {
        text: text.trim().into(),
        endpoint: endpoint.map(Into::into),
        metric,
        operator,
        value: parse_value(value, kind)
            .map_err(|(offset, message)| (value_at + offset, message))?,
    })
}

fn kind(name: &str) -> Option<(&'static str, Kind)> {
    METRICS.iter().find(|(known, _)| *known == name).copied()
}

fn parse_value(text: &str, kind: Kind) -> Result<f64, (usize, String)> {
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let number: f64 = digits
        .parse()
        .map_err(|_| (0, format!("expected a number, got {text:?}")))?;
    let factor = match (kind, unit.trim()) {
        (Kind::Latency, "us") => 1.0,
        (Kind::Latency, "ms") => 1e3,
        (Kind::Latency, "s") => 1e6,
        (Kind::Latency, unit) => {
            return Err((
                end,
                format!("expected one of the units us, ms, s, got {unit:?}"),
            ));
        }
        (Kind::Percent, "" | "%") | (Kind::Number, "") => 1.0,
        (_, unit) => return Err((end, format!("no unit {unit:?} here"))),
    };
    Ok(number * factor)
}

impl Requirement {
    /// The default for an endpoint without a condition: all answers right, no errors.
    pub fn default_for(endpoint: &str, metric: &'static str) -> Self {
        let (operator, value) = match metric {
            "errors" => ("<=", 0.0),
            _ => (">=", 100.0),
        };
        Self {
            text: format!("{endpoint}.{metric}{operator}{value}"),
            endpoint: Some(endpoint.into()),
            metric,
            operator,
            value,
        }
    }

    /// The measured value in the unit of the condition; `None` if nothing was measured.
    pub fn actual(&self, summary: &Summary) -> Option<f64> {
        if summary.requests == 0 {
            return None;
        }
        let latency = summary.has_latency().then_some(&summary.latency_us);
        Some(match self.metric {
            "correctness" => summary.correctness,
            "errors" => summary.errors,
            "requests" => summary.requests as f64,
            "rps" => summary.rps,
            "correct_rps" => summary.correct_rps,
            "score" => summary.score,
            "mean" => latency?.mean,
            "p50" => latency?.p50,
            "p90" => latency?.p90,
            "p99" => latency?.p99,
            "p99.9" => latency?.p999,
            "p99.99" => latency?.p9999,
            "p99.999" => latency?.p99999,
            _ => latency?.max,
        })
    }

    /// A value of this metric as text.
    fn text_of(&self, actual: f64) -> String {
        match kind(self.metric) {
            Some((_, Kind::Latency)) => duration_text(actual),
            Some((_, Kind::Percent)) if self.metric == "errors" => error_text(actual),
            Some((_, Kind::Percent)) => percent_text(actual),
            _ if self.metric == "score" => format!("{actual:.2}"),
            _ => count_text(actual),
        }
    }

    /// Whether the value must stay below a bound; otherwise it must reach one.
    pub fn is_upper_bound(&self) -> bool {
        self.operator.starts_with('<')
    }

    /// The quantile that the condition is about, 0 to 1.
    pub fn quantile(&self) -> Option<f64> {
        let percent: f64 = self.metric.strip_prefix('p')?.parse().ok()?;
        Some(percent / 100.0)
    }

    /// Whether `actual` meets the condition.
    pub fn holds(&self, actual: Option<f64>) -> bool {
        actual.is_some_and(|actual| match self.operator {
            ">=" => actual >= self.value,
            "<=" => actual <= self.value,
            ">" => actual > self.value,
            _ => actual < self.value,
        })
    }
}

/// A requirement and its measured value.
#[derive(Clone, Debug, Serialize)]
pub struct Judgement {
    /// The condition.
    pub requirement: String,
    /// The value measured, latencies in microseconds; `None` if nothing was.
    pub actual: Option<f64>,
    /// The value as text.
    #[serde(skip)]
    pub actual_text: String,
    /// Whether it is met.
    pub met: bool,
}

/// Judges every given condition, and the default conditions of endpoints without one.
pub fn judge(
    given: &[Requirement],
    endpoints: &BTreeMap<String, Summary>,
    total: &Summary,
) -> Vec<Judgement> {
    let mut requirements = given.to_vec();
    for metric in ["correctness", "errors"] {
        let spoken_of = |name: &str| {
            given.iter().any(|given| {
                given.metric == metric
                    && given.endpoint.as_deref().is_none_or(|given| given == name)
            })
        };
        for name in endpoints.keys().filter(|name| !spoken_of(name)) {
            requirements.push(Requirement::default_for(name, metric));
        }
    }
    requirements
        .iter()
        .map(|requirement| {
            let summary = match &requirement.endpoint {
                None => Some(total),
                Some(name) => endpoints.get(name),
            };
            let actual = summary.and_then(|summary| requirement.actual(summary));
            Judgement {
                requirement: requirement.text.clone(),
                actual_text: actual.map_or("–".into(), |actual| requirement.text_of(actual)),
                actual,
                met: requirement.holds(actual),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_read() {
        let all = parse(
            "--require",
            "blockchain.correctness>=99.9, qrcode.p99.9 < 5ms,p99.9<1s,all.rps>10,errors<=0.1%",
        )
        .unwrap();
        let found: Vec<_> = all
            .iter()
            .map(|r| (r.endpoint.as_deref(), r.metric, r.operator, r.value))
            .collect();
        assert_eq!(
            found,
            [
                (Some("blockchain"), "correctness", ">=", 99.9),
                (Some("qrcode"), "p99.9", "<", 5e3),
                (None, "p99.9", "<", 1e6),
                (None, "rps", ">", 10.0),
                (None, "errors", "<=", 0.1),
            ]
        );
        assert_eq!(all[1].text, "qrcode.p99.9 < 5ms");
    }

    #[test]
    fn a_mistake_is_told_with_its_position() {
        for (text, position, hint) in [
            ("", 1, "expected a condition"),
            ("qrcode", 1, "expected a condition"),
            ("rps>=1, x", 9, "expected a condition"),
            ("a.b>1", 3, "\"b\" is none of correctness"),
            ("é.rps>1,latency<1ms", 9, "none of"),
            ("rps>x", 5, "expected a number"),
            ("rps> 1.2.3", 6, "expected a number"),
            ("qrcode.p99<5", 13, "units us, ms, s"),
            ("p99<5min", 6, "units"),
            ("rps>5ms", 6, "no unit \"ms\""),
            ("rps==5", 1, "expected a condition"),
            ("rps>=", 6, "expected a number"),
        ] {
            let message = parse("--require", text).unwrap_err().to_string();
            assert!(
                message.contains(&format!("position {position}: ")),
                "{message}"
            );
            assert!(message.contains(hint), "{message}");
        }
    }

    #[test]
    fn conditions_hold_or_do_not() {
        let holds = |text: &str, actual| parse("--require", text).unwrap()[0].holds(actual);
        assert!(holds("rps>=5", Some(5.0)) && !holds("rps>5", Some(5.0)));
        assert!(holds("rps<=5", Some(5.0)) && !holds("rps<5", Some(5.0)));
        assert!(!holds("p99<5ms", None));
        let default = Requirement::default_for("a", "correctness");
        assert_eq!(default.text, "a.correctness>=100");
        assert!(default.holds(Some(100.0)) && !default.holds(Some(99.999)));
        assert!(!Requirement::default_for("a", "errors").holds(Some(0.001)));
    }
}
