//! Account balances during the walk over a chain (docs/protocol/blockchain.md §4, rule 7).
//!
//! Owned by the worker's scratch and used by `chain` only. Accounts not seen hold 0.

use std::collections::HashMap;

/// Most accounts kept in the list. A genuine chain has 2 to 6 accounts, for which a list is faster than a
/// hash table. A hostile chain has as many as fit into a request, so above this number they move to the
/// table.
const LISTED_MAX: usize = 16;

/// Balance of every account seen so far.
#[derive(Default)]
pub struct Balances {
    listed: Vec<(u64, u64)>,
    /// Empty, or all accounts. Its hash has a random key, because clients choose account numbers.
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

    /// Every account back to 0, and the table to about `bytes` bytes at most.
    pub fn shrink_to(&mut self, bytes: usize) {
        self.clear();
        self.table.shrink_to(bytes / size_of::<(u64, u64)>());
    }

    /// Takes `amount` from `account` if it has that much.
    #[must_use]
    #[inline]
    pub fn withdraw(&mut self, account: u64, amount: u64) -> bool {
        self.with(account, |balance| match balance.checked_sub(amount) {
            Some(left) => {
                *balance = left;
                true
            }
            None => false,
        })
    }

    /// Gives `amount` to `account`.
    ///
    /// All balances together equal the rewards paid, which are below 2^31, so this cannot overflow.
    #[inline]
    pub fn deposit(&mut self, account: u64, amount: u64) {
        self.with(account, |balance| *balance = balance.saturating_add(amount));
    }

    #[inline]
    fn with<T>(&mut self, account: u64, change: impl FnOnce(&mut u64) -> T) -> T {
        if self.table.is_empty() {
            if let Some((_, balance)) = self
                .listed
                .iter_mut()
                .find(|(listed, _)| *listed == account)
            {
                return change(balance);
            }
            if self.listed.len() < LISTED_MAX {
                return change(&mut self.listed.push_mut((account, 0)).1);
            }
            self.table.extend(self.listed.drain(..));
        }
        change(self.table.entry(account).or_insert(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_plain_map_does_the_same(accounts in 1u64..40, moves in prop::collection::vec(any::<(u64, bool, u8)>(), 0..200)) {
            let mut balances = Balances::default();
            // Twice: a cleared one is like a new one.
            for _ in 0..2 {
                let mut map = HashMap::<u64, u64>::new();
                for &(account, deposit, amount) in &moves {
                    let (account, amount) = (account % accounts, u64::from(amount));
                    let balance = map.entry(account).or_default();
                    if deposit {
                        balances.deposit(account, amount);
                        *balance += amount;
                    } else {
                        prop_assert_eq!(balances.withdraw(account, amount), *balance >= amount);
                        *balance = balance.checked_sub(amount).unwrap_or(*balance);
                    }
                }
                balances.clear();
            }
        }
    }
}
