//! A request and its answer as text.

use super::{rules::kind, view::Parsed};
use crate::{
    blockchain::{transaction::Transaction, wire::Wire},
    explain::quoted,
};
use std::fmt::Write;

/// The chain, block by block, and the requested new block.
pub(super) fn request(view: &Parsed<'_>) -> String {
    let mut text = String::new();
    for (block, txs) in view.blocks() {
        let hash = String::from_utf8_lossy(&block.hash);
        let (pow, target) = (view.lossy(block.pow), view.lossy(block.target));
        let _ = writeln!(
            text,
            "block {}  hash {hash:?}  target {target:?}  pow {pow:?}",
            block.id
        );
        for tx in txs {
            transaction(view, tx, &mut text);
        }
    }
    let target = view.lossy(view.request.new_target);
    let _ = writeln!(
        text,
        "new block {}  target {target:?}",
        view.request.blocks.len()
    );
    for tx in &view.request.new_txs {
        transaction(view, tx, &mut text);
    }
    text
}

fn transaction(view: &Parsed<'_>, tx: &Transaction, text: &mut String) {
    let hash = String::from_utf8_lossy(&tx.hash).replace('\0', "");
    let members = [
        ("time", view.lossy(tx.time)),
        ("send", view.lossy(tx.send.digits)),
        ("recv", view.lossy(tx.recv.digits)),
        ("amt", view.lossy(tx.amt.digits)),
        ("fee", view.lossy(tx.fee.digits)),
        ("hash", hash),
        ("sig", view.lossy(tx.sig.digits)),
    ];
    let _ = write!(text, "  {}", kind(tx.kind));
    for (name, value) in members.iter().filter(|(_, value)| !value.is_empty()) {
        let _ = write!(text, "  {name} {value}");
    }
    text.push('\n');
}

/// The start of a JSON text that is not a request, short enough for a terminal.
pub(super) fn unparsed(json: &[u8]) -> String {
    match json {
        [] => String::new(),
        _ => format!("JSON  {}\n", quoted(json)),
    }
}

/// The new block of a packed answer, and the answer.
pub(super) fn answer(packed: &[u8], wire: &mut Wire) -> String {
    let json = wire.unpack(packed).unwrap_or_default();
    let tree: serde_json::Value = serde_json::from_slice(json).unwrap_or_default();
    let block = tree["chain"].as_array().and_then(|chain| chain.last());
    let block = block.map(ToString::to_string).unwrap_or_default();
    format!(
        "  new block  {block}\n  answer     {}\n",
        String::from_utf8_lossy(packed)
    )
}
