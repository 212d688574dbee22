//! Runs `trident gen`.

use crate::{etl_failure::store_failed, overwrite};
use anyhow::Context;
use std::{
    fs::{self, File},
    io::{self, BufWriter, ErrorKind, Write},
    path::Path,
};
use trident::{
    cli::{GenCommand, GenCorpus, GenTargets, GenTo, GenTweets},
    etl::sample,
    exit::{ExitCode, Stop},
    load,
    remedy::Trying,
    synth::{
        Dataset, Options, blockchain, is_of_share,
        output::{Form, write_lines},
        qrcode,
    },
};

/// Makes what was asked for.
pub fn run(what: &GenCommand) -> Result<(), Stop> {
    match what {
        GenCommand::Tweets {
            tweets,
            popular,
            to,
        } => {
            let written = [
                ("--output", Some(&to.output)),
                ("--popular", popular.as_ref()),
            ];
            overwrite::refuse([], written)?;
            let dataset = dataset(tweets);
            if let Some(file) = popular {
                fs::write(file, dataset.excluded_list())
                    .map_err(|error| cannot_write(file, &error))?;
            }
            write(tweets.lines, to, |index, out| {
                dataset.write_line(index, out)
            })
        }
        GenCommand::Queries { tweets, count, to } => {
            let dataset = dataset(tweets);
            write(*count, to, |index, out| {
                let mut target = String::from("/twitter?");
                dataset.write_query(index, tweets.lines, &mut target);
                out.extend_from_slice(target.as_bytes());
            })
        }
        GenCommand::Corpus { what, replace } => corpus(what, *replace),
        GenCommand::Blockchain(targets) => requests(targets, blockchain::write_target),
        GenCommand::Qrcode(targets) => {
            let generator = qrcode::Targets::default();
            requests(targets, |seed, index, invalid, out| {
                generator.write_target(seed, index, invalid, out)
            })
        }
    }
}

/// Writes the requests that `write_target` makes of the seed, an index and whether it is to be invalid.
fn requests(
    targets: &GenTargets,
    write_target: impl Fn(u64, u64, bool, &mut Vec<u8>) + Sync,
) -> Result<(), Stop> {
    let GenTargets {
        count,
        seed,
        invalid,
        to,
    } = targets;
    write(*count, to, |index, out| {
        write_target(*seed, index, is_of_share(index, *invalid), out)
    })
}

/// The store first: when it cannot be made, nothing is written.
fn corpus(what: &GenCorpus, replace: bool) -> Result<(), Stop> {
    if let Some(store) = &what.store {
        sample::write(store, replace).map_err(|failure| match failure {
            sample::Failure::Store(error) => store_failed(error),
            other => anyhow::Error::from(other)
                .context(format!("making the store {}", store.display()))
                .into(),
        })?;
    }
    let Some(output) = &what.output else {
        return Ok(());
    };
    let text = load::built_in_corpus().context("the built-in corpus is damaged")?;
    let lines: Vec<&[u8]> = text.trim_ascii_end().split(|byte| *byte == b'\n').collect();
    let to = GenTo {
        output: output.clone(),
        workers: Some(1),
    };
    write(lines.len() as u64, &to, |index, out| {
        out.extend_from_slice(lines[index as usize]);
    })
}

fn dataset(tweets: &GenTweets) -> Dataset {
    let usual = Options::for_lines(tweets.seed, tweets.lines);
    Dataset::new(Options {
        users: tweets.users.unwrap_or(usual.users),
        tags: tweets.tags.unwrap_or(usual.tags),
        valid_per_mille: (tweets.valid * 1000.0).round() as u64,
        ..usual
    })
}

fn write(
    lines: u64,
    to: &GenTo,
    write_line: impl Fn(u64, &mut Vec<u8>) + Sync,
) -> Result<(), Stop> {
    let workers = to
        .workers
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |cores| cores.get()));
    let form = match to.output.extension() {
        Some(extension) if extension == "gz" => Form::Gzip,
        _ => Form::Plain,
    };
    let written = if to.output == Path::new("-") {
        write_lines(lines, workers, form, &mut io::stdout(), write_line)
    } else {
        File::create(&to.output).and_then(|file| {
            let mut file = BufWriter::new(file);
            write_lines(lines, workers, form, &mut file, write_line)?;
            file.flush()
        })
    };
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(cannot_write(&to.output, &error))
        }
        _ => Ok(()),
    }
}

fn cannot_write(path: &Path, error: &io::Error) -> Stop {
    let message = format!(
        "cannot write {}: {error}; {}",
        path.display(),
        Trying::Write.remedy(error)
    );
    Stop::new(ExitCode::Failure, message)
}
