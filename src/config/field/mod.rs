//! How a [`Raw`] value becomes the field of an options struct: one [`Field`] per type, and the
//! [`Rule`] that bounds it.
//!
//! `number` has the types that are numbers, `text` all others.

mod number;
mod text;

use super::value::{Raw, Value};

/// What a setting allows beyond its type.
#[derive(Clone, Copy)]
pub enum Rule {
    /// Whatever the type holds.
    Any,
    /// An integer from `min` to `max` that is a multiple of `step`.
    Integer {
        /// Smallest value.
        min: u64,
        /// Largest value, at most `i64::MAX`.
        max: u64,
        /// 1 for every integer.
        step: u64,
    },
    /// A natural number written as decimal text, because TOML integers end at 2^63 - 1.
    Decimal {
        /// Smallest value.
        min: u64,
        /// Most digits.
        digits_max: usize,
    },
    /// A text with a property.
    Text {
        /// Whether a text has it.
        holds: fn(&str) -> bool,
        /// What is allowed, as it follows the word "expected".
        allowed: &'static str,
    },
}

/// The value is of the wrong type or out of bounds; [`Field::allowed`] says what would do.
#[derive(Debug, PartialEq, Eq)]
pub struct Mismatch;

/// The type of a setting.
pub trait Field {
    /// Takes the value of `raw`, or changes nothing.
    fn read(&mut self, raw: &Raw, rule: &Rule) -> Result<(), Mismatch>;
    /// The present value.
    fn value(&self, rule: &Rule) -> Value;
    /// What is allowed, as it follows the word "expected".
    fn allowed(&self, rule: &Rule) -> String;
}
