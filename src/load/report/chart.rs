//! Charts of a report as inline SVG: bars of latencies, lines over time.
//!
//! Colours are CSS variables of the page, so both follow its light and dark scheme.

use crate::load::{
    format::{count_text, duration_text, escaped},
    report::{axis, figures::Report},
    tally::{collect::Row, latency::Bar},
};
use std::fmt::Write;

const WIDTH: f64 = 920.0;
const HEIGHT: f64 = 240.0;
/// Room for labels such as 100,000,000.
const LEFT: f64 = 84.0;
/// Room for half of the last label of the x axis.
const RIGHT: f64 = 32.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 28.0;
/// Most points in a line; in a longer run several seconds share one.
const POINTS_MAX: usize = 600;
/// Least horizontal and vertical distance of two labels.
const LABEL_WIDTH: f64 = 56.0;
const LABEL_HEIGHT: f64 = 22.0;
/// Ratio of the widths of neighbouring bars of the histogram (`tally::latency`).
const BAR_GROWTH: f64 = 1.25;

/// The unit of a chart's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Numbers of something.
    Count,
    /// Latencies.
    Microseconds,
}

impl Unit {
    fn label(self, value: f64) -> String {
        match self {
            Self::Count => count_text(value),
            Self::Microseconds => axis::duration_label(value),
        }
    }
}

/// A line of a chart.
pub struct Line {
    /// Its name in the legend.
    pub name: String,
    /// Its colour, a CSS class.
    pub class: String,
    /// A value per second.
    pub values: Vec<f64>,
}

/// Bars of the latency histogram; heights are square roots, so that rare latencies show too.
pub fn histogram(bars: &[Bar]) -> String {
    let mut out = open("Latency histogram: how many requests took how long");
    let most = bars.iter().map(|bar| bar.count).max().unwrap_or(0).max(1) as f64;
    let height_of = |count: f64| (count / most).sqrt() * (HEIGHT - TOP - BOTTOM);
    let mut free_from = 0.0;
    let marks = axis::logarithmic(1.0, most);
    for mark in [0.0].into_iter().chain(marks) {
        let height = height_of(mark);
        if height >= free_from {
            gridline(&mut out, height, &count_text(mark));
            free_from = height + LABEL_HEIGHT;
        }
    }
    let width = (WIDTH - LEFT - RIGHT) / bars.len().max(1) as f64;
    for (index, bar) in bars.iter().enumerate() {
        let height = height_of(bar.count as f64);
        let _ = write!(
            out,
            "<rect class='bar' x='{:.1}' y='{:.1}' width='{:.1}' height='{height:.1}'><title>up to {}: {}</title></rect>",
            LEFT + index as f64 * width,
            HEIGHT - BOTTOM - height,
            (width - 1.0).max(0.5),
            duration_text(bar.up_to_us),
            bar.count
        );
    }
    latency_labels(&mut out, bars, width);
    out + "</svg>"
}

/// Writes round latencies below the bars, at their places between the edges.
fn latency_labels(out: &mut String, bars: &[Bar], width: f64) {
    let (Some(first), Some(last)) = (bars.first(), bars.last()) else {
        return;
    };
    let mut free_from = 0.0;
    for us in axis::logarithmic(first.up_to_us / BAR_GROWTH, last.up_to_us) {
        let edges = (us / first.up_to_us).ln() / BAR_GROWTH.ln() + 1.0;
        let x = LEFT + edges * width;
        if edges >= 0.0 && x >= free_from && x <= WIDTH - RIGHT + 1.0 {
            label(out, x, HEIGHT - 8.0, "middle", &axis::duration_label(us));
            free_from = x + LABEL_WIDTH;
        }
    }
}

/// Lines over the seconds of a run.
pub fn timeline(title: &str, report: &Report, lines: &[Line], unit: Unit) -> String {
    let rows = &report.timeline;
    let mut out = open(title);
    let per_point = rows.len().div_ceil(POINTS_MAX).max(1);
    let lines: Vec<(&Line, Vec<f64>)> = lines
        .iter()
        .map(|line| (line, line.values.chunks(per_point).map(greatest).collect()))
        .collect();
    let most = greatest(
        &lines
            .iter()
            .map(|(_, values)| greatest(values))
            .collect::<Vec<_>>(),
    );
    let marks = match unit {
        Unit::Count => axis::counts(most),
        Unit::Microseconds => axis::linear(most),
    };
    let end = marks.last().copied().unwrap_or(1.0);
    let height_of = |value: f64| value / end * (HEIGHT - TOP - BOTTOM);
    for mark in marks {
        gridline(&mut out, height_of(mark), &unit.label(mark));
    }
    stage_marks(&mut out, report, rows);
    for (line, values) in &lines {
        let mut points = String::new();
        for (index, value) in values.iter().enumerate() {
            let y = HEIGHT - BOTTOM - height_of(*value);
            let _ = write!(
                points,
                "{:.1},{y:.1} ",
                x_of(index as f64 + 0.5, values.len())
            );
        }
        let _ = write!(
            out,
            "<polyline class='line {}' points='{}'><title>{}</title></polyline>",
            line.class,
            points.trim_end(),
            escaped(&line.name)
        );
    }
    for second in axis::seconds(rows.len() as u64) {
        let x = x_of(second as f64, rows.len());
        label(
            &mut out,
            x,
            HEIGHT - 8.0,
            "middle",
            &axis::time_label(second),
        );
    }
    out + "</svg>"
}

/// Draws a dashed line where each stage begins.
fn stage_marks(out: &mut String, report: &Report, rows: &[Row]) {
    let mut before = 0;
    for (index, row) in rows.iter().enumerate() {
        if row.stage != before {
            before = row.stage;
            let x = x_of(index as f64, rows.len());
            let name = report.stages.get(row.stage).map_or("", |stage| &stage.name);
            let _ = write!(
                out,
                "<line class='mark' x1='{x:.1}' x2='{x:.1}' y1='{TOP}' y2='{:.1}'><title>{}</title></line>",
                HEIGHT - BOTTOM,
                escaped(name)
            );
        }
    }
}

fn x_of(place: f64, places: usize) -> f64 {
    LEFT + place / places.max(1) as f64 * (WIDTH - LEFT - RIGHT)
}

fn greatest(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

fn open(title: &str) -> String {
    format!("<svg viewBox='0 0 {WIDTH} {HEIGHT}' role='img' aria-label='{title}'>")
}

/// Draws a horizontal line at this height above the axis.
fn gridline(out: &mut String, height: f64, text: &str) {
    let y = HEIGHT - BOTTOM - height;
    let _ = write!(
        out,
        "<line class='gridline' x1='{LEFT}' x2='{:.1}' y1='{y:.1}' y2='{y:.1}'/>",
        WIDTH - RIGHT
    );
    label(out, LEFT - 6.0, y + 4.0, "end", text);
}

fn label(out: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    let _ = write!(
        out,
        "<text x='{x:.1}' y='{y:.1}' text-anchor='{anchor}'>{text}</text>"
    );
}
