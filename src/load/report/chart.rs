//! Pictures of a report as inline SVG: bars of latencies, lines over time.
//!
//! Colours are CSS variables of the page, so both follow its light and dark scheme.

use crate::load::{
    format::{count_text, duration_text, escaped},
    report::figures::Report,
    tally::{collect::Row, latency::Bar},
};
use std::fmt::Write;

const WIDTH: f64 = 920.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 28.0;
/// Points in a line; more seconds share one.
const POINTS_MAX: usize = 600;
/// Lines across.
const GRID_LINES: usize = 4;

/// A line of a chart.
pub struct Line {
    /// Its name in the legend.
    pub name: String,
    /// Its colour, a CSS class.
    pub class: String,
    /// A value per second.
    pub values: Vec<f64>,
}

/// Bars of the latency histogram; heights are square roots, so that rare latencies are seen too.
pub fn histogram(bars: &[Bar]) -> String {
    let mut out = open("Latency histogram: how many requests took how long");
    let most = bars.iter().map(|bar| bar.count).max().unwrap_or(0).max(1) as f64;
    let width = (WIDTH - LEFT - RIGHT) / bars.len().max(1) as f64;
    let label_every = bars.len().div_ceil(10).max(1);
    for line in 0..=GRID_LINES {
        let share = line as f64 / GRID_LINES as f64;
        grid_line(&mut out, share, &count_text(most * share * share));
    }
    for (index, bar) in bars.iter().enumerate() {
        let height = (bar.count as f64 / most).sqrt() * (HEIGHT - TOP - BOTTOM);
        let x = LEFT + index as f64 * width;
        let up_to = duration_text(bar.up_to_us);
        let _ = write!(
            out,
            "<rect class='bar' x='{x:.1}' y='{:.1}' width='{:.1}' height='{height:.1}'><title>up to {up_to}: {}</title></rect>",
            HEIGHT - BOTTOM - height,
            (width - 1.0).max(0.5),
            bar.count
        );
        if index % label_every == 0 {
            label(&mut out, x + width, HEIGHT - 8.0, "middle", &up_to);
        }
    }
    out + "</svg>"
}

/// Lines over the seconds of a run; `unit` writes a value of the axis.
pub fn timeline(title: &str, report: &Report, lines: &[Line], unit: fn(f64) -> String) -> String {
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
    let most = if most > 0.0 { most * 1.05 } else { 1.0 };
    for line in 0..=GRID_LINES {
        let share = line as f64 / GRID_LINES as f64;
        grid_line(&mut out, share, &unit(most * share));
    }
    stage_marks(&mut out, report, rows);
    for (line, values) in &lines {
        let mut points = String::new();
        for (index, value) in values.iter().enumerate() {
            let y = HEIGHT - BOTTOM - value / most * (HEIGHT - TOP - BOTTOM);
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
    let seconds = rows.len();
    let step = seconds.div_ceil(10).max(1);
    for second in (0..=seconds).step_by(step) {
        label(
            &mut out,
            x_of(second as f64, seconds),
            HEIGHT - 8.0,
            "middle",
            &format!("{second} s"),
        );
    }
    out + "</svg>"
}

/// A dashed line where a stage begins.
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

fn grid_line(out: &mut String, share: f64, text: &str) {
    let y = HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM);
    let _ = write!(
        out,
        "<line class='grid' x1='{LEFT}' x2='{:.1}' y1='{y:.1}' y2='{y:.1}'/>",
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
