//! A whole run: options, stages in order, resume, report.

use crate::etl::{
    error::EtlError,
    progress::Progress,
    read::{
        list::{self, Listing, Source},
        names::compression_of_name,
    },
    record::{compat::Compat, excluded::Excluded},
    run::nothing::{self, Found},
    run::report::{Report, StageReport},
    run::stages::{self, Context},
    run::workdir::{self, Plan, StageOutput, WorkDir},
    sink::user_sink::UserSink,
};
use std::{
    path::{Path, PathBuf},
    time::Instant,
};

/// Default memory for buffers and sorting. Together with the program, the blocks being parsed and allocator
/// slack it stays below 512 MiB (measured by `scripts/etl-soak`).
pub const MEMORY_BYTES_DEFAULT: usize = 640 << 20;
/// Least memory that is accepted.
pub const MEMORY_BYTES_MIN: usize = 16 << 20;
/// The original list of popular hashtags has 700 entries.
pub const TOP_DEFAULT: usize = 700;

/// Bounds of the number of partitions. A stage opens twice as many files; the upper bound keeps them below
/// the usual limit of 1,024.
const PARTITIONS_MIN: usize = 16;
const PARTITIONS_MAX: usize = 256;
/// Raw input per partition, small enough for a partition to be sorted in memory.
const INPUT_BYTES_PER_PARTITION: u64 = 128 << 20;
/// Compression ratio of tweets, assumed to estimate the raw size of a compressed file.
const COMPRESSION_RATIO: u64 = 10;

/// What to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// Files, directories, or `-` for standard input.
    pub inputs: Vec<PathBuf>,
    /// File of hashtags to leave out of the counts.
    pub exclude: Option<PathBuf>,
    /// Directory for intermediate files, on a disk with space for about half of the raw input. A repeated
    /// run resumes an interrupted one from there.
    pub work_dir: PathBuf,
    /// Threads; 0 for one per core.
    pub workers: usize,
    /// Memory for buffers and sorting, at least [`MEMORY_BYTES_MIN`].
    pub memory_bytes: usize,
    /// Partitions of the shuffles, a power of two up to 512; chosen by input size when `None`.
    pub partitions: Option<usize>,
    /// Make a store, or a list of hashtags, even if no tweet is kept.
    pub allow_empty: bool,
    /// Use damaged input files as far as they can be read, instead of ending the run.
    pub skip_bad_files: bool,
    /// What becomes of strings that are not Unicode.
    pub compat: Compat,
    /// Keep the work directory when the run is complete.
    pub keep_work_dir: bool,
    /// Number of most frequent hashtags in the report.
    pub top: usize,
    /// The name of the result, stored in the work directory so that a resumed run knows it, see
    /// [`earlier`].
    pub output: Option<PathBuf>,
    /// Give the sink all kept tweets and what is known about each user, for later updates.
    pub history: bool,
}

impl Options {
    /// Defaults for everything but input and work directory.
    pub fn new(inputs: Vec<PathBuf>, work_dir: PathBuf) -> Self {
        Self {
            inputs,
            exclude: None,
            work_dir,
            workers: 0,
            memory_bytes: MEMORY_BYTES_DEFAULT,
            partitions: None,
            allow_empty: false,
            skip_bad_files: false,
            compat: Compat::default(),
            keep_work_dir: false,
            top: TOP_DEFAULT,
            output: None,
            history: false,
        }
    }
}

/// Runs all stages that no earlier run in this work directory has finished, and gives every user's value to
/// `sink`.
pub fn run(
    options: &Options,
    sink: &mut dyn UserSink,
    progress: &dyn Progress,
) -> Result<Report, EtlError> {
    let mut run = Run::open(options, progress)?;
    run.finish_stages(&STAGES)?;
    let values_bytes: u64 = run.work.outputs("values")?.iter().sum();
    if values_bytes == 0 && !options.allow_empty {
        // Nothing is left to resume.
        let report = run.close(None)?;
        let kept = report.counts.valid;
        return Err(EtlError::NoContacts { kept });
    }
    let built = run.build(sink)?;
    run.close(Some(built))
}

/// Runs the stages up to the counting of hashtags. The report covers these stages.
pub fn count_tags(options: &Options, progress: &dyn Progress) -> Result<Report, EtlError> {
    let mut run = Run::open(options, progress)?;
    run.finish_stages(&STAGES[..TAG_STAGES])?;
    run.close(None)
}

/// The state of an earlier run with the same plan, work directory and output.
#[derive(Debug)]
pub enum Earlier {
    /// There was no such run, or it cannot have made the output.
    Nothing,
    /// The file of the output's name may be its result or something else.
    MayHaveBuilt,
    /// It was complete; its work directory is deleted now.
    Complete(Box<Report>),
}

/// Looks for a run that [`run()`] would resume, and ends it if it only had to delete its work directory.
pub fn earlier(options: &Options) -> Result<Earlier, EtlError> {
    let Some(output) = &options.output else {
        return Ok(Earlier::Nothing);
    };
    let plan = plan(options, &excluded(options)?)?;
    let work_dir = &options.work_dir;
    if let Some(report) = workdir::finish_closed(work_dir, &plan, output)? {
        return Ok(Earlier::Complete(Box::new(report)));
    }
    let [.., last] = &STAGES;
    Ok(
        if workdir::has_finished(work_dir, &plan, output, last.name)? {
            Earlier::MayHaveBuilt
        } else {
            Earlier::Nothing
        },
    )
}

/// A run under way, in its locked work directory.
struct Run<'o> {
    options: &'o Options,
    excluded: Excluded,
    plan: Plan,
    workers: usize,
    work: WorkDir,
    progress: &'o dyn Progress,
}

impl<'o> Run<'o> {
    fn open(options: &'o Options, progress: &'o dyn Progress) -> Result<Self, EtlError> {
        let excluded = excluded(options)?;
        let plan = plan(options, &excluded)?;
        let work = WorkDir::open(&options.work_dir, plan.clone(), options.output.clone())?;
        let workers = match options.workers {
            0 => std::thread::available_parallelism().map_or(1, |cores| cores.get()),
            workers => workers,
        };
        Ok(Self {
            options,
            excluded,
            plan,
            workers,
            work,
            progress,
        })
    }

    fn context(&self) -> Context<'_> {
        Context {
            plan: &self.plan,
            excluded: &self.excluded,
            workers: self.workers,
            memory_bytes: self.options.memory_bytes,
            progress: self.progress,
        }
    }

    fn finish_stages(&mut self, stages: &[Stage]) -> Result<(), EtlError> {
        for stage in stages {
            if self.work.is_finished(stage.name) {
                continue;
            }
            let total_bytes = total_bytes(&self.work, &self.plan, stage)?;
            self.progress.begin(stage.name, total_bytes);
            let began = Instant::now();
            let outcome = (stage.run)(&self.context(), &self.work)?;
            if stage.name == MAP {
                self.refuse_nothing(&Found {
                    counts: &outcome.counts,
                    examples: &outcome.examples,
                    left_out: &outcome.left_out,
                    skipped_files: &outcome.skipped_files,
                })?;
            }
            let report = StageReport::of(stage.name, began, outcome.read_bytes, self.workers);
            self.work.finish(report, outcome, stage.consumes)?;
            self.progress.end();
        }
        Ok(())
    }

    /// Ends a run that kept no tweet before its map stage counts as finished, so that the next run may read
    /// other files and an existing store stays.
    fn refuse_nothing(&self, found: &Found<'_>) -> Result<(), EtlError> {
        if found.counts.valid > 0 || self.options.allow_empty {
            return Ok(());
        }
        Err(nothing::error(found, self.plan.sources.as_slice()))
    }

    fn build(&self, sink: &mut dyn UserSink) -> Result<StageReport, EtlError> {
        let report = self.work.report();
        self.refuse_nothing(&Found {
            counts: &report.counts,
            examples: &report.examples,
            left_out: &report.left_out,
            skipped_files: &report.skipped_files,
        })?;
        let began = Instant::now();
        self.progress.begin("build", build_bytes(&self.work)?);
        let read_bytes = stages::build(&self.context(), &self.work, sink)?;
        self.progress.end();
        Ok(StageReport::of("build", began, read_bytes, 1))
    }

    fn close(self, built: Option<StageReport>) -> Result<Report, EtlError> {
        if !self.options.keep_work_dir {
            return self.work.close(built);
        }
        let mut report = self.work.report();
        report.stages.extend(built);
        Ok(report)
    }
}

struct Stage {
    name: &'static str,
    run: fn(&Context<'_>, &WorkDir) -> Result<StageOutput, EtlError>,
    /// Directories that no later stage needs.
    consumes: &'static [&'static str],
}

/// Number of [`STAGES`] up to the counting of hashtags.
const TAG_STAGES: usize = 3;

/// The stage that reads the input.
const MAP: &str = "map";

/// The stages before `build`, in order.
const STAGES: [Stage; 5] = [
    Stage {
        name: MAP,
        run: stages::map,
        consumes: &[],
    },
    Stage {
        name: "tweets",
        run: stages::tweets,
        consumes: &["tweets"],
    },
    Stage {
        name: "tags",
        run: stages::tags,
        consumes: &["tags"],
    },
    Stage {
        name: "users",
        run: stages::users,
        consumes: &["events"],
    },
    Stage {
        name: "values",
        run: stages::values,
        consumes: &["base", "peers", "counts"],
    },
];

fn total_bytes(work: &WorkDir, plan: &Plan, stage: &Stage) -> Result<u64, EtlError> {
    let directory = match stage.name {
        MAP => return Ok(plan.sources.iter().map(|source| source.bytes).sum()),
        "users" => "events",
        "values" => "peers",
        own_name => own_name,
    };
    Ok(work.outputs(directory)?.iter().sum())
}

fn build_bytes(work: &WorkDir) -> Result<u64, EtlError> {
    ["kept", "user_states", "values"]
        .iter()
        .try_fold(0, |total, name| {
            Ok(total + work.outputs(name)?.iter().sum::<u64>())
        })
}

fn excluded(options: &Options) -> Result<Excluded, EtlError> {
    match &options.exclude {
        Some(path) => Excluded::load(path),
        None => Ok(Excluded::default()),
    }
}

fn plan(options: &Options, excluded: &Excluded) -> Result<Plan, EtlError> {
    if options.memory_bytes < MEMORY_BYTES_MIN {
        let least = MEMORY_BYTES_MIN >> 20;
        return Err(EtlError::Usage(format!(
            "memory must be at least {least} MiB"
        )));
    }
    let sources = listing(options)?.sources;
    let partitions = match options.partitions {
        Some(n) if n.is_power_of_two() && n <= 512 => n,
        Some(n) => {
            let rule = "must be a power of two up to 512";
            return Err(EtlError::Usage(format!("partitions={n} {rule}")));
        }
        None => partitions_for(&sources),
    };
    Ok(Plan {
        sources,
        exclude_sha256: excluded.sha256(),
        partitions,
        skip_bad_files: options.skip_bad_files,
        compat: options.compat,
        top: options.top,
        history: options.history,
    })
}

/// The files that a run reads. Work directory and output are left out: both hold files named like inputs,
/// and change from one attempt to the next.
pub fn listing(options: &Options) -> Result<Listing, EtlError> {
    let ours =
        [Some(&options.work_dir), options.output.as_ref()].map(|path| path.map(PathBuf::as_path));
    let ours: Vec<&Path> = ours.into_iter().flatten().collect();
    list::list_without(&options.inputs, &ours)
}

fn partitions_for(sources: &[Source]) -> usize {
    if sources.iter().any(Source::is_stdin) {
        return PARTITIONS_MAX;
    }
    let raw_bytes = |source: &Source| match compression_of_name(&source.path) {
        Some(_) => source.bytes.saturating_mul(COMPRESSION_RATIO),
        None => source.bytes,
    };
    let total = sources
        .iter()
        .map(raw_bytes)
        .fold(0u64, u64::saturating_add);
    let wanted = (total / INPUT_BYTES_PER_PARTITION).min(PARTITIONS_MAX as u64) as usize;
    wanted.next_power_of_two().max(PARTITIONS_MIN)
}
