//! The request's JSON, read straight into arrays of blocks and transactions.
//!
//! Called by the endpoint once per request; its arrays are kept and refilled. It checks all that needs only
//! the JSON: syntax, the members and their types, the kind of each transaction. `chain`, `hash` and `sign`
//! check order, hashes, signatures and balances.
//!
//! Keys come in any order and the last of two equal keys wins, as in the reference. So a wrong value is not
//! an error at once: its member stores a `Validity`, which a repeated member overwrites. Only bad syntax
//! ends the reading early.

use super::{
    Reject,
    json::{self, DEPTH_MAX},
    reject::Validity,
    span::{JSON_BYTES_MAX, Span},
    transaction::{self, Transaction},
};
use crate::codec::json::{
    Cursor, Number, Syntax,
    scan::{first_bytes, key_word},
};

/// One block of the existing chain.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// Index in [`ChainRequest::chain_txs`] one past this block's last transaction. Its first transaction
    /// follows the previous block's last.
    pub txs_end: usize,
    /// `id`.
    pub id: u64,
    /// `pow`; any text, it is only hashed.
    pub pow: Span,
    /// `hash` if it has eight bytes, otherwise zeros, which no computed hash equals.
    pub hash: [u8; 8],
    /// `target`.
    pub target: Span,
}

/// A parsed request. All `Span`s point into the JSON it was parsed from or into `unescaped`.
#[derive(Default)]
pub struct ChainRequest {
    /// The existing chain.
    pub blocks: Vec<Block>,
    /// The transactions of all blocks, in order.
    pub chain_txs: Vec<Transaction>,
    /// `new_tx`.
    pub new_txs: Vec<Transaction>,
    /// The text between the brackets of `chain`, as sent.
    pub chain_text: Span,
    /// `new_target`, quotes and escapes included, as sent.
    pub new_target_json: Span,
    /// `new_target`.
    pub new_target: Span,
    /// Text that the JSON does not contain verbatim: decoded strings with escapes, and members that
    /// `new_block` adds.
    pub unescaped: Vec<u8>,
}

impl ChainRequest {
    /// Reads `json` and replaces the previous request.
    pub fn parse(&mut self, json: &[u8]) -> Result<(), Reject> {
        self.clear();
        if json.len() > JSON_BYTES_MAX {
            return Err(Reject::InflatedSize);
        }
        std::str::from_utf8(json).map_err(|_| Reject::Json)?;
        let mut cursor = Cursor::with_depth_max(json, DEPTH_MAX);
        self.members(&mut cursor).map_err(|Syntax| Reject::Json)?
    }

    fn clear(&mut self) {
        self.blocks.clear();
        self.chain_txs.clear();
        self.new_txs.clear();
        self.unescaped.clear();
    }

    /// Empties the arrays and leaves each of them at most `bytes` bytes.
    pub fn shrink_to(&mut self, bytes: usize) {
        self.clear();
        self.blocks.shrink_to(bytes / size_of::<Block>());
        self.chain_txs.shrink_to(bytes / size_of::<Transaction>());
        self.new_txs.shrink_to(bytes / size_of::<Transaction>());
        self.unescaped.shrink_to(bytes);
    }

    /// The three members of the request, in any order, among others that are ignored.
    fn members(&mut self, cursor: &mut Cursor) -> Result<Validity, Syntax> {
        if cursor.peek() != b'{' {
            cursor.skip_value()?;
            cursor.end()?;
            return Ok(Err(Reject::Shape));
        }
        let [mut chain, mut new_target, mut new_tx] = [Err(Reject::Shape); 3];
        let mut more = cursor.open(b'{', b'}')?;
        while more {
            let key = json::key(cursor, &mut self.unescaped)?;
            match key.of(cursor.text(), &self.unescaped) {
                b"chain" => chain = self.chain(cursor)?,
                b"new_target" => new_target = self.new_target(cursor)?,
                b"new_tx" => {
                    self.new_txs.clear();
                    new_tx = transaction::list(cursor, &mut self.new_txs, &mut self.unescaped)?;
                }
                _ => cursor.skip_value()?,
            }
            more = cursor.more(b'}')?;
        }
        cursor.end()?;
        Ok(chain.and(new_target).and(new_tx))
    }

    fn new_target(&mut self, cursor: &mut Cursor) -> Result<Validity, Syntax> {
        let Some(target) = string(cursor, &mut self.unescaped)? else {
            return Ok(Err(Reject::Shape));
        };
        self.new_target = target.content;
        self.new_target_json = target.json;
        Ok(Ok(()))
    }

    fn chain(&mut self, cursor: &mut Cursor) -> Result<Validity, Syntax> {
        self.blocks.clear();
        self.chain_txs.clear();
        if cursor.peek() != b'[' {
            cursor.skip_value()?;
            return Ok(Err(Reject::Shape));
        }
        let mut more = cursor.open(b'[', b']')?;
        let start = cursor.position();
        let mut end = start;
        let mut outcome = Ok(());
        while more {
            // After the first fault only the syntax is checked; the arrays stop growing.
            if outcome.is_ok() {
                outcome = self.block(cursor)?;
            } else {
                cursor.skip_value()?;
            }
            end = cursor.position();
            more = cursor.more(b']')?;
        }
        self.chain_text = Span::new(start, end - start);
        Ok(outcome)
    }

    fn block(&mut self, cursor: &mut Cursor) -> Result<Validity, Syntax> {
        if cursor.peek() != b'{' {
            cursor.skip_value()?;
            return Ok(Err(Reject::Shape));
        }
        let txs_start = self.chain_txs.len();
        let mut txs = Err(Reject::Shape);
        let mut id = Err(Reject::Shape);
        let (mut pow, mut hash, mut target) = (None, None, None);
        let mut more = cursor.open(b'{', b'}')?;
        while more {
            match block_key(cursor, &mut self.unescaped)? {
                BlockKey::Transactions => {
                    self.chain_txs.truncate(txs_start);
                    txs = transaction::list(cursor, &mut self.chain_txs, &mut self.unescaped)?;
                }
                BlockKey::Pow => pow = string(cursor, &mut self.unescaped)?,
                BlockKey::Id => id = block_id(cursor)?,
                BlockKey::Hash => hash = string(cursor, &mut self.unescaped)?,
                BlockKey::Target => target = string(cursor, &mut self.unescaped)?,
                BlockKey::Other => cursor.skip_value()?,
            }
            more = cursor.more(b'}')?;
        }
        let (Some(pow), Some(hash), Some(target)) = (pow, hash, target) else {
            return Ok(Err(Reject::Shape));
        };
        let id = match id {
            Ok(id) => id,
            Err(fault) => return Ok(Err(fault)),
        };
        let hash = hash
            .content
            .of(cursor.text(), &self.unescaped)
            .try_into()
            .unwrap_or_default();
        let txs_end = self.chain_txs.len();
        self.blocks.push(Block {
            txs_end,
            id,
            pow: pow.content,
            hash,
            target: target.content,
        });
        Ok(txs)
    }
}

/// A member of a block.
enum BlockKey {
    Transactions,
    Pow,
    Id,
    Hash,
    Target,
    Other,
}

/// Reads a block's key and the colon.
#[inline]
fn block_key(cursor: &mut Cursor, unescaped: &mut Vec<u8>) -> Result<BlockKey, Syntax> {
    const ALL_TX: u64 = key_word(b"\"all_tx\"");
    const TARGET: u64 = key_word(b"\"target\"");
    const HASH: u64 = key_word(b"\"hash\":");
    const POW: u64 = key_word(b"\"pow\":");
    const ID: u64 = key_word(b"\"id\":");
    cursor.peek();
    let next = cursor.word();
    let (key, bytes) = match (
        next,
        first_bytes(next, 7),
        first_bytes(next, 6),
        first_bytes(next, 5),
    ) {
        (ALL_TX, ..) => (BlockKey::Transactions, 8),
        (TARGET, ..) => (BlockKey::Target, 8),
        (_, HASH, ..) => (BlockKey::Hash, 7),
        (_, _, POW, _) => (BlockKey::Pow, 6),
        (.., ID) => (BlockKey::Id, 5),
        _ => return block_key_of_any_form(cursor, unescaped),
    };
    cursor.skip(bytes);
    if bytes == 8 {
        cursor.expect(b':')?;
    }
    Ok(key)
}

#[cold]
fn block_key_of_any_form(cursor: &mut Cursor, unescaped: &mut Vec<u8>) -> Result<BlockKey, Syntax> {
    let key = json::key(cursor, unescaped)?;
    Ok(match key.of(cursor.text(), unescaped) {
        b"all_tx" => BlockKey::Transactions,
        b"pow" => BlockKey::Pow,
        b"id" => BlockKey::Id,
        b"hash" => BlockKey::Hash,
        b"target" => BlockKey::Target,
        _ => BlockKey::Other,
    })
}

fn block_id(cursor: &mut Cursor) -> Result<Result<u64, Reject>, Syntax> {
    Ok(match transaction::integer(cursor)? {
        Some(Number::Integer(id, _)) => Ok(id),
        Some(Number::Negative) => Err(Reject::BlockId),
        Some(Number::Other) | None => Err(Reject::Shape),
    })
}

/// A string member: its content, and the token as sent.
#[derive(Clone, Copy)]
struct StringMember {
    content: Span,
    json: Span,
}

/// Reads a value; `None` if it is not a string that is Unicode text.
fn string(cursor: &mut Cursor, unescaped: &mut Vec<u8>) -> Result<Option<StringMember>, Syntax> {
    if cursor.peek() != b'"' {
        cursor.skip_value()?;
        return Ok(None);
    }
    let start = cursor.position();
    let content = json::string(cursor, unescaped)?;
    let json = Span::new(start, cursor.position() - start);
    Ok(content
        .is_unicode()
        .then_some(StringMember { content, json }))
}
