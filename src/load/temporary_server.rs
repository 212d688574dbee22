//! The temporary server of a run without a target: this program again, as a child on a free port.
//!
//! It is a separate process, so that the generator shares only the processors with it, and a separate
//! process group: Ctrl-C at a terminal reaches only the generator, which then stops the server.

use crate::{
    load::{error::LoadError, format::hex, identity::Identity},
    remedy::Trying,
};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    io::{BufRead, BufReader, Read},
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Time for the server to stop before it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// A server that stops when this value is dropped.
pub struct TemporaryServer {
    child: Child,
    /// Its URL.
    pub url: String,
}

impl TemporaryServer {
    /// Starts a server that answers with `identity`.
    ///
    /// # Errors
    /// It does not start; the message contains its output.
    pub fn start(identity: &Identity) -> Result<Self, LoadError> {
        let failed = |error: std::io::Error| LoadError::TemporaryServer(error.to_string());
        let mut command = Command::new(std::env::current_exe().map_err(failed)?);
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--admin", "off"])
            .args(["--team", &identity.team, "--aws-account", &identity.account])
            .args(["--log-level", "error"]);
        // The corpus is made for the defaults, so the settings of this machine's server must not apply.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("TRIDENT_") {
                command.env_remove(name);
            }
        }
        command.env("TRIDENT_CONFIG", "/dev/null");
        if let Some(key) = &identity.auth_key {
            command.env("TRIDENT_AUTH_KEY", hex(key));
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(Trying::Start.explained())
            .map_err(failed)?;
        let mut server = Self {
            child,
            url: String::new(),
        };
        server.url = server.printed_url()?;
        Ok(server)
    }

    /// The URL that it prints once it serves. A thread keeps reading its output, so that it never blocks.
    fn printed_url(&mut self) -> Result<String, LoadError> {
        let mut stderr = self.child.stderr.take();
        let complaints = move || {
            let mut text = String::new();
            if let Some(stderr) = &mut stderr {
                let _ = stderr.read_to_string(&mut text);
            }
            text
        };
        let complaints = thread::Builder::new().spawn(complaints);
        let complaints = complaints.map_err(LoadError::no_thread)?;
        if let Some(stdout) = self.child.stdout.take() {
            let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
            let url = lines.find_map(|line| Some(line.trim().strip_prefix("serving ")?.to_owned()));
            if let Some(url) = url {
                let rest = thread::Builder::new().spawn(move || lines.for_each(drop));
                rest.map_err(LoadError::no_thread)?;
                return Ok(url);
            }
        }
        let text = complaints.join().unwrap_or_default();
        Err(LoadError::TemporaryServer(text.trim().to_owned()))
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            let _ = kill_process(pid, signal);
        }
    }
}

impl Drop for TemporaryServer {
    fn drop(&mut self) {
        // The first signal begins a drain, the second one ends the process at once.
        let end = Instant::now() + STOP_TIMEOUT;
        while Instant::now() < end {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            self.signal(Signal::TERM);
            thread::sleep(Duration::from_millis(20));
        }
        self.signal(Signal::KILL);
        let _ = self.child.wait();
    }
}
