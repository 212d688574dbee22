//! `--name value` command lines for the binaries of this package.
//!
//! Deliberately not clap: six flags per binary, and the build of this package is part of every
//! bench run. A wrong command line ends the process with code 64 and one line on stderr.

use std::{collections::BTreeMap, env, process, str::FromStr};

/// Flags still to be taken.
pub struct Args {
    usage: &'static str,
    values: BTreeMap<String, String>,
}

impl Args {
    /// Reads the process's command line; `usage` is printed for `--help` and after an error.
    pub fn from_env(usage: &'static str) -> Self {
        let mut values = BTreeMap::new();
        let mut words = env::args().skip(1);
        while let Some(word) = words.next() {
            if word == "--help" || word == "-h" {
                println!("{usage}");
                process::exit(0);
            }
            let Some(name) = word.strip_prefix("--") else {
                fail(usage, &format!("unexpected argument {word}"));
            };
            let (name, value) = match name.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (name.to_owned(), words.next()),
            };
            let Some(value) = value else {
                fail(usage, &format!("--{name} needs a value"));
            };
            values.insert(name, value);
        }
        Self { usage, values }
    }

    /// The value of `--name`, or `default`.
    pub fn take<T: FromStr>(&mut self, name: &str, default: T) -> T {
        self.take_optional(name).unwrap_or(default)
    }

    /// The value of `--name`, if given.
    pub fn take_optional<T: FromStr>(&mut self, name: &str) -> Option<T> {
        let text = self.values.remove(name)?;
        match text.parse() {
            Ok(value) => Some(value),
            Err(_) => fail(self.usage, &format!("--{name}: cannot use {text}")),
        }
    }

    /// The value of `--name`, which must be given.
    pub fn require<T: FromStr>(&mut self, name: &str) -> T {
        match self.take_optional(name) {
            Some(value) => value,
            None => fail(self.usage, &format!("--{name} is required")),
        }
    }

    /// Refuses flags nobody took.
    pub fn finish(self) {
        if let Some(name) = self.values.keys().next() {
            fail(self.usage, &format!("unknown flag --{name}"));
        }
    }
}

fn fail(usage: &str, why: &str) -> ! {
    eprintln!("{why}\n{usage}");
    process::exit(64);
}
