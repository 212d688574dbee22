//! Figures and bytes as text. Used by the live line and by every form of the report.

/// Lower-case hex digits of `bytes`.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The 32 bytes that 64 hex digits stand for.
///
/// # Errors
/// `digits` is anything else.
pub fn digest(digits: &str) -> Result<[u8; 32], String> {
    let wrong = || "expected 64 hex digits".to_owned();
    let mut out = [0; 32];
    if digits.len() != 64 || !digits.is_ascii() {
        return Err(wrong());
    }
    for (at, byte) in out.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).map_err(|_| wrong())?;
    }
    Ok(out)
}

/// Bytes in messages of serde: base64, a third more than the bytes.
pub mod base64 {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        base64_simd::STANDARD.encode_to_string(bytes).serialize(to)
    }

    pub fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Box<[u8]>, D::Error> {
        let text = String::deserialize(from)?;
        let bytes = base64_simd::STANDARD.decode_to_vec(text);
        bytes.map(Vec::into).map_err(D::Error::custom)
    }
}

/// Rounded to three decimals: more would be noise in the files.
pub fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

/// Two decimals, truncated, so that less than all never reads 100.00 %.
pub fn percent_text(percent: f64) -> String {
    format!("{:.2} %", (percent * 100.0).floor() / 100.0)
}

/// Two decimals, rounded up, so that a single error never reads 0.00 %.
pub fn error_text(percent: f64) -> String {
    format!("{:.2} %", (percent * 100.0).ceil() / 100.0)
}

/// Microseconds with a fitting unit.
pub fn duration_text(us: f64) -> String {
    match us {
        us if us < 1e3 => format!("{us:.0} µs"),
        us if us < 1e5 => format!("{:.2} ms", us / 1e3),
        us if us < 1e6 => format!("{:.0} ms", us / 1e3),
        us => format!("{:.2} s", us / 1e6),
    }
}

/// A count with a separator between thousands.
pub fn count_text(count: f64) -> String {
    let digits = format!("{count:.0}");
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Text escaped for HTML.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('\'', "&#39;")
        .replace('"', "&quot;")
}
