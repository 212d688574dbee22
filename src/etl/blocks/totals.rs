//! The report of a cluster's job: each stage writes its part, [`Totals`] adds them up.

use crate::etl::{
    error::EtlError,
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
}

impl Part {
    /// What a stage of this program has counted.
    pub(super) fn of(counts: Counts) -> Self {
        Self {
            built_by: BUILT_BY.to_owned(),
            source: String::new(),
            counts,
            skipped_files: Vec::new(),
            examples: Vec::new(),
            left_out: Vec::new(),
            tags: TagReport::default(),
        }
    }

    /// The part of `map`; `name` is what standard input is called.
    pub(super) fn of_mapped(mapped: Mapped, name: Option<&str>) -> Self {
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
            ..Self::of(mapped.counts)
        }
    }

    /// One line of JSON.
    pub(super) fn to_line(&self) -> Vec<u8> {
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
        report.tags.top.extend(part.tags.top);
        for (occurrences, tags) in part.tags.histogram {
            *self.histogram.entry(occurrences).or_default() += tags;
        }
        for line in part.examples {
            let known = self.examples.get(&line.reason);
            if known.is_none_or(|(source, _)| part.source < *source) {
                let reason = line.reason.clone();
                self.examples.insert(reason, (part.source.clone(), line));
            }
        }
        Ok(())
    }

    /// The report, with the `top` most frequent hashtags.
    pub fn finish(self, top: usize) -> Report {
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
        report
    }
}
