//! Runs `trident load`.

use crate::{overwrite, result_file::ResultFile};
use anyhow::{Context, anyhow};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use std::{
    env, fs,
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
};
use trident::{
    cli::{self, LoadCommand, LoadTask},
    exit::{ExitCode, Stop},
    load::{
        self, Agents, Identity, Lifetime, LoadError, Options, Progress, Report, Source, report,
    },
    remedy::Trying,
};

/// Runs the test, writes its report; an unmet requirement is [`ExitCode::Failure`].
pub fn run(command: LoadCommand) -> Result<(), Stop> {
    if let Some(LoadTask::Compare { a, b, html }) = &command.task {
        return compare(a, b, html.as_ref());
    }
    let stop = Arc::new(AtomicBool::new(false));
    let hangup = (!is_hangup_ignored()).then_some(SIGHUP);
    for signal in [SIGINT, SIGQUIT, SIGTERM].into_iter().chain(hangup) {
        signal_hook::flag::register(signal, Arc::clone(&stop))
            .map_err(Trying::Start.explained())
            .context("cannot catch signals")?;
    }
    if let Some(address) = &command.agent {
        return agent(&command, address, &stop);
    }
    refuse_overwriting(&command)?;
    let options = options(&command)?;
    let files = ReportFiles::open(&command)?;
    let mut stderr = io::stderr();
    let mut progress = Progress {
        terminal: stderr.is_terminal().then_some(columns as fn() -> usize),
        quiet: command.quiet,
        out: &mut stderr,
    };
    let ended = load::run(&options, &mut progress, &stop).map_err(stopped)?;
    let report = ended.report;
    write(&command, files, &report)?;
    if let Some(error) = ended.not_recorded {
        return Err(stopped(error));
    }
    if report.passed {
        Ok(())
    } else {
        Err(Stop::silent(ExitCode::Failure))
    }
}

/// Reports and recordings that would take the place of requests, keys or one another.
fn refuse_overwriting(command: &LoadCommand) -> Result<(), Stop> {
    let read = [
        &command.scenario,
        &command.corpus,
        &command.url_list,
        &command.replay,
        &command.auth_key_file,
        &command.token_file,
    ];
    overwrite::refuse(
        read.into_iter().filter_map(|path| path.as_deref()),
        [
            ("--json", command.json.as_ref()),
            ("--html", command.html.as_ref()),
            ("--hdr", command.hdr.as_ref()),
            ("--record", command.record.as_ref()),
        ],
    )
}

/// Columns of the terminal that standard error is.
fn columns() -> usize {
    /// Of a terminal that does not say it, as some serial lines do not.
    const USUAL: u16 = 80;
    let size = rustix::termios::tcgetwinsize(io::stderr());
    let said = size
        .ok()
        .map(|size| size.ws_col)
        .filter(|columns| *columns > 0);
    said.unwrap_or(USUAL).into()
}

/// Runs what coordinators send, until a signal.
fn agent(command: &LoadCommand, address: &str, stop: &AtomicBool) -> Result<(), Stop> {
    let token = command.token_file.as_deref().map(token).transpose()?;
    let mut say = |line: &str| {
        // A closed standard output is no reason to end.
        let _ = cli::print(&format!("{line}\n"));
    };
    load::serve_agent(address, &token.unwrap_or_default(), &mut say, stop).map_err(stopped)
}

/// The secret that coordinator and agents share.
fn token(path: &Path) -> Result<Vec<u8>, Stop> {
    /// A shorter one could be guessed.
    const BYTES_MIN: usize = 16;
    let text = fs::read_to_string(path)
        .map_err(Trying::Read.explained())
        .with_context(|| format!("cannot read {}", path.display()))?;
    let token = text.trim().as_bytes().to_vec();
    if token.len() < BYTES_MIN {
        let message = format!(
            "{}: a token of {BYTES_MIN} bytes or more is expected; `openssl rand -hex 32` makes one",
            path.display()
        );
        return Err(Stop::new(ExitCode::Usage, message));
    }
    Ok(token)
}

/// Compares the reports of two runs.
fn compare(a: &Path, b: &Path, html: Option<&PathBuf>) -> Result<(), Stop> {
    let compared = report::compare::read(a, b).map_err(stopped)?;
    let file = html.map(|path| ResultFile::open(path)).transpose()?;
    cli::print(&compared.text())?;
    if let Some(file) = file {
        file.write(&compared.html())?;
    }
    Ok(())
}

/// Whether this was started with nohup(1), hence goes on without its terminal.
fn is_hangup_ignored() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask & 1 << (SIGHUP - 1) != 0)
}

/// A wrong command line has another exit code than a test that cannot be run.
fn stopped(error: LoadError) -> Stop {
    let code = match error {
        LoadError::Usage(_) | LoadError::Corpus { .. } | LoadError::Input { .. } => ExitCode::Usage,
        LoadError::Target { .. } | LoadError::Agent { .. } | LoadError::TemporaryServer(_) => {
            ExitCode::Unavailable
        }
        LoadError::File { .. } | LoadError::System { .. } => ExitCode::Failure,
    };
    Stop::new(code, error.to_string())
}

fn options(command: &LoadCommand) -> Result<Options, Stop> {
    let command = command.clone();
    let (targets, source) = sources(&command);
    Ok(Options {
        identity: Identity {
            auth_key: auth_key(command.auth_key_file.as_deref())?,
            team: command.team,
            account: command.aws_account,
        },
        source,
        targets,
        replay_speed: command.replay_speed,
        duration: command.duration,
        requests: command.requests,
        warmup: command.warmup,
        connections: command.connections as usize,
        rate: command.rate,
        pipeline: command.pipeline as usize,
        mix: command.mix,
        scenario: command.scenario,
        agents: Agents {
            token: match &command.token_file {
                Some(path) => token(path)?,
                None => Vec::new(),
            },
            addresses: command.agents,
        },
        workers: command.workers as usize,
        check: !command.no_check,
        timeout: command.timeout,
        lifetime: Lifetime {
            requests: command.connection_requests,
            age: command.connection_time,
        },
        goal: command.goal,
        requirements: command.requirements,
        find: command.find,
        hdr: command.hdr,
        record: command.record,
        preflight: !command.no_preflight,
        version: cli::VERSION,
        command: command_line(),
    })
}

/// Servers and where requests come from. URLs with a path are requests.
fn sources(command: &LoadCommand) -> (Vec<String>, Source) {
    let given = command.corpus.clone().map(Source::Corpus);
    let given = given.or_else(|| command.url_list.clone().map(Source::Urls));
    let given = given.or_else(|| command.replay.clone().map(Source::AccessLog));
    let targets = command.targets.iter().cloned();
    match given {
        None if !Source::are_servers(&command.urls) => {
            (targets.collect(), Source::These(command.urls.clone()))
        }
        given => (
            command.urls.iter().cloned().chain(targets).collect(),
            given.unwrap_or(Source::BuiltIn),
        ),
    }
}

/// The command line as a shell would take it. No flag takes a secret.
fn command_line() -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,%@+".contains(c);
    let quoted = |argument: String| {
        if !argument.is_empty() && argument.chars().all(plain) {
            argument
        } else {
            format!("'{}'", argument.replace('\'', "'\\''"))
        }
    };
    let arguments = env::args_os().skip(1);
    let arguments = arguments.map(|argument| quoted(argument.to_string_lossy().into_owned()));
    ["trident".to_owned()]
        .into_iter()
        .chain(arguments)
        .collect::<Vec<_>>()
        .join(" ")
}

/// The key of tokens, from the file or the environment; it is never repeated in a message.
fn auth_key(file: Option<&Path>) -> Result<Option<[u8; 32]>, Stop> {
    let (source, text) = match file {
        Some(path) => {
            let read = fs::read_to_string(path);
            let read = read
                .map_err(Trying::Read.explained())
                .with_context(|| format!("cannot read {}", path.display()))?;
            (path.display().to_string(), read)
        }
        None => match env::var("TRIDENT_AUTH_KEY") {
            Ok(text) if !text.is_empty() => ("TRIDENT_AUTH_KEY".into(), text),
            _ => return Ok(None),
        },
    };
    let key = load::digest(text.trim());
    key.map(Some)
        .map_err(|message| Stop::from(anyhow!(message).context(source).context(ExitCode::Usage)))
}

/// Files for reports. They are opened before the run, so that a wrong path does not cost one.
struct ReportFiles {
    html: Option<ResultFile>,
    json: Option<ResultFile>,
}

impl ReportFiles {
    fn open(command: &LoadCommand) -> anyhow::Result<Self> {
        let json = command.json.as_ref();
        let json = json.filter(|path| path.as_os_str() != "-");
        Ok(Self {
            html: command.html.as_deref().map(ResultFile::open).transpose()?,
            json: json.map(|path| ResultFile::open(path)).transpose()?,
        })
    }
}

/// The figures go to standard output first: a file that cannot be written must not cost them.
fn write(command: &LoadCommand, files: ReportFiles, report: &Report) -> Result<(), Stop> {
    let json = serde_json::to_string_pretty(report).context("the report did not become JSON")?;
    let json = json + "\n";
    if command.json.is_some() && files.json.is_none() {
        cli::print(&json)?;
    } else {
        cli::print(&report::text::render(report))?;
    }
    if let Some(file) = files.html {
        file.write(&report::html::render(report))?;
    }
    if let Some(file) = files.json {
        file.write(&json)?;
    }
    Ok(())
}
