//! Follows commands and answers packet by packet and refuses malformed answers.
//!
//! A packet has three bytes for its length, one for its number, and a payload of up to 2^24 - 1 bytes. The handshake
//! has switched off everything that this state machine does not know: compression, more than one result per command,
//! results without the end-of-file packet.

use std::mem;

/// Most columns of a result, and results of a statement. The statements of this program have up to three.
const COLUMNS_MAX: u64 = 16;

/// Most bytes of one answer: the longest value (16 MiB) of each of 32 users.
const ANSWER_BYTES_MAX: u64 = 512 << 20;

/// Most rows of an answer: a batch of lookups has one per key. In the driver a row needs more memory than its bytes.
const ROWS_MAX: u32 = 1 << 16;

/// How many bytes of a packet are inspected.
const PREFIX_BYTES: usize = 32;

/// A packet of this length is continued in the next.
const CONTINUED: usize = 0xFF_FFFF;

const COM_QUERY: u8 = 0x03;
const COM_STMT_PREPARE: u8 = 0x16;
const COM_STMT_EXECUTE: u8 = 0x17;
const COM_STMT_SEND_LONG_DATA: u8 = 0x18;
const COM_STMT_CLOSE: u8 = 0x19;
const COM_QUIT: u8 = 0x01;

/// `SERVER_MORE_RESULTS_EXISTS` of the status flags.
const MORE_RESULTS: u16 = 8;

/// What the server sends next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Next {
    /// Nothing, unless it says goodbye.
    #[default]
    Idle,
    /// The first packet for a statement that runs.
    Result,
    /// The first packet for a statement that is prepared.
    Prepared,
    /// The first packet for any other command.
    Done,
    /// This many column definitions, then the end of them, then rows.
    Columns(u64),
    /// Rows up to the end of them, at most this many.
    Rows(u32),
    /// This many packets of any content.
    Packets(u64),
}

/// Both directions of a connection after its handshake.
#[derive(Debug, Default)]
pub(super) struct Answers {
    commands: Packets,
    answers: Packets,
    next: Next,
    /// Bytes of the present answer.
    bytes: u64,
}

impl Answers {
    /// Takes the bytes that the driver sends.
    pub(super) fn commands(&mut self, mut bytes: &[u8]) {
        while let Some(packet) = self.commands.next(&mut bytes) {
            let next = match packet.prefix() {
                [COM_QUERY | COM_STMT_EXECUTE, ..] => Next::Result,
                [COM_STMT_PREPARE, ..] => Next::Prepared,
                [COM_STMT_SEND_LONG_DATA | COM_STMT_CLOSE | COM_QUIT, ..] => continue,
                _ => Next::Done,
            };
            self.next = next;
            self.bytes = 0;
        }
    }

    /// Takes the bytes that the server sends. An error says why the driver must not see them.
    pub(super) fn check(&mut self, mut bytes: &[u8]) -> Result<(), &'static str> {
        self.bytes += bytes.len() as u64;
        if self.bytes > ANSWER_BYTES_MAX {
            return Err("an answer of more than 512 MiB");
        }
        while let Some(packet) = self.answers.next(&mut bytes) {
            self.next = self.after(&packet)?;
        }
        Ok(())
    }

    fn after(&self, packet: &Packet) -> Result<Next, &'static str> {
        let prefix = packet.prefix();
        // An error ends any answer, and a server may say why it hangs up.
        if prefix.first() == Some(&0xFF) {
            return Ok(Next::Idle);
        }
        match self.next {
            Next::Idle => Err("an answer to no command"),
            Next::Result => result(prefix),
            Next::Prepared => prepared(prefix),
            Next::Done => Ok(Next::Idle),
            Next::Columns(0) if is_end(packet) => Ok(Next::Rows(ROWS_MAX)),
            Next::Columns(0) => Err("more columns than were announced"),
            Next::Columns(count) => Ok(Next::Columns(count - 1)),
            Next::Rows(_) if is_end(packet) => match prefix {
                [_, _, _, low, high, ..]
                    if u16::from_le_bytes([*low, *high]) & MORE_RESULTS != 0 =>
                {
                    Err("more results than one")
                }
                _ => Ok(Next::Idle),
            },
            Next::Rows(left) => match left.checked_sub(1) {
                Some(left) => Ok(Next::Rows(left)),
                None => Err("more rows than any statement here has"),
            },
            Next::Packets(0 | 1) => Ok(Next::Idle),
            Next::Packets(count) => Ok(Next::Packets(count - 1)),
        }
    }
}

/// An end-of-file packet; a row may begin with the same byte but is longer.
fn is_end(packet: &Packet) -> bool {
    packet.bytes < 9 && packet.prefix().first() == Some(&0xFE)
}

/// What follows the first packet of a statement's answer.
fn result(prefix: &[u8]) -> Result<Next, &'static str> {
    match prefix {
        [0x00, rest @ ..] => {
            let status = skip_integer(rest).and_then(skip_integer);
            match status {
                Some([low, high, ..]) if u16::from_le_bytes([*low, *high]) & MORE_RESULTS == 0 => {
                    Ok(Next::Idle)
                }
                Some([_, _, ..]) => Err("more results than one"),
                _ => Err("a cut status"),
            }
        }
        // One byte holds numbers below 251.
        [count, ..] if u64::from(*count) <= COLUMNS_MAX => Ok(Next::Columns((*count).into())),
        [0xFB, ..] => Err("a request for a local file"),
        _ => Err("a number of columns that no statement here has"),
    }
}

/// What follows the first packet about a prepared statement: its number, columns, parameters.
fn prepared(prefix: &[u8]) -> Result<Next, &'static str> {
    let [
        0,
        _,
        _,
        _,
        _,
        columns_low,
        columns_high,
        parameters_low,
        parameters_high,
        ..,
    ] = prefix
    else {
        return Err("a cut statement");
    };
    let columns = u64::from(u16::from_le_bytes([*columns_low, *columns_high]));
    let parameters = u64::from(u16::from_le_bytes([*parameters_low, *parameters_high]));
    if columns > COLUMNS_MAX {
        return Err("a number of columns that no statement here has");
    }
    // Each list ends with an end-of-file packet.
    let list = |count| if count == 0 { 0 } else { count + 1 };
    Ok(match list(parameters) + list(columns) {
        0 => Next::Idle,
        packets => Next::Packets(packets),
    })
}

/// What follows a length-encoded integer.
fn skip_integer(bytes: &[u8]) -> Option<&[u8]> {
    let length = match bytes.first()? {
        0xFC => 3,
        0xFD => 4,
        0xFE => 9,
        _ => 1,
    };
    bytes.get(length..)
}

/// A packet that has passed.
#[derive(Clone, Copy, Debug)]
struct Packet {
    bytes: usize,
    prefix: [u8; PREFIX_BYTES],
}

impl Packet {
    fn prefix(&self) -> &[u8] {
        self.prefix.get(..self.bytes).unwrap_or(&self.prefix)
    }
}

/// Cuts one direction into packets, however it arrives.
#[derive(Debug)]
struct Packets {
    header: [u8; 4],
    header_bytes: usize,
    packet: Packet,
    /// Bytes of the payload that are still to come.
    missing: usize,
    /// The payload continues the one before.
    is_continuation: bool,
}

impl Default for Packets {
    fn default() -> Self {
        Self {
            header: [0; 4],
            header_bytes: 0,
            packet: Packet::EMPTY,
            missing: 0,
            is_continuation: false,
        }
    }
}

impl Packet {
    const EMPTY: Self = Self {
        bytes: 0,
        prefix: [0; PREFIX_BYTES],
    };
}

impl Packets {
    /// The next packet that ends within `bytes`; takes what it reads off the front.
    fn next(&mut self, bytes: &mut &[u8]) -> Option<Packet> {
        loop {
            if self.header_bytes < self.header.len() {
                let (byte, rest) = bytes.split_first()?;
                *bytes = rest;
                if let Some(slot) = self.header.get_mut(self.header_bytes) {
                    *slot = *byte;
                }
                self.header_bytes += 1;
                if self.header_bytes < self.header.len() {
                    continue;
                }
                let [low, middle, high, _] = self.header;
                self.missing = u32::from_le_bytes([low, middle, high, 0]) as usize;
            }
            let take = self.missing.min(bytes.len());
            let (part, rest) = bytes.split_at(take);
            *bytes = rest;
            self.missing -= take;
            for byte in part {
                match self.packet.prefix.get_mut(self.packet.bytes) {
                    Some(slot) => *slot = *byte,
                    None => break,
                }
                self.packet.bytes += 1;
            }
            if self.missing > 0 {
                return None;
            }
            let [low, middle, high, _] = self.header;
            let length = u32::from_le_bytes([low, middle, high, 0]) as usize;
            self.header_bytes = 0;
            let mut packet = mem::replace(&mut self.packet, Packet::EMPTY);
            let was_continuation = mem::replace(&mut self.is_continuation, length == CONTINUED);
            packet.bytes = length;
            if !was_continuation {
                return Some(packet);
            }
        }
    }
}

#[cfg(test)]
mod tests;
