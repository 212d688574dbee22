//! Runs `trident etl`: library calls, output of their results, exit codes.

use crate::{
    etl_blocks,
    etl_failure::{failed, is_closed_pipe, store_failed},
    overwrite,
};
use std::{
    fs,
    io::{self, Write},
    path::{self, Path, PathBuf},
};
use trident::{
    cli::{self, EtlCommand, EtlCompat, EtlResults, EtlRun, EtlSort, EtlStage},
    etl::{
        self, Options,
        blocks::merge,
        progress,
        read::list::{self, Listing},
        record::{compat::Compat, excluded::Excluded},
        run::pipe::{self, Order, Reducing},
        run::pipeline::{self, Earlier, MEMORY_BYTES_DEFAULT, TOP_DEFAULT},
        run::plot,
        run::report::{Report, write_notes},
        run::totals::{Building, SPARK_HISTORY},
        sink::store::StoreSink,
        stage::map::{Mapped, Reading},
    },
    exit::{ExitCode, Stop},
    remedy::Trying,
};

/// Stands for standard input or standard output.
const STREAM: &str = "-";
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
            let mut sink = StoreSink::create(output, *replace).map_err(store_failed)?;
            let report = match values {
                None => pipe::build(io::stdin().lock(), &order(sort), what, &mut sink),
                Some(values) => merge::build(values, what, &mut sink),
            };
            write_results(results, &report.map_err(failed)?)
        }
    }
}

fn whole(flags: &EtlRun) -> Result<(), Stop> {
    let options = options(flags)?;
    let progress = progress::for_stderr();
    let earlier = pipeline::earlier(&options).map_err(failed)?;
    if let Earlier::Complete(report) = &earlier {
        return write_results(&flags.results, report);
    }
    let listing = pipeline::listing(&options).map_err(failed)?;
    refuse_overwriting(flags, &listing)?;
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
    write_results(&flags.results, &report)
}

/// Results that would take the place of tweets, of the excluded hashtags or of one another.
fn refuse_overwriting(flags: &EtlRun, listing: &Listing) -> Result<(), Stop> {
    let results = &flags.results;
    let sources = listing.sources.iter().map(|source| source.path.as_path());
    overwrite::refuse(
        sources.chain(flags.exclude.as_deref()),
        [
            ("--top-file", results.top_file.as_ref()),
            ("--histogram-svg", results.histogram_svg.as_ref()),
            ("--histogram-csv", results.histogram_csv.as_ref()),
            ("--report-json", results.report_json.as_ref()),
        ],
    )
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

/// The files that were asked for, then the report: on standard output, unless a file has taken that.
fn write_results(flags: &EtlResults, report: &Report) -> Result<(), Stop> {
    let stream = PathBuf::from(STREAM);
    let top = flags.top.map(|count| {
        let file = flags.top_file.as_ref().unwrap_or(&stream);
        (file, report.tags.excluded_list(count))
    });
    let svg = flags
        .histogram_svg
        .as_ref()
        .map(|file| (file, plot::svg(&report.tags)));
    let csv = flags
        .histogram_csv
        .as_ref()
        .map(|file| (file, plot::csv(&report.tags)));
    let json = flags
        .report_json
        .as_ref()
        .map(|file| (file, format!("{:#}\n", report.to_json())));
    let mut stdout_taken = false;
    for (file, text) in [top, svg, csv, json].into_iter().flatten() {
        if file == Path::new(STREAM) {
            stdout_taken = true;
            cli::print(&text)?;
        } else {
            fs::write(file, text).map_err(|error| {
                let message = format!(
                    "cannot write {}: {error}; {}",
                    file.display(),
                    Trying::Write.remedy(&error)
                );
                Stop::new(ExitCode::Failure, message)
            })?;
        }
    }
    if stdout_taken {
        tell(&report.to_string());
        Ok(())
    } else {
        cli::print(&report.to_string())
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
