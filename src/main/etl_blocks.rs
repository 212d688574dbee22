//! Runs the stages of `trident etl` for a cluster engine, see docs/etl-spark.md.

use crate::etl_failure::{failed, is_closed_pipe};
use std::{
    io::{self, BufReader},
    path::{Path, PathBuf},
};
use trident::{
    cli::EtlSort,
    etl::{
        EtlError,
        blocks::stages::{self, Reducing, Sorting},
        read::list,
        record::{compat::Compat, excluded::Excluded},
        run::pipeline::MEMORY_BYTES_DEFAULT,
        stage::map::Reading,
    },
    exit::Stop,
};

/// Bytes read from the pipe at once.
const READ_BYTES: usize = 256 * 1024;

/// Tweets to blocks; `skip_bad_files` and what becomes of damaged strings are in one pair.
pub(crate) fn map(
    inputs: &[PathBuf],
    workers: usize,
    (skip_bad_files, compat): (bool, Compat),
    blocks: usize,
    name: Option<&str>,
) -> Result<(), Stop> {
    let workers = match workers {
        0 => std::thread::available_parallelism().map_or(1, |cores| cores.get()),
        workers => workers,
    };
    let sources = list::list(inputs).map_err(failed)?.sources;
    let reading = Reading {
        sources: &sources,
        skip_bad_files,
        compat,
    };
    ended(stages::map(reading, workers, blocks, name, io::stdout()))
}

/// Blocks to the blocks of the next stage; the length of the list of hashtags and whether history is kept are in one pair.
pub(crate) fn reduce(
    excluded: &Excluded,
    sort: &EtlSort,
    buckets: usize,
    (top, history): (usize, bool),
) -> Result<(), Stop> {
    let sorting = sorting(&sort.work_dir, sort.memory_bytes);
    let what = Reducing {
        buckets,
        top,
        history,
    };
    let stdout = io::stdout();
    ended(stages::reduce(input(), &sorting, excluded, what, stdout))
}

/// Blocks to a file of values, and one of the history.
pub(crate) fn values(
    files: (&Path, Option<&Path>),
    work_dir: &Path,
    memory_bytes: Option<usize>,
) -> Result<(), Stop> {
    let sorting = sorting(work_dir, memory_bytes);
    ended(stages::values(input(), &sorting, files, io::stdout()))
}

fn input() -> BufReader<io::StdinLock<'static>> {
    BufReader::with_capacity(READ_BYTES, io::stdin().lock())
}

fn sorting(work_dir: &Path, memory_bytes: Option<usize>) -> Sorting {
    Sorting {
        directory: work_dir.to_owned(),
        memory_bytes: memory_bytes.unwrap_or(MEMORY_BYTES_DEFAULT),
    }
}

/// A reader that closes our output is not a failure: the engine has abandoned the task.
fn ended(result: Result<(), EtlError>) -> Result<(), Stop> {
    match result {
        Err(error) if is_closed_pipe(&error) => Ok(()),
        result => result.map_err(failed),
    }
}
