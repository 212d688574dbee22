//! Axes in round steps: 0, 10,000, 20,000 rather than 0, 14,171, 28,342.

/// Steps of a time axis, in seconds.
const TIME_STEPS: [u64; 17] = [
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 43_200, 86_400,
];

/// Most steps of a vertical axis.
const STEPS_MAX: f64 = 5.0;

/// The values to mark on an axis from 0 to at least `most`, in steps of 1, 2 or 5 times a power of ten. The
/// last one is the axis's end.
pub fn linear(most: f64) -> Vec<f64> {
    let step = round_up((most / STEPS_MAX).max(f64::MIN_POSITIVE));
    let steps = (most / step).ceil().max(1.0) as u32;
    (0..=steps).map(|number| f64::from(number) * step).collect()
}

/// Like [`linear`], for counts: no step is smaller than 1.
pub fn counts(most: f64) -> Vec<f64> {
    linear(most.max(STEPS_MAX))
}

/// 1, 2 and 5 times the powers of ten from `least` to `most`.
pub fn logarithmic(least: f64, most: f64) -> Vec<f64> {
    let mut out = Vec::new();
    let mut value = round_up(least);
    while value <= most * (1.0 + 1e-9) {
        out.push(value);
        value = round_up(value * 1.1);
    }
    out
}

/// Seconds to mark on an axis of `seconds`, at most ten after 0.
pub fn seconds(seconds: u64) -> Vec<u64> {
    let step = TIME_STEPS
        .iter()
        .find(|step| seconds.div_ceil(**step) <= 10);
    let step = step
        .copied()
        .unwrap_or_else(|| round_up(seconds as f64 / 10.0) as u64);
    (0..=seconds).step_by(step as usize).collect()
}

/// The smallest of 1, 2 and 5 times a power of ten that is at least `value`.
fn round_up(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    // A value above a step only by a rounding error counts as that step.
    let factor = [1.0, 2.0, 5.0]
        .into_iter()
        .find(|factor| value * 0.999_999 <= factor * power);
    factor.unwrap_or(10.0) * power
}

/// A number of microseconds as a label: 500 µs, 2.5 ms, 10 s.
pub fn duration_label(us: f64) -> String {
    let (value, unit) = match us {
        us if us < 1e3 => (us, "µs"),
        us if us < 1e6 => (us / 1e3, "ms"),
        us => (us / 1e6, "s"),
    };
    format!("{} {unit}", (value * 1e3).round() / 1e3)
}

/// A time since the start as a label: 30 s, 5 min, 2 h.
pub fn time_label(seconds: u64) -> String {
    match seconds {
        0 => "0 s".into(),
        s if s % 3_600 == 0 => format!("{} h", s / 3_600),
        s if s % 60 == 0 => format!("{} min", s / 60),
        s => format!("{s} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round() {
        assert_eq!(counts(28_342.0), [0.0, 10_000.0, 20_000.0, 30_000.0]);
        assert_eq!(counts(3.0), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(linear(1_000.0), [0.0, 200.0, 400.0, 600.0, 800.0, 1_000.0]);
        assert_eq!(linear(0.0).len(), 2);
        assert_eq!(
            logarithmic(30.0, 1_000.0),
            [50.0, 100.0, 200.0, 500.0, 1_000.0]
        );
        assert_eq!(seconds(10).len(), 11);
        assert_eq!(seconds(95), [0, 10, 20, 30, 40, 50, 60, 70, 80, 90]);
        assert_eq!(*seconds(3_600).last().unwrap(), 3_600);
        assert!(seconds(604_800).len() <= 16);
        for most in [1.0, 7.3, 99.0, 101.0, 4_999.9, 12_345_678.0] {
            let marks = linear(most);
            assert!(
                *marks.last().unwrap() >= most && marks.len() <= 7,
                "{marks:?}"
            );
        }
    }

    #[test]
    fn labels_are_short() {
        let labels = [1.0, 500.0, 2_500.0, 10_000.0, 2e6].map(duration_label);
        assert_eq!(labels, ["1 µs", "500 µs", "2.5 ms", "10 ms", "2 s"]);
        assert_eq!(
            [0, 30, 90, 300, 7_200].map(time_label),
            ["0 s", "30 s", "90 s", "5 min", "2 h"]
        );
    }
}
