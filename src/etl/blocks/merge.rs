//! Files of values and the parts of the report, as a cluster's job leaves them, to one store.
//!
//! The directory holds a file `*.values` for each partition, one `*.history` too if later updates are to be possible, and
//! [`REPORT_FILE`]. A missing file shows: the report knows
//! how many users there are.

use crate::etl::{
    blocks::{
        frame::{FrameReader, Kind},
        history::HistoryFiles,
    },
    error::EtlError,
    record::{excluded::Excluded, records::deleted_id},
    run::nothing::{self, Found},
    run::report::{Report, StageReport},
    run::totals::{Building, Totals},
    sink::user_sink::{FileUsers, UserSink},
};
use crate::store::value::{User, Value};
use std::{
    cmp::Reverse,
    collections::{BinaryHeap, binary_heap::PeekMut},
    fs::{self, File},
    io::BufReader,
    path::{Path, PathBuf},
    time::Instant,
};

/// Frames with the parts of the report, and the closing one.
pub const REPORT_FILE: &str = "report.blocks";
/// How the files of values end.
const VALUES_EXTENSION: &str = "values";
/// How the files of the history end.
const HISTORY_EXTENSION: &str = "history";

/// Gives `sink` the values of all users in ascending order.
pub fn build(
    directory: &Path,
    what: Building<'_>,
    sink: &mut dyn UserSink,
) -> Result<Report, EtlError> {
    let began = Instant::now();
    let totals = read_report(&directory.join(REPORT_FILE))?;
    let history = what.history.map(|_| totals.history()).transpose()?;
    let check = totals.check_flow(None);
    let mut report = totals.finish(what.top)?;
    if report.counts.valid == 0 && !what.allow_empty {
        let found = Found {
            counts: &report.counts,
            examples: &report.examples,
            left_out: &report.left_out,
            skipped_files: &report.skipped_files,
        };
        return Err(nothing::error(&found, &[]));
    }
    check?;
    if report.counts.users == 0 && !what.allow_empty {
        let kept = report.counts.valid;
        return Err(EtlError::NoContacts { kept });
    }
    if let (Some(excluded), Some(expected)) = (what.history, history) {
        let found = put_history(&files(directory, HISTORY_EXTENSION)?, excluded, sink)?;
        expected.check(found, &report, excluded)?;
    }
    let users = put_values(&files(directory, VALUES_EXTENSION)?, sink)?;
    if users != report.counts.users {
        let expected = report.counts.users;
        let what = format!("files of values are missing: {users} of {expected} users are there");
        return Err(EtlError::Blocks { at: 0, what });
    }
    sink.finish().map_err(EtlError::SinkFinish)?;
    let built = StageReport::of("build", began, report.counts.value_bytes, 1);
    report.stages.push(built);
    Ok(report)
}

/// The numbers of tweets and of states of users.
fn put_history(
    paths: &[PathBuf],
    excluded: &Excluded,
    sink: &mut dyn UserSink,
) -> Result<(u64, u64), EtlError> {
    sink.begin_history(excluded).map_err(EtlError::SinkFinish)?;
    let mut files = HistoryFiles::open(paths)?;
    let failed = |id, source| EtlError::Sink { user: id, source };
    let tweets = files.merge(Kind::Kept, |id, record| {
        let put = match deleted_id(record) {
            Some(_) => sink.put_deletion(id),
            None => sink.put_tweet(id, record),
        };
        put.map_err(|source| failed(id, source))
    })?;
    let user_states = files.merge(Kind::UserStates, |id, record| {
        let put = sink.put_person(id, record);
        put.map_err(|source| failed(id, source))
    })?;
    Ok((tweets, user_states))
}

fn read_report(path: &Path) -> Result<Totals, EtlError> {
    let file = File::open(path).map_err(|e| EtlError::io("open", path, 0, e))?;
    let mut frames = FrameReader::new(BufReader::new(file));
    let (mut totals, mut block) = (Totals::default(), Vec::new());
    while let Some((kind, _)) = frames.next(&mut block)? {
        if kind != Kind::Report {
            return Err(EtlError::record(&block));
        }
        totals.add(&block)?;
    }
    Ok(totals)
}

fn files(directory: &Path, extension: &str) -> Result<Vec<PathBuf>, EtlError> {
    let failed = |e| EtlError::io("read", directory, 0, e);
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|end| end == extension) {
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
