//! Tests of the whole: sources in, values, errors and reports out.
//!
//! `precedence`: which source wins. `mistakes`: what is refused. `output`: report and documents. `secrets`: what is
//! never shown.

mod mistakes;
mod output;
mod precedence;
mod secrets;

use super::{
    field::{Field, Rule},
    setting::{Draft, Secrecy},
    source::Given,
    value::Value,
    *,
};
use std::os::unix::fs::PermissionsExt;

const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aAbBcCdDeEfF";

/// A directory of its own for one test.
struct TempDir(tempfile::TempDir);

impl TempDir {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }
}

/// Sources with the given file text, variables, and `--set` pairs, on a machine without limits.
fn sources(file: Option<PathBuf>, environment: &[(&str, &str)], set: &[(&str, &str)]) -> Sources {
    let flag = |(key, value): &(&str, &str)| Flag {
        name: "--set".into(),
        key: (*key).into(),
        raw: Raw::Text((*value).into()),
    };
    Sources {
        file,
        default_file: "/nonexistent/trident.toml".into(),
        environment: environment
            .iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect(),
        flags: set.iter().map(flag).collect(),
        system: SystemLimits::default(),
    }
}

fn from_environment(environment: &[(&str, &str)]) -> Result<Loaded, Vec<ConfigError>> {
    load(sources(None, environment, &[]))
}

fn from_flags(set: &[(&str, &str)]) -> Result<Loaded, Vec<ConfigError>> {
    load(sources(None, &[], set))
}

fn from_file(text: &str) -> Result<Loaded, Vec<ConfigError>> {
    let directory = TempDir::new();
    load(sources(
        Some(directory.file("trident.toml", text)),
        &[],
        &[],
    ))
}

/// The errors, one line each.
fn told(outcome: Result<Loaded, Vec<ConfigError>>) -> String {
    let errors = outcome.err().expect("the configuration is accepted");
    errors.iter().map(|error| format!("{error}\n")).collect()
}

/// A right value of `setting` other than its default, as flags take it and as the file does.
fn other_value(setting: &Setting) -> (String, Value) {
    let candidates = [
        "1",
        "2",
        "4096",
        "40960",
        "4194304",
        "header",
        "admin",
        "random",
        "false",
        "true",
        "/srv/store",
        "127.0.0.1:1",
        "http://a:1/b",
        "debug",
        "json",
        "rest",
        "SIGUSR2",
        KEY,
    ];
    let mut draft = Draft::default();
    for text in candidates {
        let accepted = (setting.field)(&mut draft)
            .read(&Raw::Text(text.into()), &setting.rule)
            .is_ok();
        let value = setting.value(&draft);
        if accepted && value != setting.default() {
            return (text.to_owned(), value);
        }
    }
    panic!("no candidate suits {}: add one", setting.key);
}

/// `load` without the relations between settings.
fn read_alone(setting: &'static Setting, raw: Raw, source: Source) -> Result<Loaded, ConfigError> {
    let mut loaded = Loaded {
        draft: Draft::default(),
        sources: BTreeMap::new(),
        file: None,
        warnings: Vec::new(),
    };
    loaded.take(Given {
        setting,
        raw,
        source,
    })?;
    Ok(loaded)
}
