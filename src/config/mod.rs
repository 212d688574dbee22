//! Configuration: flag, environment, file, default, in this order of precedence.
//!
//! ```text
//! file ──→ Given ┐
//! env  ──→ Given ├─ field by field, later source wins ─→ Draft ─→ check ─→ Config
//! flags ─→ Given ┘                 (table: type, bounds)         (relations, machine)
//! ```
//!
//! `cli` collects the flags, `main` calls [`load`] and hands the parts of [`Config`] to the modules that
//! own them; no module knows this one. Every given value must be right even if a stronger source overrides
//! it, so that a mistake in the file shows at once and not when a flag is dropped. All errors are reported
//! at once. Everything is read and checked before a port is bound.
//!
//! Adding a setting: a field in its options struct, an entry in `table`, then
//! `trident documents config > config/trident.toml`.
//!
//! `source`, `file`: where values come from. `table` with `setting`, `field`, `value`, `quantity`: what they may be;
//! `nearest` suggests a name. `check` with `system_limits`: whether they fit together and the machine. `loaded`: the
//! result; `report`, `document`: the result and the table for people.

mod check;
pub(crate) mod document;
mod field;
mod file;
mod loaded;
mod nearest;
pub(crate) mod quantity;
pub mod report;
mod setting;
mod source;
mod system_limits;
mod table;
#[cfg(test)]
mod tests;
mod value;

pub use loaded::{Config, Loaded};
pub(crate) use nearest::nearest;
pub(crate) use setting::Setting;
pub(crate) use source::{ConfigError, ENV_CONFIG, Flag, Source};
pub(crate) use system_limits::SystemLimits;
pub(crate) use table::SETTINGS;
pub(crate) use value::Raw;

use crate::remedy::Trying;
use setting::Draft;
use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

/// Read when neither `--config` nor `TRIDENT_CONFIG` names a file and this one exists.
pub const DEFAULT_FILE: &str = "/etc/trident/trident.toml";

/// Where to look for values.
pub struct Sources {
    /// File named on the command line.
    pub file: Option<PathBuf>,
    /// File read when none is named and it exists.
    pub default_file: PathBuf,
    /// The environment. Only variables that begin with `TRIDENT_` are read.
    pub environment: Vec<(OsString, OsString)>,
    /// Flags in the order of the command line.
    pub flags: Vec<Flag>,
    /// Limits to compare with.
    pub system: SystemLimits,
}

impl Sources {
    /// The sources of this process, completed by what `cli` found.
    pub fn of_process(file: Option<PathBuf>, flags: Vec<Flag>) -> Self {
        Self {
            file,
            default_file: DEFAULT_FILE.into(),
            environment: std::env::vars_os().collect(),
            flags,
            system: SystemLimits::present(),
        }
    }
}

/// Reads all sources and checks the result.
///
/// # Errors
/// All mistakes, in the order file, environment, flags, relations. Relations are checked only if all single
/// values are right.
pub fn load(sources: Sources) -> Result<Loaded, Vec<ConfigError>> {
    let mut errors = Vec::new();
    let path = file_to_read(&sources).map_err(|error| vec![error])?;
    let mut readings = Vec::new();
    if let Some((path, named_by)) = &path {
        match fs::read_to_string(path) {
            Ok(text) => readings.push(file::parse(&text, path)),
            Err(error) => errors.push(unreadable(path, named_by, &error)),
        }
    }
    readings.push(source::environment(&sources.environment));
    readings.push(source::command_line(sources.flags));
    let mut loaded = Loaded {
        draft: Draft::default(),
        sources: BTreeMap::new(),
        file: path.map(|(path, _)| path),
        warnings: Vec::new(),
    };
    for (given, more) in readings {
        errors.extend(more);
        errors.extend(
            given
                .into_iter()
                .filter_map(|given| loaded.take(given).err()),
        );
    }
    if errors.is_empty() {
        check::check(&mut loaded, sources.system, &mut errors);
    }
    if errors.is_empty() {
        Ok(loaded)
    } else {
        Err(errors)
    }
}

/// The file to read and who named it.
fn file_to_read(sources: &Sources) -> Result<Option<(PathBuf, Source)>, ConfigError> {
    if let Some(path) = &sources.file {
        return Ok(Some((path.clone(), Source::Flag("--config".into()))));
    }
    let variable = sources
        .environment
        .iter()
        .find(|(name, value)| name == ENV_CONFIG && !value.is_empty());
    if let Some((_, value)) = variable {
        return Ok(Some((value.into(), Source::Environment(ENV_CONFIG.into()))));
    }
    let path = &sources.default_file;
    match path.try_exists() {
        Ok(exists) => Ok(exists.then(|| (path.clone(), Source::Default))),
        Err(error) => Err(unreadable(path, &Source::Default, &error)),
    }
}

fn unreadable(path: &Path, named_by: &Source, error: &std::io::Error) -> ConfigError {
    let remedy = match error.kind() {
        ErrorKind::NotFound => "name a file that exists, or none",
        ErrorKind::InvalidData => "a configuration file is UTF-8 text",
        _ => Trying::Read.remedy(error),
    };
    ConfigError::new(
        named_by.clone(),
        format!("cannot read {}: {error}; {remedy}", path.display()),
    )
}
