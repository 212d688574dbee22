//! What `trident check-config` prints: every effective value and where it came from.
//!
//! ```text
//! KEY                    VALUE             SOURCE
//! listen                 ["0.0.0.0:8080"]  default
//! http.idle_timeout_ms   60000             /etc/trident/trident.toml:12:19
//! auth.key               set (hidden)      TRIDENT_AUTH_KEY
//! ```

use super::{Loaded, Source, table::SETTINGS, value::Value};
use serde_json::json;

/// Longest value the value column grows for, in characters; a longer one moves its own line's
/// source to the right.
const VALUE_CHARS_MAX: usize = 40;

/// The table, aligned, for people and `grep`.
pub fn text(loaded: &Loaded) -> String {
    let rows: Vec<[String; 3]> = SETTINGS
        .iter()
        .map(|setting| {
            let source = loaded.source(setting.key).to_string();
            [
                setting.key.to_owned(),
                loaded.shown(setting).to_string(),
                source,
            ]
        })
        .collect();
    let width = |column: usize, chars_max: usize| {
        let chars = rows.iter().map(|row| row[column].chars().count());
        chars
            .filter(|chars| *chars <= chars_max)
            .max()
            .unwrap_or_default()
    };
    let (key, value) = (width(0, usize::MAX), width(1, VALUE_CHARS_MAX));
    let header = ["KEY", "VALUE", "SOURCE"].map(str::to_owned);
    let mut out = String::new();
    for [name, shown, source] in std::iter::once(&header).chain(&rows) {
        out.push_str(&format!("{name:key$}  {shown:value$}  {source}\n"));
    }
    out
}

/// The same as one JSON object: `file`, `settings` and `warnings`. A secret has the value `null`
/// and says under `set` whether there is one.
pub fn json(loaded: &Loaded) -> String {
    let settings: Vec<serde_json::Value> = SETTINGS
        .iter()
        .map(|setting| {
            let shown = loaded.shown(setting);
            let mut entry = json!({
                "key": setting.key,
                "value": shown.json(),
                "default": setting.default().json(),
                "source": source_json(loaded.source(setting.key)),
                "environment": setting.env_name(),
                "flag": setting.flag.map(|(name, _)| format!("--{name}")),
                "unit": setting.unit(),
            });
            if let Value::Secret { set } = shown {
                entry["set"] = set.into();
            }
            entry
        })
        .collect();
    let file = loaded.file.as_ref().map(|path| path.display().to_string());
    let report = json!({ "file": file, "settings": settings, "warnings": loaded.warnings });
    format!("{report:#}\n")
}

fn source_json(source: &Source) -> serde_json::Value {
    match source {
        Source::Default => json!({ "kind": "default" }),
        Source::File { path, line, column } => {
            let path = path.display().to_string();
            json!({ "kind": "file", "path": path, "line": line, "column": column })
        }
        Source::Environment(name) => json!({ "kind": "environment", "name": name }),
        Source::Flag(name) => json!({ "kind": "flag", "name": name }),
    }
}
