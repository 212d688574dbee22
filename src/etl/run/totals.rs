//! The report of stages that run by themselves: each process writes its part, [`Totals`] adds them up.
//!
//! A part is a line of JSON. It travels with the records, as a block or as a record, so that a task that runs twice counts
//! once.

use crate::etl::{
    error::EtlError,
    record::{compat::Compat, excluded::Excluded},
    run::flow::{Flow, Flows},
    run::report::Report,
    stage::{
        counts::{Counts, SkippedFile},
        examples::DroppedLine,
        map::Mapped,
        tags::TagReport,
    },
};
use crate::store::BUILT_BY;
use serde::{Deserialize, Serialize};
use std::{cmp::Reverse, collections::BTreeMap};

/// How [`crate::etl::read`] names standard input in places and in messages.
const STDIN_SHOWN: &str = "standard input";

/// Why these two do not go together.
pub const SPARK_HISTORY: &str =
    "--compat spark and --keep-history exclude each other: later updates follow replace";

/// What one task of a stage found beside records.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Part {
    /// Version and commit of the program: all tasks must be of one.
    pub built_by: String,
    /// What `map` read: the first by name has the example that is shown.
    #[serde(default)]
    pub source: String,
    /// Numbers to add up.
    pub counts: Counts,
    /// Files read only in part.
    #[serde(default)]
    pub skipped_files: Vec<SkippedFile>,
    /// For each reason the first line that was dropped for it.
    #[serde(default)]
    pub examples: Vec<DroppedLine>,
    /// Members of archives that were not read.
    #[serde(default)]
    pub left_out: Vec<String>,
    /// Hashtags of this task's buckets.
    #[serde(default)]
    pub tags: TagReport,
    /// As many of the most frequent hashtags are in `tags` at most.
    #[serde(default)]
    pub top: usize,
    /// What became of strings that are not Unicode.
    #[serde(default)]
    pub compat: Compat,
    /// What was kept for later updates.
    #[serde(default)]
    pub history: HistoryPart,
    /// What the task took and gave.
    #[serde(default)]
    pub flow: Flow,
}

/// What `build` makes of the records or values of stages.
#[derive(Clone, Copy, Debug)]
pub struct Building<'b> {
    /// Make a store even if no tweet was kept. Without it that is an error: an earlier stage may have failed.
    pub allow_empty: bool,
    /// Most frequent hashtags in the report.
    pub top: usize,
    /// Give the sink the history too; with the hashtags that the first `reduce` has left out.
    pub history: Option<&'b Excluded>,
}

/// Records of the history that a stage has passed on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryPart {
    /// Kept and deleted tweets.
    pub tweets: u64,
    /// States of users.
    pub user_states: u64,
    /// SHA-256 of the hashtags that were left out of the counts; empty where none are counted.
    pub excluded: String,
}

impl HistoryPart {
    /// Whether these are all records of a history for `report`, made with these excluded hashtags.
    pub fn check(
        &self,
        found: (u64, u64),
        report: &Report,
        excluded: &Excluded,
    ) -> Result<(), EtlError> {
        let is_empty = report.counts.tweets == 0;
        if !is_empty && (self.tweets == 0 || self.user_states == 0) {
            let what = "--keep-history is needed by both runs of `reduce`, not only by `build`";
            return Err(EtlError::Usage(what.to_owned()));
        }
        if !self.excluded.is_empty() && self.excluded != excluded.sha256() {
            let what = "--exclude names other hashtags than that of `reduce`: later updates would count otherwise";
            return Err(EtlError::Usage(what.to_owned()));
        }
        if found != (self.tweets, self.user_states) {
            let what = format!(
                "of {} tweets and {} states of users for the history {} and {} are there",
                self.tweets, self.user_states, found.0, found.1
            );
            return Err(EtlError::Blocks { at: 0, what });
        }
        Ok(())
    }
}

impl Part {
    /// What a stage of this program has counted.
    pub(crate) fn of(counts: Counts) -> Self {
        Self {
            built_by: BUILT_BY.to_owned(),
            source: String::new(),
            counts,
            skipped_files: Vec::new(),
            examples: Vec::new(),
            left_out: Vec::new(),
            tags: TagReport::default(),
            top: 0,
            compat: Compat::default(),
            history: HistoryPart::default(),
            flow: Flow::default(),
        }
    }

    /// The part of `map`; `name` is what standard input is called.
    pub(crate) fn of_mapped(mapped: Mapped, compat: Compat, name: Option<&str>) -> Self {
        let named = |text: String| match name {
            Some(name) => text.replacen(STDIN_SHOWN, name, 1),
            None => text,
        };
        let skipped = |file: SkippedFile| SkippedFile {
            path: match name {
                Some(name) if file.path.as_os_str() == "-" => name.into(),
                _ => file.path,
            },
            reason: match name {
                Some(name) => file.reason.replacen(" -: ", &format!(" {name}: "), 1),
                None => file.reason,
            },
        };
        Self {
            source: name.unwrap_or_default().to_owned(),
            skipped_files: mapped.skipped_files.into_iter().map(skipped).collect(),
            examples: mapped
                .examples
                .into_iter()
                .map(|line| DroppedLine {
                    place: named(line.place),
                    ..line
                })
                .collect(),
            left_out: mapped.left_out.into_iter().map(named).collect(),
            compat,
            flow: Flow::mapped(mapped.records),
            ..Self::of(mapped.counts)
        }
    }

    /// One line of JSON.
    pub(crate) fn to_line(&self) -> Vec<u8> {
        // Strings and numbers only: nothing of it can fail.
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }
}

/// Adds up the parts of all tasks.
#[derive(Default)]
pub struct Totals {
    report: Report,
    /// By reason: the first example, with its file.
    examples: BTreeMap<String, (String, DroppedLine)>,
    histogram: BTreeMap<u64, u64>,
    /// The shortest of the lists of most frequent hashtags that were cut.
    top_max: Option<usize>,
    compat: Compat,
    history: HistoryPart,
    flows: Flows,
}

impl Totals {
    /// Adds the part in a block.
    pub fn add(&mut self, line: &[u8]) -> Result<(), EtlError> {
        let part: Part = serde_json::from_slice(line).map_err(|_| EtlError::record(line))?;
        if part.built_by != BUILT_BY {
            let (other, own) = (&part.built_by, BUILT_BY);
            let what = format!("one stage ran {other}, this is {own}; all must be of one version");
            return Err(EtlError::Blocks { at: 0, what });
        }
        let report = &mut self.report;
        report.counts.add(&part.counts);
        report.skipped_files.extend(part.skipped_files);
        report.left_out.extend(part.left_out);
        if part.tags.distinct() > part.top as u64 {
            self.top_max = Some(self.top_max.unwrap_or(part.top).min(part.top));
        }
        report.tags.top.extend(part.tags.top);
        for (occurrences, tags) in part.tags.histogram {
            *self.histogram.entry(occurrences).or_default() += tags;
        }
        if part.compat == Compat::Spark {
            self.compat = Compat::Spark;
        }
        self.flows.add(part.flow);
        self.add_history(part.history)?;
        for line in part.examples {
            let known = self.examples.get(&line.reason);
            if known.is_none_or(|(source, _)| part.source < *source) {
                let reason = line.reason.clone();
                self.examples.insert(reason, (part.source.clone(), line));
            }
        }
        Ok(())
    }

    fn add_history(&mut self, part: HistoryPart) -> Result<(), EtlError> {
        let all = &mut self.history;
        all.tweets += part.tweets;
        all.user_states += part.user_states;
        if !part.excluded.is_empty() {
            if !all.excluded.is_empty() && all.excluded != part.excluded {
                let what = "not all runs of `reduce` have left out the same hashtags";
                return Err(EtlError::Usage(what.to_owned()));
            }
            all.excluded = part.excluded;
        }
        Ok(())
    }

    /// What the stages have kept for later updates.
    pub fn history(&self) -> Result<HistoryPart, EtlError> {
        if self.compat == Compat::Spark {
            return Err(EtlError::Usage(SPARK_HISTORY.to_owned()));
        }
        Ok(self.history.clone())
    }

    /// Refuses if a part or records between the stages are missing; `pairs` is what `build` itself has read of them, unless
    /// it reads files of values.
    pub fn check_flow(&self, pairs: Option<u64>) -> Result<(), EtlError> {
        self.flows.check(pairs)
    }

    /// The report, with the `top` most frequent hashtags.
    pub fn finish(self, top: usize) -> Result<Report, EtlError> {
        if let Some(top_max) = self.top_max.filter(|top_max| *top_max < top) {
            let what =
                format!("`reduce` has kept {top_max} hashtags only: give it --top {top} too");
            return Err(EtlError::Usage(what));
        }
        let mut report = self.report;
        report.skipped_files.sort();
        report.left_out.sort();
        report.tags.histogram = self.histogram.into_iter().collect();
        // A hashtag has one bucket, so the most frequent of all are among those of each.
        let order = |(tag, count): &(String, u64)| (Reverse(*count), tag.clone());
        report.tags.top.sort_by_cached_key(order);
        report.tags.top.truncate(top);
        let rank = |reason: &str| {
            let all = crate::etl::record::dropped::Dropped::ALL;
            all.iter().position(|known| known.name() == reason)
        };
        report.examples = self.examples.into_values().map(|(_, line)| line).collect();
        report.examples.sort_by_key(|line| rank(&line.reason));
        Ok(report)
    }
}
