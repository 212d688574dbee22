//! One stage of a cluster's job: lines or blocks on the input, blocks on the output.
//!
//! Every stage passes parts of the report on and adds its own, so the last stage has them all.

use crate::etl::{
    blocks::{
        frame::Kind,
        history::HistorySpool,
        spool::{ListSpool, RecordLines},
        writer::{BlockWriter, Output, TweetBlocks, UserBlocks, unpacked},
    },
    error::EtlError,
    progress::Silent,
    record::excluded::Excluded,
    run::flow::{Flow, Stage},
    run::totals::Part,
    shuffle::sort::{Keys, Sorter},
    shuffle::spill::Spool,
    sink::user_sink::{FileSink, UserSink},
    stage::map::{self, Reading},
    stage::tags::{TagReport, TagTotals},
    stage::tweets::TweetReducer,
    stage::users::UserReducer,
    stage::values::{Room, ValueBuilder},
};
use crate::store::value::Value;
use std::{
    io::{Read, Write},
    path::{Path, PathBuf},
};

/// Most buckets: as many as there are partitions at most on one machine.
pub const BUCKETS_MAX: usize = 512;

/// Where a stage sorts, and in how much memory.
#[derive(Clone, Debug)]
pub struct Sorting {
    /// For what does not fit in memory.
    pub directory: PathBuf,
    /// Memory for sorting and for lists of hashtags.
    pub memory_bytes: usize,
}

impl Sorting {
    /// Half of the memory, as all sorters of a whole run.
    fn sorter(&self, keys: Keys) -> Sorter {
        Sorter::new(keys, self.memory_bytes / 2, &self.directory)
    }

    fn room(&self) -> Room {
        Room {
            bytes: self.memory_bytes / 16,
            directory: self.directory.clone(),
        }
    }
}

/// Refuses a number of buckets that is no number of partitions.
pub fn check_buckets(buckets: usize) -> Result<(), EtlError> {
    if buckets.is_power_of_two() && buckets <= BUCKETS_MAX {
        return Ok(());
    }
    let rule = format!("must be a power of two up to {BUCKETS_MAX}");
    Err(EtlError::Usage(format!("blocks={buckets} {rule}")))
}

/// Input lines to blocks by tweet. `name` is what the report calls standard input.
pub fn map(
    reading: Reading<'_>,
    workers: usize,
    buckets: usize,
    name: Option<&str>,
    out: impl Write + Send,
) -> Result<(), EtlError> {
    check_buckets(buckets)?;
    let output = Output::new(out);
    let writer = || BlockWriter::new(&output, Kind::Records, buckets);
    let compat = reading.compat;
    let mapped = map::run(reading, workers, writer, &Silent)?;
    let part = Part::of_mapped(mapped, compat, name);
    output.frame(Kind::Report, 0, &part.to_line())?;
    output.end()
}

/// What `reduce` writes beside records.
#[derive(Clone, Copy, Debug)]
pub struct Reducing {
    /// Partitions.
    pub buckets: usize,
    /// Most frequent hashtags in its part of the report.
    pub top: usize,
    /// Whether tweets and states of users are kept for later updates.
    pub history: bool,
}

/// Blocks of `map` to blocks by user, or those to the blocks that [`values`] takes. The first record says which; hashtags
/// come in only for the second.
pub fn reduce(
    input: impl Read,
    sorting: &Sorting,
    excluded: &Excluded,
    what: Reducing,
    out: impl Write + Send,
) -> Result<(), EtlError> {
    let Reducing {
        buckets,
        top,
        history,
    } = what;
    check_buckets(buckets)?;
    let output = Output::new(out);
    let (mut tags, mut passed) = (None, Flow::default());
    let aside = |kind, bucket: u32, block: &[u8]| match kind {
        Kind::Report => {
            passed.pass(block)?;
            output.frame(kind, bucket as usize, block)
        }
        Kind::Kept => output.frame(kind, bucket as usize, block),
        Kind::Tags => {
            let spool = match &mut tags {
                Some(spool) => spool,
                none => none.insert(Spool::create(&sorting.directory)?),
            };
            spool.append(block).map(drop)
        }
        _ => Err(unexpected("values")),
    };
    let mut sorter = sorting.sorter(Keys::Ids);
    let mut sorted = sorter.sort(RecordLines::new(input, aside))?;
    let (mut tweets, mut users) = (TweetReducer::new(excluded), UserReducer::new(history));
    let mut tweet_blocks = TweetBlocks::new(&output, buckets, history);
    let mut user_blocks = UserBlocks::new(&output, buckets);
    let (mut taken, mut are_tweets) = ((0, 0), None);
    while let Some(line) = sorted.next_line()? {
        let of_tweets = || matches!(line.get(19..22), Some(b"\tt1" | b"\td1"));
        if *are_tweets.get_or_insert_with(of_tweets) {
            taken.0 += 1;
            tweets.line(line, &mut tweet_blocks)?;
        } else {
            taken.1 += 1;
            users.line(line, &mut user_blocks)?;
        }
    }
    tweets.finish(&mut tweet_blocks)?;
    users.finish(&mut user_blocks)?;
    drop(sorter);
    let mut part = Part::of(tweets.counts());
    part.counts.add(&users.counts());
    let mut flow = passed;
    (flow.tweets.taken, flow.users.taken) = taken;
    (part.history.tweets, flow.users.given, flow.tags.given) = tweet_blocks.finish()?;
    (part.history.user_states, flow.pairs.given) = user_blocks.finish()?;
    if history && are_tweets == Some(true) {
        part.history.excluded = excluded.sha256();
    }
    if let Some(spool) = tags {
        (part.tags, flow.tags.taken) = totals(spool, sorting, top)?;
        part.top = top;
    }
    flow.settle(are_tweets);
    part.flow = flow;
    output.frame(Kind::Report, 0, &part.to_line())?;
    output.end()
}

/// The hashtags, and how many records of them there were.
fn totals(spool: Spool, sorting: &Sorting, top: usize) -> Result<(TagReport, u64), EtlError> {
    let (mut totals, mut records) = (TagTotals::new(top), 0);
    let mut sorter = sorting.sorter(Keys::Text);
    let mut sorted = sorter.sort(spool.into_reader()?)?;
    while let Some(line) = sorted.next_line()? {
        records += 1;
        totals.add_line(line)?;
    }
    totals.end_tag();
    Ok((TagTotals::report(vec![totals], top), records))
}

/// Blocks of the second [`reduce`] to the file `file` of values, and to a file with the `history` if the stages keep one;
/// parts of the report to `out`.
pub fn values(
    input: impl Read,
    sorting: &Sorting,
    (file, history): (&Path, Option<&Path>),
    out: impl Write + Send,
) -> Result<(), EtlError> {
    let output = Output::new(out);
    let mut kept = HistorySpool::default();
    let mut lists = ListSpool::create(&sorting.directory)?;
    let mut flow = Flow::default();
    let aside = |kind, bucket: u32, block: &[u8]| match kind {
        Kind::Report => {
            flow.pass(block)?;
            output.frame(kind, bucket as usize, block)
        }
        Kind::Lists => lists.append(&unpacked(block)?),
        Kind::Kept | Kind::UserStates => {
            kept.append(kind, block, || Spool::create(&sorting.directory))
        }
        _ => Err(unexpected("reduce")),
    };
    let mut sorter = sorting.sorter(Keys::Ids);
    let mut sorted = sorter.sort(RecordLines::new(input, aside))?;
    let mut builder = ValueBuilder::new(lists.finish()?, sorting.room());
    let mut sink = FileSink::create(file)?;
    let mut put = |user, value: Value<'_>| {
        sink.put_value(user, value)
            .map_err(|source| EtlError::Sink { user, source })
    };
    let mut taken = 0;
    while let Some(line) = sorted.next_line()? {
        taken += 1;
        builder.line(line, &mut put)?;
    }
    builder.finish(&mut put)?;
    sink.finish().map_err(EtlError::SinkFinish)?;
    drop(sorter);
    match history {
        Some(path) => kept.write(path, || sorting.sorter(Keys::Ids))?,
        None if kept.is_empty() => {}
        None => {
            let what = "`reduce` keeps a history: name its file with --history";
            return Err(EtlError::Usage(what.to_owned()));
        }
    }
    flow.stage = Stage::Values;
    flow.pairs.taken = taken;
    let mut part = Part::of(builder.counts());
    part.flow = flow;
    output.frame(Kind::Report, 0, &part.to_line())?;
    output.end()
}

fn unexpected(stage: &str) -> EtlError {
    EtlError::Blocks {
        at: 0,
        what: format!("a block is for the stage `{stage}`"),
    }
}
