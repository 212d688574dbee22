//! `--hdr`: latencies as a HdrHistogram log (version 1.3), one line per second and endpoint, values in nanoseconds.
//!
//! ```text
//! #[StartTime: 1767323045.000 (seconds since epoch)]
//! "StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"
//! Tag=qrcode,1.000,1.000,4.210,HISTFAAA…
//! ```
//!
//! HdrHistogram's own tools read it (HistogramLogProcessor, the plotters). The crate's writer borrows its output and
//! cannot be kept beside it; its serializer makes the histograms, its reader is the tests' oracle.

use crate::load::error::LoadError;
use hdrhistogram::{
    Histogram,
    serialization::{Serializer, V2DeflateSerializer},
};
use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    time::SystemTime,
};

/// The maximum of an interval is written in milliseconds, as HdrHistogram's own log writer does.
const NS_PER_MAX_UNIT: f64 = 1e6;

/// The file, opened before the run.
pub struct HdrLog {
    path: PathBuf,
    file: File,
}

impl HdrLog {
    /// Creates the file and replaces an existing one.
    ///
    /// # Errors
    /// It cannot be created.
    pub fn create(path: &Path) -> Result<Self, LoadError> {
        let file = File::create(path).map_err(|source| LoadError::File {
            path: path.into(),
            source,
        })?;
        Ok(Self {
            path: path.into(),
            file,
        })
    }

    /// Writes the head of the log. Seconds are counted from `started`; `endpoints` are the tags.
    pub fn begin(self, version: &str, started: SystemTime, endpoints: &[String]) -> HdrWriter {
        let since_epoch = started.duration_since(SystemTime::UNIX_EPOCH);
        let epoch_s = since_epoch.unwrap_or_default().as_secs_f64();
        let mut writer = HdrWriter {
            path: self.path,
            file: BufWriter::new(self.file),
            tags: endpoints.iter().map(|name| tag(name)).collect(),
            serializer: V2DeflateSerializer::new(),
            failed: None,
        };
        let head = format!(
            "#[trident {version}; latencies in nanoseconds]\n#[Histogram log format version 1.3]\n\
             #[StartTime: {epoch_s:.3} (seconds since epoch)]\n\
             \"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n"
        );
        writer.failed = writer.file.write_all(head.as_bytes()).err();
        writer
    }
}

/// A tag may hold neither commas nor blanks.
fn tag(name: &str) -> String {
    name.replace(|c: char| c == ',' || c.is_whitespace(), "_")
}

/// Writes intervals as they are complete.
pub struct HdrWriter {
    path: PathBuf,
    file: BufWriter<File>,
    tags: Vec<String>,
    serializer: V2DeflateSerializer,
    failed: Option<io::Error>,
}

impl HdrWriter {
    /// Writes the latencies of one second, by endpoint. A failure is kept until [`finish`](Self::finish).
    pub fn write(&mut self, second: u64, by_endpoint: &[Histogram<u32>]) {
        for (endpoint, latency_ns) in by_endpoint.iter().enumerate() {
            if self.failed.is_none() && !latency_ns.is_empty() {
                self.failed = self.write_one(second, endpoint, latency_ns).err();
            }
        }
    }

    fn write_one(
        &mut self,
        second: u64,
        endpoint: usize,
        latency_ns: &Histogram<u32>,
    ) -> io::Result<()> {
        let mut bytes = Vec::new();
        self.serializer
            .serialize(latency_ns, &mut bytes)
            .map_err(|error| io::Error::other(error.to_string()))?;
        writeln!(
            self.file,
            "Tag={},{second}.000,1.000,{:.3},{}",
            self.tags[endpoint],
            latency_ns.max() as f64 / NS_PER_MAX_UNIT,
            base64_simd::STANDARD.encode_to_string(&bytes)
        )
    }

    /// Writes what is buffered.
    ///
    /// # Errors
    /// Not everything could be written.
    pub fn finish(mut self) -> Result<(), LoadError> {
        let outcome = self.failed.take().map_or_else(|| self.file.flush(), Err);
        outcome.map_err(|source| LoadError::File {
            path: self.path,
            source,
        })
    }
}
