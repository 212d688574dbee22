//! Runs `trident explain`.

use anyhow::Context;
use std::{
    fs,
    io::{self, Read},
    path::Path,
};
use trident::{
    app::Explainer,
    cli::{self, ExplainCommand},
    exit::{ExitCode, Stop},
};

use crate::sample;

/// Most bytes read from a file or standard input.
const INPUT_BYTES_MAX: u64 = 64 << 20;

/// Prints an explanation of every request that was named.
pub fn run(command: ExplainCommand) -> Result<(), Stop> {
    let requests = requests(&command.inputs, command.stdin)?;
    let mut options = cli::read_config(command.settings)?.config().app;
    let asks_store = |request: &Vec<u8>| memchr::memmem::find(request, b"/twitter?").is_some();
    if options.twitter.store.is_none() && requests.iter().any(asks_store) {
        options.twitter.store = sample::store().map(Into::into);
    }
    let explainer = Explainer::new(options);
    for (index, request) in requests.iter().enumerate() {
        let explanation = explainer
            .explain(request)
            .map_err(|error| Stop::new(ExitCode::Usage, error.to_string()))?;
        if requests.len() > 1 {
            cli::print(&format!("request {}\n", index + 1))?;
        }
        cli::print(&explanation.to_string())?;
    }
    Ok(())
}

fn requests(inputs: &[String], stdin: bool) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut requests = Vec::new();
    for input in inputs {
        if Path::new(input).is_file() {
            let file = fs::File::open(input).and_then(read);
            requests.extend(lines(
                &file.with_context(|| format!("cannot read {input}"))?,
            ));
        } else {
            requests.push(input.clone().into_bytes());
        }
    }
    if stdin {
        let text = read(io::stdin().lock()).context("cannot read standard input")?;
        requests.extend(lines(&text));
    }
    Ok(requests)
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
