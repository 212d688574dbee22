//! Roles as processes of this program: started, reached at the address they print, ended together with their starter.

use std::{
    env,
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    thread,
};

use anyhow::Context;
use signal_hook::consts::SIGTERM;

/// A process of this program; ended and waited for when dropped.
pub struct Process {
    child: Child,
    /// Its address, `http://…`.
    pub url: String,
}

impl Process {
    /// Starts this program as `role` with its own flags, then `--as ROLE` and further ones, which win, and with another
    /// value of a variable; returns when it serves.
    pub fn start(
        role: &str,
        flags: &[&str],
        variable: Option<(&str, &str)>,
    ) -> anyhow::Result<Self> {
        let mut child = Command::new(env::current_exe()?)
            .args(env::args_os().skip(1))
            .args(["--as", role])
            .args(flags)
            .envs(variable)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {role}"))?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let mut process = Self {
            child,
            url: String::new(),
        };
        let url = line.trim_end().strip_prefix("serving ");
        process.url = url
            .with_context(|| format!("{role} has ended; its words are above"))?
            .into();
        Ok(process)
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Makes this process end when its standard input does.
pub fn end_with_parent() -> std::io::Result<()> {
    let wait = || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        let _ = signal_hook::low_level::raise(SIGTERM);
    };
    thread::Builder::new().name("parent".into()).spawn(wait)?;
    Ok(())
}
