//! The report of a run: counted per worker, summed per stage, kept in the manifest, printed at the end.

use crate::etl::{
    record::{dropped::Dropped, notice::Notice},
    stage::{
        counts::{Counts, SkippedFile},
        examples::DroppedLine,
        tags::TagReport,
    },
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, time::Instant};

/// One stage of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StageReport {
    /// `map`, `tweets`, `tags`, `users`, `values` or `build`.
    pub stage: String,
    /// Wall time.
    pub seconds: f64,
    /// Bytes the stage read: uncompressed input for `map`, work files for the others.
    pub read_bytes: u64,
    /// Threads it ran on.
    pub workers: usize,
}

impl StageReport {
    /// A stage that ends now.
    pub(crate) fn of(stage: &str, began: Instant, read_bytes: u64, workers: usize) -> Self {
        Self {
            stage: stage.to_owned(),
            seconds: began.elapsed().as_secs_f64(),
            read_bytes,
            workers,
        }
    }

    /// Millions of bytes read per second and worker.
    pub fn mb_per_second_per_core(&self) -> f64 {
        self.read_bytes as f64 / 1e6 / self.seconds.max(1e-9) / self.workers.max(1) as f64
    }
}

/// The whole run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What was counted.
    pub counts: Counts,
    /// Files read only in part, with `skip_bad_files`.
    pub skipped_files: Vec<SkippedFile>,
    /// For each reason the first line that was dropped for it.
    pub examples: Vec<DroppedLine>,
    /// Members of archives that were not read: a line for each archive.
    pub left_out: Vec<String>,
    /// The stages in order, including those that an interrupted run had finished.
    pub stages: Vec<StageReport>,
    /// Frequencies of hashtags.
    pub tags: TagReport,
}

impl Report {
    /// Wall time of all stages.
    pub fn seconds(&self) -> f64 {
        self.stages.iter().map(|stage| stage.seconds).sum()
    }

    /// Unordered pairs of users, self contacts included.
    pub fn pairs(&self) -> u64 {
        (self.counts.directed_pairs + self.counts.self_pairs) / 2
    }

    /// The report as one JSON object.
    pub fn to_json(&self) -> serde_json::Value {
        let c = &self.counts;
        let mut dropped: BTreeMap<&str, u64> = Dropped::ALL
            .iter()
            .map(|reason| reason.name())
            .zip(c.dropped)
            .collect();
        dropped.insert("too_long", c.dropped_too_long);
        let names = Notice::ALL.iter().map(|notice| notice.name());
        let notices: BTreeMap<&str, u64> = names.zip(c.notices).collect();
        let stages: Vec<_> = self
            .stages
            .iter()
            .map(|stage| {
                serde_json::json!({
                    "stage": stage.stage,
                    "seconds": stage.seconds,
                    "read_bytes": stage.read_bytes,
                    "workers": stage.workers,
                    "mb_per_second_per_core": stage.mb_per_second_per_core(),
                })
            })
            .collect();
        serde_json::json!({
            "lines": c.lines, "bytes": c.bytes, "dropped": dropped, "notices": notices, "valid": c.valid,
            "ids_differ": c.ids_differ, "duplicates": c.duplicates, "deleted": c.deleted, "tweets": c.tweets, "profiles": c.profiles,
            "users": c.users, "pairs": self.pairs(), "directed_pairs": c.directed_pairs,
            "contact_tweets": c.contact_tweets, "tag_occurrences": c.tag_occurrences,
            "tags": self.tags.distinct(), "value_bytes": c.value_bytes,
            "seconds": self.seconds(), "stages": stages, "skipped_files": self.skipped_files,
            "examples": self.examples, "left_out": self.left_out,
        })
    }
}

/// The rows of the report about input lines.
impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        row(f, "lines read", self.lines)?;
        for (reason, count) in Dropped::ALL.iter().zip(self.dropped) {
            row(f, &format!("  dropped: {}", reason.name()), count)?;
        }
        row(f, "  dropped: too_long", self.dropped_too_long)?;
        for (notice, count) in Notice::ALL.iter().zip(self.notices) {
            if count > 0 {
                row(f, &format!("  notices: {}", notice.name()), count)?;
            }
        }
        row(f, "  kept", self.valid)?;
        if self.ids_differ > 0 {
            row(f, "  kept by their _str ids", self.ids_differ)?;
        }
        Ok(())
    }
}

/// The report as text.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let c = &self.counts;
        write!(f, "{c}")?;
        row(f, "  duplicates", c.duplicates)?;
        if c.deleted > 0 {
            row(f, "  of deleted tweets", c.deleted)?;
        }
        row(f, "tweets", c.tweets)?;
        row(f, "hashtags", self.tags.distinct())?;
        row(f, "bytes read", c.bytes)?;
        // A run that stops after the hashtags has none of these.
        if self.stages.iter().any(|stage| stage.stage == "build") {
            row(f, "profiles", c.profiles)?;
            row(f, "users stored", c.users)?;
            row(f, "pairs of users", self.pairs())?;
            row(f, "bytes stored", c.value_bytes)?;
        }
        writeln!(f)?;
        for stage in &self.stages {
            let (name, seconds, workers) = (&stage.stage, stage.seconds, stage.workers);
            let rate = stage.mb_per_second_per_core();
            let threads = if workers == 1 { "thread" } else { "threads" };
            writeln!(
                f,
                "{name:<7} {seconds:>10.1} s {rate:>7.0} MB/s per core, {workers} {threads}"
            )?;
        }
        writeln!(f, "{:<7} {:>10.1} s", "total", self.seconds())?;
        write_notes(f, c, &self.examples, &self.skipped_files, &self.left_out)
    }
}

/// What the map stage has to say beside its counts, for people.
pub fn write_notes(
    out: &mut impl fmt::Write,
    counts: &Counts,
    examples: &[DroppedLine],
    skipped_files: &[SkippedFile],
    left_out: &[String],
) -> fmt::Result {
    if let Some((line, count)) = example_of_most(counts, examples)
        && count > counts.lines / 2
    {
        let DroppedLine {
            reason,
            place,
            start,
            hint,
        } = line;
        writeln!(
            out,
            "most lines were dropped as {reason}, for instance {place}: {start}"
        )?;
        writeln!(out, "  that is {hint}")?;
    }
    for file in skipped_files {
        writeln!(out, "not read to the end: {}", file.reason)?;
    }
    for line in left_out {
        writeln!(out, "not read in {line}")?;
    }
    Ok(())
}

/// The example of the reason that dropped most lines, and how many.
pub(crate) fn example_of_most<'e>(
    counts: &Counts,
    examples: &'e [DroppedLine],
) -> Option<(&'e DroppedLine, u64)> {
    let dropped = Dropped::ALL.iter().zip(counts.dropped);
    let (reason, count) = dropped.max_by_key(|(_, count)| *count)?;
    let example = examples.iter().find(|line| line.reason == reason.name())?;
    Some((example, count))
}

fn row(f: &mut fmt::Formatter<'_>, name: &str, number: u64) -> fmt::Result {
    writeln!(f, "{name:<24} {:>19}", with_separators(number))
}

/// A number with a comma between thousands.
fn with_separators(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_groups() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(with_separators(number), text);
        }
    }

    #[test]
    fn a_person_finds_what_was_dropped_and_how_fast_it_went() {
        let stage = |name: &str, workers| StageReport {
            stage: name.into(),
            seconds: 2.0,
            read_bytes: 3_000_000_000,
            workers,
        };
        let mut report = Report {
            stages: vec![stage("map", 2)],
            ..Report::default()
        };
        report.counts.lines = 12_345;
        report.counts.dropped[Dropped::Language as usize] = 678;
        let text = report.to_string();
        let row = |name: &str| {
            let line = text
                .lines()
                .find(|line| line.trim_start().starts_with(name));
            line.map(|line| {
                line.split_whitespace()
                    .next_back()
                    .unwrap_or_default()
                    .to_owned()
            })
        };
        assert_eq!(row("lines read").as_deref(), Some("12,345"));
        assert_eq!(row("dropped: language").as_deref(), Some("678"));
        assert!(
            text.contains("2.0 s     750 MB/s per core, 2 threads"),
            "{text}"
        );
        assert_eq!(row("users stored"), None);
        report.stages.push(stage("build", 1));
        assert!(report.to_string().contains("users stored"));
    }
}
