//! Reads the transactions of `all_tx` and `new_tx`.
//!
//! Called by `request` while it reads the JSON. The set of present keys decides which of three kinds a
//! transaction is (docs/protocol/blockchain.md §2); null counts as absent. Numbers keep their digits beside
//! their value, because the hashed message contains the digits and copying is cheaper than formatting.

use super::{Reject, json, reject::Validity, span::Span};
use crate::codec::json::{
    Cursor, Number, Syntax,
    scan::{first_bytes, hex_value, is_plain, key_word, leading_digits},
};
use std::collections::HashMap;

/// The kind of a transaction, by its set of keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// All seven keys.
    Signed,
    /// `recv`, `amt`, `time`, `hash`: pays the miner of a block.
    Reward,
    /// `recv`, `amt`, `time`: a transaction of the team, which this server completes.
    #[default]
    Own,
}

/// An integer member: value and digits.
#[derive(Clone, Copy, Debug, Default)]
pub struct Integer {
    /// From 0 to 2^63 - 1.
    pub value: u64,
    /// The same in decimal.
    pub digits: Span,
}

/// One transaction. Members that its kind does not have are zero or empty.
#[derive(Clone, Copy, Debug, Default)]
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
    /// `time` in nanoseconds; 0, which is never valid, if it is not 1 to 19 digits or not below 2^63.
    pub time_ns: u64,
    /// `time`.
    pub time: Span,
    /// `hash` if it has eight bytes, otherwise zeros, which no computed hash equals.
    pub hash: [u8; 8],
    /// The whole object as sent.
    pub json: Span,
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
    unescaped: &mut Vec<u8>,
) -> Result<Validity, Syntax> {
    if cursor.peek() != b'[' {
        cursor.skip_value()?;
        return Ok(Err(Reject::Shape));
    }
    let mut outcome = Ok(());
    let mut more = cursor.open(b'[', b']')?;
    while more {
        // After the first fault only the syntax is checked; the list stops growing.
        if outcome.is_err() {
            cursor.skip_value()?;
        } else if cursor.peek() == b'{' {
            // Filled in place: moving a transaction costs as much as reading it.
            let tx = list.push_mut(Transaction::default());
            outcome = Reader {
                tx,
                present: 0,
                wrong: 0,
                negative: 0,
            }
            .read(cursor, unescaped)?;
            if outcome.is_err() {
                list.pop();
            }
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
pub(crate) fn integer(cursor: &mut Cursor) -> Result<Option<Number>, Syntax> {
    if matches!(cursor.peek(), b'-' | b'0'..=b'9') {
        return cursor.number().map(Some);
    }
    cursor.skip_value()?;
    Ok(None)
}

/// A transaction being read. The last of two equal keys wins in every set.
struct Reader<'l> {
    tx: &'l mut Transaction,
    /// Keys whose value is not null.
    present: u8,
    /// Present keys whose value has the wrong type or range.
    wrong: u8,
    /// Present keys whose value is an integer below zero.
    negative: u8,
}

impl Reader<'_> {
    #[inline]
    fn read(mut self, cursor: &mut Cursor, unescaped: &mut Vec<u8>) -> Result<Validity, Syntax> {
        let start = cursor.position();
        let mut more = cursor.open(b'{', b'}')?;
        while more {
            let key = key(cursor, unescaped)?;
            self.wrong &= !(key as u8);
            self.negative &= !(key as u8);
            if cursor.peek() == b'n' {
                cursor.literal(b"null")?;
                self.null(key);
            } else {
                self.present |= key as u8;
                self.value(key, cursor, unescaped)?;
            }
            more = cursor.more(b'}')?;
        }
        self.tx.json = Span::new(start, cursor.position() - start);
        if self.present & Key::Other as u8 != 0
            && unknown_keys_end_null(self.tx.json.of(cursor.text(), &[]), unescaped)?
        {
            self.present &= !(Key::Other as u8);
        }
        Ok(self.outcome())
    }

    /// Marks the member as absent. Unknown keys are resolved at the end, by name.
    #[cold]
    fn null(&mut self, key: Key) {
        if let Some(number) = self.number(key) {
            *number = Integer::default();
        }
        if !matches!(key, Key::Other) {
            self.present &= !(key as u8);
        }
    }

    #[inline]
    fn value(
        &mut self,
        key: Key,
        cursor: &mut Cursor,
        unescaped: &mut Vec<u8>,
    ) -> Result<(), Syntax> {
        match key {
            Key::Time => return self.time(cursor, unescaped),
            Key::Hash => return self.hash(cursor, unescaped),
            Key::Other => return cursor.skip_value(),
            Key::Sig | Key::Recv | Key::Fee | Key::Amt | Key::Send => {}
        }
        match integer(cursor)? {
            Some(Number::Integer(value, count)) => {
                let count = count as usize;
                let digits = Span::new(cursor.position() - count, count);
                if let Some(number) = self.number(key) {
                    *number = Integer { value, digits };
                }
            }
            Some(Number::Negative) => self.negative |= key as u8,
            Some(Number::Other) | None => self.wrong |= key as u8,
        }
        Ok(())
    }

    #[inline]
    fn number(&mut self, key: Key) -> Option<&mut Integer> {
        match key {
            Key::Sig => Some(&mut self.tx.sig),
            Key::Recv => Some(&mut self.tx.recv),
            Key::Fee => Some(&mut self.tx.fee),
            Key::Amt => Some(&mut self.tx.amt),
            Key::Send => Some(&mut self.tx.send),
            Key::Time | Key::Hash | Key::Other => None,
        }
    }

    #[inline]
    fn time(&mut self, cursor: &mut Cursor, unescaped: &mut Vec<u8>) -> Result<(), Syntax> {
        // The usual case in one pass: a quote, up to 19 digits, a quote.
        if let Some((b'"', content)) = cursor.rest().split_first() {
            let (value, count) = leading_digits(content);
            if (1..=19).contains(&count) && content.get(count) == Some(&b'"') {
                self.tx.time = Span::new(cursor.position() + 1, count);
                self.tx.time_ns = if value < 1 << 63 { value } else { 0 };
                cursor.skip(count + 2);
                return Ok(());
            }
        }
        let Some(content) = self.string(Key::Time, cursor, unescaped)? else {
            return Ok(());
        };
        let digits = content.of(cursor.text(), unescaped);
        let (value, count) = leading_digits(digits);
        let in_form = count == digits.len() && (1..=19).contains(&count) && value < 1 << 63;
        self.tx.time = content;
        self.tx.time_ns = if in_form { value } else { 0 };
        Ok(())
    }

    #[inline]
    fn hash(&mut self, cursor: &mut Cursor, unescaped: &mut Vec<u8>) -> Result<(), Syntax> {
        // The usual case in one pass: a quote, eight plain bytes, a quote.
        if let Some([b'"', content @ .., b'"']) = cursor.rest().first_chunk::<10>()
            && is_plain(u64::from_le_bytes(*content))
        {
            self.tx.hash = *content;
            cursor.skip(10);
            return Ok(());
        }
        let Some(content) = self.string(Key::Hash, cursor, unescaped)? else {
            return Ok(());
        };
        self.tx.hash = content
            .of(cursor.text(), unescaped)
            .try_into()
            .unwrap_or_default();
        Ok(())
    }

    #[cold]
    fn string(
        &mut self,
        key: Key,
        cursor: &mut Cursor,
        unescaped: &mut Vec<u8>,
    ) -> Result<Option<Span>, Syntax> {
        let mut content = None;
        if cursor.peek() == b'"' {
            content = Some(json::string(cursor, unescaped)?).filter(|text| text.is_unicode());
        } else {
            cursor.skip_value()?;
        }
        if content.is_none() {
            self.wrong |= key as u8;
        }
        Ok(content)
    }

    /// Sets the kind, if keys and values match one.
    #[inline]
    fn outcome(&mut self) -> Validity {
        self.tx.kind = match self.present {
            SIGNED_KEYS => Kind::Signed,
            REWARD_KEYS => Kind::Reward,
            OWN_KEYS => Kind::Own,
            _ => return Err(Reject::TransactionKeys),
        };
        match (self.wrong, self.negative) {
            (0, 0) => Ok(()),
            (0, _) => Err(Reject::Negative),
            _ => Err(Reject::TransactionValue),
        }
    }
}

/// Reads a transaction's key and the colon.
#[inline]
fn key(cursor: &mut Cursor, unescaped: &mut Vec<u8>) -> Result<Key, Syntax> {
    const RECV: u64 = key_word(b"\"recv\":");
    const TIME: u64 = key_word(b"\"time\":");
    const HASH: u64 = key_word(b"\"hash\":");
    const SEND: u64 = key_word(b"\"send\":");
    const SIG: u64 = key_word(b"\"sig\":");
    const FEE: u64 = key_word(b"\"fee\":");
    const AMT: u64 = key_word(b"\"amt\":");
    // One load covers any of the seven keys with quotes and colon, in any order.
    cursor.peek();
    let next = cursor.word();
    let (key, bytes) = match first_bytes(next, 7) {
        RECV => (Key::Recv, 7),
        TIME => (Key::Time, 7),
        HASH => (Key::Hash, 7),
        SEND => (Key::Send, 7),
        _ => match first_bytes(next, 6) {
            AMT => (Key::Amt, 6),
            SIG => (Key::Sig, 6),
            FEE => (Key::Fee, 6),
            _ => return key_of_any_form(cursor, unescaped),
        },
    };
    cursor.skip(bytes);
    Ok(key)
}

#[cold]
fn key_of_any_form(cursor: &mut Cursor, unescaped: &mut Vec<u8>) -> Result<Key, Syntax> {
    let key = json::key(cursor, unescaped)?;
    Ok(match key.of(cursor.text(), unescaped) {
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
/// Reads the transaction again with a table of keys: genuine requests have no unknown key, and the table is
/// at most as large as the request.
#[cold]
fn unknown_keys_end_null(json: &[u8], unescaped: &mut Vec<u8>) -> Result<bool, Syntax> {
    let side_before = unescaped.len();
    let mut last_is_null = HashMap::new();
    let mut cursor = Cursor::new(json);
    let mut more = cursor.open(b'{', b'}')?;
    while more {
        let key = json::key(&mut cursor, unescaped)?;
        let null = cursor.peek() == b'n';
        last_is_null.insert(key.of(json, unescaped).to_vec(), null);
        cursor.skip_value()?;
        more = cursor.more(b'}')?;
    }
    unescaped.truncate(side_before);
    const KNOWN: [&[u8]; 7] = [b"sig", b"recv", b"fee", b"amt", b"time", b"send", b"hash"];
    Ok(last_is_null
        .iter()
        .all(|(key, &null)| null || KNOWN.contains(&key.as_slice())))
}
