//! `docs/metrics.md`, generated from the names table.

use std::fmt::Write;

use super::{
    Counter, Endpoint, Gauge, Info, Latency, Reason, export,
    names::Invalid,
    series::{Label, write_labels},
};

/// The entry of one family.
pub struct Family {
    /// Its name, without the suffixes of a histogram's series.
    pub name: &'static str,
    /// counter, gauge or histogram.
    pub kind: &'static str,
    /// The question it answers.
    pub help: &'static str,
    /// Label sets with their braces; empty if the family has no labels.
    pub labels: Vec<String>,
}

/// Every family in the order it is exported in; `reasons` are those of INVALID.
pub fn families(reasons: &[Reason]) -> Vec<Family> {
    let mut families: Vec<Family> = Vec::new();
    let mut add = |name, kind, help, labels: String| {
        let labels = Some(labels).filter(|labels| !labels.is_empty());
        match families.last_mut() {
            Some(last) if last.name == name => last.labels.extend(labels),
            _ => families.push(Family {
                name,
                kind,
                help,
                labels: labels.into_iter().collect(),
            }),
        }
    };
    for info in Info::ALL {
        let names = format!("{{{}}}", info.label_names().join(","));
        add(info.family(), "gauge", info.help(), names);
    }
    for gauge in Gauge::ALL {
        let kind = kind_name(gauge.family());
        add(gauge.family(), kind, gauge.help(), shown(gauge.labels()));
    }
    for counter in Counter::ALL {
        let labels = shown(counter.labels());
        add(counter.family(), "counter", counter.help(), labels);
    }
    for reason in reasons {
        let (family, help) = (Invalid::Reasons.family(), Invalid::Reasons.help());
        add(family, "counter", help, shown(&reason.labels()));
    }
    for latency in Latency::ALL {
        for endpoint in Endpoint::ALL {
            let labels = shown(&[("endpoint", endpoint.name())]);
            add(latency.family(), "histogram", latency.help(), labels);
        }
    }
    families
}

fn shown(labels: &[Label]) -> String {
    let mut text = String::new();
    let _ = write_labels(&mut text, labels); // a String takes everything
    text
}

fn kind_name(family: &str) -> &'static str {
    match export::kind(family) {
        prometheus::proto::MetricType::COUNTER => "counter",
        _ => "gauge",
    }
}

const INTRODUCTION: &str = "\
# Metrics

`GET /metrics` on the admin address (127.0.0.1:9090 by default), in the Prometheus text format. Counters are
kept per thread and summed when they are read; gauges are read when asked for, those named `process_` once a
second. `trident documents metrics` writes this page.

The label `endpoint` has the same values in every family, so requests and latencies of an endpoint join without
`label_replace`. A histogram has series only for endpoints that have been asked; its buckets are two to an octave,
from 512 ns to 4.3 s. `metrics.histograms = false` turns histograms off. [request-path.md](request-path.md) draws
what the two latencies span.

The ETL is a process of its own: the store carries the figures of its build to `trident_store_info` and the other
families named `trident_store_`.

| metric | type | which question it answers |
| --- | --- | --- |
";

/// The page, as Markdown.
pub fn page(reasons: &[Reason]) -> String {
    let mut page = String::from(INTRODUCTION);
    for family in families(reasons) {
        let Family {
            name,
            kind,
            help,
            labels,
        } = family;
        let _ = write!(page, "| `{name}` | {kind} | {help}");
        if !labels.is_empty() {
            let shown: Vec<String> = labels.iter().map(|set| format!("`{set}`")).collect();
            let _ = write!(page, "<br>{}", shown.join(" "));
        }
        page.push_str(" |\n");
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rules_and_families_stand_together() {
        let families = families(&[]);
        for (index, family) in families.iter().enumerate() {
            let name = family.name;
            assert!(
                families[..index].iter().all(|other| other.name != name),
                "{name} is in two parts"
            );
            assert!(
                name.starts_with("trident_") || name.starts_with("process_"),
                "{name}"
            );
            assert!(
                name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'),
                "{name}"
            );
            assert!(
                family.help.ends_with('.') && !family.help.contains('|'),
                "{name}"
            );
        }
    }
}
