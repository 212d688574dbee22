//! The proleptic Gregorian calendar: dates to and from days since 1970-01-01.
//!
//! Both directions count years that begin in March, so that the leap day is the last day of a year and the
//! lengths of months follow the pattern of 153 days in five months. 400 such years have 146,097 days; year 0
//! begins 719,468 days before 1970.

/// The names of the months, in English, as HTTP and tweets write them.
pub const MONTH_NAMES: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

const CYCLE_DAYS: u64 = 146_097;
const YEAR_0_DAYS: u64 = 719_468;

/// Year, month from 1 and day of the month from 1 of a number of days since 1970-01-01.
pub fn date_of_days(days: u64) -> (u64, u64, u64) {
    let shifted = days + YEAR_0_DAYS;
    let (cycle, day_of_cycle) = (shifted / CYCLE_DAYS, shifted % CYCLE_DAYS);
    let year_of_cycle = (day_of_cycle - day_of_cycle / 1_460 + day_of_cycle / 36_524
        - day_of_cycle / 146_096)
        / 365;
    let day_of_year =
        day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = cycle * 400 + year_of_cycle + u64::from(month <= 2);
    (year, month, day)
}

/// Days since 1970-01-01 of a date; `None` when the calendar does not have it. Years run from 1.
pub fn days_of_date(year: i64, month: i64, day: i64) -> Option<i64> {
    if year < 1 || !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
        return None;
    }
    let year = year - i64::from(month <= 2);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let leap_days = year / 4 - year / 100 + year / 400;
    Some(year * 365 + leap_days + day_of_year - YEAR_0_DAYS as i64)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_follows_the_day_before() {
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..200_000 {
            assert_eq!(date_of_days(days), (year, month, day));
            let date = [year, month, day].map(|part| part as i64);
            assert_eq!(days_of_date(date[0], date[1], date[2]), Some(days as i64));
            day += 1;
            if day > days_in_month(date[0], date[1]) as u64 {
                (day, month) = (1, month + 1);
            }
            if month > 12 {
                (month, year) = (1, year + 1);
            }
        }
    }

    #[test]
    fn the_ends_of_the_range_and_days_that_do_not_exist() {
        assert_eq!(days_of_date(1, 1, 1), Some(-719_162));
        assert_eq!(days_of_date(1969, 12, 31), Some(-1));
        assert_eq!(days_of_date(9999, 12, 31), Some(2_932_896));
        for (year, month, day) in [
            (0, 12, 31),
            (2000, 0, 1),
            (2000, 13, 1),
            (2000, 1, 0),
            (2000, 2, 30),
            (2100, 2, 29),
            (2014, 4, 31),
        ] {
            assert_eq!(days_of_date(year, month, day), None, "{year}-{month}-{day}");
        }
    }
}
