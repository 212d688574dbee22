//! What a run of the ETL writes beside the store: the most frequent hashtags, histograms, the report.

use crate::{overwrite, result_file::ResultFile};
use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};
use trident::{
    cli::{self, EtlResults},
    etl::run::{plot, report::Report},
    exit::Stop,
};

/// Stands for standard output.
const STREAM: &str = "-";

/// Where the results go; files are open.
pub(crate) struct Results {
    /// How many hashtags, and where they go.
    top: Option<(usize, Target)>,
    histogram_svg: Option<Target>,
    histogram_csv: Option<Target>,
    report_json: Option<Target>,
}

enum Target {
    Stdout,
    File(ResultFile),
}

impl Target {
    fn open(path: &Path) -> anyhow::Result<Self> {
        if path == Path::new(STREAM) {
            return Ok(Self::Stdout);
        }
        ResultFile::open(path).map(Self::File)
    }
}

impl Results {
    /// Opens the files before the run, unless one is among those to be `read`, or is named twice.
    pub(crate) fn open<'p>(
        flags: &'p EtlResults,
        read: impl IntoIterator<Item = &'p Path>,
    ) -> Result<Self, Stop> {
        overwrite::refuse(
            read,
            [
                ("--top-file", flags.top_file.as_ref()),
                ("--histogram-svg", flags.histogram_svg.as_ref()),
                ("--histogram-csv", flags.histogram_csv.as_ref()),
                ("--report-json", flags.report_json.as_ref()),
            ],
        )?;
        let open = |path: &Option<PathBuf>| path.as_deref().map(Target::open).transpose();
        let top = match flags.top {
            Some(count) => Some((count, open(&flags.top_file)?.unwrap_or(Target::Stdout))),
            None => None,
        };
        Ok(Self {
            top,
            histogram_svg: open(&flags.histogram_svg)?,
            histogram_csv: open(&flags.histogram_csv)?,
            report_json: open(&flags.report_json)?,
        })
    }

    /// Writes what was asked for, then the report: on standard output, unless a result went there.
    pub(crate) fn write(self, report: &Report) -> Result<(), Stop> {
        let tags = &report.tags;
        let results = [
            self.top
                .map(|(count, target)| (target, tags.excluded_list(count))),
            self.histogram_svg.map(|target| (target, plot::svg(tags))),
            self.histogram_csv.map(|target| (target, plot::csv(tags))),
            self.report_json
                .map(|target| (target, format!("{:#}\n", report.to_json()))),
        ];
        let mut stdout_taken = false;
        for (target, text) in results.into_iter().flatten() {
            match target {
                Target::File(file) => file.write(&text)?,
                Target::Stdout => {
                    stdout_taken = true;
                    cli::print(&text)?;
                }
            }
        }
        let report = report.to_string();
        if !stdout_taken {
            return cli::print(&report);
        }
        // A closed standard error is no failure.
        let _ = io::stderr().write_all(report.as_bytes());
        Ok(())
    }
}

/// The files in a directory; none if it cannot be read, which its reader reports.
pub(crate) fn files_in(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}
