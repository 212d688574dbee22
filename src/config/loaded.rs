//! The result of reading all sources: values, the source of each, and warnings. [`super::load`] fills it,
//! `check` checks it.

use super::{
    setting::Draft,
    source::{ConfigError, Given, Source},
};
use std::{collections::BTreeMap, path::PathBuf};

/// Every setting, validated.
#[derive(Clone, Default)]
pub struct Config {
    /// Listeners, workers, limits.
    pub serve: crate::serve::Options,
    /// Identity and endpoints.
    pub app: crate::app::Options,
    /// Level and format of the log.
    pub log: crate::log::Options,
}

/// A complete configuration with its sources. Has no `Debug`, because it holds the key.
pub struct Loaded {
    pub(super) draft: Draft,
    pub(super) sources: BTreeMap<&'static str, Source>,
    /// The file that was read.
    pub file: Option<PathBuf>,
    /// Warnings: values that work but are probably mistakes; one line each.
    pub warnings: Vec<String>,
}

impl Loaded {
    /// The settings as the rest of the program gets them.
    pub fn config(&self) -> Config {
        let Draft {
            serve, app, log, ..
        } = self.draft.clone();
        Config { serve, app, log }
    }

    /// Where the value of the setting `key` came from.
    pub fn source(&self, key: &str) -> &Source {
        self.sources.get(key).unwrap_or(&Source::Default)
    }

    /// How many settings were given by a source.
    pub fn given_count(&self) -> usize {
        self.sources.len()
    }

    pub(super) fn set_source(&mut self, key: &'static str, source: Source) {
        self.sources.insert(key, source);
    }

    /// Takes one value, or returns why it cannot.
    pub(super) fn take(&mut self, given: Given) -> Result<(), ConfigError> {
        if let Some(error) = given.refused() {
            return Err(error);
        }
        let setting = given.setting;
        let field = (setting.field)(&mut self.draft);
        let measured = setting.measured(&given.raw);
        field
            .read(measured.as_ref().unwrap_or(&given.raw), &setting.rule)
            .map_err(|_| given.mismatch())?;
        self.set_source(setting.key, given.source);
        Ok(())
    }
}
