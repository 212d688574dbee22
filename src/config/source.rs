//! Sources of values: the environment, the command line, and the parts that they share with the file. A
//! source yields [`Given`] values in order of appearance and [`ConfigError`]s.

use super::{
    field::Rule,
    nearest::nearest,
    quantity::{self, Unit},
    setting::{ENV_PREFIX, Secrecy, Setting},
    table::{self, SETTINGS},
    value::{Raw, Value},
};
use std::{ffi::OsString, fmt, path::PathBuf};

/// Names the configuration file when `--config` does not.
pub const ENV_CONFIG: &str = "TRIDENT_CONFIG";

/// Where the value of a setting came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// No source gave a value.
    Default,
    /// A place in a file.
    File {
        /// The file as it was named.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// In characters, counted from 1.
        column: usize,
    },
    /// An environment variable.
    Environment(String),
    /// A flag, with its dashes.
    Flag(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line, column } => {
                write!(f, "{}:{line}:{column}", path.display())
            }
            Self::Environment(name) | Self::Flag(name) => f.write_str(name),
        }
    }
}

/// What a source gives for one setting.
pub struct Given {
    /// The setting.
    pub setting: &'static Setting,
    /// The value as written.
    pub raw: Raw,
    /// Where it was written.
    pub source: Source,
}

/// A flag as typed, before its key is known to exist.
pub struct Flag {
    /// With its dashes: `--listen`, `--set`.
    pub name: String,
    /// Key of the setting.
    pub key: String,
    /// Value or values.
    pub raw: Raw,
}

/// A mistake in the configuration: where, what, and how to correct it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Where; [`Source::Default`] if the mistake has no particular place.
    pub source: Source,
    /// What is wrong and what would be right.
    pub problem: String,
}

impl ConfigError {
    /// A error at `source`.
    pub fn new(source: Source, problem: impl Into<String>) -> Self {
        Self {
            source,
            problem: problem.into(),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.source {
            Source::Default => f.write_str(&self.problem),
            _ => write!(f, "{}: {}", self.source, self.problem),
        }
    }
}

/// Values and errors of one source.
pub type Reading = (Vec<Given>, Vec<ConfigError>);

/// Reads all variables that begin with our prefix. An empty one counts as not set, so that a unit or compose file can
/// switch a line off.
pub fn environment(variables: &[(OsString, OsString)]) -> Reading {
    let (mut given, mut errors) = Reading::default();
    for (name, value) in variables {
        let name = name.to_string_lossy();
        if !name.starts_with(ENV_PREFIX) || value.is_empty() || name == ENV_CONFIG {
            continue;
        }
        let source = Source::Environment(name.to_string());
        let setting = SETTINGS.iter().find(|setting| setting.env_name() == name);
        match (setting, value.to_str()) {
            (Some(setting), Some(text)) => {
                given.push(Given {
                    setting,
                    raw: Raw::Text(text.to_owned()),
                    source,
                });
            }
            (Some(_), None) => errors.push(ConfigError::new(source, "the value is not UTF-8")),
            (None, text) if is_service_link(&name, text.unwrap_or_default()) => {}
            (None, _) => {
                let hint = match nearest(&name[ENV_PREFIX.len()..]) {
                    Some(setting) => format!("did you mean `{}`?", setting.env_name()),
                    None => {
                        "`trident check-config --json` lists all; a variable of another program \
                             needs another prefix"
                            .into()
                    }
                };
                errors.push(ConfigError::new(
                    source,
                    format!("unknown variable; {hint}"),
                ));
            }
        }
    }
    (given, errors)
}

/// Whether Kubernetes or Docker made the variable for a service called `trident` or `trident-…`:
/// `TRIDENT_SERVICE_HOST`, `TRIDENT_SERVICE_PORT_HTTP`, `TRIDENT_PORT=tcp://…`,
/// `TRIDENT_PORT_8080_TCP_ADDR`. They are in every pod of the namespace, ours included.
fn is_service_link(name: &str, value: &str) -> bool {
    let protocol = ["tcp://", "udp://", "sctp://"]
        .iter()
        .any(|scheme| value.starts_with(scheme));
    let numbered = name.split_once("_PORT_").is_some_and(|(_, rest)| {
        let (port, rest) = rest.split_once('_').unwrap_or((rest, ""));
        port.bytes().all(|b| b.is_ascii_digit())
            && ["TCP", "UDP", "SCTP"]
                .iter()
                .any(|protocol| rest.starts_with(protocol))
    });
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
        || numbered
        || (name.ends_with("_PORT") && protocol)
}

/// Finds the settings of `flags`, which are in the order of the command line.
pub fn command_line(flags: Vec<Flag>) -> Reading {
    let (mut given, mut errors) = Reading::default();
    for Flag { name, key, raw } in flags {
        let source = Source::Flag(name);
        match table::find(&key) {
            Some(setting) => given.push(Given {
                setting,
                raw,
                source,
            }),
            None => errors.push(ConfigError::new(source, unknown_key(&key))),
        }
    }
    (given, errors)
}

/// The message about a key that does not exist.
pub fn unknown_key(key: &str) -> String {
    let hint = match nearest(key) {
        Some(setting) => format!("did you mean `{}`?", setting.key),
        None => "`trident check-config` lists all".into(),
    };
    format!("unknown key {key:?}; {hint}")
}

impl Given {
    /// Why this source must not give the setting; `None` if it may.
    pub fn refused(&self) -> Option<ConfigError> {
        let allowed = match self.setting.secrecy {
            Secrecy::Environment => matches!(self.source, Source::Environment(_)),
            Secrecy::Public | Secrecy::Hidden => true,
        };
        let problem = format!(
            "{}: a secret that others could read here; use {} or {}_file",
            self.setting.key,
            self.setting.env_name(),
            self.setting.key
        );
        (!allowed).then(|| ConfigError::new(self.source.clone(), problem))
    }

    /// The error of a value that does not fit. A secret is not repeated.
    pub fn mismatch(&self) -> ConfigError {
        let Self {
            setting,
            raw,
            source,
        } = self;
        let got = match setting.secrecy {
            Secrecy::Public => raw.echo(),
            Secrecy::Hidden | Secrecy::Environment => "something else (hidden)".into(),
        };
        let problem = format!(
            "{}: expected {}, got {got}{}",
            setting.key,
            setting.allowed(),
            self.remedy()
        );
        ConfigError::new(source.clone(), problem)
    }

    /// A hint for a right value, where the type does not give one.
    fn remedy(&self) -> String {
        if self.lacks_quotes() {
            return format!("; put it in quotes: {} = \"…\"", self.setting.name());
        }
        let unit = self.setting.quantity();
        let is_unread = |text| unit != Unit::Items && quantity::parse(text, unit).is_none();
        match self.setting.rule {
            Rule::Integer { .. } if self.raw.text().is_some_and(is_unread) => {
                format!("; write it as {}", unit.examples())
            }
            _ => String::new(),
        }
    }

    /// Whether a text stands in the file as a number, a date or a truth value.
    fn lacks_quotes(&self) -> bool {
        let bare = matches!(self.raw, Raw::Integer(_) | Raw::Bool(_) | Raw::Other(_));
        let is_text = !matches!(self.setting.default(), Value::Integer(_) | Value::Bool(_));
        bare && is_text && matches!(self.source, Source::File { .. })
    }
}
