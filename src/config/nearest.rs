//! Suggests the setting that a mistyped name probably means.

use super::{
    setting::Setting,
    table::{self, SETTINGS},
};

/// Names of settings in other servers, and their keys here, which are too different for a spelling suggestion.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("account", "team.aws_account"),
    ("addr", "listen"),
    ("address", "listen"),
    ("admin_addr", "admin"),
    ("admin_address", "admin"),
    ("admin_host", "admin"),
    ("admin_listen", "admin"),
    ("admin_port", "admin"),
    ("auth_secret", "auth.key"),
    ("bind", "listen"),
    ("bind_address", "listen"),
    ("cache", "cache_bytes"),
    ("cache_size", "cache_bytes"),
    ("concurrency", "workers"),
    ("data_dir", "twitter.store"),
    ("database", "twitter.store"),
    ("database_url", "twitter.store"),
    ("db", "twitter.store"),
    ("debug", "log.level"),
    ("drain_timeout", "drain.deadline_ms"),
    ("host", "listen"),
    ("http_port", "listen"),
    ("key", "auth.key"),
    ("keepalive_timeout", "http.idle_timeout_ms"),
    ("keep_alive_timeout", "http.idle_timeout_ms"),
    ("level", "log.level"),
    ("loglevel", "log.level"),
    ("max_connections", "http.connections_max"),
    ("metrics_port", "admin"),
    ("port", "listen"),
    ("secret", "auth.key"),
    ("secret_key", "auth.key"),
    ("server_port", "listen"),
    ("shutdown_timeout", "drain.deadline_ms"),
    ("team_id", "team.name"),
    ("threads", "workers"),
    ("token", "admin_token"),
    ("verbose", "log.level"),
];

/// The setting most similar to `typed`, if one is similar enough: the same name under another section, or at most a
/// quarter of the letters wrong. Dots and case do not count, so this also works for variables.
pub fn nearest(typed: &str) -> Option<&'static Setting> {
    let typed = typed.replace(['.', '-'], "_").to_lowercase();
    let distance = |setting: &Setting| {
        let key = setting.key.replace('.', "_");
        let edits = strsim::damerau_levenshtein(&typed, &key);
        let edits_of_name = strsim::damerau_levenshtein(&typed, setting.name());
        let moved =
            typed.ends_with(&format!("_{}", setting.name())) || key.ends_with(&format!("_{typed}"));
        let distance = if moved { 1 } else { edits.min(edits_of_name) };
        (distance <= (key.len() / 4).max(2)).then_some((distance, edits))
    };
    let near = SETTINGS
        .iter()
        .filter_map(|setting| Some((distance(setting)?, setting)));
    let known_as = OTHER_NAMES
        .iter()
        .find(|(name, _)| *name == typed)
        .and_then(|(_, key)| table::find(key));
    known_as.or_else(|| {
        near.min_by_key(|(distance, _)| *distance)
            .map(|(_, setting)| setting)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_names_lead_to_settings_and_are_none() {
        for (name, key) in OTHER_NAMES {
            assert!(table::find(key).is_some(), "{key}");
            assert!(table::find(name).is_none(), "{name}");
            assert_eq!(nearest(name).map(|setting| setting.key), Some(*key));
            let flag = name.replace('_', "-").to_uppercase();
            assert_eq!(nearest(&flag).map(|setting| setting.key), Some(*key));
        }
    }
}
