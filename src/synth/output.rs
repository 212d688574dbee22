//! Many lines, made on all cores and written in order.

use crate::{remedy::Trying, threads};
use flate2::{Compression, write::GzEncoder};
use parking_lot::{Condvar, Mutex};
use std::io::{self, Write};

/// Lines made at once: about 3 MB of tweets.
const CHUNK_LINES: u64 = 1000;

/// How lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As they are.
    Plain,
    /// As gzip, a member for every thousand lines, so that all workers compress.
    Gzip,
}

impl Form {
    fn apply(self, chunk: &mut Vec<u8>) -> io::Result<()> {
        if self == Self::Gzip {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(chunk)?;
            *chunk = encoder.finish()?;
        }
        Ok(())
    }
}

struct Turn<'o, W> {
    /// The chunk that is to be written next.
    chunk: u64,
    out: &'o mut W,
    result: io::Result<()>,
}

/// Writes lines 0 to `lines` in order, each with a newline. `write_line` makes them on `workers` threads.
pub fn write_lines<W: Write + Send>(
    lines: u64,
    workers: usize,
    form: Form,
    out: &mut W,
    write_line: impl Fn(u64, &mut Vec<u8>) + Sync,
) -> io::Result<()> {
    let workers = workers.max(1) as u64;
    let chunks = lines.div_ceil(CHUNK_LINES);
    let turn = Mutex::new(Turn {
        chunk: 0,
        out,
        result: Ok(()),
    });
    let written = Condvar::new();
    // Worker w makes chunks w, w + workers and so on, and waits for its turn to write each.
    let work = |worker: u64| {
        let mut buffer = Vec::new();
        for chunk in (worker..chunks).step_by(workers as usize) {
            buffer.clear();
            for index in chunk * CHUNK_LINES..lines.min((chunk + 1) * CHUNK_LINES) {
                write_line(index, &mut buffer);
                buffer.push(b'\n');
            }
            let formed = form.apply(&mut buffer);
            let mut turn = turn.lock();
            while turn.chunk != chunk && turn.result.is_ok() {
                written.wait(&mut turn);
            }
            if turn.result.is_ok() {
                turn.result = formed.and_then(|()| turn.out.write_all(&buffer));
                turn.chunk += 1;
            }
            written.notify_all();
            if turn.result.is_err() {
                return;
            }
        }
    };
    let work = &work;
    threads::run((0..workers).map(|worker| move || work(worker)))
        .map_err(Trying::Start.explained())?;
    let turn = turn.into_inner();
    turn.result.and_then(|()| turn.out.flush())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::{Dataset, Options};
    use std::io::Read;

    fn dataset() -> Dataset {
        Dataset::new(Options::for_lines(7, 3000))
    }

    fn write_tweets(
        lines: u64,
        workers: usize,
        form: Form,
        out: &mut (impl Write + Send),
    ) -> io::Result<()> {
        let dataset = dataset();
        write_lines(lines, workers, form, out, |index, line| {
            dataset.write_line(index, line)
        })
    }

    fn tweets(lines: u64, workers: usize) -> Vec<u8> {
        let mut out = Vec::new();
        write_tweets(lines, workers, Form::Plain, &mut out).unwrap();
        out
    }

    #[test]
    fn any_number_of_workers_writes_the_same() {
        let one = tweets(2500, 1);
        assert!(one == tweets(2500, 3));
        assert!(one.starts_with(&tweets(1200, 2)));
        assert_eq!(one.iter().filter(|&&b| b == b'\n').count(), 2500);
        assert!(tweets(0, 2).is_empty());
    }

    #[test]
    fn gzip_holds_the_same_lines() {
        let mut packed = Vec::new();
        write_tweets(2500, 2, Form::Gzip, &mut packed).unwrap();
        let mut text = Vec::new();
        flate2::read::MultiGzDecoder::new(packed.as_slice())
            .read_to_end(&mut text)
            .unwrap();
        assert!(text == tweets(2500, 1));
        assert!(packed.len() < text.len() / 3);
    }

    #[test]
    fn the_data_set_never_changes() {
        // An intended change of the generator changes this number and regenerates `data/`.
        assert_eq!(crc32fast::hash(&tweets(2500, 2)), 287_568_706);
        let mut queries = String::new();
        for index in 0..500 {
            dataset().write_query(index, 3000, &mut queries);
            queries.push('\n');
        }
        assert_eq!(crc32fast::hash(queries.as_bytes()), 1_862_327_885);
    }

    #[test]
    fn a_failed_write_ends_all_workers() {
        struct Full(usize);
        impl Write for Full {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0 = self
                    .0
                    .checked_sub(bytes.len())
                    .ok_or(io::ErrorKind::StorageFull)?;
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let error = write_tweets(10_000, 3, Form::Plain, &mut Full(5_000_000)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
