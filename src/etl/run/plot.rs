//! The hashtag-frequency histogram as CSV and as an SVG drawing, both axes logarithmic.

use crate::etl::stage::tags::TagReport;
use std::fmt::Write;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 420.0;
/// Space left of and below the axes, for labels.
const MARGIN: f64 = 56.0;

/// A header and lines of `occurrences,tags`: how many tags occur so often.
pub fn csv(report: &TagReport) -> String {
    let mut out = String::from("occurrences,tags\n");
    for (occurrences, tags) in &report.histogram {
        let _ = writeln!(out, "{occurrences},{tags}");
    }
    out
}

/// One dot per row of [`csv`].
pub fn svg(report: &TagReport) -> String {
    let most = |pick: fn(&(u64, u64)) -> u64| report.histogram.iter().map(pick).max().unwrap_or(1);
    let x = Axis {
        decades: decades(most(|row| row.0)),
        length: WIDTH - 1.5 * MARGIN,
    };
    let y = Axis {
        decades: decades(most(|row| row.1)),
        length: HEIGHT - 1.5 * MARGIN,
    };
    let bottom = HEIGHT - MARGIN;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\" text-anchor=\"middle\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n"
    );
    for decade in 0..=x.decades {
        let at = MARGIN + x.at(10f64.powi(decade));
        line(&mut out, [at, MARGIN / 2.0, at, bottom]);
        label(&mut out, at, bottom + 16.0, &power(decade));
    }
    for decade in 0..=y.decades {
        let at = bottom - y.at(10f64.powi(decade));
        line(&mut out, [MARGIN, at, WIDTH - MARGIN / 2.0, at]);
        label(&mut out, MARGIN - 22.0, at + 4.0, &power(decade));
    }
    for &(occurrences, tags) in &report.histogram {
        let (cx, cy) = (
            MARGIN + x.at(occurrences as f64),
            bottom - y.at(tags as f64),
        );
        let _ = writeln!(
            out,
            "<circle cx=\"{cx:.1}\" cy=\"{cy:.1}\" r=\"2.5\" fill=\"#0b62a4\" fill-opacity=\".6\"/>"
        );
    }
    label(
        &mut out,
        WIDTH / 2.0,
        HEIGHT - 12.0,
        "occurrences of a hashtag",
    );
    let _ = writeln!(
        out,
        "<text transform=\"translate(14 {}) rotate(-90)\">hashtags</text>\n</svg>",
        HEIGHT / 2.0
    );
    out
}

/// A logarithmic axis that begins at 1.
struct Axis {
    decades: i32,
    length: f64,
}

impl Axis {
    fn at(&self, value: f64) -> f64 {
        self.length * value.max(1.0).log10() / f64::from(self.decades)
    }
}

/// Powers of ten up to the first one not below `greatest`; at least one.
fn decades(greatest: u64) -> i32 {
    (greatest.max(2) as f64).log10().ceil() as i32
}

fn power(decade: i32) -> String {
    format!("10<tspan dy=\"-5\" font-size=\"9\">{decade}</tspan>")
}

fn line(out: &mut String, [x1, y1, x2, y2]: [f64; 4]) {
    let _ = writeln!(
        out,
        "<path d=\"M{x1:.1} {y1:.1}L{x2:.1} {y2:.1}\" stroke=\"#ddd\" stroke-width=\"1\"/>"
    );
}

fn label(out: &mut String, x: f64, y: f64, text: &str) {
    let _ = writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_show_every_row() {
        let histogram = vec![(1, 500), (2, 40), (1000, 1)];
        let report = TagReport {
            histogram,
            top: Vec::new(),
        };
        assert_eq!(csv(&report), "occurrences,tags\n1,500\n2,40\n1000,1\n");
        let drawing = svg(&report);
        assert_eq!(drawing.matches("<circle").count(), 3);
        // 10^0 to 10^3 on both axes.
        assert_eq!(drawing.matches("<tspan").count(), 8);
        assert_eq!(svg(&TagReport::default()).matches("<circle").count(), 0);
    }
}
