//! The report of a run, in three forms.
//!
//! - `figures`: all figures; `--json` writes them. `summary`: the figures of a group of requests.
//!   `stages`: the figures of each stage. `requirement`: the conditions of `--require`, and whether they
//!   hold; `early`: whether they still can.
//! - [`text`]: the table on a terminal. [`html`]: the page, with `chart`s and their `axis`. [`compare`]: two saved reports.
//!
//! `found`: what `--find` found.

mod axis;
mod chart;
pub mod compare;
pub(crate) mod early;
pub(crate) mod figures;
pub(crate) mod found;
pub mod html;
pub(crate) mod requirement;
mod stages;
mod summary;
pub mod text;

#[cfg(test)]
mod tests;
