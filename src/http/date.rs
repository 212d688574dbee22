//! `Date` values: IMF-fixdate of RFC 9110 §5.6.7, without a calendar library.

use crate::codec::calendar::{MONTH_NAMES, date_of_days};

/// Length of an IMF-fixdate: `Sun, 06 Nov 1994 08:49:37 GMT`.
pub const IMF_FIXDATE_BYTES: usize = 29;

const DAYS: &[u8; 21] = b"MonTueWedThuFriSatSun";

/// The date of `unix_seconds` (seconds since 1970-01-01T00:00:00Z), for years up to 9999.
pub fn imf_fixdate(unix_seconds: u64) -> [u8; IMF_FIXDATE_BYTES] {
    let days = unix_seconds / 86_400;
    let second_of_day = unix_seconds % 86_400;
    let (year, month, day) = date_of_days(days);
    let mut text = *b"Mon, 00 Jan 0000 00:00:00 GMT";
    let weekday = ((days + 3) % 7) as usize * 3; // day 0 was a Thursday
    text[..3].copy_from_slice(&DAYS[weekday..weekday + 3]);
    two_digits(&mut text[5..7], day);
    text[8..11].copy_from_slice(MONTH_NAMES[month as usize - 1]);
    two_digits(&mut text[12..14], year / 100);
    two_digits(&mut text[14..16], year % 100);
    two_digits(&mut text[17..19], second_of_day / 3_600);
    two_digits(&mut text[20..22], second_of_day / 60 % 60);
    two_digits(&mut text[23..25], second_of_day % 60);
    text
}

fn two_digits(at: &mut [u8], value: u64) {
    at[0] = b'0' + (value / 10 % 10) as u8;
    at[1] = b'0' + (value % 10) as u8;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(unix_seconds: u64) -> String {
        String::from_utf8(imf_fixdate(unix_seconds).to_vec()).unwrap()
    }

    #[test]
    fn known_dates() {
        assert_eq!(text(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(text(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT"); // RFC 9110 §5.6.7
        assert_eq!(text(951_782_400), "Tue, 29 Feb 2000 00:00:00 GMT");
        assert_eq!(text(1_709_251_199), "Thu, 29 Feb 2024 23:59:59 GMT");
        assert_eq!(text(4_102_444_800), "Fri, 01 Jan 2100 00:00:00 GMT");
    }
}
