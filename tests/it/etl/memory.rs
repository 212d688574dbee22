//! How much memory a run takes when the value of one user is larger than that.

use super::{
    command::{data, ended},
    sets::fresh_directory,
};
use std::{
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use trident::store::{Store, value::User};

const CONTACTS: u64 = 150_000;
/// Memory for buffers, and what the process may take: with a batch of values in LMDB and the window of a scan.
const MEMORY_BYTES: &str = "32M";
const PEAK_BYTES_MAX: u64 = 160 << 20;
/// The value has that and more: no process of the test can have held it.
const VALUE_BYTES_MIN: usize = 180 << 20;

/// Tweets of so many people to one user.
fn hub(path: &Path) {
    let mut out = BufWriter::new(File::create(path).unwrap());
    for contact in 0..CONTACTS {
        let about = format!("about {contact} ").repeat(100);
        writeln!(
            out,
            "{{\"id\":{},\"created_at\":\"Tue Apr 01 00:00:15 +0000 2014\",\"lang\":\"en\",\"in_reply_to_user_id\":42,\
             \"text\":\"hello {contact}\",\"entities\":{{\"hashtags\":[{{\"text\":\"topic{}\"}}]}},\
             \"user\":{{\"id\":{},\"screen_name\":\"user_{contact}\",\"description\":\"{about}\"}}}}",
            100_000_000_000_000_000 + contact,
            contact % 500,
            10_000_000 + 7 * contact,
        )
        .unwrap();
    }
    out.flush().unwrap();
}

/// Runs `trident etl` with these arguments; the most memory that the process has had.
fn peak_bytes(arguments: &[&str], input: Option<&Path>, output: Option<&Path>) -> u64 {
    let measure = "import resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
print('peak', resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(code)";
    let mut command = Command::new("python3");
    command.args(["-c", measure, env!("CARGO_BIN_EXE_trident"), "etl"]);
    command.args(arguments);
    command.stdin(input.map_or(Stdio::null(), |path| File::open(path).unwrap().into()));
    if let Some(path) = output {
        command.stdout(File::create(path).unwrap());
    }
    let (code, _, error) = ended(&mut command);
    assert_eq!(code, 0, "{arguments:?}: {error}");
    let kilobytes = error.rsplit("peak ").next().unwrap().trim();
    kilobytes.parse::<u64>().unwrap() << 10
}

fn check(what: &str, peak: u64) {
    assert!(peak < PEAK_BYTES_MAX, "{what}: {peak} bytes");
}

#[test]
fn a_value_larger_than_memory_is_written_while_it_is_made() {
    let directory = fresh_directory("memory");
    let path = |name: &str| directory.join(name);
    let text = |path: &PathBuf| path.to_str().unwrap().to_owned();
    let (input, one) = (path("hub.jsonl"), path("one"));
    hub(&input);
    let whole = [
        "--input",
        &text(&input),
        "--output",
        &text(&one),
        "--memory-bytes",
        MEMORY_BYTES,
        "--workers",
        "2",
    ];
    check("a whole run", peak_bytes(&whole, None, None));
    let store = Store::open(&one).unwrap();
    let reader = store.read().unwrap();
    let value = reader.get(42).unwrap().unwrap();
    assert!(value.len() > VALUE_BYTES_MIN, "{}", value.len());
    let user = User::verify(42, value).unwrap();
    assert_eq!(user.contact_count() as u64, CONTACTS);

    let sort = [
        "--sort",
        "--memory-bytes",
        MEMORY_BYTES,
        "--work-dir",
        directory.to_str().unwrap(),
    ];
    let names = ["hub.jsonl", "tweets", "events", "pairs"].map(path);
    let stages = [
        &["map", "--workers", "2"][..],
        &[&["reduce"], &sort[..]].concat(),
        &[&["reduce"], &sort[..]].concat(),
    ];
    for (index, stage) in stages.iter().enumerate() {
        let (input, output) = (&names[index], &names[index + 1]);
        check(stage[0], peak_bytes(stage, Some(input), Some(output)));
        std::fs::remove_file(input).unwrap();
    }
    let piped = path("piped");
    let build = [&["build", "--output", piped.to_str().unwrap()], &sort[..]].concat();
    check("build", peak_bytes(&build, Some(&names[3]), None));
    assert!(data(&piped) == data(&one));
}
