//! A parsed request for explanations, and their findings.

use crate::blockchain::{
    request::{Block, ChainRequest},
    span::Span,
    transaction::Transaction,
};

/// A fault at one place, without its rule.
pub(super) struct Finding {
    pub(super) place: String,
    pub(super) expected: String,
    pub(super) found: String,
}

impl Finding {
    pub(super) fn new(
        place: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self {
            place: place.into(),
            expected: expected.into(),
            found: found.into(),
        }
    }
}

/// A parsed request with the buffers of its spans.
pub(super) struct Parsed<'r> {
    pub(super) request: &'r ChainRequest,
    pub(super) json: &'r [u8],
}

impl<'r> Parsed<'r> {
    pub(super) fn text(&self, span: Span) -> &'r [u8] {
        span.of(self.json, &self.request.unescaped)
    }

    pub(super) fn lossy(&self, span: Span) -> String {
        String::from_utf8_lossy(self.text(span)).into_owned()
    }

    /// Every block with its transactions.
    pub(super) fn blocks(&self) -> impl Iterator<Item = (&'r Block, &'r [Transaction])> {
        let mut start = 0;
        let request = self.request;
        request.blocks.iter().map(move |block| {
            let txs = request.chain_txs.get(start..block.txs_end);
            start = block.txs_end;
            (block, txs.unwrap_or_default())
        })
    }

    /// Every transaction of the chain with its place.
    pub(super) fn chain_txs(&self) -> impl Iterator<Item = (String, &'r Transaction)> {
        self.blocks().enumerate().flat_map(|(block, (_, txs))| {
            let place = move |index| format!("block {block}, transaction {index}");
            txs.iter()
                .enumerate()
                .map(move |(index, tx)| (place(index), tx))
        })
    }

    /// Every new transaction with its place.
    pub(super) fn new_txs(&self) -> impl Iterator<Item = (String, &'r Transaction)> {
        let place = |(index, tx)| (format!("new_tx, transaction {index}"), tx);
        self.request.new_txs.iter().enumerate().map(place)
    }
}
