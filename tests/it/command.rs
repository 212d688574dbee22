//! `trident` as a command that ends.

use crate::harness::without_settings;
use std::process::{Command, Output, Stdio};

/// `trident` with `arguments`, without variables of this process and without the machine's own file.
pub fn trident(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trident"));
    without_settings(&mut command)
        .args(arguments)
        .env("TRIDENT_CONFIG", "/dev/null")
        .stdin(Stdio::null());
    command
}

/// Exit code, standard output and standard error of a command.
pub fn ended(command: &mut Command) -> (i32, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let code = status.code();
    let stderr = text(stderr);
    let code = code.unwrap_or_else(|| panic!("{command:?}: {status}: {stderr}"));
    (code, text(stdout), stderr)
}
