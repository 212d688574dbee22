//! The stages on one machine: work files in, work files out, partition by partition.
//!
//! Each function reads the previous stage's output from the work directory, writes its own directories, and returns the
//! lengths of their files once they are durable. The modules that process a record: [`crate::etl::stage::map`],
//! [`crate::etl::stage::tweets`], [`crate::etl::stage::users`] and [`crate::etl::stage::values`].

use crate::etl::run::stage_files::{BlockFile, SortedWithFile, TagFiles, TweetFiles, UserFiles};
use crate::etl::{
    error::EtlError,
    progress::Progress,
    record::excluded::Excluded,
    record::fields,
    record::records::deleted_id,
    run::workdir::{Plan, StageOutput, WorkDir},
    shuffle::sort::{Keys, Sorted, Sorter},
    shuffle::spill::{Emit, LineReader, Shuffle, ShuffleWriter, partition_path},
    sink::user_sink::{Frames, SinkError, UserSink},
    stage::counts::Counts,
    stage::map::{self, Reading},
    stage::tags::{TagCounter, TagTotals},
    stage::tweets::TweetReducer,
    stage::users::UserReducer,
    stage::values::{Room, ValueBuilder},
    stage::workers,
};
use crate::store::value::Value;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, binary_heap::PeekMut},
    path::Path,
};

/// What every stage needs.
pub struct Context<'a> {
    /// The plan of the run.
    pub plan: &'a Plan,
    /// Tags left out of the counts.
    pub excluded: &'a Excluded,
    /// Threads.
    pub workers: usize,
    /// Memory that buffers may take in total.
    pub memory_bytes: usize,
    /// Receives the bytes read.
    pub progress: &'a dyn Progress,
}

impl Context<'_> {
    /// A shuffle into a new directory. The buffers of all workers together take an eighth of the memory,
    /// unless writes would become too small.
    fn shuffle(&self, work: &WorkDir, name: &str) -> Result<Shuffle, EtlError> {
        let buffers = self.workers * self.plan.partitions;
        let buffer_bytes = (self.memory_bytes / 8 / buffers).clamp(1 << 10, 64 << 10);
        Shuffle::create(&work.create(name)?, self.plan.partitions, buffer_bytes)
    }

    /// The sorter of one worker; all sorters together take half of the memory.
    fn sorter(&self, work: &WorkDir, keys: Keys) -> Result<Sorter, EtlError> {
        let directory = work.directory("runs");
        std::fs::create_dir_all(&directory)
            .map_err(|e| EtlError::io("create", &directory, 0, e))?;
        Ok(Sorter::new(
            keys,
            self.memory_bytes / 2 / self.workers,
            &directory,
        ))
    }

    fn small_share_bytes(&self) -> usize {
        self.memory_bytes / 16 / self.workers
    }

    /// Runs `task` for each partition file of `name`; returns the workers' states and the bytes read.
    fn each_partition<S: Send>(
        &self,
        work: &WorkDir,
        name: &str,
        start: impl Fn() -> Result<S, EtlError> + Sync,
        task: impl Fn(&mut S, usize, &Path) -> Result<(), EtlError> + Sync,
    ) -> Result<(Vec<S>, u64), EtlError> {
        let directory = work.directory(name);
        let lengths = work.outputs(name)?;
        let states = workers::each(self.workers, lengths.len(), start, |state, index| {
            task(state, index, &partition_path(&directory, index))?;
            self.progress.advance(lengths[index]);
            Ok(())
        })?;
        Ok((states, lengths.iter().sum()))
    }
}

/// Input to `tweets/`.
pub fn map(context: &Context<'_>, work: &WorkDir) -> Result<StageOutput, EtlError> {
    let tweets = context.shuffle(work, "tweets")?;
    let plan = context.plan;
    let reading = Reading {
        sources: &plan.sources,
        skip_bad_files: plan.skip_bad_files,
        compat: plan.compat,
    };
    let mapped = map::run(
        reading,
        context.workers,
        || tweets.writer(),
        context.progress,
    )?;
    Ok(StageOutput {
        read_bytes: mapped.counts.bytes,
        counts: mapped.counts,
        skipped_files: mapped.skipped_files,
        examples: mapped.examples,
        left_out: mapped.left_out,
        outputs: vec![("tweets", tweets.finish()?)],
        ..StageOutput::default()
    })
}

/// `tweets/` to `events/` (by user), `tags/` (by tag) and `kept/` (history: tweets by ascending id
/// within a partition).
pub fn tweets(context: &Context<'_>, work: &WorkDir) -> Result<StageOutput, EtlError> {
    struct Worker<'a> {
        sorter: Sorter,
        events: ShuffleWriter<'a>,
        tags: ShuffleWriter<'a>,
        counter: TagCounter,
        counts: Counts,
        written: Vec<(usize, u64)>,
    }
    let events = context.shuffle(work, "events")?;
    let tags = context.shuffle(work, "tags")?;
    let kept = work.create("kept")?;
    let start = || {
        Ok(Worker {
            sorter: context.sorter(work, Keys::Ids)?,
            events: events.writer(),
            tags: tags.writer(),
            counter: TagCounter::new(context.small_share_bytes()),
            counts: Counts::default(),
            written: Vec::new(),
        })
    };
    let (mut workers, read_bytes) =
        context.each_partition(work, "tweets", start, |w, index, path| {
            let mut reducer = TweetReducer::new(context.excluded);
            let mut sorted = w.sorter.sort(LineReader::open(path)?)?;
            let mut out = TweetFiles {
                events: &mut w.events,
                tags: &mut w.tags,
                counter: &mut w.counter,
                kept: BlockFile::create(&kept, index)?,
                history: context.plan.history,
            };
            while let Some(line) = sorted.next_line()? {
                reducer.line(line, &mut out)?;
            }
            reducer.finish(&mut out)?;
            w.written.push((index, out.kept.finish()?));
            w.counts.add(&reducer.counts());
            Ok(())
        })?;
    let mut counts = Counts::default();
    for w in &mut workers {
        w.counter.flush(&mut w.tags)?;
        w.tags.flush()?;
        w.events.flush()?;
        counts.add(&w.counts);
    }
    let kept = by_partition(workers.iter().flat_map(|w| &w.written));
    drop(workers);
    let outputs = vec![
        ("events", events.finish()?),
        ("tags", tags.finish()?),
        ("kept", kept),
    ];
    Ok(StageOutput {
        counts,
        outputs,
        read_bytes,
        ..StageOutput::default()
    })
}

/// The lengths of files that several workers wrote, in order of the partitions.
fn by_partition<'a>(written: impl Iterator<Item = &'a (usize, u64)>) -> Vec<u64> {
    written
        .copied()
        .collect::<BTreeMap<_, _>>()
        .into_values()
        .collect()
}

/// `tags/` to the report's frequencies.
pub fn tags(context: &Context<'_>, work: &WorkDir) -> Result<StageOutput, EtlError> {
    let top = context.plan.top;
    let start = || Ok((context.sorter(work, Keys::Text)?, TagTotals::new(top)));
    let (workers, read_bytes) =
        context.each_partition(work, "tags", start, |(sorter, totals), _, path| {
            totals.add_partition(sorter.sort(LineReader::open(path)?)?)
        })?;
    let totals = workers.into_iter().map(|(_, totals)| totals).collect();
    Ok(StageOutput {
        tags: Some(TagTotals::report(totals, top)),
        read_bytes,
        ..StageOutput::default()
    })
}

/// `events/` to `base/` (sorted), `peers/` (by the other user), `counts/` (long runs of counts) and
/// `user_states/` (history: users by ascending id within a partition).
pub fn users(context: &Context<'_>, work: &WorkDir) -> Result<StageOutput, EtlError> {
    struct Worker<'a> {
        sorter: Sorter,
        peers: ShuffleWriter<'a>,
        reducer: UserReducer,
        base: Vec<(usize, u64)>,
        counts: Vec<(usize, u64)>,
        user_states: Vec<(usize, u64)>,
    }
    let peers = context.shuffle(work, "peers")?;
    let (base, counts) = (work.create("base")?, work.create("counts")?);
    let user_states = work.create("user_states")?;
    let start = || {
        Ok(Worker {
            sorter: context.sorter(work, Keys::Ids)?,
            peers: peers.writer(),
            reducer: UserReducer::new(context.plan.history),
            base: Vec::new(),
            counts: Vec::new(),
            user_states: Vec::new(),
        })
    };
    let (mut workers, read_bytes) =
        context.each_partition(work, "events", start, |w, index, path| {
            let mut sorted = w.sorter.sort(LineReader::open(path)?)?;
            let mut out = UserFiles {
                base: BlockFile::create(&base, index)?,
                counts: BlockFile::create(&counts, index)?,
                user_states: BlockFile::create(&user_states, index)?,
                index,
                peers: &mut w.peers,
            };
            while let Some(line) = sorted.next_line()? {
                w.reducer.line(line, &mut out)?;
            }
            w.reducer.finish(&mut out)?;
            w.base.push((index, out.base.finish()?));
            w.counts.push((index, out.counts.finish()?));
            w.user_states.push((index, out.user_states.finish()?));
            Ok(())
        })?;
    let mut total = Counts::default();
    for w in &mut workers {
        w.peers.flush()?;
        total.add(&w.reducer.counts());
    }
    let base = by_partition(workers.iter().flat_map(|w| &w.base));
    let counts = by_partition(workers.iter().flat_map(|w| &w.counts));
    let user_states = by_partition(workers.iter().flat_map(|w| &w.user_states));
    drop(workers);
    let outputs = vec![
        ("base", base),
        ("counts", counts),
        ("user_states", user_states),
        ("peers", peers.finish()?),
    ];
    Ok(StageOutput {
        counts: total,
        outputs,
        read_bytes,
        ..StageOutput::default()
    })
}

/// `base/`, `peers/` and `counts/` to `values/`: user values by ascending user within a partition.
pub fn values(context: &Context<'_>, work: &WorkDir) -> Result<StageOutput, EtlError> {
    struct Worker {
        sorter: Sorter,
        builder: ValueBuilder<TagFiles>,
        written: Vec<(usize, u64)>,
    }
    let values = work.create("values")?;
    let base = work.directory("base");
    let base_bytes: u64 = work.outputs("base")?.iter().sum();
    work.outputs("counts")?;
    let start = || {
        let tags = TagFiles {
            directory: work.directory("counts"),
            open: None,
        };
        let builder = ValueBuilder::new(
            tags,
            Room {
                bytes: context.small_share_bytes(),
                directory: work.directory("runs"),
            },
        );
        Ok(Worker {
            sorter: context.sorter(work, Keys::Ids)?,
            builder,
            written: Vec::new(),
        })
    };
    let (workers, read_bytes) =
        context.each_partition(work, "peers", start, |w, index, path| {
            let mut out = BlockFile::create(&values, index)?;
            let mut put = |user, value: Value<'_>| out.frame(user, value);
            let mut lines = SortedWithFile {
                sorted: w.sorter.sort(LineReader::open(path)?)?,
                file: LineReader::open(&partition_path(&base, index))?,
            };
            lines.merge(|line| w.builder.line(line, &mut put))?;
            w.builder.finish(&mut put)?;
            w.written.push((index, out.finish()?));
            Ok(())
        })?;
    let mut counts = Counts::default();
    workers.iter().for_each(|w| counts.add(&w.builder.counts()));
    let outputs = vec![(
        "values",
        by_partition(workers.iter().flat_map(|w| &w.written)),
    )];
    Ok(StageOutput {
        counts,
        outputs,
        read_bytes: read_bytes + base_bytes,
        ..StageOutput::default()
    })
}

/// Gives `sink` all its records in ascending order. Returns the bytes read.
pub fn build(
    context: &Context<'_>,
    work: &WorkDir,
    sink: &mut dyn UserSink,
) -> Result<u64, EtlError> {
    let mut read_bytes = 0;
    if context.plan.history {
        let excluded = context.excluded;
        sink.begin_history(excluded).map_err(EtlError::SinkFinish)?;
        read_bytes += history(context, work, "kept", |id, record| {
            match deleted_id(record) {
                Some(_) => sink.put_deletion(id),
                None => sink.put_tweet(id, record),
            }
        })?;
        read_bytes += history(context, work, "user_states", |id, record| {
            sink.put_person(id, record)
        })?;
    }
    read_bytes += put_values(context, work, sink)?;
    sink.finish().map_err(EtlError::SinkFinish)?;
    Ok(read_bytes)
}

/// Merges the sorted partitions of records in `name`.
fn history(
    context: &Context<'_>,
    work: &WorkDir,
    name: &str,
    mut put: impl FnMut(u64, &[u8]) -> Result<(), SinkError>,
) -> Result<u64, EtlError> {
    let directory = work.directory(name);
    let lengths = work.outputs(name)?;
    let files =
        (0..lengths.len()).map(|index| LineReader::open(&partition_path(&directory, index)));
    let mut merged = Sorted::merge(files.collect::<Result<_, _>>()?)?;
    while let Some(record) = merged.next_line()? {
        let id = fields::key(record)?;
        put(id, record).map_err(|source| EtlError::Sink { user: id, source })?;
        context.progress.advance(record.len() as u64);
    }
    Ok(lengths.iter().sum())
}

/// Merges the values of all partitions.
fn put_values(
    context: &Context<'_>,
    work: &WorkDir,
    sink: &mut dyn UserSink,
) -> Result<u64, EtlError> {
    let directory = work.directory("values");
    let lengths = work.outputs("values")?;
    let mut heads = BinaryHeap::new();
    let mut files = Vec::new();
    for index in 0..lengths.len() {
        let mut file = Frames::open(&partition_path(&directory, index))?;
        heads.extend(file.next_user()?.map(|user| Reverse((user, index))));
        files.push(file);
    }
    // However many partitions there are, only one value is in memory, and no large one.
    let mut small = Vec::new();
    while let Some(mut head) = heads.peek_mut() {
        let Reverse((user, index)) = *head;
        let value = files[index].value(&mut small)?;
        let bytes = value.bytes();
        sink.put_value(user, value)
            .map_err(|source| EtlError::Sink { user, source })?;
        context.progress.advance(bytes);
        match files[index].next_user()? {
            Some(next) => *head = Reverse((next, index)),
            None => drop(PeekMut::pop(head)),
        }
    }
    Ok(lengths.iter().sum())
}
