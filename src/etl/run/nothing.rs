//! What a run says that kept no tweet.

use crate::etl::{
    error::EtlError,
    read::list::Source,
    run::report::example_of_most,
    stage::counts::{Counts, SkippedFile},
    stage::examples::DroppedLine,
};

/// What the map stage found instead of tweets.
pub(crate) struct Found<'f> {
    pub(crate) counts: &'f Counts,
    pub(crate) examples: &'f [DroppedLine],
    pub(crate) left_out: &'f [String],
    pub(crate) skipped_files: &'f [SkippedFile],
}

/// The error, with the likeliest reason.
pub(crate) fn error(found: &Found<'_>, sources: &[Source]) -> EtlError {
    let lines = found.counts.lines;
    let (why, example) = match example_of_most(found.counts, found.examples) {
        Some((line, count)) => (
            format!(", {count} of them dropped as {}", line.reason),
            format!("; {} begins with {}: {}", line.place, line.start, line.hint),
        ),
        None => (String::new(), without_example(found, sources)),
    };
    EtlError::NothingKept {
        lines,
        why,
        example,
    }
}

fn without_example(found: &Found<'_>, sources: &[Source]) -> String {
    if let Some(first) = found.skipped_files.first() {
        let more = match found.skipped_files.len() - 1 {
            0 => String::new(),
            more => format!(", and {more} more like this"),
        };
        return format!("; {}{more}", first.reason);
    }
    if !found.left_out.is_empty() {
        return format!("; not read in {}", found.left_out.join("; not read in "));
    }
    match (found.counts.lines, sources.first()) {
        (0, Some(source)) => format!("; {}: the input is empty", source.shown_path().display()),
        (1.., _) => "; they are longer than 16 MiB, which no tweet is".to_owned(),
        (0, None) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likeliest_reason_is_told() {
        let source = Source {
            path: "-".into(),
            bytes: 0,
            modified_ns: 0,
        };
        let bad = SkippedFile {
            path: "a.tar!b".into(),
            reason: "cannot read a.tar!b: its format is Parquet".to_owned(),
        };
        let left_out = ["a.tar: README".to_owned()];
        let long = Counts {
            lines: 1,
            ..Counts::default()
        };
        let bad = [bad.clone(), bad];
        for (lines, skipped_files, left_out, expected) in [
            (
                0,
                &bad[..],
                &left_out[..],
                "its format is Parquet, and 1 more like this",
            ),
            (0, &[], &left_out, "; not read in a.tar: README"),
            (0, &[], &[], "; standard input: the input is empty"),
            (1, &[], &[], "longer than 16 MiB"),
        ] {
            let found = Found {
                counts: if lines == 0 {
                    &Counts::default()
                } else {
                    &long
                },
                examples: &[],
                left_out,
                skipped_files,
            };
            let message = error(&found, std::slice::from_ref(&source)).to_string();
            assert!(message.contains(expected), "{message}");
        }
    }
}
