//! The progress of a run: bars with rate and remaining time on a terminal, plain lines otherwise.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use parking_lot::Mutex;
use std::{
    io::{IsTerminal, Write},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

/// Receives the progress of a run from its threads. One stage runs at a time.
pub trait Progress: Sync {
    /// Stage `name` begins and has `total_bytes` bytes to read, 0 if unknown.
    fn begin(&self, name: &'static str, total_bytes: u64);
    /// The stage has read `bytes` more bytes.
    fn advance(&self, bytes: u64);
    /// The stage is complete and on disk.
    fn end(&self);
}

/// Shows nothing.
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _: &'static str, _: u64) {}
    fn advance(&self, _: u64) {}
    fn end(&self) {}
}

/// Bars when standard error is a terminal, a line every ten seconds otherwise.
pub fn for_stderr() -> Box<dyn Progress> {
    if std::io::stderr().is_terminal() {
        return Box::new(Bars(Mutex::new(ProgressBar::hidden())));
    }
    Box::new(PlainLines::new(std::io::stderr(), Duration::from_secs(10)))
}

struct Bars(Mutex<ProgressBar>);

impl Progress for Bars {
    fn begin(&self, name: &'static str, total_bytes: u64) {
        let (total, template) = match total_bytes {
            0 => (None, "{msg:7} {spinner} {bytes} {bytes_per_sec}"),
            _ => (
                Some(total_bytes),
                "{msg:7} {bar:32} {bytes}/{total_bytes} {bytes_per_sec} {eta} left",
            ),
        };
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(name);
        *self.0.lock() = bar;
    }

    fn advance(&self, bytes: u64) {
        self.0.lock().inc(bytes);
    }

    fn end(&self) {
        self.0.lock().finish();
    }
}

/// Lines such as `map: 310 of 2048 MB, 155 MB/s, 11 s left`.
pub struct PlainLines<W> {
    every: Duration,
    done_bytes: AtomicU64,
    stage: Mutex<PlainStage<W>>,
}

struct PlainStage<W> {
    out: W,
    name: &'static str,
    total_bytes: u64,
    began: Instant,
    reported: Instant,
}

impl<W: Write + Send> PlainLines<W> {
    /// Writes to `out` at most once in `every` and at the end of each stage. A failed write is
    /// ignored: a closed pipe must not end a long run.
    pub fn new(out: W, every: Duration) -> Self {
        let now = Instant::now();
        let stage = PlainStage {
            out,
            name: "",
            total_bytes: 0,
            began: now,
            reported: now,
        };
        Self {
            every,
            done_bytes: AtomicU64::new(0),
            stage: Mutex::new(stage),
        }
    }
}

impl<W: Write + Send> Progress for PlainLines<W> {
    fn begin(&self, name: &'static str, total_bytes: u64) {
        let mut stage = self.stage.lock();
        self.done_bytes.store(0, Relaxed);
        (stage.name, stage.total_bytes) = (name, total_bytes);
        (stage.began, stage.reported) = (Instant::now(), Instant::now());
    }

    fn advance(&self, bytes: u64) {
        let done = self.done_bytes.fetch_add(bytes, Relaxed) + bytes;
        // If another thread holds the lock, it writes the line.
        let Some(mut stage) = self.stage.try_lock() else {
            return;
        };
        if stage.reported.elapsed() >= self.every {
            stage.reported = Instant::now();
            stage.line(done);
        }
    }

    fn end(&self) {
        let mut stage = self.stage.lock();
        let (name, seconds) = (stage.name, stage.began.elapsed().as_secs_f64());
        let megabytes = self.done_bytes.load(Relaxed) / 1_000_000;
        let _ = writeln!(stage.out, "{name}: done, {megabytes} MB in {seconds:.1} s");
    }
}

impl<W: Write> PlainStage<W> {
    fn line(&mut self, done_bytes: u64) {
        let (name, done, total) = (
            self.name,
            done_bytes / 1_000_000,
            self.total_bytes / 1_000_000,
        );
        let rate = done_bytes as f64 / self.began.elapsed().as_secs_f64().max(1e-9);
        let _ = match self.total_bytes.checked_sub(done_bytes) {
            Some(left) if rate > 0.0 => writeln!(
                self.out,
                "{name}: {done} of {total} MB, {:.0} MB/s, {:.0} s left",
                rate / 1e6,
                left as f64 / rate
            ),
            _ => writeln!(self.out, "{name}: {done} MB, {:.0} MB/s", rate / 1e6),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_lines_show_stage_rate_and_time_left() {
        let mut out = Vec::new();
        {
            let progress = PlainLines::new(&mut out, Duration::ZERO);
            progress.begin("map", 4_000_000);
            progress.advance(1_000_000);
            progress.end();
            progress.begin("build", 0);
            progress.advance(2_000_000);
            progress.end();
        }
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 4, "{text}");
        assert!(
            lines[0].starts_with("map: 1 of 4 MB, ") && lines[0].ends_with(" s left"),
            "{text}"
        );
        assert!(lines[1].starts_with("map: done, 1 MB in "), "{text}");
        assert!(
            lines[2].starts_with("build: 2 MB, ") && lines[2].ends_with(" MB/s"),
            "{text}"
        );
    }
}
