//! Numbers of the JSON grammar, for callers that know only integers from 0 to 2^63 - 1.

use super::{Cursor, Syntax, scan::leading_digits};

/// The kind of a number for such a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Number {
    /// An integer in range, and the number of its digits, which the cursor has just passed and which have
    /// no sign and no leading zero.
    Integer(u64, u32),
    /// An integer below zero.
    Negative,
    /// An integer of 2^63 or more, or anything with a fraction or an exponent.
    Other,
}

impl Cursor<'_> {
    /// Reads a number.
    #[inline]
    pub(crate) fn number(&mut self) -> Result<Number, Syntax> {
        let (value, count) = leading_digits(self.rest);
        let follower = self.rest.get(count).copied().unwrap_or(0);
        let leading_zero = count > 1 && self.rest.first() == Some(&b'0');
        if count == 0 || leading_zero || matches!(follower, b'0'..=b'9' | b'.' | b'e' | b'E') {
            return self.number_in_full();
        }
        self.skip(count);
        Ok(if count <= 19 && value < 1 << 63 {
            Number::Integer(value, count as u32)
        } else {
            Number::Other
        })
    }

    /// Reads a number of any form in the grammar.
    #[cold]
    fn number_in_full(&mut self) -> Result<Number, Syntax> {
        let negative = self.literal(b"-").is_ok();
        let zero = self.literal(b"0").is_ok();
        if !zero && self.skip_digits() == 0 {
            return Err(Syntax);
        }
        let mut integer = true;
        if self.literal(b".").is_ok() {
            integer = false;
            if self.skip_digits() == 0 {
                return Err(Syntax);
            }
        }
        if self.literal(b"e").is_ok() || self.literal(b"E").is_ok() {
            integer = false;
            if self.literal(b"+").is_err() {
                let _ = self.literal(b"-");
            }
            if self.skip_digits() == 0 {
                return Err(Syntax);
            }
        }
        Ok(match (integer, negative, zero) {
            (false, ..) | (true, false, false) => Number::Other,
            (true, _, true) => Number::Integer(0, 1),
            (true, true, false) => Number::Negative,
        })
    }

    fn skip_digits(&mut self) -> usize {
        let count = self
            .rest
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        self.skip(count);
        count
    }
}
