//! JSON as the real files write it: no blanks, everything outside ASCII as `\uXXXX`, `/` as `\/`.

use crate::codec::{
    calendar::{MONTH_NAMES, date_of_days},
    decimal,
};

/// Appends to a line. `raw` leaves characters outside ASCII and slashes as they are.
pub struct JsonWriter<'a> {
    /// The line.
    pub out: &'a mut Vec<u8>,
    /// Write UTF-8 instead of escapes.
    pub raw: bool,
}

impl JsonWriter<'_> {
    /// Bytes as they are.
    pub fn put(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    /// A number.
    pub fn number(&mut self, number: u64) {
        decimal::write_u64(self.out, number);
    }

    /// A string with its quotes.
    pub fn string(&mut self, text: &str) {
        self.out.push(b'"');
        self.text(text);
        self.out.push(b'"');
    }

    /// The inside of a string.
    pub fn text(&mut self, text: &str) {
        let mut rest = text;
        loop {
            let plain = |b: u8| (0x20..0x7F).contains(&b) && b != b'"' && b != b'\\' && b != b'/';
            let run = rest.bytes().take_while(|&b| plain(b)).count();
            let (head, tail) = rest.split_at(run);
            self.put(head);
            let mut chars = tail.chars();
            let Some(c) = chars.next() else { return };
            self.escaped(c);
            rest = chars.as_str();
        }
    }

    fn escaped(&mut self, c: char) {
        match c {
            '"' => self.put("\\\""),
            '\\' => self.put("\\\\"),
            '/' => self.put(if self.raw { "/" } else { "\\/" }),
            '\n' => self.put("\\n"),
            '\r' => self.put("\\r"),
            '\t' => self.put("\\t"),
            c if self.raw && c >= ' ' => self.put(c.encode_utf8(&mut [0; 4])),
            c => c
                .encode_utf16(&mut [0; 2])
                .iter()
                .for_each(|&unit| self.unit(unit)),
        }
    }

    fn unit(&mut self, unit: u16) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let digit = |shift: u16| HEX[usize::from(unit >> shift & 15)];
        self.out
            .extend_from_slice(&[b'\\', b'u', digit(12), digit(8), digit(4), digit(0)]);
    }
}

/// Appends `Fri Apr 04 05:30:11 +0000 2014` for seconds since 1970, with `offset` in place of
/// `+0000` (the time shown stays).
pub fn date(out: &mut Vec<u8>, seconds: u64, offset: &str) {
    const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date_of_days(days);
    let two = |n: u64| [b'0' + (n / 10 % 10) as u8, b'0' + (n % 10) as u8];
    out.extend_from_slice(WEEKDAYS[(days % 7) as usize].as_bytes());
    out.push(b' ');
    out.extend_from_slice(MONTH_NAMES[month as usize - 1]);
    out.push(b' ');
    out.extend_from_slice(&two(day));
    for (separator, part) in [
        (b' ', second / 3600),
        (b':', second / 60 % 60),
        (b':', second % 60),
    ] {
        out.push(separator);
        out.extend_from_slice(&two(part));
    }
    out.push(b' ');
    out.extend_from_slice(offset.as_bytes());
    out.push(b' ');
    out.extend_from_slice(&two(year / 100));
    out.extend_from_slice(&two(year));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_what_a_parser_reads_back() {
        for text in [
            "",
            "plain",
            "a/b \"c\" \\ \n\r\t\u{7}\u{7f}",
            "é日😀\u{2028}\u{feff}",
        ] {
            for raw in [false, true] {
                let mut out = Vec::new();
                JsonWriter { out: &mut out, raw }.string(text);
                assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
                assert!(raw || out.is_ascii());
            }
        }
    }

    #[test]
    fn dates() {
        for (seconds, text) in [
            (0, "Thu Jan 01 00:00:00 +0000 1970"),
            (1_396_589_411, "Fri Apr 04 05:30:11 +0000 2014"),
            (951_868_799, "Tue Feb 29 23:59:59 +0000 2000"),
        ] {
            let mut out = Vec::new();
            date(&mut out, seconds, "+0000");
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }
}
