//! Transactions as they stand in `all_tx` and `new_tx`.
//!
//! Called by `request` while it reads the JSON. The set of keys present decides which of three kinds a
//! transaction is (docs/protocol/blockchain.md §2); null counts as absent. Numbers keep their digits beside
//! their value, because the hashed message holds the digits and copying them is cheaper than printing.

use super::{
    Reject,
    json::{Cursor, Number, Syntax},
    request::Outcome,
    scan::{hex_value, is_plain, leading_digits},
    text::Text,
};
use std::collections::HashMap;

/// What a transaction's set of keys makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// All seven keys.
    Signed,
    /// `recv`, `amt`, `time`, `hash`: pays the miner of a block.
    Reward,
    /// `recv`, `amt`, `time`: the team's own, to be completed by this server.
    Own,
}

/// An integer member: value and digits.
#[derive(Clone, Copy, Debug, Default)]
pub struct Integer {
    /// From 0 to 2^63 - 1.
    pub value: u64,
    /// The same in decimal.
    pub digits: Text,
}

/// One transaction. Members its kind does not have are zero or empty.
#[derive(Clone, Copy, Debug)]
pub struct Transaction {
    /// Which members there are.
    pub kind: Kind,
    /// Signature.
    pub sig: Integer,
    /// Receiver's account.
    pub recv: Integer,
    /// Fee, for the miner.
    pub fee: Integer,
    /// Amount, for the receiver.
    pub amt: Integer,
    /// Sender's account.
    pub send: Integer,
    /// `time` as a number of nanoseconds; 0 if it is not 1 to 19 digits or not below 2^63, which no
    /// transaction may have.
    pub time_ns: u64,
    /// `time`.
    pub time: Text,
    /// `hash`, if it has eight bytes, else zeros, which no computed hash equals.
    pub hash: [u8; 8],
    /// The whole object as sent.
    pub json: Text,
}

impl Transaction {
    /// The hash as a number, once it is known to be eight hex digits.
    #[inline]
    pub fn hash_value(&self) -> u32 {
        hex_value(self.hash)
    }
}

/// A member of a transaction; the discriminant is its bit in a set.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Key {
    Sig = 1,
    Recv = 2,
    Fee = 4,
    Amt = 8,
    Time = 16,
    Send = 32,
    Hash = 64,
    Other = 128,
}

const SIGNED_KEYS: u8 = 127;
const OWN_KEYS: u8 = Key::Recv as u8 | Key::Amt as u8 | Key::Time as u8;
const REWARD_KEYS: u8 = OWN_KEYS | Key::Hash as u8;

/// Reads an array of transactions and appends them to `list`.
pub fn list(
    cursor: &mut Cursor,
    list: &mut Vec<Transaction>,
    side: &mut Vec<u8>,
) -> Result<Outcome, Syntax> {
    if cursor.peek() != b'[' {
        cursor.skip_value()?;
        return Ok(Err(Reject::Shape));
    }
    let mut outcome = Ok(());
    let mut more = cursor.open(b'[', b']')?;
    while more {
        // After the first fault only the syntax still matters; the list stops growing.
        if outcome.is_err() {
            cursor.skip_value()?;
        } else if cursor.peek() == b'{' {
            let mut reader = Reader::default();
            reader.members(cursor, side)?;
            outcome = reader
                .transaction(cursor.text, side)?
                .map(|tx| list.push(tx));
        } else {
            cursor.skip_value()?;
            outcome = Err(Reject::TransactionKeys);
        }
        more = cursor.more(b']')?;
    }
    Ok(outcome)
}

/// Reads a value; `None` if it is not a number.
#[inline]
pub fn integer(cursor: &mut Cursor) -> Result<Option<Number>, Syntax> {
    if matches!(cursor.peek(), b'-' | b'0'..=b'9') {
        return cursor.number().map(Some);
    }
    cursor.skip_value()?;
    Ok(None)
}

/// What has been read of one transaction. The last of two equal keys wins in every set.
#[derive(Default)]
struct Reader {
    /// Keys whose value is not null.
    present: u8,
    /// Those of them with a value of the wrong type or range.
    wrong: u8,
    /// Those of them with an integer below zero.
    negative: u8,
    sig: Integer,
    recv: Integer,
    fee: Integer,
    amt: Integer,
    send: Integer,
    time_ns: u64,
    time: Text,
    hash: [u8; 8],
    json: Text,
}

impl Reader {
    fn members(&mut self, cursor: &mut Cursor, side: &mut Vec<u8>) -> Result<(), Syntax> {
        let start = cursor.position();
        let mut more = cursor.open(b'{', b'}')?;
        while more {
            let key = key(cursor, side)?;
            if cursor.peek() == b'n' {
                cursor.literal(b"null")?;
                // One null among equal unknown keys does not undo the others; see `transaction`.
                self.present &= !(key as u8) | Key::Other as u8;
            } else {
                self.present |= key as u8;
                self.wrong &= !(key as u8);
                self.negative &= !(key as u8);
                match key {
                    Key::Sig => self.sig = self.integer(key, cursor)?,
                    Key::Recv => self.recv = self.integer(key, cursor)?,
                    Key::Fee => self.fee = self.integer(key, cursor)?,
                    Key::Amt => self.amt = self.integer(key, cursor)?,
                    Key::Send => self.send = self.integer(key, cursor)?,
                    Key::Time => self.time(cursor, side)?,
                    Key::Hash => self.hash(cursor, side)?,
                    Key::Other => cursor.skip_value()?,
                }
            }
            more = cursor.more(b'}')?;
        }
        self.json = Text::new(start, cursor.position() - start);
        Ok(())
    }

    #[inline]
    fn integer(&mut self, key: Key, cursor: &mut Cursor) -> Result<Integer, Syntax> {
        match integer(cursor)? {
            Some(Number::Integer(value, digits)) => return Ok(Integer { value, digits }),
            Some(Number::Negative) => self.negative |= key as u8,
            Some(Number::Other) | None => self.wrong |= key as u8,
        }
        Ok(Integer::default())
    }

    #[inline]
    fn time(&mut self, cursor: &mut Cursor, side: &mut Vec<u8>) -> Result<(), Syntax> {
        // The usual case in one pass: a quote, up to 19 digits, a quote.
        if let Some((b'"', content)) = cursor.rest.split_first() {
            let (value, count) = leading_digits(content);
            if (1..=19).contains(&count) && content.get(count) == Some(&b'"') {
                self.time = Text::new(cursor.position() + 1, count);
                self.time_ns = if value < 1 << 63 { value } else { 0 };
                cursor.skip(count + 2);
                return Ok(());
            }
        }
        let Some(content) = self.string(Key::Time, cursor, side)? else {
            return Ok(());
        };
        let digits = content.of(cursor.text, side);
        let (value, count) = leading_digits(digits);
        let in_form = count == digits.len() && (1..=19).contains(&count) && value < 1 << 63;
        self.time = content;
        self.time_ns = if in_form { value } else { 0 };
        Ok(())
    }

    #[inline]
    fn hash(&mut self, cursor: &mut Cursor, side: &mut Vec<u8>) -> Result<(), Syntax> {
        // The usual case in one pass: a quote, eight plain bytes, a quote.
        if let Some([b'"', content @ .., b'"']) = cursor.rest.first_chunk::<10>()
            && is_plain(u64::from_le_bytes(*content))
        {
            self.hash = *content;
            cursor.skip(10);
            return Ok(());
        }
        let Some(content) = self.string(Key::Hash, cursor, side)? else {
            return Ok(());
        };
        self.hash = content.of(cursor.text, side).try_into().unwrap_or_default();
        Ok(())
    }

    #[cold]
    fn string(
        &mut self,
        key: Key,
        cursor: &mut Cursor,
        side: &mut Vec<u8>,
    ) -> Result<Option<Text>, Syntax> {
        let mut content = None;
        if cursor.peek() == b'"' {
            content = Some(cursor.string(side)?).filter(|text| text.is_unicode());
        } else {
            cursor.skip_value()?;
        }
        if content.is_none() {
            self.wrong |= key as u8;
        }
        Ok(content)
    }

    /// The transaction, if its keys and values make one.
    fn transaction(
        &self,
        json: &[u8],
        side: &mut Vec<u8>,
    ) -> Result<Result<Transaction, Reject>, Syntax> {
        let mut present = self.present;
        if present & Key::Other as u8 != 0 && unknown_keys_end_null(self.json.of(json, &[]), side)?
        {
            present &= !(Key::Other as u8);
        }
        let kind = match present {
            SIGNED_KEYS => Kind::Signed,
            REWARD_KEYS => Kind::Reward,
            OWN_KEYS => Kind::Own,
            _ => return Ok(Err(Reject::TransactionKeys)),
        };
        if self.wrong & present != 0 {
            return Ok(Err(Reject::TransactionValue));
        }
        if self.negative & present != 0 {
            return Ok(Err(Reject::Negative));
        }
        let &Self {
            sig,
            recv,
            fee,
            amt,
            send,
            time_ns,
            time,
            hash,
            json,
            ..
        } = self;
        Ok(Ok(Transaction {
            kind,
            sig,
            recv,
            fee,
            amt,
            send,
            time_ns,
            time,
            hash,
            json,
        }))
    }
}

/// Reads a transaction's key and the colon.
#[inline]
fn key(cursor: &mut Cursor, side: &mut Vec<u8>) -> Result<Key, Syntax> {
    const fn word(text: &[u8; 8]) -> u64 {
        u64::from_le_bytes(*text)
    }
    const SEVEN: u64 = u64::MAX >> 8;
    const SIX: u64 = u64::MAX >> 16;
    // One load holds any of the seven keys with quotes and colon. This identification, in any order of
    // keys, takes a third of the time of scanning for the quote and comparing slices.
    cursor.peek();
    let next = cursor.word();
    let (key, bytes) = match next & SEVEN {
        w if w == word(b"\"recv\":\0") => (Key::Recv, 7),
        w if w == word(b"\"time\":\0") => (Key::Time, 7),
        w if w == word(b"\"hash\":\0") => (Key::Hash, 7),
        w if w == word(b"\"send\":\0") => (Key::Send, 7),
        _ => match next & SIX {
            w if w == word(b"\"amt\":\0\0") => (Key::Amt, 6),
            w if w == word(b"\"sig\":\0\0") => (Key::Sig, 6),
            w if w == word(b"\"fee\":\0\0") => (Key::Fee, 6),
            _ => return key_of_any_form(cursor, side),
        },
    };
    cursor.skip(bytes);
    Ok(key)
}

#[cold]
fn key_of_any_form(cursor: &mut Cursor, side: &mut Vec<u8>) -> Result<Key, Syntax> {
    let key = cursor.key(side)?;
    Ok(match key.of(cursor.text, side) {
        b"sig" => Key::Sig,
        b"recv" => Key::Recv,
        b"fee" => Key::Fee,
        b"amt" => Key::Amt,
        b"time" => Key::Time,
        b"send" => Key::Send,
        b"hash" => Key::Hash,
        _ => Key::Other,
    })
}

/// Whether the last value of every unknown key of the transaction `json` is null.
///
/// A second reading with a table of the keys: nothing genuine has an unknown key, and the table costs the
/// request's own size at most.
#[cold]
fn unknown_keys_end_null(json: &[u8], side: &mut Vec<u8>) -> Result<bool, Syntax> {
    let side_before = side.len();
    let mut last_is_null = HashMap::new();
    let mut cursor = Cursor::new(json);
    let mut more = cursor.open(b'{', b'}')?;
    while more {
        let key = cursor.key(side)?;
        let null = cursor.peek() == b'n';
        last_is_null.insert(key.of(json, side).to_vec(), null);
        cursor.skip_value()?;
        more = cursor.more(b'}')?;
    }
    side.truncate(side_before);
    const KNOWN: [&[u8]; 7] = [b"sig", b"recv", b"fee", b"amt", b"time", b"send", b"hash"];
    Ok(last_is_null
        .iter()
        .all(|(key, &null)| null || KNOWN.contains(&key.as_slice())))
}
