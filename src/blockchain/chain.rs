//! The rules that need no hash: order, places, amounts and balances.
//!
//! Rules 1 to 4, 7, 8 and 10 to 14 of docs/protocol/blockchain.md §4, in one walk over the chain and the
//! new transactions. Called by the endpoint after parsing and before `hash` (rules 5 and 9) and `sign`
//! (rule 6): most INVALID requests end here for a few hundred nanoseconds. The rules are independent, so
//! their order decides only which of several faults is reported.

use super::{
    Reject,
    balances::Balances,
    request::ChainRequest,
    transaction::{Kind, Transaction},
};

/// Reward of the first two blocks; it halves every second block (rule 8).
pub const FIRST_REWARD: u64 = 500_000_000;
/// Nanoseconds from the last reward of the chain to the reward of the new block (§5).
pub const REWARD_INTERVAL_NS: u64 = 600_000_000_000;

/// The reward for mining block `id` (rule 8).
#[inline]
pub fn reward_amt(id: u64) -> u64 {
    u32::try_from(id / 2)
        .ok()
        .and_then(|halvings| FIRST_REWARD.checked_shr(halvings))
        .unwrap_or(0)
}

/// Time of the last reward in the chain, 0 if the chain is empty, when no rule is broken.
pub fn check(
    request: &ChainRequest,
    json: &[u8],
    team_account: u64,
    balances: &mut Balances,
) -> Result<u64, Reject> {
    balances.clear();
    let mut walk = Walk {
        balances,
        last_time_ns: 0,
    };
    let mut txs_start = 0;
    for (index, block) in request.blocks.iter().enumerate() {
        if block.id != index as u64 {
            return Err(Reject::BlockId);
        }
        if block.hash.as_slice() >= block.target.of(json, &request.unescaped) {
            return Err(Reject::Target);
        }
        let txs = request
            .chain_txs
            .get(txs_start..block.txs_end)
            .unwrap_or_default();
        walk.block(block.id, txs)?;
        txs_start = block.txs_end;
    }
    let chain_end_ns = walk.last_time_ns;
    for tx in &request.new_txs {
        match tx.kind {
            Kind::Signed => walk.transfer(tx, tx.send.value)?,
            Kind::Own => walk.transfer(tx, team_account)?,
            Kind::Reward => return Err(Reject::NewReward),
        }
    }
    Ok(chain_end_ns)
}

/// State carried from one transaction to the next.
struct Walk<'b> {
    balances: &'b mut Balances,
    last_time_ns: u64,
}

impl Walk<'_> {
    fn block(&mut self, id: u64, txs: &[Transaction]) -> Result<(), Reject> {
        let Some((reward, signed)) = txs.split_last() else {
            return Err(Reject::RewardPlace);
        };
        if reward.kind != Kind::Reward || signed.iter().any(|tx| tx.kind != Kind::Signed) {
            return Err(Reject::RewardPlace);
        }
        let mut fees = 0u64;
        for tx in signed {
            self.transfer(tx, tx.send.value)?;
            // Each fee was just withdrawn, so their sum is at most all money in the chain.
            fees = fees.saturating_add(tx.fee.value);
        }
        self.advance(reward)?;
        if reward.amt.value != reward_amt(id) {
            return Err(Reject::RewardAmount);
        }
        self.balances
            .deposit(reward.recv.value, reward.amt.value.saturating_add(fees));
        Ok(())
    }

    #[inline]
    fn transfer(&mut self, tx: &Transaction, sender: u64) -> Result<(), Reject> {
        self.advance(tx)?;
        // Both are below 2^63: the sum fits.
        if !self.balances.withdraw(sender, tx.amt.value + tx.fee.value) {
            return Err(Reject::Overdraft);
        }
        self.balances.deposit(tx.recv.value, tx.amt.value);
        Ok(())
    }

    #[inline]
    fn advance(&mut self, tx: &Transaction) -> Result<(), Reject> {
        if tx.time_ns <= self.last_time_ns {
            return Err(Reject::Time);
        }
        self.last_time_ns = tx.time_ns;
        Ok(())
    }
}
