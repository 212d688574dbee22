//! The stages through pipes, with nothing but a sort between them.

use super::{
    assert_equal_dumps,
    sets::{self, Set, fresh_directory},
};
use std::{
    io::Write,
    process::{Command, Stdio},
    thread,
};
use trident::etl::{
    error::EtlError,
    progress::Silent,
    read::list::{Source, list},
    record::{compat::Compat, excluded::Excluded},
    run::pipe::{self, Order, Reducing},
    run::totals::Building,
    sink::user_sink::DumpSink,
    stage::map::Reading,
};

const WHAT: Reducing = Reducing {
    top: 700,
    history: false,
};
const BUILDING: Building<'static> = Building {
    allow_empty: false,
    top: 700,
    history: None,
};

fn reading(sources: &[Source]) -> Reading<'_> {
    Reading {
        sources,
        skip_bad_files: false,
        compat: Compat::Replace,
    }
}

fn mapped(set: &Set) -> Vec<u8> {
    let mut out = Vec::new();
    let sources = list(std::slice::from_ref(&set.data)).unwrap().sources;
    pipe::map(reading(&sources), 2, &mut out, &Silent).unwrap();
    out
}

/// `LC_ALL=C sort`, the real one.
fn sorted(text: &[u8]) -> Vec<u8> {
    let mut sort = Command::new("sort");
    sort.env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut process = sort.spawn().unwrap();
    let mut stdin = process.stdin.take().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(text).unwrap());
        process.wait_with_output().unwrap().stdout
    })
}

#[test]
fn sorting_between_the_stages_is_all_it_takes() {
    for set in sets::all() {
        let excluded = Excluded::load(&set.excluded).unwrap();
        let reduce = |input: &[u8]| {
            let mut out = Vec::new();
            let counts = pipe::reduce(input, &Order::Sorted, &excluded, WHAT, &mut out).unwrap();
            (out, counts)
        };
        let (events, tweets) = reduce(&sorted(&mapped(set)));
        let (pairs, users) = reduce(&sorted(&events));
        let mut dump = Vec::new();
        let built = pipe::build(
            sorted(&pairs).as_slice(),
            &Order::Sorted,
            BUILDING,
            &mut DumpSink::new(&mut dump),
        );
        assert_equal_dumps(std::str::from_utf8(&dump).unwrap(), &set.dump, set.name);
        assert_eq!(tweets.duplicates, set.stat("duplicates"));
        assert_eq!(users.profiles, set.stat("users_with_info"));
        assert_eq!(built.unwrap().counts.users, set.stat("users_with_contacts"));
    }
}

#[test]
fn unsorted_input_is_sorted_on_request_and_refused_otherwise() {
    let set = &sets::all()[0];
    let excluded = Excluded::load(&set.excluded).unwrap();
    let records = mapped(set);
    let directory = fresh_directory("pipe");
    let any = Order::Any {
        directory: directory.to_path_buf(),
        memory_bytes: 100_000,
    };
    let reduce = |input: &[u8], order: &Order| {
        let mut out = Vec::new();
        pipe::reduce(input, order, &excluded, WHAT, &mut out).map(|_| out)
    };
    assert!(matches!(
        reduce(&records, &Order::Sorted),
        Err(EtlError::Unsorted { .. })
    ));
    let events = reduce(&records, &any).unwrap();
    // The hashtags are in no order.
    let expected = reduce(&sorted(&records), &Order::Sorted).unwrap();
    assert!(sorted(&events) == sorted(&expected));

    let pairs = reduce(&events, &any).unwrap();
    let mut dump = Vec::new();
    pipe::build(
        pairs.as_slice(),
        &any,
        BUILDING,
        &mut DumpSink::new(&mut dump),
    )
    .unwrap();
    assert_equal_dumps(std::str::from_utf8(&dump).unwrap(), &set.dump, "any order");
}

/// Lines by the process that is to get them: a stand-in for a shuffle.
fn shuffled(outputs: &[Vec<u8>], processes: u64) -> Vec<Vec<u8>> {
    let mut inputs = vec![Vec::new(); processes as usize];
    for line in outputs
        .iter()
        .flat_map(|out| out.split_inclusive(|b| *b == b'\n'))
    {
        let key: u64 = std::str::from_utf8(&line[..19]).unwrap().parse().unwrap();
        inputs[(key % processes) as usize].extend_from_slice(line);
    }
    inputs.iter().map(|input| sorted(input)).collect()
}

/// A job of two processes in each stage; `lose` may change what the stage of this number has written.
fn job_of_two(
    set: &Set,
    halves: &[std::path::PathBuf],
    lose: impl Fn(usize, &mut Vec<Vec<u8>>),
) -> Result<u64, EtlError> {
    let excluded = Excluded::load(&set.excluded).unwrap();
    let mut outputs: Vec<_> = halves
        .iter()
        .map(|half| {
            let (mut out, sources) = (
                Vec::new(),
                list(std::slice::from_ref(half)).unwrap().sources,
            );
            pipe::map(reading(&sources), 1, &mut out, &Silent).unwrap();
            out
        })
        .collect();
    lose(0, &mut outputs);
    for stage in 1..3 {
        let reduced = shuffled(&outputs, 2).into_iter().map(|input| {
            let mut out = Vec::new();
            pipe::reduce(input.as_slice(), &Order::Sorted, &excluded, WHAT, &mut out).map(|_| out)
        });
        outputs = reduced.collect::<Result<_, _>>()?;
        lose(stage, &mut outputs);
    }
    let all = sorted(&outputs.concat());
    let mut sink = DumpSink::new(Vec::new());
    let built = pipe::build(all.as_slice(), &Order::Sorted, BUILDING, &mut sink);
    built.map(|report| report.counts.users)
}

#[test]
fn a_part_of_the_report_or_a_record_that_is_lost_makes_no_store() {
    let set = &sets::all()[0];
    let directory = fresh_directory("pipe-lost");
    let lines = set.lines();
    // A third file of which nothing is kept: only its part of the report says that it was there.
    let contents = [
        lines[..lines.len() / 2].join(&b'\n'),
        lines[lines.len() / 2..].join(&b'\n'),
        b"{}\n".to_vec(),
    ];
    let halves: Vec<_> = (0..3)
        .map(|n| directory.join(format!("{n}.jsonl")))
        .collect();
    for (half, content) in halves.iter().zip(contents) {
        std::fs::write(half, content).unwrap();
    }
    let users = job_of_two(set, &halves, |_, _| {}).unwrap();
    assert_eq!(users, set.stat("users_with_contacts"));
    let is_part = |line: &[u8]| line[19..].starts_with(b"\tr1\t");
    // In each stage the last record of each process, then each part of the report that it writes or passes on. What of the third
    // file is lost before anybody has passed it on stays unknown.
    let mut parts_lost = 0;
    for stage in 0..3 {
        for process in 0..2 {
            for part in [None, Some(0), Some(1), Some(2), Some(3), Some(4), Some(5)] {
                let found = std::cell::Cell::new(false);
                let lose = |at: usize, outputs: &mut Vec<Vec<u8>>| {
                    if at != stage {
                        return;
                    }
                    let all = &outputs[process];
                    let mut lines: Vec<_> = all.split_inclusive(|b| *b == b'\n').collect();
                    let mut parts = (0..lines.len()).filter(|n| is_part(lines[*n]));
                    let lost = match part {
                        Some(number) => parts.nth(number),
                        None => lines.iter().rposition(|line| !is_part(line)),
                    };
                    if let Some(lost) = lost {
                        found.set(true);
                        lines.remove(lost);
                    }
                    outputs[process] = lines.concat();
                };
                let result = job_of_two(set, &halves, lose);
                // Some records are missed by the stage that reads their neighbours.
                let lost = matches!(result, Err(EtlError::Lost { .. }));
                assert!(
                    !found.get() || lost || part.is_none() && result.is_err(),
                    "stage {stage}, process {process}, part {part:?}: {result:?}"
                );
                parts_lost += usize::from(found.get() && part.is_some());
            }
        }
    }
    // Of each half; those of three files and of a process; those and the second process' own, of two processes.
    assert_eq!(parts_lost, 2 + (3 + 1 + 1) + (3 + 2 + 1 + 1));
    // A task whose output comes twice. One of `map` is as an input that is named twice: its tweets are duplicates.
    for stage in 1..3 {
        let twice = |at: usize, outputs: &mut Vec<Vec<u8>>| {
            if at == stage {
                outputs.push(outputs[0].clone());
            }
        };
        assert!(job_of_two(set, &halves, twice).is_err(), "stage {stage}");
    }
}

#[test]
fn records_of_the_wrong_stage_are_refused() {
    let set = &sets::all()[0];
    let records = sorted(&mapped(set));
    let built = pipe::build(
        records.as_slice(),
        &Order::Sorted,
        BUILDING,
        &mut DumpSink::new(Vec::new()),
    );
    assert!(matches!(built, Err(EtlError::Record(_))), "{built:?}");
    let reduced = pipe::reduce(
        &b"0000000000000000001\tc2\t0000000000000000002\tm\t\t\n"[..],
        &Order::Sorted,
        &Excluded::default(),
        WHAT,
        &mut Vec::new(),
    );
    assert!(
        matches!(reduced, Err(EtlError::Incomplete { user: 1, .. })),
        "{reduced:?}"
    );
    let garbage = pipe::reduce(
        &b"hello\n"[..],
        &Order::Sorted,
        &Excluded::default(),
        WHAT,
        &mut Vec::new(),
    );
    assert_eq!(
        garbage.unwrap_err().to_string(),
        "not a record of this version: \"hello\""
    );
}

#[test]
fn a_closed_output_is_an_error_that_says_so() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let sources = list(std::slice::from_ref(&sets::all()[0].data))
        .unwrap()
        .sources;
    match pipe::map(reading(&sources), 2, &mut Closed, &Silent) {
        Err(EtlError::Io { source, .. }) => {
            assert_eq!(source.kind(), std::io::ErrorKind::BrokenPipe);
        }
        other => panic!("{other:?}"),
    }
}
