//! Files of values and the parts of the report, as a cluster's job leaves them, to one store.
//!
//! The directory holds a file `*.values` for each partition and [`REPORT_FILE`]. A missing file shows: the report knows
//! how many users there are.

use crate::etl::{
    blocks::{
        frame::{FrameReader, Kind},
        totals::Totals,
    },
    error::EtlError,
    run::nothing::{self, Found},
    run::report::Report,
    sink::user_sink::{FileUsers, UserSink},
};
use crate::store::value::{User, Value};
use std::{
    cmp::Reverse,
    collections::{BinaryHeap, binary_heap::PeekMut},
    fs::{self, File},
    io::BufReader,
    path::{Path, PathBuf},
};

/// Frames with the parts of the report, and the closing one.
pub const REPORT_FILE: &str = "report.blocks";
/// How the files of values end.
const VALUES_EXTENSION: &str = "values";

/// Gives `sink` the values of all users in ascending order.
pub fn build(
    directory: &Path,
    allow_empty: bool,
    top: usize,
    sink: &mut dyn UserSink,
) -> Result<Report, EtlError> {
    let report = read_report(&directory.join(REPORT_FILE), top)?;
    if report.counts.valid == 0 && !allow_empty {
        let found = Found {
            counts: &report.counts,
            examples: &report.examples,
            left_out: &report.left_out,
            skipped_files: &report.skipped_files,
        };
        return Err(nothing::error(&found, &[]));
    }
    let users = put_values(&value_files(directory)?, sink)?;
    if users != report.counts.users {
        let expected = report.counts.users;
        let what = format!("files of values are missing: {users} of {expected} users are there");
        return Err(EtlError::Blocks { at: 0, what });
    }
    sink.finish().map_err(EtlError::SinkFinish)?;
    Ok(report)
}

fn read_report(path: &Path, top: usize) -> Result<Report, EtlError> {
    let file = File::open(path).map_err(|e| EtlError::io("open", path, 0, e))?;
    let mut frames = FrameReader::new(BufReader::new(file));
    let (mut totals, mut block) = (Totals::default(), Vec::new());
    while let Some((kind, _)) = frames.next(&mut block)? {
        if kind != Kind::Report {
            return Err(EtlError::record(&block));
        }
        totals.add(&block)?;
    }
    Ok(totals.finish(top))
}

fn value_files(directory: &Path) -> Result<Vec<PathBuf>, EtlError> {
    let failed = |e| EtlError::io("read", directory, 0, e);
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|end| end == VALUES_EXTENSION) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Merges the files; the number of users. However many there are, only one value is in memory, and no large one.
fn put_values(paths: &[PathBuf], sink: &mut dyn UserSink) -> Result<u64, EtlError> {
    let mut heads = BinaryHeap::new();
    let mut files = Vec::new();
    for (index, path) in paths.iter().enumerate() {
        let mut file = FileUsers::open(path)?;
        heads.extend(file.next_id()?.map(|user| Reverse((user, index))));
        files.push(file);
    }
    let (mut users, mut small) = (0, Vec::new());
    while let Some(mut head) = heads.peek_mut() {
        let Reverse((user, index)) = *head;
        let value = files[index].value(&mut small)?;
        // The store takes the checksum of a value as it is, unless that comes as a stream.
        if matches!(value, Value::Whole(value) if User::verify(user, value).is_err()) {
            let what = format!(
                "{}: the value of user {user} is damaged",
                paths[index].display()
            );
            return Err(EtlError::Blocks { at: 0, what });
        }
        sink.put_value(user, value)
            .map_err(|source| EtlError::Sink { user, source })?;
        users += 1;
        match files[index].next_id()? {
            Some(next) => *head = Reverse((next, index)),
            None => drop(PeekMut::pop(head)),
        }
    }
    Ok(users)
}
