//! The command line: subcommands, flags and their help.
//!
//! Called by `main` only. [`parse`] turns arguments into an [`Invocation`] and runs nothing, except
//! that help and version are printed here. The flags of settings are not listed here: they come
//! from the table in `config`, see `flags`. Only this folder knows `clap`.
//!
//! A file per command: `etl` and `etl_import`, `explain`, `load`, `store`, `synth` (`gen`), `documents`. `flags` are
//! those of settings, `value` parses the others, `text` has the help's sections, `output` writes results.

mod documents;
mod etl;
mod etl_import;
mod explain;
mod flags;
mod load;
mod output;
mod store;
mod synth;
#[cfg(test)]
mod tests;
mod text;
mod value;

pub use documents::{Documents, write_document};
pub use etl::{EtlCommand, EtlCompat, EtlResources, EtlResults, EtlRun, EtlSort, EtlStage};
pub use etl_import::{DatabaseUrl, EtlImport};
pub use explain::ExplainCommand;
pub use flags::SettingFlags;
pub use load::{LoadCommand, LoadTask};
pub use output::{closed_is_success, print};
pub use store::StoreCommand;
pub use synth::{GenCommand, GenCorpus, GenTargets, GenTo, GenTweets};

use crate::{
    config::{self, Loaded},
    exit::{ExitCode, Stop},
};
use clap::{
    Parser, Subcommand,
    error::{ContextKind, ContextValue, ErrorKind},
};
use clap_complete::Shell;
use std::ffi::OsString;

/// Version, commit and build profile: `0.1.0 (1fe81c34f46c release)`.
pub const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("BUILD_ID"), ")");

#[derive(Parser)]
#[command(
    name = "trident",
    version = VERSION,
    about = text::ABOUT,
    long_about = text::ABOUT_LONG,
    after_help = text::AFTER_HELP,
    after_long_help = text::after_long_help(),
    args_conflicts_with_subcommands = true,
    max_term_width = 100,
)]
struct Cli {
    #[command(flatten)]
    settings: SettingFlags,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve all endpoints; the default without a subcommand
    ///
    /// Serves /blockchain, /qrcode and /twitter until SIGTERM or SIGINT, then drains: see
    /// drain.accept_ms and drain.deadline_ms. A second signal ends the process at once. `serve` may be
    /// left out: `trident --workers 2` is `trident serve --workers 2`.
    #[command(after_help = text::AFTER_HELP, after_long_help = text::after_long_help())]
    Serve {
        #[command(flatten)]
        settings: SettingFlags,
    },
    /// Print every effective setting and where it came from, then exit
    ///
    /// Takes the same flags, environment and file as `serve` and checks them in the same way, but
    /// opens no port. The table goes to standard output, warnings and errors to standard error; the
    /// exit status is 64 if `serve` would not start.
    #[command(after_help = text::AFTER_HELP, after_long_help = text::after_long_help())]
    CheckConfig {
        /// Print one JSON object instead of a table
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        settings: SettingFlags,
    },
    /// Explain requests: what they hold, and the answer or the rule they break
    ///
    /// Decodes a request as a server would and prints the chain, the matrix or the query. For an INVALID one it
    /// names the first rule that is broken with its section of docs/protocol, the expected and the found value;
    /// for a valid one it prints the answer. Opens no port. Keys, identity, bounds and the store come from
    /// the same flags, environment and file as those of `serve`.
    #[command(after_help = text::AFTER_HELP, after_long_help = text::EXPLAIN_EXAMPLES)]
    Explain(Box<ExplainCommand>),
    /// Make a store of /twitter from tweets
    ///
    /// Reads tweets, one JSON object per line, drops what the protocol drops, keeps one tweet per id,
    /// and writes one value per user, on all cores and in bounded memory. An interrupted run is resumed by
    /// the same command; the store has its name only when it is complete. The subcommands are the
    /// stages by themselves, reading standard input and writing standard output.
    #[command(after_long_help = text::ETL_EXAMPLES)]
    Etl(Box<EtlCommand>),
    /// Make up tweets, or requests to any endpoint
    ///
    /// Everything is a pure function of the flags: the same flags give the same bytes on every machine.
    Gen {
        #[command(subcommand)]
        what: GenCommand,
    },
    /// Check, describe, print, copy or bring back a store of /twitter
    ///
    /// All of these may run while a server has the store open. A store is a directory; what `snapshot`
    /// makes is a store too.
    Store {
        #[command(subcommand)]
        what: StoreCommand,
    },
    /// Put load on servers, check every answer, give a score
    ///
    /// Without arguments it starts a temporary server, loads it for ten seconds with the built-in corpus
    /// and prints throughput, latencies, correctness and a score per endpoint. The exit status is 1 when
    /// an answer was wrong, a request failed or a --require was not met. docs/load.md is the manual.
    Load(Box<LoadCommand>),
    /// Write a completion script for a shell to standard output
    ///
    /// bash: `trident completions bash > ~/.local/share/bash-completion/completions/trident`. zsh: into a directory of
    /// $fpath, as _trident. fish: `trident completions fish > ~/.config/fish/completions/trident.fish`. Packages
    /// install all three.
    Completions {
        /// The shell to write for
        shell: Shell,
    },
    /// Write the man page, the documented configuration file or the metrics' reference
    #[command(hide = true, alias = "generate")] // its former name
    Documents {
        #[command(subcommand)]
        what: Documents,
    },
}

/// What was asked for.
pub enum Invocation {
    /// Serve until stopped.
    Serve(SettingFlags),
    /// Print the configuration.
    CheckConfig {
        /// The flags to check.
        settings: SettingFlags,
        /// As JSON.
        json: bool,
    },
    /// Explain requests.
    Explain(Box<ExplainCommand>),
    /// Make a store, or run one stage of it.
    Etl(Box<EtlCommand>),
    /// Make up tweets or requests.
    Gen(GenCommand),
    /// Work on a store.
    Store(StoreCommand),
    /// Put load on servers.
    Load(Box<LoadCommand>),
    /// Write one of the documents that are made from these definitions.
    Documents(Documents),
}

/// Reads the arguments, the program's name first.
///
/// # Errors
/// Also the successful end after help or version. A wrong argument is [`ExitCode::Usage`], and the
/// message names the nearest right one.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Invocation, Stop> {
    let cli = Cli::try_parse_from(arguments).map_err(stopped)?;
    Ok(match cli.command {
        None => Invocation::Serve(cli.settings),
        Some(Command::Serve { settings }) => Invocation::Serve(settings),
        Some(Command::CheckConfig { json, settings }) => Invocation::CheckConfig { settings, json },
        Some(Command::Explain(command)) => Invocation::Explain(command),
        Some(Command::Etl(command)) => Invocation::Etl(command),
        Some(Command::Gen { what }) => Invocation::Gen(what),
        Some(Command::Store { what }) => Invocation::Store(what),
        Some(Command::Load(command)) => Invocation::Load(command),
        Some(Command::Completions { shell }) => {
            Invocation::Documents(Documents::Completions { shell })
        }
        Some(Command::Documents { what }) => Invocation::Documents(what),
    })
}

/// Prints help or version; for a mistake returns a message.
fn stopped(error: clap::Error) -> Stop {
    let code = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::Success,
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => ExitCode::Usage,
        kind => {
            let message = wrong(kind, &error.render().to_string());
            return Stop::new(ExitCode::Usage, message + &setting_hint(&error));
        }
    };
    output::closed_is_success(error.print())
        .err()
        .unwrap_or(Stop::silent(code))
}

/// The mistake, the nearest right argument and the usage, in clap's words.
fn wrong(kind: ErrorKind, rendered: &str) -> String {
    let message = rendered
        .strip_prefix("error: ")
        .unwrap_or(rendered)
        .trim_end();
    match message.split_once('\n') {
        Some((first, _))
            if kind == ErrorKind::ArgumentConflict && first.starts_with("the subcommand") =>
        {
            format!("{first}; write the subcommand first and its flags after it")
        }
        _ => message.to_owned(),
    }
}

/// The setting that an unknown flag of the server may mean, if clap knows no similar flag.
fn setting_hint(error: &clap::Error) -> String {
    let is_of_server = |usage: &str| {
        ["[OPTIONS]", "--", "serve", "check-config", "explain"]
            .iter()
            .any(|command| usage.contains(&format!("Usage: trident {command}")))
    };
    let typed = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(typed)) if error.kind() == ErrorKind::UnknownArgument => typed,
        _ => return String::new(),
    };
    // A negative number is a value, and no value is negative.
    if typed
        .trim_start_matches('-')
        .starts_with(|c: char| c.is_ascii_digit())
    {
        return String::new();
    }
    let rendered = error.render().to_string();
    let setting =
        config::nearest(typed.trim_start_matches('-')).filter(|_| is_of_server(&rendered));
    setting.map_or_else(String::new, |setting| match setting.flag {
        Some((flag, _)) if rendered.contains(&format!("'--{flag}'")) => String::new(),
        Some((flag, value)) => format!("\n\ndid you mean `--{flag} {value}`?"),
        None => format!("\n\ndid you mean `--set {}=…`?", setting.key),
    })
}

/// Reads and checks the whole configuration.
///
/// # Errors
/// [`ExitCode::Usage`] with one message per mistake.
pub fn read_config(settings: SettingFlags) -> Result<Loaded, Stop> {
    let sources = config::Sources::of_process(settings.file, settings.flags);
    config::load(sources).map_err(|errors| Stop {
        code: ExitCode::Usage,
        messages: errors.iter().map(ToString::to_string).collect(),
    })
}

/// Prints the report of `loaded` on standard output.
///
/// # Errors
/// Standard output cannot be written. A reader that has gone is not an error.
pub fn print_config(loaded: &Loaded, json: bool) -> Result<(), Stop> {
    output::print(&if json {
        config::report::json(loaded)
    } else {
        config::report::text(loaded)
    })
}
