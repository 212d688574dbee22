//! Frames: blocks as bytes in a pipe or a file.
//!
//! | bytes | a frame has, little-endian |
//! | --- | --- |
//! | 4 | `TRB` and the version, 1 |
//! | 4 | kind, see [`Kind`] |
//! | 4 | bucket: the partition of all its records |
//! | 4 | length of the block |
//! | 4 | CRC-32 of kind, bucket, length and block |
//! | … | the block: lines, each with its newline |
//!
//! The closing frame holds the number of frames before it. A stream without it was cut: its writer died.

use crate::etl::error::EtlError;
use std::{
    io::{ErrorKind, Read, Write},
    path::{Path, PathBuf},
};

/// `TRB` and the version of frames. Kinds of records have their own.
const MAGIC: [u8; 4] = *b"TRB1";
/// Bytes before the block.
const HEADER_BYTES: usize = 20;
/// Longest block. A reader refuses more before it allocates it; a block is one record at least.
pub(super) const BLOCK_BYTES_MAX: usize = 1 << 30;

/// What a block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Records, see [`crate::etl::record::records`].
    Records = 0,
    /// Hashtag, tab, occurrences.
    Tags = 1,
    /// Reference, then count and hashtag again and again: long lists that records of contacts refer to. Compressed (zstd).
    Lists = 2,
    /// One part of the report as JSON, see [`crate::etl::run::totals::Part`].
    Report = 3,
    /// Nothing more; the number of frames as u64.
    End = 4,
    /// For later updates: `t1` records of kept tweets, `d1` records of deleted ones.
    Kept = 5,
    /// For later updates: `p1` records of users.
    UserStates = 6,
}

impl Kind {
    const ALL: [Self; 7] = [
        Self::Records,
        Self::Tags,
        Self::Lists,
        Self::Report,
        Self::End,
        Self::Kept,
        Self::UserStates,
    ];
}

/// Writes frames, then the closing one.
pub struct FrameWriter<W> {
    out: W,
    path: PathBuf,
    frames: u64,
}

impl<W: Write> FrameWriter<W> {
    /// Writes to standard output, which `out` is. It needs no buffer.
    pub fn new(out: W) -> Self {
        Self::to(out, Path::new("standard output"))
    }

    /// Writes to `out`, which messages call `path`.
    pub fn to(out: W, path: &Path) -> Self {
        Self {
            out,
            path: path.to_owned(),
            frames: 0,
        }
    }

    /// Writes one frame.
    pub fn write(&mut self, kind: Kind, bucket: usize, block: &[u8]) -> Result<(), EtlError> {
        if block.len() > BLOCK_BYTES_MAX {
            let what = format!("a record has {} bytes, more than a block may", block.len());
            return Err(EtlError::Blocks { at: 0, what });
        }
        let mut header = [0; HEADER_BYTES];
        header[..4].copy_from_slice(&MAGIC);
        header[4..8].copy_from_slice(&(kind as u32).to_le_bytes());
        header[8..12].copy_from_slice(&(bucket as u32).to_le_bytes());
        header[12..16].copy_from_slice(&(block.len() as u32).to_le_bytes());
        let sum = checksum(&header, block);
        header[16..].copy_from_slice(&sum.to_le_bytes());
        self.frames += 1;
        let written = self.out.write_all(&header);
        written
            .and_then(|()| self.out.write_all(block))
            .map_err(|e| EtlError::io("write", &self.path, 0, e))
    }

    /// Writes the closing frame.
    pub fn end(mut self) -> Result<(), EtlError> {
        let frames = self.frames.to_le_bytes();
        self.write(Kind::End, 0, &frames)?;
        self.out
            .flush()
            .map_err(|e| EtlError::io("write", &self.path, 0, e))
    }
}

/// Reads frames up to the closing one.
pub struct FrameReader<R> {
    input: R,
    offset: u64,
    frames: u64,
}

impl<R: Read> FrameReader<R> {
    /// Reads `input`, which should be buffered.
    pub fn new(input: R) -> Self {
        Self {
            input,
            offset: 0,
            frames: 0,
        }
    }

    /// Replaces `block` by the next one and returns its kind and bucket; `None` after the closing frame.
    pub fn next(&mut self, block: &mut Vec<u8>) -> Result<Option<(Kind, u32)>, EtlError> {
        let mut header = [0; HEADER_BYTES];
        self.exact(&mut header)?;
        if header[..4] != MAGIC {
            let what = "these are no blocks of this version; all stages must be of one version";
            return Err(self.refused(what));
        }
        let number = |at: usize| {
            let bytes = [header[at], header[at + 1], header[at + 2], header[at + 3]];
            u32::from_le_bytes(bytes)
        };
        let (bytes, sum) = (number(12) as usize, number(16));
        if bytes > BLOCK_BYTES_MAX {
            return Err(self.refused("a block is damaged: its length cannot be"));
        }
        block.clear();
        // The buffer grows with the bytes read, so a wrong length cannot reserve a gigabyte.
        let read = self.input.by_ref().take(bytes as u64).read_to_end(block);
        read.map_err(|e| EtlError::io("read", "-".as_ref(), self.offset, e))?;
        if block.len() < bytes {
            return Err(self.refused(CUT));
        }
        let kind = Kind::ALL
            .into_iter()
            .find(|kind| *kind as u32 == number(4))
            .filter(|_| checksum(&header, block) == sum);
        let Some(kind) = kind else {
            return Err(self.refused("a block is damaged: its checksum differs"));
        };
        self.offset += (HEADER_BYTES + bytes) as u64;
        if kind != Kind::End {
            self.frames += 1;
            return Ok(Some((kind, number(8))));
        }
        if block.as_slice() != self.frames.to_le_bytes() {
            return Err(self.refused("blocks are missing or were sent twice"));
        }
        match self.input.read(&mut [0]) {
            Ok(0) => Ok(None),
            Ok(_) => Err(self.refused("there is more after the closing frame")),
            Err(e) => Err(EtlError::io("read", "-".as_ref(), self.offset, e)),
        }
    }

    fn exact(&mut self, header: &mut [u8]) -> Result<(), EtlError> {
        self.input.read_exact(header).map_err(|e| match e.kind() {
            ErrorKind::UnexpectedEof => self.refused(CUT),
            _ => EtlError::io("read", "-".as_ref(), self.offset, e),
        })
    }

    fn refused(&self, what: &str) -> EtlError {
        EtlError::Blocks {
            at: self.offset,
            what: what.to_owned(),
        }
    }
}

const CUT: &str = "the blocks end without the closing frame: the stage before this one has failed";

fn checksum(header: &[u8; HEADER_BYTES], block: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&header[4..16]);
    hasher.update(block);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stream() -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = FrameWriter::new(&mut out);
        writer.write(Kind::Records, 3, b"a\nb\n").unwrap();
        writer.write(Kind::Report, 0, b"{}\n").unwrap();
        writer.end().unwrap();
        out
    }

    fn read(bytes: &[u8]) -> Result<Vec<(Kind, u32, Vec<u8>)>, EtlError> {
        let (mut reader, mut block) = (FrameReader::new(bytes), Vec::new());
        let mut frames = Vec::new();
        while let Some((kind, bucket)) = reader.next(&mut block)? {
            frames.push((kind, bucket, block.clone()));
        }
        Ok(frames)
    }

    #[test]
    fn frames_are_read_back() {
        let frames = read(&stream()).unwrap();
        let expected = [
            (Kind::Records, 3, b"a\nb\n".to_vec()),
            (Kind::Report, 0, b"{}\n".to_vec()),
        ];
        assert_eq!(frames, expected);
    }

    #[test]
    fn a_stream_that_is_cut_or_has_a_flipped_bit_is_refused() {
        let whole = stream();
        for end in 0..whole.len() {
            assert!(matches!(read(&whole[..end]), Err(EtlError::Blocks { .. })));
        }
        for bit in 0..8 * whole.len() {
            let mut damaged = whole.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let result = read(&damaged);
            assert!(matches!(result, Err(EtlError::Blocks { .. })), "bit {bit}");
        }
    }

    #[test]
    fn a_frame_that_is_missing_or_comes_twice_is_refused() {
        let whole = stream();
        let first = HEADER_BYTES + 4;
        let twice = [&whole[..first], &whole].concat();
        let more = [whole.as_slice(), b"x"].concat();
        for damaged in [&whole[first..], &twice, &more] {
            assert!(matches!(read(damaged), Err(EtlError::Blocks { .. })));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = read(&bytes);
            let _ = read(&[MAGIC.as_slice(), &bytes].concat());
        }
    }
}
