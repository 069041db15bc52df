//! Double entry: who holds how much, over all SETs, by adding up what postings say.

use std::collections::HashMap;

use rp_core::posting::Account;

use super::fault::{Breach, Rule};

/// The balances of all accounts that are not zero, in fen.
#[derive(Default)]
pub struct Balances {
    held: HashMap<Account, i128>,
    sums: Sums,
}

/// The balances of all accounts of a type, in fen.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Sums {
    /// What was issued, negative.
    pub mint: i128,
    /// All users.
    pub users: i128,
    /// All packets.
    pub packets: i128,
    /// All campaigns.
    pub campaigns: i128,
    /// On the way.
    pub transit: i128,
}

impl Sums {
    fn of(&mut self, account: Account) -> &mut i128 {
        match account {
            Account::Mint => &mut self.mint,
            Account::User(_) => &mut self.users,
            Account::Packet(_) => &mut self.packets,
            Account::Campaign(_) => &mut self.campaigns,
            Account::Transit => &mut self.transit,
        }
    }

    fn total(&self) -> i128 {
        self.mint + self.users + self.packets + self.campaigns + self.transit
    }
}

impl Balances {
    /// Moves `fen` from `debit` to `credit`.
    pub fn post(&mut self, debit: Account, credit: Account, fen: u64) -> Result<(), Breach> {
        self.add(debit, -i128::from(fen));
        self.add(credit, i128::from(fen));
        let left = self.of(debit);
        Rule::Overdrawn.demand(debit == Account::Mint || left >= 0, || format!("{debit:?} has {left} fen after it"))?;
        let issued = -self.sums.mint;
        Rule::Countable.demand(issued <= i128::from(i64::MAX), || format!("{issued} fen are issued"))?;
        Rule::Balanced.demand(self.sums.total() == 0, || format!("{:?}", self.sums))
    }

    /// What an account holds.
    pub fn of(&self, account: Account) -> i128 {
        self.held.get(&account).copied().unwrap_or(0)
    }

    /// What accounts hold, by type.
    pub fn sums(&self) -> &Sums {
        &self.sums
    }

    /// Users who hold something.
    pub fn holders(&self) -> u64 {
        self.held.keys().filter(|account| matches!(account, Account::User(_))).count() as u64
    }

    /// Adds up every account anew.
    pub fn recount(&self) -> Result<(), Breach> {
        let mut counted = Sums::default();
        for (account, fen) in &self.held {
            *counted.of(*account) += fen;
        }
        let sums = &self.sums;
        Rule::Balanced.demand(counted == *sums, || format!("accounts one by one hold {counted:?}, not {sums:?}"))
    }

    fn add(&mut self, account: Account, fen: i128) {
        *self.sums.of(account) += fen;
        let held = self.held.entry(account).or_default();
        *held += fen;
        if *held == 0 {
            self.held.remove(&account);
        }
    }
}
