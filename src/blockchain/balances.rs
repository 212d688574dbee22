//! Account balances while a chain is walked (docs/protocol/blockchain.md §4, rule 7).
//!
//! Owned by the worker's scratch and used by `chain` only. Accounts not seen hold 0.

use std::collections::HashMap;

/// Most accounts kept in the list. A genuine chain has 2 to 6 accounts, where walking a list beats any
/// hash; a hostile one has as many as fit the request, so past this they move to the table.
const LISTED_MAX: usize = 16;

/// Balance of every account seen so far.
#[derive(Default)]
pub struct Balances {
    listed: Vec<(u64, u64)>,
    /// Empty, or all accounts. Its hash is keyed at random: account numbers are the client's choice.
    table: HashMap<u64, u64>,
}

impl Balances {
    /// Every account back to 0.
    pub fn clear(&mut self) {
        self.listed.clear();
        if !self.table.is_empty() {
            self.table.clear();
        }
    }

    /// Every account back to 0, and the table to at most `bytes` bytes, more or less.
    pub fn shrink_to(&mut self, bytes: usize) {
        self.clear();
        self.table.shrink_to(bytes / size_of::<(u64, u64)>());
    }

    /// Takes `amount` from `account` if it has that much.
    #[must_use]
    pub fn withdraw(&mut self, account: u64, amount: u64) -> bool {
        match self.slot(account).checked_sub(amount) {
            Some(left) => {
                *self.slot(account) = left;
                true
            }
            None => false,
        }
    }

    /// Gives `amount` to `account`.
    ///
    /// The sum of all balances is that of the rewards paid, below 2^31, so this cannot overflow.
    pub fn deposit(&mut self, account: u64, amount: u64) {
        let balance = self.slot(account);
        *balance = balance.saturating_add(amount);
    }

    #[inline]
    fn slot(&mut self, account: u64) -> &mut u64 {
        if self.table.is_empty() {
            if let Some(at) = self
                .listed
                .iter()
                .position(|&(listed, _)| listed == account)
            {
                return &mut self.listed[at].1;
            }
            if self.listed.len() < LISTED_MAX {
                self.listed.push((account, 0));
                return &mut self.listed.last_mut().expect("just pushed").1;
            }
            self.table.extend(self.listed.drain(..));
        }
        self.table.entry(account).or_insert(0)
    }
}
