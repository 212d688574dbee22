//! Is a response right? Decided without the server's code.
//!
//! - [`expect`]: the right response. [`check`]: compares a body with what its entry expects.
//! - [`chain`]: recomputes `/blockchain` responses. [`matrix`]: turns a matrix into a decode request.

pub mod chain;
pub(crate) mod check;
pub(crate) mod expect;
pub(crate) mod matrix;
#[cfg(test)]
mod tests;
