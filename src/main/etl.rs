//! Runs `trident etl`: library calls, output of their results, exit codes.

use crate::{
    etl_blocks,
    etl_failure::{failed, is_closed_pipe, store_failed},
    etl_results::{Results, files_in},
};
use std::{
    io::{self, Write},
    path::{self, Path, PathBuf},
};
use trident::{
    cli::{EtlCommand, EtlCompat, EtlRun, EtlSort, EtlStage},
    etl::{
        self, Options,
        blocks::merge,
        progress,
        read::list::{self, Listing},
        record::{compat::Compat, excluded::Excluded},
        run::pipe::{self, Order, Reducing},
        run::pipeline::{self, Earlier, MEMORY_BYTES_DEFAULT, TOP_DEFAULT},
        run::report::write_notes,
        run::totals::{Building, SPARK_HISTORY},
        sink::store::StoreSink,
        stage::map::{Mapped, Reading},
    },
    exit::{ExitCode, Stop},
};

const WORK_DIR_WITHOUT_OUTPUT: &str = "trident-etl.work";

/// Does what was asked.
pub fn run(command: &EtlCommand) -> Result<(), Stop> {
    match &command.stage {
        None => whole(&command.run),
        Some(EtlStage::Map {
            inputs,
            workers,
            skip_bad_files,
            compat,
            blocks,
            name,
        }) => match blocks {
            None => map(inputs, workers.unwrap_or(0), *skip_bad_files, *compat),
            Some(blocks) => {
                let reading = (*skip_bad_files, meant(*compat));
                let workers = workers.unwrap_or(0);
                etl_blocks::map(inputs, workers, reading, *blocks, name.as_deref())
            }
        },
        Some(EtlStage::Import(what)) => crate::etl_import::run(what),
        Some(EtlStage::Reduce {
            exclude,
            sort,
            blocks,
            top,
            keep_history,
        }) => {
            let (top, history) = (top.unwrap_or(TOP_DEFAULT), *keep_history);
            let excluded = excluded(exclude.as_deref())?;
            match blocks {
                None => reduce(&excluded, sort, Reducing { top, history }),
                Some(blocks) => etl_blocks::reduce(&excluded, sort, *blocks, (top, history)),
            }
        }
        Some(EtlStage::Values {
            output,
            history,
            work_dir,
            memory_bytes,
        }) => etl_blocks::values((output, history.as_deref()), work_dir, *memory_bytes),
        Some(EtlStage::Build {
            output,
            replace,
            allow_empty,
            values,
            keep_history,
            exclude,
            results,
            sort,
        }) => {
            let excluded = excluded(exclude.as_deref())?;
            let what = Building {
                allow_empty: *allow_empty,
                top: results.top.unwrap_or(TOP_DEFAULT),
                history: keep_history.then_some(&excluded),
            };
            let blocks = values.as_deref().map(files_in).unwrap_or_default();
            let read = blocks
                .iter()
                .map(PathBuf::as_path)
                .chain(exclude.as_deref());
            let written = Results::open(results, read)?;
            let mut sink = StoreSink::create(output, *replace).map_err(store_failed)?;
            let report = match values {
                None => pipe::build(io::stdin().lock(), &order(sort), what, &mut sink),
                Some(values) => merge::build(values, what, &mut sink),
            };
            written.write(&report.map_err(failed)?)
        }
    }
}

fn whole(flags: &EtlRun) -> Result<(), Stop> {
    let options = options(flags)?;
    let progress = progress::for_stderr();
    let earlier = pipeline::earlier(&options).map_err(failed)?;
    let (earlier, listing) = match earlier {
        Earlier::Complete(report) => {
            let read = flags.exclude.as_deref();
            return Results::open(&flags.results, read)?.write(&report);
        }
        earlier => (earlier, pipeline::listing(&options).map_err(failed)?),
    };
    let sources = listing.sources.iter().map(|source| source.path.as_path());
    let read = sources.chain(flags.exclude.as_deref());
    let results = Results::open(&flags.results, read)?;
    tell_left_out(&listing);
    let report = match &options.output {
        None => etl::count_tags(&options, &*progress),
        Some(output) => {
            let sink = match earlier {
                Earlier::MayHaveBuilt if !flags.replace => StoreSink::resume(output),
                _ => StoreSink::create(output, flags.replace),
            };
            etl::run(&options, &mut sink.map_err(store_failed)?, &*progress)
        }
    };
    let report = report.map_err(|error| resumable(failed(error), &options.work_dir))?;
    results.write(&report)
}

fn options(flags: &EtlRun) -> Result<Options, Stop> {
    let absolute = |path: &PathBuf| {
        path::absolute(path).map_err(|error| {
            Stop::new(
                ExitCode::Usage,
                format!("--output {}: {error}", path.display()),
            )
        })
    };
    if flags.keep_history && flags.compat == EtlCompat::Spark {
        return Err(Stop::new(ExitCode::Usage, SPARK_HISTORY));
    }
    let work_dir = match (&flags.work_dir, &flags.output) {
        (Some(given), _) => given.clone(),
        (None, Some(output)) => output.with_added_extension("work"),
        (None, None) => WORK_DIR_WITHOUT_OUTPUT.into(),
    };
    Ok(Options {
        exclude: flags.exclude.clone(),
        workers: flags.resources.workers.unwrap_or(0),
        memory_bytes: flags.resources.memory_bytes.unwrap_or(MEMORY_BYTES_DEFAULT),
        partitions: flags.partitions,
        allow_empty: flags.allow_empty,
        skip_bad_files: flags.skip_bad_files,
        compat: meant(flags.compat),
        keep_work_dir: flags.keep_work_dir,
        history: flags.keep_history,
        top: flags.results.top.unwrap_or(TOP_DEFAULT),
        output: flags.output.as_ref().map(absolute).transpose()?,
        ..Options::new(flags.inputs.clone(), work_dir)
    })
}

fn meant(compat: EtlCompat) -> Compat {
    match compat {
        EtlCompat::Replace => Compat::Replace,
        EtlCompat::Spark => Compat::Spark,
    }
}

fn map(
    inputs: &[PathBuf],
    workers: usize,
    skip_bad_files: bool,
    compat: EtlCompat,
) -> Result<(), Stop> {
    let progress = progress::for_stderr();
    let workers = match workers {
        0 => std::thread::available_parallelism().map_or(1, |cores| cores.get()),
        workers => workers,
    };
    let listing = list::list(inputs).map_err(failed)?;
    tell_left_out(&listing);
    let sources = listing.sources;
    progress.begin("map", sources.iter().map(|source| source.bytes).sum());
    let reading = Reading {
        sources: &sources,
        skip_bad_files,
        compat: meant(compat),
    };
    let mapped = pipe::map(reading, workers, &mut io::stdout(), &*progress);
    let Mapped {
        counts,
        skipped_files,
        examples,
        left_out,
        ..
    } = match mapped {
        Err(error) if is_closed_pipe(&error) => return Ok(()),
        mapped => mapped.map_err(failed)?,
    };
    progress.end();
    let mut text = counts.to_string();
    // Nothing fails that is written to a string.
    let _ = write_notes(&mut text, &counts, &examples, &skipped_files, &left_out);
    tell(&text);
    Ok(())
}

fn excluded(list: Option<&Path>) -> Result<Excluded, Stop> {
    match list {
        Some(path) => Excluded::load(path).map_err(failed),
        None => Ok(Excluded::default()),
    }
}

fn reduce(excluded: &Excluded, sort: &EtlSort, what: Reducing) -> Result<(), Stop> {
    let (stdin, mut stdout) = (io::stdin().lock(), io::stdout());
    let reduced = pipe::reduce(stdin, &order(sort), excluded, what, &mut stdout);
    match reduced {
        Err(error) if is_closed_pipe(&error) => Ok(()),
        reduced => {
            let counts = reduced.map_err(failed)?;
            tell(&match counts.tweets {
                0 => format!("profiles={}\n", counts.profiles),
                tweets => format!("tweets={tweets} duplicates={}\n", counts.duplicates),
            });
            Ok(())
        }
    }
}

fn order(sort: &EtlSort) -> Order {
    if !sort.sort {
        return Order::Sorted;
    }
    Order::Any {
        directory: sort.work_dir.clone(),
        memory_bytes: sort.memory_bytes.unwrap_or(MEMORY_BYTES_DEFAULT),
    }
}

/// Says that the work is not lost, if so.
fn resumable(mut stop: Stop, work_dir: &Path) -> Stop {
    if stop.code == ExitCode::Failure && work_dir.is_dir() {
        stop.messages.push(format!(
            "finished stages are kept in {}: when the cause is gone, the same command goes on from \
             there (a full disk may show as an input/output error of the store)",
            work_dir.display()
        ));
    }
    stop
}

/// Lists files in the directories that are not read.
fn tell_left_out(listing: &Listing) {
    if let Some(line) = listing.left_out_line() {
        tell(&format!("{line}\n"));
    }
}

/// Writes to standard error; a closed one is no failure.
fn tell(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}
