//! The date format of tweets: `Fri Apr 04 05:30:11 +0000 2014`.
//!
//! Rule 3 of `docs/protocol/twitter.md` section 3: the weekday may be any word; month, day and time must
//! exist; the offset is applied. Years run from 1 to 9999, seconds to 59.

use crate::codec::calendar::{MONTH_NAMES, days_of_date};

/// Seconds since 1970, or `None` when `text` is not a date in this form.
pub fn parse(text: &[u8]) -> Option<i64> {
    let mut words = text.split(|&byte| byte == b' ');
    words.next()?;
    let month_name = words.next()?;
    let day = words
        .next()
        .filter(|word| word.len() <= 2)
        .and_then(digits)?;
    let time = words.next()?;
    let offset = words.next()?;
    let year = words
        .next()
        .filter(|word| word.len() == 4)
        .and_then(digits)?;
    if words.next().is_some() {
        return None;
    }
    let month = 1 + MONTH_NAMES.iter().position(|name| *name == month_name)? as i64;
    let days = days_of_date(year, month, day)?;
    Some(days * 86_400 + seconds_of_day(time)? - seconds_east(offset)?)
}

fn seconds_of_day(time: &[u8]) -> Option<i64> {
    let &[h1, h2, b':', m1, m2, b':', s1, s2] = time else {
        return None;
    };
    let (hour, minute, second) = (digits(&[h1, h2])?, digits(&[m1, m2])?, digits(&[s1, s2])?);
    (hour <= 23 && minute <= 59 && second <= 59).then_some(hour * 3600 + minute * 60 + second)
}

/// The offset from UTC, in seconds.
fn seconds_east(offset: &[u8]) -> Option<i64> {
    let &[sign, h1, h2, m1, m2] = offset else {
        return None;
    };
    let (hours, minutes) = (digits(&[h1, h2])?, digits(&[m1, m2])?);
    let seconds = hours * 3600 + minutes * 60;
    match sign {
        _ if minutes > 59 => None,
        b'+' => Some(seconds),
        b'-' => Some(-seconds),
        _ => None,
    }
}

/// One to four ASCII digits.
fn digits(word: &[u8]) -> Option<i64> {
    if word.is_empty() || word.len() > 4 || !word.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(
        word.iter()
            .fold(0, |n, digit| n * 10 + i64::from(digit - b'0')),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_dates() {
        for (text, seconds) in [
            ("Thu Jan 01 00:00:00 +0000 1970", 0),
            ("Fri Apr 04 05:30:11 +0000 2014", 1_396_589_411),
            ("x Apr 4 05:30:11 +0000 2014", 1_396_589_411),
            (" Apr 04 05:30:11 +0900 2014", 1_396_589_411 - 32_400),
            ("Fri Apr 04 05:30:11 -0330 2014", 1_396_589_411 + 12_600),
            (
                "Fri Apr 04 05:30:11 +9959 2014",
                1_396_589_411 - 99 * 3600 - 59 * 60,
            ),
            ("Sat Feb 29 23:59:59 +0000 2000", 951_868_799),
            ("Mon Jan 01 00:00:00 +0000 0001", -62_135_596_800),
            ("Fri Dec 31 23:59:59 +0000 9999", 253_402_300_799),
        ] {
            assert_eq!(parse(text.as_bytes()), Some(seconds), "{text}");
        }
    }

    #[test]
    fn refused_dates() {
        for text in [
            "",
            "yesterday",
            "2014-04-04T05:30:11Z",
            "Fri Apr 31 05:30:11 +0000 2014",
            "Fri Feb 29 05:30:11 +0000 2100",
            "Fri Apr 00 05:30:11 +0000 2014",
            "Fri Apr 004 05:30:11 +0000 2014",
            "Fri apr 04 05:30:11 +0000 2014",
            "Fri Apr 04 24:30:11 +0000 2014",
            "Fri Apr 04 05:60:11 +0000 2014",
            "Fri Apr 04 05:30:60 +0000 2014",
            "Fri Apr 04 5:30:11 +0000 2014",
            "Fri Apr 04 05:30:11 0000 2014",
            "Fri Apr 04 05:30:11 +0060 2014",
            "Fri Apr 04 05:30:11 +000 2014",
            "Fri Apr 04 05:30:11 +0000 14",
            "Fri Apr 04 05:30:11 +0000 0000",
            "Fri Apr 04 05:30:11 +0000 2014 ",
            "Fri  Apr 04 05:30:11 +0000 2014",
            "Fri Apr  4 05:30:11 +0000 2014",
            "Fri Apr 04 05:30:11 +0000 +201",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }
}
