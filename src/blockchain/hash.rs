//! The rules on hashes: 5 and 9 of docs/protocol/blockchain.md §4, and the seed of the new block.
//!
//! Called by the endpoint after `chain`. Each message uses the hashes as stated in the request, and every
//! stated hash is checked. So messages are independent of each other: they are laid out in batches and
//! compressed one after another without waiting (see `sha256`).

use super::{
    Reject,
    request::ChainRequest,
    sha256::{
        BLOCK_BYTES, HashState, INITIAL, ONE_BLOCK_BYTES_MAX, cc_hash, compress, hex64, put_length,
    },
    span::Span,
    transaction::{Kind, Transaction},
};
use crate::codec::decimal;

/// `prev_hash` of block 0.
const GENESIS_PREVIOUS: [u8; 8] = *b"00000000";
/// Most messages in a batch. A genuine request has about eight transactions.
const BATCH_MESSAGES: usize = 32;
/// Two blocks hold every transaction's message: four times 19 digits, a fee of 19 more, four bars.
const TX_MESSAGE_BYTES: usize = 2 * BLOCK_BYTES;
/// Bytes copied for a member of a message. No member is longer, and a copy of fixed length compiles to two
/// moves; the next member overwrites the excess.
const MEMBER_BYTES: usize = 20;

/// Padded messages, one after the other.
#[derive(Default)]
pub struct Batch {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Batch {
    /// Empties the batch and leaves it at most `bytes` bytes.
    pub fn shrink_to(&mut self, bytes: usize) {
        self.clear();
        self.bytes.shrink_to(bytes);
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Ends the current message, which begins where the previous one ended.
    fn seal(&mut self) {
        let start = self.ends.last().copied().unwrap_or(0);
        let message_bytes = self.bytes.len() - start;
        let padded_bytes = (message_bytes + 9).next_multiple_of(BLOCK_BYTES);
        self.bytes.push(0x80);
        self.bytes.resize(start + padded_bytes, 0);
        if let Some(last) = self.bytes.last_chunk_mut() {
            put_length(last, message_bytes);
        }
        self.ends.push(self.bytes.len());
    }

    /// Appends `tx`'s message: `time|send|recv|amt|fee`.
    fn push_transaction(&mut self, tx: &Transaction, json: &[u8], unescaped: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; TX_MESSAGE_BYTES]);
        let Some(message) = self.bytes.last_chunk_mut() else {
            return;
        };
        let blocks = TransactionMessage {
            bytes: message,
            len: 0,
        }
        .write(tx, json, unescaped);
        self.bytes.truncate(start + blocks * BLOCK_BYTES);
        self.ends.push(self.bytes.len());
    }

    /// The digest of each message, in order.
    fn digests(&self) -> impl Iterator<Item = HashState> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let message = self.bytes.get(start..end).unwrap_or_default();
            start = end;
            compress(INITIAL, message.as_chunks().0)
        })
    }
}

/// A transaction's message under construction in a zeroed buffer.
struct TransactionMessage<'m> {
    bytes: &'m mut [u8; TX_MESSAGE_BYTES],
    len: usize,
}

impl TransactionMessage<'_> {
    /// Number of blocks written.
    #[inline]
    fn write(mut self, tx: &Transaction, json: &[u8], unescaped: &[u8]) -> usize {
        for text in [tx.time, tx.send.digits, tx.recv.digits, tx.amt.digits] {
            self.member(text, json, unescaped);
            self.byte(b'|');
        }
        self.member(tx.fee.digits, json, unescaped);
        self.end()
    }

    #[inline]
    fn member(&mut self, text: Span, json: &[u8], unescaped: &[u8]) {
        let source = text.of_and_after(json, unescaped);
        let Some(room) = self.bytes.get_mut(self.len..) else {
            return;
        };
        match (
            source.first_chunk::<MEMBER_BYTES>(),
            room.first_chunk_mut::<MEMBER_BYTES>(),
        ) {
            (Some(from), Some(to)) => *to = *from,
            _ => room
                .iter_mut()
                .zip(source.iter().take(text.len()))
                .for_each(|(to, from)| *to = *from),
        }
        self.len += text.len();
    }

    #[inline]
    fn byte(&mut self, byte: u8) {
        if let Some(to) = self.bytes.get_mut(self.len) {
            *to = byte;
        }
        self.len += 1;
    }

    /// Overwrites the excess of the last member's copy with the padding.
    #[inline]
    fn end(self) -> usize {
        let mut padding = [0; MEMBER_BYTES + 1];
        padding[0] = 0x80;
        if let Some(to) = self
            .bytes
            .get_mut(self.len..)
            .and_then(|rest| rest.first_chunk_mut())
        {
            *to = padding;
        }
        let blocks = if self.len <= ONE_BLOCK_BYTES_MAX {
            1
        } else {
            2
        };
        if let Some(last) = self.bytes.as_chunks_mut().0.get_mut(blocks - 1) {
            put_length(last, self.len);
        }
        blocks
    }
}

/// Rule 5 for the chain and the new transactions; sets the hashes of transactions that this server
/// completes.
pub fn check_transactions(
    request: &mut ChainRequest,
    json: &[u8],
    batch: &mut Batch,
) -> Result<(), Reject> {
    for txs in request.chain_txs.chunks(BATCH_MESSAGES) {
        batch.clear();
        txs.iter()
            .for_each(|tx| batch.push_transaction(tx, json, &request.unescaped));
        if batch
            .digests()
            .zip(txs)
            .any(|(digest, tx)| cc_hash(&digest) != tx.hash)
        {
            return Err(Reject::TransactionHash);
        }
    }
    for txs in request.new_txs.chunks_mut(BATCH_MESSAGES) {
        batch.clear();
        txs.iter()
            .for_each(|tx| batch.push_transaction(tx, json, &request.unescaped));
        for (digest, tx) in batch.digests().zip(txs) {
            match tx.kind {
                Kind::Own | Kind::Reward => tx.hash = cc_hash(&digest),
                Kind::Signed if tx.hash == cc_hash(&digest) => {}
                Kind::Signed => return Err(Reject::TransactionHash),
            }
        }
    }
    Ok(())
}

/// Rule 9 for every block of the chain.
pub fn check_blocks(
    request: &ChainRequest,
    json: &[u8],
    seeds: &mut Batch,
    hashes: &mut Batch,
) -> Result<(), Reject> {
    let mut previous = GENESIS_PREVIOUS;
    let mut txs_start = 0;
    for blocks in request.blocks.chunks(BATCH_MESSAGES) {
        seeds.clear();
        for block in blocks {
            let txs = request
                .chain_txs
                .get(txs_start..block.txs_end)
                .unwrap_or_default();
            push_seed(seeds, block.id, previous, txs);
            previous = block.hash;
            txs_start = block.txs_end;
        }
        hashes.clear();
        for (seed, block) in seeds.digests().zip(blocks) {
            hashes.bytes.extend_from_slice(&hex64(&seed));
            hashes
                .bytes
                .extend_from_slice(block.pow.of(json, &request.unescaped));
            hashes.seal();
        }
        if hashes
            .digests()
            .zip(blocks)
            .any(|(digest, block)| cc_hash(&digest) != block.hash)
        {
            return Err(Reject::BlockHash);
        }
    }
    Ok(())
}

/// The state after the new block's seed as hex, from which every try of the search continues.
pub fn new_seed_state(request: &ChainRequest, batch: &mut Batch) -> HashState {
    let previous = request
        .blocks
        .last()
        .map_or(GENESIS_PREVIOUS, |block| block.hash);
    batch.clear();
    push_seed(
        batch,
        request.blocks.len() as u64,
        previous,
        &request.new_txs,
    );
    let seed = batch.digests().next().unwrap_or(INITIAL);
    compress(INITIAL, &[hex64(&seed)])
}

/// Appends the message `id|prev_hash|h1|h2|…`.
fn push_seed(batch: &mut Batch, id: u64, previous: [u8; 8], txs: &[Transaction]) {
    decimal::write_u64(&mut batch.bytes, id);
    batch.bytes.push(b'|');
    batch.bytes.extend_from_slice(&previous);
    for tx in txs {
        let [a, b, c, d, e, f, g, h] = tx.hash;
        batch
            .bytes
            .extend_from_slice(&[b'|', a, b, c, d, e, f, g, h]);
    }
    batch.seal();
}
