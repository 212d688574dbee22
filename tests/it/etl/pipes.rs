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
