//! strace on threads of a process that runs.

use crate::harness::{eventually, required, unless_skipped};
use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
};

/// Whether this process may trace a server that it has started: under Yama (`ptrace_scope`) only root may.
pub fn may_attach() -> bool {
    let scope = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope");
    let is_free = scope.map_or(true, |scope| scope.trim() == "0");
    let may = is_free || rustix::process::geteuid().is_root();
    let obstacle = (!may).then(|| "only root can trace a server that runs".to_owned());
    unless_skipped("root", obstacle) && required("strace", &["strace"])
}

/// Threads of a server under strace; dropped, it lets them go.
pub struct Attached(Child);

impl Attached {
    /// Waits until every call of these threads is seen.
    pub fn to(threads: &[String], mut strace: Command) -> Self {
        let child = strace
            .args(["-p", &threads.join(",")])
            .stderr(Stdio::null());
        let attached = Self(child.spawn().unwrap());
        let tracer = format!("TracerPid:\t{}\n", attached.0.id());
        let is_traced = |thread: &String| {
            let status = fs::read_to_string(format!("/proc/{thread}/status"));
            status.is_ok_and(|status| status.contains(&tracer))
        };
        assert!(eventually(|| threads.iter().all(is_traced)));
        attached
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        let pid = self.0.id().to_string();
        let _ = Command::new("kill").args(["-INT", &pid]).status();
        let _ = self.0.wait();
    }
}

/// The threads of the process `pid` with the names that `is_wanted` accepts.
pub fn threads(pid: u32, is_wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let tasks = format!("/proc/{pid}/task");
    let ids = fs::read_dir(&tasks).unwrap();
    let ids = ids.map(|task| task.unwrap().file_name().into_string().unwrap());
    let name = |id: &String| fs::read_to_string(format!("{tasks}/{id}/comm")).unwrap();
    let found: Vec<_> = ids.filter(|id| is_wanted(name(id).trim())).collect();
    assert!(!found.is_empty());
    found
}

/// Whether a call was made to fail.
pub fn has_failed(record: &Path) -> bool {
    fs::read_to_string(record).unwrap().contains("(INJECTED)")
}
