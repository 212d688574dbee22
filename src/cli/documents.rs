//! `trident documents`: files for packages, made from the same definitions that the program runs on.

use super::{Cli, output, text};
use crate::{
    config::{SETTINGS, Setting, document},
    exit::{ExitCode, Stop},
    metrics::reference,
    remedy::Trying,
};
use clap::{CommandFactory, Subcommand};
use clap_complete::Shell;
use clap_mangen::{
    Man,
    roff::{Roff, bold, roman},
};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The job for Spark: the one that fits the blocks of this program.
const SPARK_JOB: &str = include_str!("../../scripts/spark/trident_etl.py");

/// What to write.
#[derive(Subcommand)]
pub enum Documents {
    /// Write a completion script to standard output: `trident completions`
    #[command(skip)]
    Completions {
        /// The shell to write for
        shell: Shell,
    },
    /// Write the man pages into a directory, or trident.1 to standard output
    Man {
        /// Where to put trident.1 and a page for each subcommand; made if missing
        directory: Option<PathBuf>,
    },
    /// Write the documented configuration file to standard output
    Config,
    /// Write the reference page of the metrics to standard output
    Metrics,
    /// Write the job for Spark, trident_etl.py, to standard output
    Spark,
}

/// Writes what was asked for.
///
/// # Errors
/// [`ExitCode::Failure`] if a file or standard output cannot be written.
pub fn write_document(what: &Documents) -> Result<(), Stop> {
    match what {
        Documents::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "trident", &mut script);
            output::print(&String::from_utf8_lossy(&script))
        }
        Documents::Man { directory: None } => {
            output::print(&page(Cli::command()).map_err(anyhow::Error::from)?)
        }
        Documents::Man {
            directory: Some(directory),
        } => write_pages(directory).map_err(|error| {
            let message = format!(
                "cannot write man pages to {}: {error}; {}",
                directory.display(),
                Trying::Write.remedy(&error)
            );
            Stop::new(ExitCode::Failure, message)
        }),
        Documents::Config => output::print(&document::toml()),
        Documents::Spark => output::print(SPARK_JOB),
        Documents::Metrics => output::print(&reference::page(&crate::app::reasons())),
    }
}

/// Writes `trident.1` and `trident-<subcommand>.1` into `directory`.
fn write_pages(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let mut command = Cli::command();
    command.build();
    let subcommands = command.get_subcommands().filter(|sub| !sub.is_hide_set());
    for page_of in std::iter::once(&command).chain(subcommands) {
        // Set by `build`: `trident`, `trident-serve`.
        let name = page_of
            .get_display_name()
            .unwrap_or_else(|| page_of.get_name());
        fs::write(directory.join(format!("{name}.1")), page(page_of.clone())?)?;
    }
    Ok(())
}

/// The man page of `command`: clap's sections for its flags, ours for the rest.
fn page(mut command: clap::Command) -> io::Result<String> {
    let whole = command.get_name() == "trident";
    let usage = command.render_usage().to_string();
    let man = Man::new(command.version(super::VERSION));
    let mut out = Vec::new();
    man.render_title(&mut out)?;
    // Names of keys and variables are there to be copied: no hyphens in them. Without hyphens, lines
    // stretched to full width would have wide gaps.
    let mut roff = Roff::new();
    roff.control("nh", []);
    roff.control("ad", ["l"]);
    roff.to_writer(&mut out)?;
    man.render_name_section(&mut out)?;
    synopsis(&usage, &mut out)?;
    man.render_description_section(&mut out)?;
    man.render_options_section(&mut out)?;
    if whole {
        man.render_subcommands_section(&mut out)?;
        settings(&mut out)?;
        common(&mut out)?;
    } else {
        see_also(&mut out)?;
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}

/// The lines of clap's usage text; its own synopsis lists every flag without its value.
fn synopsis(usage: &str, out: &mut Vec<u8>) -> io::Result<()> {
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]);
    for line in usage.trim_start_matches("Usage:").lines() {
        roff.text([roman(line.trim())]);
        roff.control("br", []);
    }
    roff.to_writer(out)
}

/// Every setting with its default, bounds and names.
fn settings(out: &mut Vec<u8>) -> io::Result<()> {
    let mut roff = Roff::new();
    roff.control("SH", ["SETTINGS"]);
    roff.text([roman(
        "In the file, `a.b` is the key b of the section [a]. The flag --set takes every key but \
         auth.key.",
    )]);
    for setting in SETTINGS {
        roff.control("TP", []);
        roff.text([bold(setting.key)]);
        roff.text([roman(format!(
            "{} {}",
            document::sentence(setting.summary),
            setting.reason
        ))]);
        roff.control("RS", []);
        roff.text([roman(names(setting))]);
        roff.control("RE", []);
    }
    roff.to_writer(out)
}

/// Default, bounds and other names of a setting.
fn names(setting: &Setting) -> String {
    let mut names = format!(
        "Default: {}. Expected: {}. Environment: {}.",
        setting.default(),
        setting.allowed(),
        setting.env_name()
    );
    if let Some((flag, value)) = setting.flag {
        names.push_str(&format!(" Flag: --{flag} {value}."));
    }
    names
}

/// What the page of a subcommand leaves to the main page.
fn see_also(out: &mut Vec<u8>) -> io::Result<()> {
    let mut roff = Roff::new();
    roff.control("SH", ["SEE ALSO"]);
    roff.text([
        bold("trident"),
        roman("(1) has all settings, the environment and the exit status."),
    ]);
    roff.to_writer(out)
}

/// Examples, environment, files and exit status.
fn common(out: &mut Vec<u8>) -> io::Result<()> {
    let mut roff = Roff::new();
    roff.control("SH", ["EXAMPLES"]);
    for (command, purpose) in text::EXAMPLES {
        roff.control("TP", []);
        roff.text([bold(*command)]);
        roff.text([roman(document::sentence(purpose))]);
    }
    roff.control("SH", ["ENVIRONMENT"]);
    for (name, meaning) in text::environment() {
        roff.control("TP", []);
        roff.text([bold(name)]);
        roff.text([roman(meaning)]);
    }
    roff.control("SH", ["FILES"]);
    roff.control("TP", []);
    roff.text([bold(crate::config::DEFAULT_FILE)]);
    roff.text([roman(
        "Configuration, read if it exists and no other file is named.",
    )]);
    roff.control("SH", ["EXIT STATUS"]);
    for (code, meaning) in ExitCode::ALL {
        roff.control("TP", []);
        roff.text([bold((code as u8).to_string())]);
        roff.text([roman(document::sentence(meaning))]);
    }
    roff.to_writer(out)
}
