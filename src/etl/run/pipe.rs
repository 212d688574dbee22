//! The stages through pipes, for a cluster engine that does the shuffles itself.
//!
//! ```sh
//! trident etl map    < tweets.jsonl | LC_ALL=C sort | trident etl reduce --exclude popular.txt \
//!                                   | LC_ALL=C sort | trident etl reduce \
//!                                   | LC_ALL=C sort | trident etl build --output store
//! ```
//!
//! One record per line, in the format of [`crate::etl::record::records`]; between two stages the lines of one key
//! must come together in one process, sorted by bytes. `reduce` is one command for two stages and chooses by the
//! kind of the first record. It can sort an unordered input first ([`Order::Any`]). What the report says, hashtags and the
//! history travel between them as records too (`record::extra`).

use crate::etl::{
    error::EtlError,
    progress::Progress,
    record::excluded::Excluded,
    record::extra::Extra,
    record::fields::key,
    run::flow::Flow,
    run::pipe_io::{NoReferences, PipeReader, PipeWriter, Reduced},
    run::pipeline::MEMORY_BYTES_DEFAULT,
    run::report::{Report, StageReport},
    run::totals::{Building, Part, Totals},
    shuffle::sort::{Keys, Sorter},
    shuffle::spill::{Emit, Lines, Spool},
    sink::user_sink::UserSink,
    stage::counts::Counts,
    stage::map::{self, Mapped, Reading},
    stage::tags::TagTotals,
    stage::tweets::TweetReducer,
    stage::users::UserReducer,
    stage::values::{Room, ValueBuilder},
};
use crate::store::value::Value;
use parking_lot::Mutex;
use std::{
    io::{BufRead, Write},
    path::{Path, PathBuf},
    time::Instant,
};

/// How the input lines of `reduce` and `build` are ordered.
#[derive(Clone, Debug)]
pub enum Order {
    /// By bytes; checked.
    Sorted,
    /// In any order: they are sorted first, in this directory and within so many bytes of memory.
    Any {
        /// For runs that do not fit in memory.
        directory: PathBuf,
        /// Memory for sorting and for values.
        memory_bytes: usize,
    },
}

impl Order {
    /// What the values may take beside the sort.
    fn room(&self) -> Room {
        let (directory, memory_bytes) = match self {
            Self::Sorted => (Path::new("."), MEMORY_BYTES_DEFAULT),
            Self::Any {
                directory,
                memory_bytes,
            } => (directory.as_path(), *memory_bytes),
        };
        Room {
            bytes: memory_bytes / 16,
            directory: directory.to_owned(),
        }
    }
}

/// Input lines to `t1` and `d1` records on `out`, in any order, and an `r1` record.
pub fn map(
    reading: Reading<'_>,
    workers: usize,
    out: &mut (impl Write + Send),
    progress: &dyn Progress,
) -> Result<Mapped, EtlError> {
    let out = Mutex::new(out);
    let compat = reading.compat;
    let mapped = map::run(reading, workers, || PipeWriter::new(&out), progress)?;
    let mut writer = PipeWriter::new(&out);
    let part = Part::of_mapped(mapped.clone(), compat, None);
    writer.write(|out| Extra::push_report(out, &part.to_line()))?;
    Emit::flush(&mut writer)?;
    Ok(mapped)
}

/// What `reduce` writes beside records.
#[derive(Clone, Copy, Debug)]
pub struct Reducing {
    /// Most frequent hashtags in its part of the report.
    pub top: usize,
    /// Whether tweets and states of users are kept for later updates.
    pub history: bool,
}

/// `t1` and `d1` records to records of users, or records of users to the records that `build` takes.
pub fn reduce(
    input: impl BufRead,
    order: &Order,
    excluded: &Excluded,
    what: Reducing,
    out: &mut (impl Write + Send),
) -> Result<Counts, EtlError> {
    let out = Mutex::new(out);
    let mut reduced = Reduced::new(PipeWriter::new(&out), what.history);
    let mut tweets = TweetReducer::new(excluded);
    let mut users = UserReducer::new(what.history);
    let mut tags = TagTotals::new(what.top);
    let (mut flow, mut are_tweets) = (Flow::default(), None);
    each_sorted(input, order, |line| match Extra::of(line) {
        Some(Extra::Tag) => {
            flow.tags.taken += 1;
            tags.add_line(Extra::rest(line))
        }
        Some(extra) => {
            if extra == Extra::Report {
                flow.pass(&Extra::report(line))?;
            }
            reduced.writer.write(|out| out.extend_from_slice(line))
        }
        None => {
            let is_tweet = || matches!(line.get(19..22), Some(b"\tt1" | b"\td1"));
            if *are_tweets.get_or_insert_with(is_tweet) {
                flow.tweets.taken += 1;
                tweets.line(line, &mut reduced)
            } else {
                flow.users.taken += 1;
                users.line(line, &mut reduced)
            }
        }
    })?;
    tweets.finish(&mut reduced)?;
    users.finish(&mut reduced)?;
    reduced.finish_tags()?;
    tags.end_tag();
    let mut part = Part::of(tweets.counts());
    part.counts.add(&users.counts());
    (part.tags, part.top) = (TagTotals::report(vec![tags], what.top), what.top);
    (part.history.tweets, part.history.user_states) = reduced.kept;
    if what.history && are_tweets == Some(true) {
        part.history.excluded = excluded.sha256();
    }
    flow.settle(are_tweets);
    (flow.users.given, flow.pairs.given, flow.tags.given) = reduced.given;
    part.flow = flow;
    let line = part.to_line();
    reduced.writer.write(|out| Extra::push_report(out, &line))?;
    Emit::flush(&mut reduced.writer)?;
    Ok(part.counts)
}

/// Records of the second `reduce` to values, and the report of all stages.
pub fn build(
    input: impl BufRead,
    order: &Order,
    what: Building<'_>,
    sink: &mut dyn UserSink,
) -> Result<Report, EtlError> {
    let (began, mut read_bytes, mut pairs) = (Instant::now(), 0, 0);
    let room = order.room();
    let mut history = match what.history {
        Some(excluded) => Some(History::begin(excluded, &room.directory, sink)?),
        None => None,
    };
    let mut builder = ValueBuilder::new(NoReferences, room);
    let mut totals = Totals::default();
    each_sorted(input, order, |line| {
        read_bytes += line.len() as u64 + 1;
        match (Extra::of(line), &mut history) {
            (Some(Extra::Report), _) => totals.add(&Extra::report(line)),
            (Some(extra @ (Extra::Kept | Extra::UserState)), Some(history)) => {
                history.add(extra, line, sink)
            }
            (Some(Extra::Kept | Extra::UserState), None) => Ok(()),
            _ => {
                pairs += 1;
                builder.line(line, put_into(sink))
            }
        }
    })?;
    builder.finish(put_into(sink))?;
    if builder.counts().users == 0 && !what.allow_empty {
        return Err(EtlError::NothingBuilt);
    }
    totals.check_flow(Some(pairs))?;
    let expected = history.as_ref().map(|_| totals.history()).transpose()?;
    let mut report = totals.finish(what.top)?;
    if let (Some(history), Some(excluded), Some(expected)) = (history, what.history, expected) {
        expected.check(history.finish(sink)?, &report, excluded)?;
    }
    report.counts.add(&builder.counts());
    sink.finish().map_err(EtlError::SinkFinish)?;
    let built = StageReport::of("build", began, read_bytes, 1);
    report.stages.push(built);
    Ok(report)
}

fn put_into(sink: &mut dyn UserSink) -> impl FnMut(u64, Value<'_>) -> Result<(), EtlError> {
    move |user, value| {
        sink.put_value(user, value)
            .map_err(|source| EtlError::Sink { user, source })
    }
}

/// What comes in for the history: tweets go to the sink at once, states of users after the last of them.
struct History {
    user_states: Spool,
    tweets: u64,
}

impl History {
    fn begin(
        excluded: &Excluded,
        directory: &Path,
        sink: &mut dyn UserSink,
    ) -> Result<Self, EtlError> {
        sink.begin_history(excluded).map_err(EtlError::SinkFinish)?;
        Ok(Self {
            user_states: Spool::create(directory)?,
            tweets: 0,
        })
    }

    fn add(&mut self, extra: Extra, line: &[u8], sink: &mut dyn UserSink) -> Result<(), EtlError> {
        if extra == Extra::UserState {
            self.user_states.append(line)?;
            return self.user_states.append(b"\n").map(drop);
        }
        self.tweets += 1;
        let (id, record) = Extra::kept(line)?;
        let put = match record {
            Some(record) => sink.put_tweet(id, &record),
            None => sink.put_deletion(id),
        };
        put.map_err(|source| EtlError::Sink { user: id, source })
    }

    /// The numbers of tweets and of states of users.
    fn finish(self, sink: &mut dyn UserSink) -> Result<(u64, u64), EtlError> {
        let mut lines = self.user_states.into_reader()?;
        let (mut line, mut user_states) = (Vec::new(), 0);
        while lines.append_line(&mut line)? {
            let user = key(&line)?;
            sink.put_person(user, &line)
                .map_err(|source| EtlError::Sink { user, source })?;
            user_states += 1;
            line.clear();
        }
        Ok((self.tweets, user_states))
    }
}

fn each_sorted(
    input: impl BufRead,
    order: &Order,
    mut each: impl FnMut(&[u8]) -> Result<(), EtlError>,
) -> Result<(), EtlError> {
    let mut input = PipeReader::new(input);
    match order {
        Order::Any {
            directory,
            memory_bytes,
        } => {
            // Half of the memory, as all sorters of a whole run.
            let mut sorter = Sorter::new(Keys::Ids, *memory_bytes / 2, directory);
            let mut sorted = sorter.sort(input)?;
            while let Some(line) = sorted.next_line()? {
                each(line)?;
            }
        }
        Order::Sorted => {
            let (mut line, mut previous) = (Vec::new(), Vec::new());
            let mut number = 0;
            while input.append_line(&mut line)? {
                number += 1;
                if line < previous {
                    return Err(EtlError::Unsorted { line: number });
                }
                each(&line)?;
                std::mem::swap(&mut line, &mut previous);
                line.clear();
            }
        }
    }
    Ok(())
}
