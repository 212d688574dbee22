//! What `--find` found: the rate, and every try on the way.

use crate::load::format::{count_text, duration_text, escaped};
use serde::Serialize;
use std::fmt::Write;

/// The result of a search.
#[derive(Clone, Debug, Serialize)]
pub struct Found {
    /// As given.
    pub conditions: String,
    /// The highest rate at which they held; `None` if at none.
    pub rate: Option<f64>,
    /// The least rate at which they did not.
    pub too_high: Option<f64>,
    /// In the order of the search.
    pub tries: Vec<Try>,
}

/// A run at one rate.
#[derive(Clone, Debug, Serialize)]
pub struct Try {
    /// Requests due per second.
    pub rate: f64,
    /// Requests that ended, per second.
    pub rps: f64,
    /// Median latency, from when a request was due.
    pub p50_us: f64,
    /// 99th percentile.
    pub p99_us: f64,
    /// Whether all conditions held.
    pub held: bool,
    /// The first condition that did not hold, and what was measured.
    pub why: Option<String>,
}

impl Try {
    /// One line.
    pub fn text(&self) -> String {
        let rate = count_text(self.rate);
        match &self.why {
            None => format!("{rate} requests/s: held"),
            Some(why) => format!("{rate} requests/s: {why}"),
        }
    }
}

impl Found {
    /// The result in one sentence.
    pub fn text(&self) -> String {
        let conditions = &self.conditions;
        match (self.rate, self.too_high) {
            (Some(rate), Some(high)) => format!(
                "found: {} requests/s hold {conditions}; {} do not",
                count_text(rate),
                count_text(high)
            ),
            (Some(rate), None) => format!(
                "found: {} requests/s hold {conditions}; the search ended before a rate that does not",
                count_text(rate)
            ),
            (None, _) => format!("not found: no rate that was tried holds {conditions}"),
        }
    }

    /// The result and its tries for a page.
    pub(super) fn html(&self, out: &mut String) {
        let _ = write!(
            out,
            "<p><strong>{}</strong></p><div class='scroll'><table><thead><tr><th scope='col'>requests/s due</th>\
             <th scope='col'>answered</th><th scope='col'>p50</th><th scope='col'>p99</th><th scope='col'>result</th></tr></thead><tbody>",
            escaped(&self.text())
        );
        for one in &self.tries {
            let _ = write!(
                out,
                "<tr><th scope='row'>{}</th><td>{}</td><td>{}</td><td>{}</td><td{}>{}</td></tr>",
                count_text(one.rate),
                count_text(one.rps),
                duration_text(one.p50_us),
                duration_text(one.p99_us),
                if one.held { "" } else { " class='bad'" },
                escaped(one.why.as_deref().unwrap_or("held"))
            );
        }
        out.push_str("</tbody></table></div>");
    }
}
