//! Figures of this process from `/proc/self`, read by the sampling thread.

use std::{
    fs,
    time::{SystemTime, UNIX_EPOCH},
};

use super::{Gauge, Gauges};

/// Ticks of `/proc/self/stat` in a second: `USER_HZ`, 100 on every architecture served here.
const TICKS_PER_SECOND: f64 = 100.0;

/// Figures of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Process {
    /// Processor time used, in seconds.
    pub cpu_seconds: f64,
    /// Resident memory.
    pub resident_bytes: f64,
    virtual_bytes: f64,
    threads: f64,
    open_fds: f64,
    max_fds: f64,
    start_seconds: f64,
}

impl Process {
    /// Reads now. An unreadable figure, for instance for lack of a descriptor, keeps its last value,
    /// because a counter that falls to 0 looks like a restart. The start time is computed once, because
    /// clocks may be set later.
    pub fn refresh(&mut self) {
        let file = |name: &str| fs::read_to_string(name).ok();
        if let Some(stat) = file("/proc/self/stat") {
            let after_boot = self.take_stat(&stat);
            if self.start_seconds == 0.0
                && let Some(uptime) = file("/proc/uptime")
            {
                self.start_seconds = start_seconds(after_boot, &uptime);
            }
        }
        if let Some(statm) = file("/proc/self/statm") {
            self.take_statm(&statm, rustix::param::page_size());
        }
        if let Some(limits) = file("/proc/self/limits") {
            self.max_fds = max_fds(&limits);
        }
        self.open_fds = open_fds().unwrap_or(self.open_fds);
    }

    /// The contents of `stat` (proc(5)); the start in seconds after boot.
    fn take_stat(&mut self, stat: &str) -> f64 {
        // The command's name, in parentheses, may hold spaces; the third field comes first after it.
        let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let fields: Vec<f64> = numbers(rest).collect();
        let field = |number: usize| fields.get(number - 3).copied().unwrap_or_default();
        self.cpu_seconds = (field(14) + field(15)) / TICKS_PER_SECOND;
        self.threads = field(20);
        field(22) / TICKS_PER_SECOND
    }

    /// The contents of `statm` (proc(5)), which counts pages: 4, 16 or 64 KiB on arm64.
    fn take_statm(&mut self, statm: &str, page_bytes: usize) {
        let mut bytes = numbers(statm).map(|pages| pages * page_bytes as f64);
        self.virtual_bytes = bytes.next().unwrap_or_default();
        self.resident_bytes = bytes.next().unwrap_or_default();
    }

    /// Sets the gauges named `process_…`.
    pub fn set(&self, gauges: &mut Gauges) {
        gauges.set(Gauge::ProcessCpu, self.cpu_seconds);
        gauges.set(Gauge::ProcessResident, self.resident_bytes);
        gauges.set(Gauge::ProcessVirtual, self.virtual_bytes);
        gauges.set(Gauge::ProcessOpenFds, self.open_fds);
        gauges.set(Gauge::ProcessMaxFds, self.max_fds);
        gauges.set(Gauge::ProcessThreads, self.threads);
        gauges.set(Gauge::ProcessStart, self.start_seconds);
    }
}

/// The words of `text` as numbers; 0 for other words.
fn numbers(text: &str) -> impl Iterator<Item = f64> {
    text.split_whitespace()
        .map(|word| word.parse().unwrap_or_default())
}

fn max_fds(limits: &str) -> f64 {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    line.map_or(0.0, |soft_and_hard| {
        numbers(soft_and_hard).next().unwrap_or_default()
    })
}

/// Since Linux 6.2 the directory's size is their number; before, it is 0 and they are counted.
fn open_fds() -> Option<f64> {
    let directory = "/proc/self/fd";
    match fs::metadata(directory).ok()?.len() {
        0 => Some(fs::read_dir(directory).ok()?.count() as f64),
        size => Some(size as f64),
    }
}

/// Seconds since 1970 of what happened `after_boot` seconds after boot.
fn start_seconds(after_boot: f64, uptime: &str) -> f64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    now.as_secs_f64() - numbers(uptime).next().unwrap_or_default() + after_boot
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_parentheses_do_not_shift_the_fields() {
        let stat = "1 (a ) (b) S 2 3 4 5 6 7 8 9 10 11 1200 300 0 0 20 0 7 0 5000 1 2";
        let mut process = Process::default();
        assert_eq!(process.take_stat(stat), 50.0);
        assert_eq!((process.cpu_seconds, process.threads), (15.0, 7.0));
        let mut none = Process::default();
        assert_eq!(none.take_stat(""), 0.0);
        assert_eq!(none, Process::default());
    }

    #[test]
    fn memory_is_counted_in_the_kernels_pages() {
        for (page_bytes, virtual_bytes, resident_bytes) in [
            (4 << 10, 409_600.0, 204_800.0),
            (16 << 10, 1_638_400.0, 819_200.0),
            (64 << 10, 6_553_600.0, 3_276_800.0),
        ] {
            let mut process = Process::default();
            process.take_statm("100 50 1 1 0 1 0", page_bytes);
            assert_eq!(
                (process.virtual_bytes, process.resident_bytes),
                (virtual_bytes, resident_bytes)
            );
        }
        let mut none = Process::default();
        none.take_statm("", 4 << 10);
        assert_eq!(none, Process::default());
    }

    /// `VmRSS` of `/proc/self/status`, which the kernel gives in kB whatever its pages are.
    fn status_resident_bytes() -> f64 {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        numbers(line.unwrap()).next().unwrap() * 1024.0
    }

    #[test]
    fn this_process_has_figures() {
        let mut process = Process::default();
        process.refresh();
        // Other tests take memory meanwhile, so not at every try.
        let agrees = (0..100).any(|_| {
            process.refresh();
            (0.7..1.4).contains(&(process.resident_bytes / status_resident_bytes()))
        });
        assert!(agrees, "{process:?}, {}", status_resident_bytes());
        assert!(process.resident_bytes > 1e6 && process.virtual_bytes >= process.resident_bytes);
        assert!(process.open_fds >= 3.0 && process.max_fds >= process.open_fds);
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs_f64();
        assert!((0.0..86_400.0).contains(&(now - process.start_seconds)));
        let start = process.start_seconds;
        process.refresh();
        assert_eq!(process.start_seconds, start, "to the bit");
    }
}
