//! The progress line on a terminal.

use super::{
    HELLO, load,
    standin::{Reply, StandIn, answer},
};
use crate::temp_dir::TempDir;
use rustix::{
    fd::OwnedFd,
    process::{self, Pid, Signal},
    pty::{self, OpenptFlags},
    termios::{Winsize, tcsetwinsize},
};
use std::{fs::File, io::Read, process::Stdio};

/// Both ends of a terminal of 48 columns, fewer than the progress line needs.
fn terminal() -> (File, OwnedFd) {
    let master = pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    pty::grantpt(&master).unwrap();
    pty::unlockpt(&master).unwrap();
    let name = pty::ptsname(&master, Vec::new()).unwrap();
    let size = Winsize {
        ws_row: 24,
        ws_col: 48,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&master, size).unwrap();
    let other = File::options()
        .read(true)
        .write(true)
        .open(name.to_str().unwrap());
    (File::from(master), other.unwrap().into())
}

#[test]
fn on_a_terminal_each_line_takes_the_place_of_the_one_before() {
    let directory = TempDir::new();
    let server = StandIn::always(|| Reply::Bytes(answer(200, "hello")));
    let corpus = directory.file("c.jsonl", HELLO);
    let (mut screen, standard_error) = terminal();
    let flags = ["--corpus", &corpus, "--duration", "1h"];
    let mut command = load(&[&["--target", &server.url], &flags[..]].concat());
    command.stdout(Stdio::piped()).stderr(standard_error);
    let run = command.spawn().unwrap();
    drop(command); // and its copy of the terminal
    let mut shown = String::new();
    let mut read = || {
        let mut bytes = [0; 4096];
        let count = screen.read(&mut bytes).unwrap_or(0); // EIO: the other end is closed
        shown.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
        (count > 0, shown.clone())
    };
    while read().1.matches("requests/s").count() < 2 {}
    process::kill_process(Pid::from_child(&run), Signal::INT).unwrap();
    while read().0 {}
    let output = run.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "interrupted");
    let report = String::from_utf8(output.stdout).unwrap();
    assert!(
        report.contains("p99") && !report.contains('\x1b'),
        "{report}"
    );
    // Erased, written and erased again, and never wider than the terminal.
    let lines: Vec<&str> = shown.split("\r\x1b[K").collect();
    assert_eq!(
        (lines.first(), lines.last()),
        (Some(&""), Some(&"")),
        "{shown:?}"
    );
    for line in &lines[1..lines.len() - 1] {
        assert!(line.contains(" requests/s  p50 "), "{shown:?}");
        assert_eq!(line.chars().count(), 47, "{shown:?}");
    }
}
