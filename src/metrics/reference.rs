//! `docs/metrics.md`, made from the names table.

use std::fmt::Write;

use super::{Counter, Endpoint, Gauge, Info, Latency, export};

/// What the table says of one family.
pub struct Family {
    /// Its name, without the suffixes of a histogram's series.
    pub name: &'static str,
    /// counter, gauge or histogram.
    pub kind: &'static str,
    /// The question it answers.
    pub help: &'static str,
    /// Label sets with their braces; empty if it has none.
    pub labels: Vec<String>,
}

/// Every family in the order it is exported in.
pub fn families() -> Vec<Family> {
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
        let names = match info {
            Info::Build => "{version,commit,profile}",
            Info::Store => "{path,checksum,built_by}",
        };
        add(info.family(), "gauge", info.help(), names.into());
    }
    for gauge in Gauge::ALL {
        let kind = kind_name(gauge.family());
        add(gauge.family(), kind, gauge.help(), gauge.labels().into());
    }
    for counter in Counter::ALL {
        add(
            counter.family(),
            "counter",
            counter.help(),
            counter.labels().into(),
        );
    }
    for latency in Latency::ALL {
        for endpoint in Endpoint::ALL {
            let labels = format!("{{endpoint=\"{}\"}}", endpoint.name());
            add(latency.family(), "histogram", latency.help(), labels);
        }
    }
    families
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
second. This page is made by `trident generate metrics`.

Histograms have two buckets to an octave from 512 ns to 4.3 s and series for endpoints that have been asked.
`metrics.histograms = false` turns them off. What the two latencies span is drawn in
[request-path.md](request-path.md).

The ETL runs in a process of its own: what its last build came to travels in the store, and is in
`trident_store_info` and the other families named `trident_store_`.

| metric | type | which question it answers |
| --- | --- | --- |
";

/// The page, as Markdown.
pub fn page() -> String {
    let mut page = String::from(INTRODUCTION);
    for family in families() {
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
        let families = families();
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
