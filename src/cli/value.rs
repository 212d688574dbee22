//! Values of flags that are not settings: counts, byte sizes and times, by the parser that settings use.

use crate::config::quantity::{self, Unit};
use clap::builder::{PathBufValueParser, TypedValueParser};
use std::{path::PathBuf, time::Duration};

/// Longest time a flag takes.
const TIME_MAX: Duration = Duration::from_secs(7 * 86_400);

/// A number of things: `5000`, `10K`, `1M`.
pub(super) fn count(text: &str) -> Result<u64, String> {
    quantity::parse(text, Unit::Items)
        .ok_or_else(|| format!("expected a whole number such as {}", Unit::Items.examples()))
}

/// As [`count`], above 0.
pub(super) fn some(text: &str) -> Result<u64, String> {
    match count(text)? {
        0 => Err("expected a number above 0".into()),
        count => Ok(count),
    }
}

/// As [`count`], for things that are held in memory.
pub(super) fn size(text: &str) -> Result<usize, String> {
    count(text)?
        .try_into()
        .map_err(|_| "expected a smaller number".into())
}

/// A number of bytes: `65536`, `64K`, `1G`.
pub(super) fn bytes(text: &str) -> Result<usize, String> {
    quantity::parse(text, Unit::Bytes)
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| {
            format!(
                "expected a number of bytes such as {}",
                Unit::Bytes.examples()
            )
        })
}

/// A count from `min` to `max`.
pub(super) fn between(min: u32, max: u32) -> impl Fn(&str) -> Result<u32, String> + Clone {
    move |text| {
        let count = quantity::parse(text, Unit::Items).and_then(|count| count.try_into().ok());
        count
            .filter(|count| (min..=max).contains(count))
            .ok_or_else(|| format!("expected a whole number from {min} to {max}"))
    }
}

/// A time with a unit; a number alone is seconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let alone = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    let with_unit = if alone {
        format!("{text}s")
    } else {
        text.to_owned()
    };
    quantity::parse(&with_unit, Unit::Milliseconds)
        .map(Duration::from_millis)
        .filter(|time| *time <= TIME_MAX)
        .ok_or_else(|| "expected a time of at most a week, such as 500ms, 30s, 5m or 1h".into())
}

/// As [`duration`], above 0.
pub(super) fn some_time(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("expected a time above 0, such as 500ms or 30s".into()),
        time => Ok(time),
    }
}

/// A path of files to read.
pub(super) fn input() -> impl TypedValueParser<Value = PathBuf> {
    local("a URL is not read: download it, or pipe its content into --input -")
}

/// A path of a store to make.
pub(super) fn output() -> impl TypedValueParser<Value = PathBuf> {
    local(
        "a store is made in a directory of this machine; `trident etl import STORE --mysql URL` puts it into a database",
    )
}

/// A path that is not a URL; `hint` says what to do with one.
fn local(hint: &'static str) -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(move |path| {
        let is_url = path.to_str().is_some_and(|path| path.contains("://"));
        if is_url { Err(hint) } else { Ok(path) }
    })
}

/// Requests a second: a count, or a fraction such as `0.5`.
pub(super) fn rate(text: &str) -> Result<f64, String> {
    let count = quantity::parse(text, Unit::Items).map(|count| count as f64);
    count
        .or_else(|| text.parse().ok())
        .filter(|rate| *rate > 0.0 && *rate <= 1e7)
        .ok_or_else(|| "expected requests a second, above 0, such as 500, 20K or 0.5".into())
}

/// A goal, or goals by endpoint, each as [`rate`] takes it, in plain numbers: `blockchain=30K` is `blockchain=30000`.
pub(super) fn goal(text: &str) -> Result<String, String> {
    let plain = |part: &str| match part.split_once('=') {
        Some((endpoint, number)) => rate(number.trim()).map(|rate| format!("{endpoint}={rate}")),
        None => rate(part.trim()).map(|rate| rate.to_string()),
    };
    let parts: Result<Vec<String>, String> = text.split(',').map(plain).collect();
    parts.map(|parts| parts.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        let seconds = |text: &str| duration(text).map(|time| time.as_secs_f64());
        assert_eq!(seconds("250ms"), Ok(0.25));
        assert_eq!(seconds("1.5"), Ok(1.5));
        assert_eq!(seconds("2m"), Ok(120.0));
        assert_eq!(seconds("1d"), Ok(86_400.0));
        for text in ["", "s", "-1s", "8d", "1e9h", "nan", "inf"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rates_may_be_below_one_or_in_thousands() {
        assert_eq!(rate("0.5"), Ok(0.5));
        assert_eq!(rate("20K"), Ok(20_000.0));
        for text in ["0", "-1", "1G", "inf", "x"] {
            assert!(rate(text).is_err(), "{text}");
        }
        let goals = goal("blockchain=30K,qrcode=0.5");
        assert_eq!(goals.as_deref(), Ok("blockchain=30000,qrcode=0.5"));
    }

    #[test]
    fn bounds_are_told() {
        assert_eq!(between(1, 60_000)("10K"), Ok(10_000));
        let told = between(1, 60_000)("61K").unwrap_err();
        assert_eq!(told, "expected a whole number from 1 to 60000");
    }
}
