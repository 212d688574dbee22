//! Numbers and truth values as fields: integers, milliseconds, big decimals, booleans.

use super::{Field, Mismatch, Rule};
use crate::config::value::{Raw, Value};
use num_bigint::BigUint;
use std::time::Duration;

/// An integer given as a TOML integer or as decimal text, `_` between digits allowed.
fn integer(raw: &Raw, rule: &Rule) -> Option<u64> {
    let value = match (raw, rule) {
        (Raw::Integer(value), _) => u64::try_from(*value).ok()?,
        (Raw::Text(text), _) | (Raw::String(text), Rule::Decimal { .. }) => {
            digits(text)?.parse().ok()?
        }
        _ => return None,
    };
    let (min, max, step) = match *rule {
        Rule::Integer { min, max, step } => (min, max, step),
        Rule::Decimal { min, .. } => (min, i64::MAX as u64, 1),
        _ => return None,
    };
    (min..=max)
        .contains(&value)
        .then_some(value)
        .filter(|value| value.is_multiple_of(step))
}

/// The digits of a decimal text without separators. `+` and `-` are refused, as is anything else.
fn digits(text: &str) -> Option<String> {
    let separated = text.starts_with('_') || text.ends_with('_') || text.contains("__");
    let digits = text.replace('_', "");
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    (plain && !separated).then_some(digits)
}

fn integer_value(value: u64, rule: &Rule) -> Value {
    match rule {
        Rule::Decimal { .. } => Value::Text(value.to_string()),
        _ => Value::Integer(value),
    }
}

fn integer_allowed(rule: &Rule) -> String {
    match *rule {
        Rule::Integer { min, max, step: 1 } if max == i64::MAX as u64 => {
            format!("an integer of {min} or more")
        }
        Rule::Integer { min, max, step: 1 } => format!("an integer from {min} to {max}"),
        Rule::Integer { min, max, step } => {
            format!("a multiple of {step} from {min} to {max}")
        }
        Rule::Decimal { min, digits_max } => {
            format!("a decimal number of {min} or more and at most {digits_max} digits, in quotes")
        }
        Rule::Any | Rule::Text { .. } => "an integer".into(),
    }
}

/// Implements [`Field`] for integer types.
macro_rules! integer_field {
    ($($type:ty),*) => {$(
        impl Field for $type {
            fn read(&mut self, raw: &Raw, rule: &Rule) -> Result<(), Mismatch> {
                let value = integer(raw, rule).ok_or(Mismatch)?;
                *self = value.try_into().map_err(|_| Mismatch)?;
                Ok(())
            }

            fn value(&self, rule: &Rule) -> Value {
                integer_value(*self as u64, rule)
            }

            fn allowed(&self, rule: &Rule) -> String {
                integer_allowed(rule)
            }
        }
    )*};
}

integer_field!(u8, u32, u64, usize);

/// Whole milliseconds.
impl Field for Duration {
    fn read(&mut self, raw: &Raw, rule: &Rule) -> Result<(), Mismatch> {
        *self = Self::from_millis(integer(raw, rule).ok_or(Mismatch)?);
        Ok(())
    }

    fn value(&self, _rule: &Rule) -> Value {
        Value::Integer(u64::try_from(self.as_millis()).unwrap_or(u64::MAX))
    }

    fn allowed(&self, rule: &Rule) -> String {
        integer_allowed(rule)
    }
}

impl Field for BigUint {
    fn read(&mut self, raw: &Raw, rule: &Rule) -> Result<(), Mismatch> {
        let Rule::Decimal { min, digits_max } = *rule else {
            return Err(Mismatch);
        };
        let text = match raw {
            Raw::Integer(value) => value.to_string(),
            _ => raw.text().ok_or(Mismatch)?.to_owned(),
        };
        let digits = digits(&text)
            .filter(|digits| digits.len() <= digits_max)
            .ok_or(Mismatch)?;
        let value = Self::parse_bytes(digits.as_bytes(), 10).ok_or(Mismatch)?;
        if value < Self::from(min) {
            return Err(Mismatch);
        }
        *self = value;
        Ok(())
    }

    fn value(&self, _rule: &Rule) -> Value {
        Value::Text(self.to_string())
    }

    fn allowed(&self, rule: &Rule) -> String {
        integer_allowed(rule)
    }
}

impl Field for bool {
    fn read(&mut self, raw: &Raw, _rule: &Rule) -> Result<(), Mismatch> {
        *self = match raw {
            Raw::Bool(value) => *value,
            Raw::Text(text) => text.parse().map_err(|_| Mismatch)?,
            _ => return Err(Mismatch),
        };
        Ok(())
    }

    fn value(&self, _rule: &Rule) -> Value {
        Value::Bool(*self)
    }

    fn allowed(&self, _rule: &Rule) -> String {
        "true or false".into()
    }
}
