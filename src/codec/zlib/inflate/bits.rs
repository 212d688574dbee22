//! The bits of a deflate stream (RFC 1951 §3.1.1), lowest first, 56 at a time in a register.

use super::InflateError;

/// Reads bits, lowest first.
#[derive(Clone, Copy)]
pub struct Bits<'a> {
    stream: &'a [u8],
    /// Bytes of `stream` taken into `bits`.
    at: usize,
    /// The next bits of the stream: `count` valid ones, perhaps more above.
    bits: u64,
    /// Number of valid bits, in the low six bits; the upper bits may overflow.
    count: u32,
}

impl<'a> Bits<'a> {
    /// Zero bytes that must follow the stream.
    pub const PADDING_BYTES: usize = 16;

    pub fn new(stream: &'a [u8]) -> Self {
        Self {
            stream,
            at: 0,
            bits: 0,
            count: 0,
        }
    }

    /// Makes at least 56 bits available.
    #[inline(always)]
    pub fn refill(&mut self) -> Result<(), InflateError> {
        let eight = self
            .stream
            .get(self.at..)
            .and_then(|rest| rest.first_chunk());
        let eight = u64::from_le_bytes(*eight.ok_or(InflateError::Malformed)?);
        self.bits |= eight << (self.count & 63);
        self.at += ((!self.count & 63) >> 3) as usize;
        self.count |= 56;
        Ok(())
    }

    /// The next bits.
    #[inline(always)]
    pub fn peek(&self) -> u64 {
        self.bits
    }

    /// Consumes the bits of an entry's code and extra bits.
    #[inline(always)]
    pub fn consume(&mut self, entry: u32) {
        self.bits >>= entry & 63;
        self.count = self.count.wrapping_sub(entry);
    }

    /// The value of an entry and its extra bits, which are consumed.
    #[inline(always)]
    pub fn symbol(&mut self, entry: u32) -> (u32, u32) {
        let both = self.bits & ((1 << (entry & 63)) - 1);
        self.consume(entry);
        (entry >> 16, (both >> (entry >> 8 & 15)) as u32)
    }

    /// The next `count` bits, which are consumed.
    #[inline(always)]
    pub fn take(&mut self, count: u32) -> u32 {
        let value = self.bits as u32 & ((1 << count) - 1);
        self.consume(count);
        value
    }

    /// Where the next whole byte of the stream is.
    pub fn next_byte(&self) -> usize {
        self.at - ((self.count & 63) / 8) as usize
    }

    /// The whole bytes that follow, without the padding.
    pub fn bytes(&self) -> &'a [u8] {
        let end = self.stream.len() - Self::PADDING_BYTES;
        self.stream.get(self.next_byte()..end).unwrap_or(&[])
    }

    /// The bits after the next `count` whole bytes.
    pub fn after_bytes(self, count: usize) -> Self {
        Self {
            at: self.next_byte() + count,
            bits: 0,
            count: 0,
            ..self
        }
    }
}
