//! The flags of settings, made from the table in `config`: a setting with a flag name has its own
//! flag, and `--set` reaches every setting.
//!
//! Values stay text here; `config` knows the types. Where flags repeat or overlap the later one
//! wins, so that a script can append an override; only lists such as `--listen` add up.

use crate::config::{self, Flag, Raw, SETTINGS, Setting, document};
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, error::ErrorKind};
use std::path::PathBuf;

const FILE: &str = "config";
const SET: &str = "set";

/// The flags as typed.
pub struct SettingFlags {
    /// Value of `--config`.
    pub file: Option<PathBuf>,
    /// Values of all others, in the order of the command line.
    pub flags: Vec<Flag>,
}

impl Args for SettingFlags {
    fn augment_args(command: Command) -> Command {
        let with_flags = SETTINGS.iter().filter_map(setting_flag);
        command.args(with_flags).arg(set_flag()).arg(file_flag())
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn setting_flag(setting: &'static Setting) -> Option<Arg> {
    let (flag, value_name) = setting.flag?;
    let help = document::capitalised(setting.summary);
    let long_help = format!(
        "{}. {}\n\n[default: {}; environment: {}; key: {}]",
        help,
        setting.reason,
        setting.default().plain(),
        setting.env_name(),
        setting.key,
    );
    Some(
        Arg::new(setting.key)
            .long(flag)
            .value_name(value_name)
            .help(help)
            .long_help(long_help)
            .action(ArgAction::Append),
    )
}

fn set_flag() -> Arg {
    Arg::new(SET)
        .long("set")
        .value_name("KEY=VALUE")
        .help("Set any setting by its key; repeatable")
        .long_help(
            "Set any setting by its key, for example `--set http.idle_timeout_ms=60000`; repeatable. \
             The value is written as in the environment: no quotes, lists with commas, numbers plain or as \
             10K, 64M and 30s. `trident check-config` lists all keys, config/trident.toml explains them. Of several values for \
             one key the last one wins.",
        )
        .action(ArgAction::Append)
}

fn file_flag() -> Arg {
    Arg::new(FILE)
        .long("config")
        .value_name("FILE")
        .help("Configuration file (TOML)")
        .long_help(format!(
            "Configuration file (TOML). config/trident.toml documents every key. Without this flag \
             the file named by {} is read, else {} if it exists; /dev/null means no file.\n\n\
             [environment: {0}]",
            config::ENV_CONFIG,
            config::DEFAULT_FILE,
        ))
        .value_parser(clap::value_parser!(PathBuf))
        .action(ArgAction::Append)
}

impl FromArgMatches for SettingFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags: Vec<(usize, Flag)> = SETTINGS
            .iter()
            .filter_map(|setting| typed(setting, matches))
            .collect();
        let pairs = matches.get_many::<String>(SET).into_iter().flatten();
        let places = matches.indices_of(SET).into_iter().flatten();
        for (place, pair) in places.zip(pairs) {
            flags.push((place, key_and_value(pair)?));
        }
        flags.sort_by_key(|(place, _)| *place);
        let file = matches
            .get_many::<PathBuf>(FILE)
            .and_then(Iterator::last)
            .cloned();
        Ok(Self {
            file,
            flags: flags.into_iter().map(|(_, flag)| flag).collect(),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The flag of `setting` with its place on the command line, if it was given.
fn typed(setting: &Setting, matches: &ArgMatches) -> Option<(usize, Flag)> {
    let (flag, _) = setting.flag?;
    let place = matches.indices_of(setting.key)?.next_back()?;
    let mut values: Vec<Raw> = matches
        .get_many::<String>(setting.key)?
        .cloned()
        .map(Raw::Text)
        .collect();
    let raw = if setting.is_list() {
        Raw::Array(values)
    } else {
        values.pop()?
    };
    Some((
        place,
        Flag {
            name: format!("--{flag}"),
            key: setting.key.to_owned(),
            raw,
        },
    ))
}

/// Splits `key=value`. The message does not repeat the text, which may hold a secret.
fn key_and_value(text: &str) -> Result<Flag, clap::Error> {
    let Some((key, value)) = text.split_once('=') else {
        let message = "--set: expected KEY=VALUE, for example --set workers=2";
        return Err(clap::Error::raw(ErrorKind::ValueValidation, message));
    };
    let (key, raw) = (key.trim().to_owned(), Raw::Text(value.to_owned()));
    Ok(Flag {
        name: "--set".into(),
        key,
        raw,
    })
}
