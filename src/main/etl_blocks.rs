//! Runs the stages of `trident etl` for a cluster engine, see docs/etl-spark.md.

use crate::etl_failure::{failed, is_closed_pipe, store_failed};
use std::{
    io::{self, BufReader},
    path::{Path, PathBuf},
};
use trident::{
    cli::{EtlResults, EtlSort},
    etl::{
        EtlError,
        blocks::{merge, stages, stages::Sorting},
        read::list,
        record::{compat::Compat, excluded::Excluded},
        run::pipeline::{MEMORY_BYTES_DEFAULT, TOP_DEFAULT},
        run::report::Report,
        sink::store::StoreSink,
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

/// Blocks to the blocks of the next stage.
pub(crate) fn reduce(
    exclude: Option<&Path>,
    sort: &EtlSort,
    blocks: usize,
    top: Option<usize>,
) -> Result<(), Stop> {
    let excluded = match exclude {
        Some(path) => Excluded::load(path).map_err(failed)?,
        None => Excluded::default(),
    };
    let sorting = sorting(&sort.work_dir, sort.memory_bytes);
    let sizes = (blocks, top.unwrap_or(TOP_DEFAULT));
    let stdout = io::stdout();
    ended(stages::reduce(input(), &sorting, &excluded, sizes, stdout))
}

/// Blocks to a file of values.
pub(crate) fn values(
    output: &Path,
    work_dir: &Path,
    memory_bytes: Option<usize>,
) -> Result<(), Stop> {
    let sorting = sorting(work_dir, memory_bytes);
    ended(stages::values(input(), &sorting, output, io::stdout()))
}

/// Files of values to a store.
pub(crate) fn build(
    values: &Path,
    output: &Path,
    (replace, allow_empty): (bool, bool),
    results: &EtlResults,
) -> Result<Report, Stop> {
    let mut sink = StoreSink::create(output, replace).map_err(store_failed)?;
    let top = results.top.unwrap_or(TOP_DEFAULT);
    merge::build(values, allow_empty, top, &mut sink).map_err(failed)
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
