//! Runs `trident explain`.

use anyhow::Context;
use std::{
    fs,
    io::{self, Read, Write},
    path::Path,
};
use trident::{
    app::Explainer,
    cli::{self, ExplainCommand},
    exit::{ExitCode, Stop},
    explain::Verdict,
    remedy::Trying,
};

use crate::sample;

/// Most bytes read from a file or standard input.
const INPUT_BYTES_MAX: u64 = 64 << 20;

/// Shortest text without a parameter's name that is taken for a `cc`: what packs the smallest chain is longer.
const CC_BYTES_MIN: usize = 40;

/// Prints an explanation of every request that was named; ends with 1 when one of them is INVALID.
pub fn run(command: ExplainCommand) -> Result<(), Stop> {
    let requests = requests(&command.inputs, command.stdin)?;
    if requests.is_empty() {
        let message =
            "no request in what was read; one per line is expected: a URL, /PATH or a cc text";
        return Err(Stop::new(ExitCode::Usage, message));
    }
    let mut options = cli::read_config(command.settings)?.config().app;
    let asks_store = |request: &Vec<u8>| memchr::memmem::find(request, b"/twitter?").is_some();
    if options.twitter.store.is_none() && requests.iter().any(asks_store) {
        options.twitter.store = sample::store()
            .inspect_err(|warning| {
                let _ = writeln!(io::stderr(), "trident: warning: {warning}");
            })
            .ok()
            .map(Into::into);
    }
    let explainer = Explainer::new(options);
    let mut invalid = false;
    for (index, request) in requests.iter().enumerate() {
        let explanation = explainer
            .explain(request)
            .map_err(|error| Stop::new(ExitCode::Usage, error.to_string()))?;
        if requests.len() > 1 {
            cli::print(&format!("request {}\n", index + 1))?;
        }
        cli::print(&explanation.to_string())?;
        invalid |= matches!(explanation.verdict, Verdict::Invalid(_));
    }
    if invalid {
        return Err(Stop::silent(ExitCode::Failure));
    }
    Ok(())
}

fn requests(inputs: &[String], stdin: bool) -> Result<Vec<Vec<u8>>, Stop> {
    let mut requests = Vec::new();
    for input in inputs {
        if Path::new(input).exists() {
            let file = fs::File::open(input).and_then(read);
            requests.extend(lines(
                &file
                    .map_err(Trying::Read.explained())
                    .with_context(|| format!("cannot read {input}"))
                    .context(ExitCode::Usage)?,
            ));
        } else if looks_like_a_file(input) {
            let message = format!(
                "cannot read {input}: no such file; a short cc text is given as cc={input}"
            );
            return Err(Stop::new(ExitCode::Usage, message));
        } else {
            requests.push(input.clone().into_bytes());
        }
    }
    if stdin {
        let text = read(io::stdin().lock())
            .map_err(Trying::Read.explained())
            .context("cannot read standard input")
            .context(ExitCode::Usage)?;
        requests.extend(lines(&text));
    }
    Ok(requests)
}

/// Whether `input` cannot be meant as a request: it names a file that is not there.
fn looks_like_a_file(input: &str) -> bool {
    let is_request = ["?", "=", "://"].iter().any(|sign| input.contains(sign))
        || input.starts_with(['{', '['])
        || input.contains(char::is_whitespace) && input.contains(" /");
    let Some(parent) = Path::new(input).parent() else {
        return false;
    };
    let is_route = input.starts_with('/') && parent == Path::new("/") && !input.contains('.');
    let in_a_directory = input.contains('/') && parent.is_dir();
    !is_request
        && !is_route
        && (input.contains('.') || in_a_directory || input.len() < CC_BYTES_MIN)
}

fn read(input: impl Read) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    input.take(INPUT_BYTES_MAX).read_to_end(&mut text)?;
    Ok(text)
}

/// The requests of a text: one per line, or all of it when it begins as JSON does.
fn lines(text: &[u8]) -> Vec<Vec<u8>> {
    if text.trim_ascii_start().starts_with(b"{") {
        return vec![text.to_vec()];
    }
    text.split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty())
        .map(<[u8]>::to_vec)
        .collect()
}
