//! What a run found out, and its forms.
//!
//! - [`figures`]: everything, added up; as JSON it is `--json`. `summary`: the figures of some requests.
//!   `stages`: of each stage. [`requirement`]: the conditions of `--require`, and whether they hold.
//! - [`text`]: the table on a terminal. [`html`]: the page, with `chart`s and their `axis`.

mod axis;
mod chart;
pub mod figures;
pub mod html;
pub mod requirement;
mod stages;
mod summary;
pub mod text;

#[cfg(test)]
mod tests;
