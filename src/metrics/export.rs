//! The Prometheus text exposition format, version 0.0.4, written by the `prometheus` crate from our sums.

use prometheus::{
    TextEncoder,
    proto::{
        Bucket, Counter as CounterValue, Gauge as GaugeValue, Histogram, LabelPair, Metric,
        MetricFamily, MetricType,
    },
};

use super::{
    Counter, Distribution, Endpoint, Gauge, Info, Latency, Reason, Totals, names::Invalid,
    series::Label,
};

/// Values that are read at a scrape.
#[derive(Clone, Default)]
pub struct Gauges {
    values: Vec<(Gauge, f64)>,
    infos: Vec<(Info, Vec<(&'static str, String)>)>,
}

impl Gauges {
    /// Sets a gauge.
    pub fn set(&mut self, gauge: Gauge, value: f64) {
        self.values.push((gauge, value));
    }

    /// Sets the labels of an info.
    pub fn describe(&mut self, info: Info, labels: Vec<(&'static str, String)>) {
        debug_assert!(labels.iter().map(|(name, _)| name).eq(info.label_names()));
        self.infos.push((info, labels));
    }

    /// The value of a gauge; 0 if it was not set.
    pub fn get(&self, gauge: Gauge) -> f64 {
        let found = self.values.iter().find(|(other, _)| *other == gauge);
        found.map_or(0.0, |(_, value)| *value)
    }
}

/// Appends all counters, histograms and gauges. `reasons` are those of INVALID, in the order of their
/// counts.
pub fn write_text(totals: &Totals, gauges: &Gauges, reasons: &[Reason], out: &mut Vec<u8>) {
    let mut families = Families::default();
    for info in Info::ALL {
        for (_, labels) in gauges.infos.iter().filter(|(other, _)| other == info) {
            let labels = labels.iter().map(|(name, value)| label(name, value));
            families.add(info.family(), info.help(), gauge(1.0), labels);
        }
    }
    for (series, value) in &gauges.values {
        let metric = match kind(series.family()) {
            MetricType::COUNTER => counter(*value),
            _ => gauge(*value),
        };
        families.add(
            series.family(),
            series.help(),
            metric,
            labels(series.labels()),
        );
    }
    for series in Counter::ALL {
        let metric = counter(totals.counter(*series) as f64);
        families.add(
            series.family(),
            series.help(),
            metric,
            labels(series.labels()),
        );
    }
    for (index, reason) in reasons.iter().enumerate() {
        let metric = counter(totals.invalid(index) as f64);
        let family = Invalid::Reasons;
        families.add(
            family.family(),
            family.help(),
            metric,
            labels(&reason.labels()),
        );
    }
    for latency in Latency::ALL {
        for endpoint in Endpoint::ALL {
            let distribution = totals.latency(*latency, *endpoint);
            if distribution.count() > 0 {
                let labels = [label("endpoint", endpoint.name())];
                families.add(
                    latency.family(),
                    latency.help(),
                    histogram(&distribution),
                    labels,
                );
            }
        }
    }
    // It fails only for families without series and for broken writers, and neither exists here.
    if let Ok(text) = TextEncoder::new().encode_to_string(&families.0) {
        out.extend_from_slice(text.as_bytes());
    }
}

/// The families in the order of their series, which stand together.
#[derive(Default)]
struct Families(Vec<MetricFamily>);

impl Families {
    fn add(
        &mut self,
        family: &str,
        help: &str,
        mut metric: Metric,
        labels: impl IntoIterator<Item = LabelPair>,
    ) {
        metric.set_label(labels.into_iter().collect());
        if self.0.last().is_none_or(|last| last.name() != family) {
            let mut new = MetricFamily::default();
            new.set_name(family.into());
            new.set_help(help.into());
            new.set_field_type(if metric.get_histogram().get_bucket().is_empty() {
                kind(family)
            } else {
                MetricType::HISTOGRAM
            });
            self.0.push(new);
        }
        if let Some(last) = self.0.last_mut() {
            last.mut_metric().push(metric);
        }
    }
}

/// The type of a family without buckets, by its name.
pub(super) fn kind(family: &str) -> MetricType {
    if family.ends_with("_total") {
        MetricType::COUNTER
    } else {
        MetricType::GAUGE
    }
}

fn counter(value: f64) -> Metric {
    let mut inner = CounterValue::default();
    inner.set_value(value);
    let mut metric = Metric::default();
    metric.set_counter(inner);
    metric
}

fn gauge(value: f64) -> Metric {
    let mut inner = GaugeValue::default();
    inner.set_value(value);
    let mut metric = Metric::default();
    metric.set_gauge(inner);
    metric
}

fn histogram(distribution: &Distribution) -> Metric {
    let buckets = distribution
        .cumulative()
        .into_iter()
        .map(|(bound_ns, count)| {
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(bound_ns as f64 / 1e9);
            bucket.set_cumulative_count(count);
            bucket
        });
    let mut inner = Histogram::default();
    inner.set_bucket(buckets.collect());
    inner.set_sample_count(distribution.count());
    inner.set_sample_sum(distribution.sum_ns() as f64 / 1e9);
    let mut metric = Metric::default();
    metric.set_histogram(inner);
    metric
}

fn label(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.into());
    pair.set_value(value.into());
    pair
}

fn labels(labels: &[Label]) -> impl Iterator<Item = LabelPair> {
    labels.iter().map(|(name, value)| label(name, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::shard;

    #[test]
    fn the_text_names_every_family_once_and_keeps_the_labels() {
        shard::observe(Latency::Handler, Endpoint::Other, 1, 1);
        shard::observe(Latency::Request, Endpoint::Other, 600, 1);
        let mut gauges = Gauges::default();
        for gauge in Gauge::ALL {
            gauges.set(*gauge, 1.5);
        }
        for info in Info::ALL {
            let labels = info
                .label_names()
                .iter()
                .map(|name| (*name, "\"1\"".into()));
            gauges.describe(*info, labels.collect());
        }
        let mut out = Vec::new();
        let reasons = [Reason {
            endpoint: Endpoint::Blockchain,
            name: "signature",
        }];
        write_text(&Totals::read(), &gauges, &reasons, &mut out);
        let text = String::from_utf8(out).unwrap();
        for family in crate::metrics::reference::families(&reasons) {
            let help = format!("# HELP {} ", family.name);
            assert_eq!(text.matches(&help).count(), 1, "{help}");
            let kind = format!("# TYPE {} {}\n", family.name, family.kind);
            assert_eq!(text.matches(&kind).count(), 1, "{kind}");
        }
        for counter in Counter::ALL {
            let series = format!("\n{counter} ");
            assert!(text.contains(&series), "{series}");
        }
        assert!(
            text.contains("trident_build_info{version=\"\\\"1\\\"\",commit="),
            "{text}"
        );
        assert!(
            text.contains("trident_request_seconds_bucket{endpoint=\"other\",le=\"0.000000512\"}")
        );
    }
}
