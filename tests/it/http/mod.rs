//! The HTTP loop: what any service on it gets.
//!
//! - The protocol: [`table`] has one line per request and what must come back, [`h1check`] runs the checker written in
//!   Python, [`split`] cuts the same bytes in other places, [`heads`] reads what every answer says about itself.
//! - Bounds: [`limits`] each at its exact place, [`slow`] and [`rate`] those of time, [`connections`] those of many
//!   clients, [`fairness`] between them.
//! - Handlers: [`pending`] answers that come later, [`panic`] what a panic costs.

mod connections;
mod fairness;
mod h1check;
mod heads;
mod limits;
mod panic;
mod pending;
mod rate;
mod slow;
mod split;
pub mod table;
