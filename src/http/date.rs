//! `Date` values: IMF-fixdate of RFC 9110 §5.6.7, without a calendar library.

/// Length of an IMF-fixdate: `Sun, 06 Nov 1994 08:49:37 GMT`.
pub const IMF_FIXDATE_BYTES: usize = 29;

const DAYS: &[u8; 21] = b"MonTueWedThuFriSatSun";
const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";

/// The date of `unix_seconds` (seconds since 1970-01-01T00:00:00Z), for years up to 9999.
pub fn imf_fixdate(unix_seconds: u64) -> [u8; IMF_FIXDATE_BYTES] {
    let days = unix_seconds / 86_400;
    let second_of_day = unix_seconds % 86_400;
    let (year, month, day) = civil(days);
    let mut text = *b"Mon, 00 Jan 0000 00:00:00 GMT";
    let weekday = ((days + 3) % 7) as usize * 3; // day 0 was a Thursday
    text[..3].copy_from_slice(&DAYS[weekday..weekday + 3]);
    two_digits(&mut text[5..7], day);
    text[8..11].copy_from_slice(&MONTHS[month * 3..month * 3 + 3]);
    two_digits(&mut text[12..14], year / 100);
    two_digits(&mut text[14..16], year % 100);
    two_digits(&mut text[17..19], second_of_day / 3_600);
    two_digits(&mut text[20..22], second_of_day / 60 % 60);
    two_digits(&mut text[23..25], second_of_day % 60);
    text
}

/// Year, month from 0 and day of the month from 1 of a day count since 1970-01-01, in the
/// proleptic Gregorian calendar; counts in 400-year cycles that start on 1 March.
fn civil(days: u64) -> (u64, usize, u64) {
    let shifted = days + 719_468; // days from 0000-03-01
    let cycle = shifted / 146_097;
    let day_of_cycle = shifted % 146_097;
    let year_of_cycle = (day_of_cycle - day_of_cycle / 1_460 + day_of_cycle / 36_524
        - day_of_cycle / 146_096)
        / 365;
    let day_of_year =
        day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = (march_month + 2) % 12;
    let year = cycle * 400 + year_of_cycle + u64::from(march_month >= 10);
    (year, month as usize, day)
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

    #[test]
    fn every_day_follows_the_day_before() {
        const LENGTHS: [u64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let (mut year, mut month, mut day) = (1970u64, 0usize, 1u64);
        for days in 0..200_000 {
            assert_eq!(civil(days), (year, month, day));
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            day += 1;
            if day > LENGTHS[month] + u64::from(leap && month == 1) {
                (day, month) = (1, month + 1);
            }
            if month == 12 {
                (month, year) = (0, year + 1);
            }
        }
    }
}
