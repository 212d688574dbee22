//! Numbers as people write them: `1M` lines, `64K` bytes, `30s`. The one parser of settings and flags.
//!
//! A suffix means what it means elsewhere for the same kind of number: `1M` lines are 1,000,000, `1M` bytes are
//! 1,048,576 (as in systemd units and dd), `1MB` is 1,000,000 bytes, `5m` is five minutes.

/// What a number counts; decides what its suffixes mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Things: lines, connections, requests.
    Items,
    /// Bytes.
    Bytes,
    /// Microseconds.
    Microseconds,
    /// Milliseconds.
    Milliseconds,
    /// Seconds.
    Seconds,
}

/// Most digits behind the point: enough for 1.125G, and no product leaves 128 bits.
const DECIMALS_MAX: usize = 6;

const THOUSANDS: &[(&str, u64)] = &[
    ("k", 1_000),
    ("m", 1_000_000),
    ("g", 1_000_000_000),
    ("t", 1_000_000_000_000),
];

const BYTES: &[(&str, u64)] = &[
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
    ("k", 1 << 10),
    ("m", 1 << 20),
    ("g", 1 << 30),
    ("t", 1 << 40),
    ("b", 1),
];

const TIMES: &[(&str, u64)] = &[
    ("us", 1),
    ("ms", 1_000),
    ("s", 1_000_000),
    ("m", 60_000_000),
    ("h", 3_600_000_000),
    ("d", 86_400_000_000),
];

impl Unit {
    fn suffixes(self) -> &'static [(&'static str, u64)] {
        match self {
            Self::Items => THOUSANDS,
            Self::Bytes => BYTES,
            Self::Microseconds | Self::Milliseconds | Self::Seconds => TIMES,
        }
    }

    /// How many of the table's smallest steps one unit has.
    fn steps(self) -> u64 {
        match self {
            Self::Seconds => 1_000_000,
            Self::Milliseconds => 1_000,
            Self::Items | Self::Bytes | Self::Microseconds => 1,
        }
    }

    /// Examples of what may be written, as they follow "such as".
    pub fn examples(self) -> &'static str {
        match self {
            Self::Items => "5000, 10K or 1M",
            Self::Bytes => "65536, 64K, 512M or 1G",
            Self::Microseconds => "250, 250us or 1ms",
            Self::Milliseconds => "500ms, 30s or 5m",
            Self::Seconds => "30, 30s or 5m",
        }
    }
}

/// The whole number that `text` stands for, at most `i64::MAX` so that TOML can hold it. Digits, `_` between them, a
/// fraction before a suffix. `None` for anything else, signs included, and for numbers that are not whole: `1.5K` is
/// whole, `1.5` is not.
pub fn parse(text: &str, unit: Unit) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let is_time = unit.suffixes() == TIMES;
    // For times, `M` is not `m`: whoever meant millions should not get minutes.
    let searched = if is_time { text } else { &lower };
    let suffix = unit
        .suffixes()
        .iter()
        .find_map(|(suffix, factor)| Some((searched.strip_suffix(suffix)?.trim_end(), *factor)));
    let (number, factor) = suffix.unwrap_or((searched, unit.steps()));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if suffix.is_none() && number.contains('.') || fraction.len() > DECIMALS_MAX {
        return None;
    }
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let parts = u128::from(digits(whole)?) * scale + u128::from(digits(fraction)?);
    let divisor = scale * u128::from(unit.steps());
    let product = parts.checked_mul(factor.into())?;
    let value = product.is_multiple_of(divisor).then(|| product / divisor)?;
    i64::try_from(value).ok()?.try_into().ok()
}

/// A decimal number; `_` only between digits.
fn digits(text: &str) -> Option<u64> {
    let separated = text.starts_with('_') || text.ends_with('_') || text.contains("__");
    let digits = text.replace('_', "");
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    (plain && !separated).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suffix_means_what_it_means_elsewhere() {
        let table = [
            ("1M", Unit::Items, 1_000_000),
            ("1k", Unit::Items, 1_000),
            ("2.5M", Unit::Items, 2_500_000),
            ("1_000_000", Unit::Items, 1_000_000),
            ("0", Unit::Items, 0),
            ("9223372036854775807", Unit::Items, i64::MAX as u64),
            ("1M", Unit::Bytes, 1 << 20),
            ("1m", Unit::Bytes, 1 << 20),
            ("1MiB", Unit::Bytes, 1 << 20),
            ("1MB", Unit::Bytes, 1_000_000),
            ("1.5G", Unit::Bytes, 3 << 29),
            ("64 K", Unit::Bytes, 65_536),
            ("512B", Unit::Bytes, 512),
            ("250", Unit::Milliseconds, 250),
            ("250ms", Unit::Milliseconds, 250),
            ("1.5s", Unit::Milliseconds, 1_500),
            ("250", Unit::Microseconds, 250),
            ("250us", Unit::Microseconds, 250),
            ("1.5ms", Unit::Microseconds, 1_500),
            ("2000us", Unit::Milliseconds, 2),
            ("5m", Unit::Milliseconds, 300_000),
            ("30", Unit::Seconds, 30),
            ("5m", Unit::Seconds, 300),
            ("2000ms", Unit::Seconds, 2),
        ];
        for (text, unit, value) in table {
            assert_eq!(parse(text, unit), Some(value), "{text} {unit:?}");
        }
    }

    #[test]
    fn what_is_no_whole_number_is_refused() {
        let texts = [
            "",
            "K",
            "-1",
            "+1",
            "1__0",
            "_1",
            "1_",
            "1.5",
            ".5K",
            "1.K",
            "1.0001K",
            "0x10",
            "1e3",
            "1 2",
            "NaN",
            "1KK",
            "9223372036854775808",
            "99999999999999999999",
            "9223372036854775807K",
            "1P",
            "1.1234567M",
        ];
        for text in texts {
            assert_eq!(parse(text, Unit::Items), None, "{text}");
            assert_eq!(parse(text, Unit::Bytes), None, "{text}");
        }
        for text in ["1M", "1S", "1d2h", "1.5ms", "500us", "-1s", "s", "inf"] {
            assert_eq!(parse(text, Unit::Milliseconds), None, "{text}");
        }
        assert_eq!(parse("1500ms", Unit::Seconds), None);
    }
}
