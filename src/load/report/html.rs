//! `--html`: one self-contained page, readable without a network.

use crate::load::{
    format::{count_text, duration_text, error_text, escaped, percent_text},
    report::{
        chart::{self, Line, Unit},
        figures::Report,
        stages::StageReport,
        summary::Summary,
    },
    tally::collect::Row,
};
use std::fmt::Write;

/// The style of pages.
pub(super) const STYLE: &str = include_str!("page.css");

/// The report as a page.
pub fn render(report: &Report) -> String {
    let setup = &report.setup;
    let name = setup.scenario.as_deref().unwrap_or("load test");
    let mut out = format!(
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>\
         <meta name='viewport' content='width=device-width,initial-scale=1'>\
         <title>{0} – trident load</title><style>{STYLE}</style></head><body><main><h1>{0}</h1>",
        escaped(name)
    );
    verdict(&mut out, report);
    if let Some(found) = &report.found {
        heading(&mut out, "Search");
        found.html(&mut out);
    }
    heading(&mut out, "By endpoint");
    table(
        &mut out,
        "endpoint",
        report
            .endpoints
            .iter()
            .map(|(name, summary)| (name.as_str(), summary)),
        Some(&report.total),
    );
    mistakes(&mut out, report);
    if report.targets.len() > 1 {
        heading(&mut out, "By target");
        table(
            &mut out,
            "target",
            report
                .targets
                .iter()
                .map(|(name, summary)| (name.as_str(), summary)),
            None,
        );
    }
    if report.stages.len() > 1 {
        heading(&mut out, "By stage");
        stages(&mut out, report);
        turning(&mut out, report);
    }
    heading(&mut out, "Latency");
    scrolling(&mut out, &chart::histogram(&report.histogram));
    out.push_str("<p class='note'>Each bar is a quarter wider than the one before; heights are square roots of counts.</p>");
    timelines(&mut out, report);
    requirements(&mut out, report);
    settings(&mut out, report);
    out + "</main></body></html>\n"
}

fn verdict(out: &mut String, report: &Report) {
    let total = &report.total;
    let (class, word) = if report.passed {
        ("good", "passed")
    } else {
        ("bad", "failed")
    };
    let checked = if report.setup.checked {
        "every answer checked"
    } else {
        "bodies not checked"
    };
    let _ = write!(
        out,
        "<p class='verdict'><strong class='{class}'>{word}</strong> {} requests in {:.1} s, {checked}</p>\
         <dl class='cards'>",
        count_text(total.requests as f64),
        report.measured_s
    );
    for (name, value) in [
        ("requests/s", count_text(total.rps)),
        ("correct", percent_text(total.correctness)),
        ("errors", error_text(total.errors)),
        ("p50", total.latency_text(total.latency_us.p50)),
        ("p99", total.latency_text(total.latency_us.p99)),
        ("score", format!("{:.1}", total.score)),
    ] {
        let _ = write!(out, "<div><dt>{name}</dt><dd>{value}</dd></div>");
    }
    out.push_str("</dl>");
}

fn heading(out: &mut String, text: &str) {
    let _ = write!(out, "<h2>{text}</h2>");
}

fn table<'a>(
    out: &mut String,
    what: &str,
    rows: impl Iterator<Item = (&'a str, &'a Summary)>,
    all: Option<&Summary>,
) {
    let _ = write!(
        out,
        "<div class='scroll'><table><thead><tr><th scope='col'>{what}</th>"
    );
    for name in [
        "requests/s",
        "requests",
        "correct",
        "errors",
        "mean",
        "p50",
        "p90",
        "p99",
        "p99.9",
        "p99.99",
        "p99.999",
        "max",
        "score",
    ] {
        let _ = write!(out, "<th scope='col'>{name}</th>");
    }
    out.push_str("</tr></thead><tbody>");
    for (name, summary) in rows {
        row(out, name, summary);
    }
    if let Some(summary) = all {
        row(out, "all", summary);
    }
    out.push_str("</tbody></table></div>");
}

fn row(out: &mut String, name: &str, summary: &Summary) {
    let latency = &summary.latency_us;
    let _ = write!(out, "<tr><th scope='row'>{}</th>", escaped(name));
    let _ = write!(
        out,
        "<td>{}</td><td>{}</td>",
        count_text(summary.rps),
        count_text(summary.requests as f64)
    );
    let class = |bad| if bad { " class='bad'" } else { "" };
    let _ = write!(
        out,
        "<td{}>{}</td><td{}>{}</td>",
        class(summary.correctness < 100.0),
        percent_text(summary.correctness),
        class(summary.errors > 0.0),
        error_text(summary.errors)
    );
    for us in [
        latency.mean,
        latency.p50,
        latency.p90,
        latency.p99,
        latency.p999,
        latency.p9999,
        latency.p99999,
        latency.max,
    ] {
        let _ = write!(out, "<td>{}</td>", summary.latency_text(us));
    }
    let _ = write!(out, "<td>{:.1}</td></tr>", summary.score);
}

/// Lists wrong answers by reason and failures by kind.
fn mistakes(out: &mut String, report: &Report) {
    let mut items = String::new();
    for (name, summary) in &report.endpoints {
        let kinds = summary.wrong.iter().map(|kind| ("wrong", kind));
        for (what, (kind, count)) in kinds.chain(summary.failed.iter().map(|kind| ("failed", kind)))
        {
            let count = count_text(*count as f64);
            let _ = write!(
                items,
                "<li>{}: {count} {what}: {}</li>",
                escaped(name),
                escaped(kind)
            );
        }
    }
    if !items.is_empty() {
        let _ = write!(out, "<ul class='bad'>{items}</ul>");
    }
}

fn stages(out: &mut String, report: &Report) {
    let name = |stage: &StageReport| {
        if stage.measured || stage.name == "warm-up" {
            stage.name.clone()
        } else {
            format!("{} (warm-up)", stage.name)
        }
    };
    let names: Vec<String> = report.stages.iter().map(name).collect();
    let totals = report.stages.iter().map(|stage| &stage.total);
    table(
        out,
        "stage",
        names.iter().map(String::as_str).zip(totals),
        None,
    );
}

fn turning(out: &mut String, report: &Report) {
    let turning = report
        .stages
        .iter()
        .find_map(|stage| Some((stage, stage.turns.as_ref()?)));
    let _ = match turning {
        Some((stage, why)) => write!(
            out,
            "<p><strong class='bad'>Turning point: {}</strong> ({}): {}.</p>",
            escaped(&stage.name),
            escaped(&stage.load),
            escaped(why)
        ),
        None => write!(out, "<p>No turning point.</p>"),
    };
}

fn timelines(out: &mut String, report: &Report) {
    let rows = &report.timeline;
    let throughput: Vec<Line> = report
        .setup
        .endpoints
        .iter()
        .enumerate()
        .filter(|(_, name)| report.endpoints.contains_key(*name))
        .map(|(at, name)| Line {
            name: name.clone(),
            class: format!("c{}", at % 6),
            values: rows
                .iter()
                .map(|row| row.rps.get(at).copied().unwrap_or(0.0))
                .collect(),
        })
        .collect();
    let line = |name: &str, class: &str, value: fn(&Row) -> f64| Line {
        name: name.into(),
        class: class.into(),
        values: rows.iter().map(value).collect(),
    };
    let latency = [
        line("p50", "c0", |row| row.p50_us),
        line("p99", "c1", |row| row.p99_us),
    ];
    let failures = [
        line("wrong answers", "c3", |row| row.wrong as f64),
        line("errors", "c1", |row| row.errors as f64),
    ];
    let mut chart = |title: &str, lines: &[Line], unit: Unit| {
        heading(out, title);
        out.push_str("<p class='legend'>");
        for line in lines {
            let _ = write!(
                out,
                "<span class='{}'>{}</span> ",
                line.class,
                escaped(&line.name)
            );
        }
        out.push_str("</p>");
        scrolling(out, &chart::timeline(title, report, lines, unit));
    };
    chart("Requests per second", &throughput, Unit::Count);
    chart("Latency over time", &latency, Unit::Microseconds);
    if rows.iter().any(|row| row.wrong + row.errors > 0) {
        chart(
            "Wrong answers and errors per second",
            &failures,
            Unit::Count,
        );
    }
}

fn requirements(out: &mut String, report: &Report) {
    heading(out, "Requirements");
    out.push_str("<div class='scroll'><table><thead><tr><th scope='col'>condition</th><th scope='col'>measured</th><th scope='col'>met</th></tr></thead><tbody>");
    for judgement in &report.requirements {
        let (class, word) = if judgement.met {
            ("good", "yes")
        } else {
            ("bad", "no")
        };
        let _ = write!(
            out,
            "<tr><th scope='row'>{}</th><td>{}</td><td class='{class}'>{word}</td></tr>",
            escaped(&judgement.requirement),
            judgement.actual_text
        );
    }
    out.push_str("</tbody></table></div>");
}

fn settings(out: &mut String, report: &Report) {
    let setup = &report.setup;
    heading(out, "Run");
    out.push_str("<dl class='settings'>");
    let loads: Vec<&str> = report
        .stages
        .iter()
        .map(|stage| stage.load.as_str())
        .collect();
    for (name, value) in [
        ("started", setup.started.clone()),
        ("command", setup.command.clone()),
        ("targets", setup.targets.join(", ")),
        ("load", loads.join(", then ")),
        ("corpus entries", setup.corpus_entries.to_string()),
        (
            "generator",
            format!("trident {}, {} thread(s)", setup.version, setup.workers),
        ),
        ("host", setup.host.clone()),
        (
            "requests in flight per connection",
            setup.pipeline.to_string(),
        ),
        ("timeout", duration_text(setup.timeout_s * 1e6)),
        (
            "ended early",
            setup.ended_early.clone().unwrap_or_else(|| "no".into()),
        ),
        ("sent late, p99", duration_text(report.late_p99_us)),
    ] {
        let _ = write!(out, "<dt>{name}</dt><dd>{}</dd>", escaped(&value));
    }
    out.push_str("</dl>");
}

/// On a phone charts scroll sideways instead of shrinking until they are unreadable.
fn scrolling(out: &mut String, picture: &str) {
    let _ = write!(out, "<div class='scroll'>{picture}</div>");
}
