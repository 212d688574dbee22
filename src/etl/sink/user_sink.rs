//! Where values go: the interface that a store implements, and two plain sinks.

use crate::etl::{error::EtlError, record::excluded::Excluded};
use crate::store::value::{Value, dump::user_line};
use std::{
    error::Error,
    fs::{self, File},
    io::{self, BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

/// The error of a sink; it becomes [`EtlError::Sink`].
pub type SinkError = Box<dyn Error + Send + Sync>;

/// Takes the values of all users.
pub trait UserSink {
    /// Stores a value. User ids come in ascending order, each once.
    fn put(&mut self, user_id: u64, value: &[u8]) -> Result<(), SinkError>;
    /// As [`put`](Self::put), of a value that may be too large for memory. A sink that does not know better reads it
    /// into memory.
    fn put_value(&mut self, user_id: u64, value: Value<'_>) -> Result<(), SinkError> {
        match value {
            Value::Whole(value) => self.put(user_id, value),
            Value::Stream { bytes, mut read } => {
                let mut value = Vec::new();
                read.read_to_end(&mut value)?;
                if value.len() as u64 != bytes {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
                }
                self.put(user_id, &value)
            }
        }
    }
    /// With `Options::history`, called before anything else with the hashtags left out of the counts.
    fn begin_history(&mut self, excluded: &Excluded) -> Result<(), SinkError> {
        let _ = excluded;
        Ok(())
    }
    /// With `Options::history`, stores the `t1` record of a kept tweet (see [`crate::etl::record::records`]). Ids come
    /// in ascending order, before all values.
    fn put_tweet(&mut self, tweet_id: u64, record: &[u8]) -> Result<(), SinkError> {
        let _ = (tweet_id, record);
        Ok(())
    }
    /// With `Options::history`, notes that a tweet is deleted, in the order of [`put_tweet`](Self::put_tweet).
    fn put_deletion(&mut self, tweet_id: u64) -> Result<(), SinkError> {
        let _ = tweet_id;
        Ok(())
    }
    /// With `Options::history`, stores the `p1` record of a user, with or without contacts. Ids come
    /// in ascending order, after all tweets and before all values.
    fn put_person(&mut self, user_id: u64, record: &[u8]) -> Result<(), SinkError> {
        let _ = (user_id, record);
        Ok(())
    }
    /// Called once, after the last value: makes everything durable and visible.
    fn finish(&mut self) -> Result<(), SinkError>;
}

/// Writes each value as a line of JSON (see [`crate::store::value::dump`]).
pub struct DumpSink<W> {
    out: W,
    line: String,
}

impl<W: Write> DumpSink<W> {
    /// Writes to `out`, which should be buffered.
    pub fn new(out: W) -> Self {
        Self {
            out,
            line: String::new(),
        }
    }
}

impl<W: Write> UserSink for DumpSink<W> {
    fn put(&mut self, user_id: u64, value: &[u8]) -> Result<(), SinkError> {
        self.line.clear();
        user_line(user_id, value, &mut self.line)?;
        Ok(self.out.write_all(self.line.as_bytes())?)
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        Ok(self.out.flush()?)
    }
}

const MAGIC: [u8; 8] = *b"TRIUSER1";
/// Replaces the user id after the last value; user ids are below 2^63.
const END: u64 = u64::MAX;

/// A plain file: `TRIUSER1`, then user id (u64), length (u32) and value for each user, all little-endian,
/// then `u64::MAX` and the number of users (u64). The file gets its name when complete.
pub struct FileSink {
    path: PathBuf,
    partial: PathBuf,
    out: BufWriter<File>,
    users: u64,
}

impl FileSink {
    /// Creates `path`, under the name `path.partial` until it is finished.
    pub fn create(path: &Path) -> Result<Self, EtlError> {
        let partial = path.with_added_extension("partial");
        let failed = |e| EtlError::io("create", &partial, 0, e);
        let mut out = BufWriter::with_capacity(1 << 20, File::create(&partial).map_err(failed)?);
        out.write_all(&MAGIC).map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            partial,
            out,
            users: 0,
        })
    }
}

impl UserSink for FileSink {
    fn put(&mut self, user_id: u64, value: &[u8]) -> Result<(), SinkError> {
        self.put_value(user_id, Value::Whole(value))
    }

    fn put_value(&mut self, user_id: u64, value: Value<'_>) -> Result<(), SinkError> {
        self.users += 1;
        write_frame_head(&mut self.out, user_id, value.bytes())?;
        match value {
            Value::Whole(value) => self.out.write_all(value)?,
            Value::Stream { bytes, read } => copy(read, bytes, &mut self.out)?,
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        self.out.write_all(&END.to_le_bytes())?;
        self.out.write_all(&self.users.to_le_bytes())?;
        self.out.flush()?;
        self.out.get_ref().sync_all()?;
        fs::rename(&self.partial, &self.path)?;
        let parent = self
            .path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        Ok(File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?)
    }
}

/// Reads the file of a [`FileSink`].
pub struct FileUsers {
    frames: Frames,
    /// Read so far.
    users: u64,
    ended: bool,
}

impl FileUsers {
    /// Opens `path`.
    pub fn open(path: &Path) -> Result<Self, EtlError> {
        let mut frames = Frames::open(path)?;
        let mut magic = [0; MAGIC.len()];
        frames
            .input
            .read_exact(&mut magic)
            .map_err(|e| frames.failed(e))?;
        frames.offset += magic.len() as u64;
        if magic != MAGIC {
            return Err(frames.failed(io::Error::new(
                io::ErrorKind::InvalidData,
                "not a file of user values",
            )));
        }
        Ok(Self {
            frames,
            users: 0,
            ended: false,
        })
    }

    /// Replaces `value` by the next value and returns its user; `None` after the last.
    pub fn next_user(&mut self, value: &mut Vec<u8>) -> Result<Option<u64>, EtlError> {
        let user = self.next_id()?;
        if user.is_some() {
            self.read_value(value)?;
        }
        Ok(user)
    }

    /// The next user, whose value must be read next; `None` after the last.
    pub(crate) fn next_id(&mut self) -> Result<Option<u64>, EtlError> {
        if self.ended {
            return Ok(None);
        }
        let user = self.number()?;
        if user != END {
            self.users += 1;
            return Ok(Some(user));
        }
        if self.number()? != self.users {
            let what = "it has another number of users than it says";
            let wrong = io::Error::new(io::ErrorKind::InvalidData, what);
            return Err(self.frames.failed(wrong));
        }
        self.ended = true;
        Ok(None)
    }

    fn read_value(&mut self, value: &mut Vec<u8>) -> Result<(), EtlError> {
        let bytes = self.frames.read_length()?;
        self.frames.read_whole(bytes, value)
    }

    /// The value of the user read last, as [`Frames::value`].
    pub(crate) fn value<'f>(&'f mut self, small: &'f mut Vec<u8>) -> Result<Value<'f>, EtlError> {
        self.frames.value(small)
    }

    fn number(&mut self) -> Result<u64, EtlError> {
        let number = self.frames.read_u64()?;
        number.ok_or_else(|| self.frames.failed(io::ErrorKind::UnexpectedEof.into()))
    }
}

/// Appends user id and length, which the value itself follows.
pub(crate) fn write_frame_head(out: &mut impl Write, user_id: u64, bytes: u64) -> io::Result<()> {
    let bytes = u32::try_from(bytes)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "value longer than 4 GiB"))?;
    out.write_all(&user_id.to_le_bytes())?;
    out.write_all(&bytes.to_le_bytes())
}

/// Copies all of a stream of `bytes`.
pub(crate) fn copy(mut read: impl Read, bytes: u64, out: &mut impl Write) -> io::Result<()> {
    match io::copy(&mut read, out)? {
        copied if copied == bytes => Ok(()),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// A value of so many bytes gets a buffer of its length.
const RESERVED_BYTES: usize = 1 << 20;
/// A value of more is never in memory as a whole.
const WHOLE_BYTES_MAX: u32 = 16 << 20;

/// Reads a sequence of user id, length and value.
pub(crate) struct Frames {
    path: PathBuf,
    input: BufReader<File>,
    offset: u64,
}

impl Frames {
    pub(crate) fn open(path: &Path) -> Result<Self, EtlError> {
        let file = File::open(path).map_err(|e| EtlError::io("open", path, 0, e))?;
        let input = BufReader::with_capacity(64 * 1024, file);
        Ok(Self {
            path: path.to_owned(),
            input,
            offset: 0,
        })
    }

    pub(crate) fn failed(&self, source: io::Error) -> EtlError {
        EtlError::io("read", &self.path, self.offset, source)
    }

    /// The next user, whose value must be read next, or `None` at the end of the file.
    pub(crate) fn next_user(&mut self) -> Result<Option<u64>, EtlError> {
        self.read_u64()
    }

    fn read_u64(&mut self) -> Result<Option<u64>, EtlError> {
        let mut bytes = [0; 8];
        match self.input.read_exact(&mut bytes) {
            Ok(()) => {
                self.offset += 8;
                Ok(Some(u64::from_le_bytes(bytes)))
            }
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(e) => Err(self.failed(e)),
        }
    }

    /// The value of the user read last, in `small` unless it is a stream, which must be read to its end.
    pub(crate) fn value<'f>(&'f mut self, small: &'f mut Vec<u8>) -> Result<Value<'f>, EtlError> {
        let bytes = self.read_length()?;
        if bytes <= WHOLE_BYTES_MAX {
            self.read_whole(bytes, small)?;
            return Ok(Value::Whole(small));
        }
        self.offset += u64::from(bytes);
        let bytes = bytes.into();
        let read = Box::new(self.input.by_ref().take(bytes));
        Ok(Value::Stream { bytes, read })
    }

    fn read_length(&mut self) -> Result<u32, EtlError> {
        let mut length = [0; 4];
        self.input
            .read_exact(&mut length)
            .map_err(|e| self.failed(e))?;
        self.offset += 4;
        Ok(u32::from_le_bytes(length))
    }

    fn read_whole(&mut self, bytes: u32, value: &mut Vec<u8>) -> Result<(), EtlError> {
        value.clear();
        // A buffer that grows takes up to three times what is in it. A wrong length cannot reserve gigabytes.
        if bytes as usize >= RESERVED_BYTES {
            let file = self.input.get_ref().metadata();
            let left = file.map_err(|e| self.failed(e))?.len();
            value.reserve_exact(left.min(bytes.into()) as usize);
        }
        let read = self.input.by_ref().take(bytes.into()).read_to_end(value);
        if read.map_err(|e| self.failed(e))? < bytes as usize {
            return Err(self.failed(io::ErrorKind::UnexpectedEof.into()));
        }
        self.offset += u64::from(bytes);
        Ok(())
    }
}
