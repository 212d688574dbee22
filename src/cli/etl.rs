//! `trident etl`: the flags of a whole run and of its stages. Run by `main`; docs/etl.md tells more.

use super::value::{bytes, input, output, size};
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

/// What to do: a whole run, unless one stage is named.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct EtlCommand {
    /// The whole run.
    #[command(flatten)]
    pub run: EtlRun,
    /// One stage of it.
    #[command(subcommand)]
    pub stage: Option<EtlStage>,
}

/// Flags of a whole run.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct EtlRun {
    /// Files and directories of tweets, or -
    ///
    /// JSON lines, arrays or objects; plain, compressed (gzip, bzip2, zstd, xz), in tar or zip, UTF-8 or UTF-16; told by the
    /// first bytes. - is standard input. A directory stands for every .json, .jsonl, .ndjson, .tar, .zip, .gz, .bz2, .zst,
    /// .xz (in any letter case), part-* and tweets.js file below it; what else it holds is listed.
    #[arg(long = "input", value_name = "PATH", required = true, num_args = 1.., value_parser = input())]
    pub inputs: Vec<PathBuf>,
    /// Popular hashtags that do not count
    ///
    /// One per line, in any case. They are missing only in the counts for scores.
    #[arg(long, value_name = "FILE")]
    pub exclude: Option<PathBuf>,
    /// Directory of the store to make
    ///
    /// It has this name only when it is complete, synced and read back. May be left out when only
    /// hashtags are counted, with --top or --histogram-svg or --histogram-csv: such a run ends after
    /// the stage that counts them.
    #[arg(
        long,
        value_name = "STORE",
        value_parser = output(),
        required_unless_present_any = ["top", "histogram_svg", "histogram_csv"]
    )]
    pub output: Option<PathBuf>,
    /// Replace the store that has this name, in one step
    ///
    /// A server that has it open keeps reading the old store until a reload.
    #[arg(long, requires = "output")]
    pub replace: bool,
    #[command(flatten)]
    #[allow(missing_docs, reason = "its fields say it")]
    pub results: EtlResults,
    /// Intermediate files [default: STORE.work]
    ///
    /// A directory. Needs space for about as much as the kept part of the uncompressed input. Made if missing; removed
    /// when the run is complete. The same command resumes an interrupted run. Without --output the default is
    /// trident-etl.work.
    #[arg(long, value_name = "DIR")]
    pub work_dir: Option<PathBuf>,
    /// Keep the work directory when the run is complete
    #[arg(long)]
    pub keep_work_dir: bool,
    #[command(flatten)]
    #[allow(missing_docs, reason = "its fields say it")]
    pub resources: EtlResources,
    /// Files per shuffle [default: by input size]
    ///
    /// A power of two up to 512.
    #[arg(long, value_name = "N", value_parser = size)]
    pub partitions: Option<usize>,
    /// Keep what later updates of the store need
    ///
    /// Every kept tweet and the state of each user, for POST /twitter/tweets.
    #[arg(long, requires = "output")]
    pub keep_history: bool,
    /// Make a store even if no tweet is kept
    ///
    /// Without this such a run ends with 65, and a store of this name stays.
    #[arg(long)]
    pub allow_empty: bool,
    /// Use damaged input files as far as they can be read
    ///
    /// They are named in the report. Without this the first one ends the run.
    #[arg(long)]
    pub skip_bad_files: bool,
    /// Damaged text: replace or spark
    #[arg(
        long,
        value_name = "HOW",
        default_value = "replace",
        hide_possible_values = true
    )]
    pub compat: EtlCompat,
}

/// What is written beside the store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct EtlResults {
    /// Write the N most frequent hashtags
    ///
    /// A list for --exclude: one per line, the most frequent first, to --top-file. All hashtags are
    /// counted, excluded ones included.
    #[arg(long, value_name = "N", value_parser = size)]
    pub top: Option<usize>,
    /// Where --top writes [default: standard output]
    #[arg(long, value_name = "FILE", requires = "top")]
    pub top_file: Option<PathBuf>,
    /// Draw how many hashtags occur how often
    ///
    /// Both axes are logarithmic; - is standard output.
    #[arg(long, value_name = "FILE")]
    pub histogram_svg: Option<PathBuf>,
    /// Write the same as CSV
    ///
    /// Lines of occurrences,tags; - is standard output.
    #[arg(long, value_name = "FILE")]
    pub histogram_csv: Option<PathBuf>,
    /// Write the report as JSON; - for standard output
    #[arg(long, value_name = "FILE")]
    pub report_json: Option<PathBuf>,
}

/// What becomes of strings that are not Unicode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EtlCompat {
    /// Keep the tweet; U+FFFD for bytes that are not UTF-8 and for halves of surrogate pairs
    Replace,
    /// As Spark's JSON reader: drop a line that is not UTF-8; ? for halves of surrogate pairs
    Spark,
}

/// What a run may take of the machine.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct EtlResources {
    /// Threads [default: one per core]
    #[arg(long, value_name = "N", value_parser = size)]
    pub workers: Option<usize>,
    /// Memory for buffers [default: 640M]
    ///
    /// For buffers and sorting, in bytes or as 512M or 2G, at least 16M. On two cores the whole process stays below 512 MiB at the default, however large the input.
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub memory_bytes: Option<usize>,
}

/// The stages through pipes, for a cluster engine that shuffles between them itself, and what may come
/// after the last one.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum EtlStage {
    /// Read tweets, write one record per kept line
    ///
    /// The report goes to standard error. Records are in no order.
    Map {
        /// Files and directories of tweets [default: -]
        ///
        /// - is standard input.
        #[arg(
            long = "input",
            value_name = "PATH",
            num_args = 1..,
            default_value = "-",
            hide_default_value = true
        )]
        inputs: Vec<PathBuf>,
        /// Threads [default: one per core]
        #[arg(long, value_name = "N", value_parser = size)]
        workers: Option<usize>,
        /// Use damaged input files as far as they can be read
        #[arg(long)]
        skip_bad_files: bool,
        /// Damaged text: replace or spark
        #[arg(
            long,
            value_name = "HOW",
            default_value = "replace",
            hide_possible_values = true
        )]
        compat: EtlCompat,
        /// Write blocks for a cluster engine, of N partitions
        ///
        /// A power of two up to 512. docs/etl-spark.md tells the rest.
        #[arg(long, value_name = "N", value_parser = size)]
        blocks: Option<usize>,
        /// What the report calls standard input
        #[arg(long, value_name = "NAME", requires = "blocks")]
        name: Option<String>,
    },
    /// Read sorted records, write the records of the next stage
    ///
    /// Run it twice: the records of `map` become records by user, those become pairs. The first
    /// record says which. All records of one key must come together, sorted by bytes.
    Reduce {
        /// Popular hashtags that do not count
        ///
        /// Needed by the first of the two only.
        #[arg(long, value_name = "FILE")]
        exclude: Option<PathBuf>,
        #[command(flatten)]
        #[allow(missing_docs, reason = "its fields say it")]
        sort: EtlSort,
        /// Read and write blocks of N partitions, for Spark
        ///
        /// The same N as in `map`.
        #[arg(long, value_name = "N", value_parser = size, requires = "sort")]
        blocks: Option<usize>,
        /// Hashtags to remember for the report [default: 700]
        ///
        /// At least as many as `build --top` asks for.
        #[arg(long, value_name = "N", value_parser = size)]
        top: Option<usize>,
        /// Keep what later updates of the store need
        ///
        /// In both runs, and in `build`.
        #[arg(long)]
        keep_history: bool,
    },
    /// Read blocks of pairs, write a file of values
    ///
    /// For a cluster engine: one file for each partition. What the report says goes to standard output, in blocks.
    Values {
        /// The file; it has this name when it is complete
        #[arg(long, value_name = "FILE")]
        output: PathBuf,
        /// A file for the history, if `reduce` keeps one
        #[arg(long, value_name = "FILE")]
        history: Option<PathBuf>,
        /// For what does not fit in memory [default: .]
        #[arg(
            long,
            value_name = "DIR",
            default_value = ".",
            hide_default_value = true
        )]
        work_dir: PathBuf,
        /// For sorting, such as 512M or 2G [default: 640M]
        #[arg(long, value_name = "BYTES", value_parser = bytes)]
        memory_bytes: Option<usize>,
    },
    /// Read sorted pairs or files of values, make a store
    Build {
        /// Directory of the store to make
        #[arg(long, value_name = "STORE", value_parser = output())]
        output: PathBuf,
        /// Replace the store that has this name, in one step
        #[arg(long)]
        replace: bool,
        /// Make a store even if no user comes in
        #[arg(long)]
        allow_empty: bool,
        /// Files of values that a cluster's job has left
        ///
        /// A directory with a .values file for each partition, a .history file too with --keep-history, and report.blocks.
        /// Without it pairs come from standard input.
        #[arg(long, value_name = "DIR", conflicts_with = "sort")]
        values: Option<PathBuf>,
        /// Keep what later updates of the store need
        ///
        /// Both runs of `reduce` must have kept it.
        #[arg(long)]
        keep_history: bool,
        /// The list that the first `reduce` had
        ///
        /// Later updates leave out the same hashtags.
        #[arg(long, value_name = "FILE", requires = "keep_history")]
        exclude: Option<PathBuf>,
        #[command(flatten)]
        #[allow(missing_docs, reason = "its fields say it")]
        results: EtlResults,
        #[command(flatten)]
        #[allow(missing_docs, reason = "its fields say it")]
        sort: EtlSort,
    },
    /// Import a store into MariaDB or MySQL
    ///
    /// Fills tables beside those that are served, compares them with the store and puts them in place in
    /// one step; servers notice within twitter.mysql_check_ms. The same command resumes an interrupted
    /// import. Creates or migrates the tables that it needs: docs/twitter-mysql.md.
    #[command(alias = "load")] // its former name
    Import(super::EtlImport),
}

/// Whether the records on standard input must be sorted first.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct EtlSort {
    /// Sort the records on the way in
    ///
    /// Without it records that are not in order are refused.
    #[arg(long)]
    pub sort: bool,
    /// For what does not fit in memory [default: .]
    #[arg(
        long,
        value_name = "DIR",
        requires = "sort",
        default_value = ".",
        hide_default_value = true
    )]
    pub work_dir: PathBuf,
    /// For sorting, such as 512M or 2G [default: 640M]
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub memory_bytes: Option<usize>,
}
