//! The configuration file: TOML in, given values with their lines out.
//!
//! Syntax errors are reported without the offending line, because it may hold a secret.

use super::{
    source::{ConfigError, Given, Reading, Source, unknown_key},
    table::{self, SETTINGS},
    value::Raw,
};
use std::path::Path;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// Reads the text of the file named `path`.
pub fn parse(text: &str, path: &Path) -> Reading {
    let mut reader = Reader {
        text,
        path,
        given: Vec::new(),
        errors: Vec::new(),
    };
    match DeTable::parse(text) {
        Ok(table) => reader.table("", table.get_ref()),
        Err(error) => {
            let offset = error.span().map_or(text.len(), |span| span.start);
            let message = error.message().lines().collect::<Vec<_>>().join(", ");
            let problem = format!("not TOML: {message}{}", quotes_hint(text, offset, &message));
            let source = reader.source(offset);
            reader.errors.push(ConfigError::new(source, problem));
        }
    }
    // The parser sorts by key; people read from top to bottom.
    reader.errors.sort_by_key(|error| match error.source {
        Source::File { line, column, .. } => (line, column),
        _ => (0, 0),
    });
    (reader.given, reader.errors)
}

struct Reader<'t> {
    text: &'t str,
    path: &'t Path,
    given: Vec<Given>,
    errors: Vec<ConfigError>,
}

impl Reader<'_> {
    /// Reads the entries of `table`, whose own key is `prefix`.
    fn table(&mut self, prefix: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            let key = match prefix {
                "" => name.get_ref().to_string(),
                _ => format!("{prefix}.{}", name.get_ref()),
            };
            let source = self.source(name.span().start);
            match (table::find(&key), value.get_ref()) {
                (Some(setting), _) => self.given.push(Given {
                    setting,
                    raw: raw(value),
                    source: self.source(value.span().start),
                }),
                (None, DeValue::Table(inner)) if !inner.is_empty() || is_section(&key) => {
                    self.table(&key, inner);
                }
                (None, _) if is_section(&key) => {
                    let problem = format!("{key:?} is a section; write it as [{key}]");
                    self.errors.push(ConfigError::new(source, problem));
                }
                (None, _) => self
                    .errors
                    .push(ConfigError::new(source, unknown_key(&key))),
            }
        }
    }

    /// The place of the byte at `offset`.
    fn source(&self, offset: usize) -> Source {
        let before = &self.text.as_bytes()[..offset.min(self.text.len())];
        let line = 1 + memchr::memchr_iter(b'\n', before).count();
        let of_line = &before[memchr::memrchr(b'\n', before).map_or(0, |end| end + 1)..];
        // Every byte but those that continue a character.
        let characters = of_line.iter().filter(|byte| **byte & 0xC0 != 0x80).count();
        Source::File {
            path: self.path.to_owned(),
            line,
            column: characters + 1,
        }
    }
}

/// What to do about `key = value` without quotes in the line of the byte at `offset`; the value is not repeated.
fn quotes_hint(text: &str, offset: usize, message: &str) -> String {
    let start = text.as_bytes()[..offset.min(text.len())]
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |end| end + 1);
    let line = text[start..].lines().next().unwrap_or_default();
    let Some((key, value)) = line.split_once('=') else {
        return String::new();
    };
    let (key, value) = (key.trim(), value.trim());
    if value.starts_with('[') && message.contains("quoted") {
        return "; put each text in quotes".into();
    }
    let is_key = !key.is_empty()
        && key
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if is_key && value.starts_with(|c: char| !"\"'[{".contains(c)) {
        format!("; put it in quotes: {key} = \"…\"")
    } else {
        String::new()
    }
}

fn is_section(key: &str) -> bool {
    SETTINGS.iter().any(|setting| setting.section() == key)
}

fn raw(value: &Spanned<DeValue<'_>>) -> Raw {
    match value.get_ref() {
        DeValue::String(text) => Raw::String(text.to_string()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Raw::Integer(number),
            Err(_) => Raw::Other("integer of more than 64 bits"),
        },
        DeValue::Boolean(value) => Raw::Bool(*value),
        DeValue::Array(items) => Raw::Array(items.iter().map(raw).collect()),
        other => Raw::Other(other.type_str()),
    }
}
