//! The accounts of one SET's users: found by user id, kept while they hold anything worth keeping.

use alloc::vec::Vec;

use hashbrown::HashTable;

use super::blocks::NIL;
use super::requests::Requests;
use super::slots::NONE;
use crate::key::{Key, sip};
use crate::limits::ACCOUNTS_PER_SET_MAX;

/// One user.
pub struct Account {
    /// The user's id.
    pub user: u64,
    /// The balance, in fen.
    pub balance: u64,
    /// Request numbers seen and the answers to the last of them.
    pub requests: Requests,
    /// Number of the newest notice.
    pub notice_highest: u32,
    /// Chain of notices not yet acknowledged.
    pub notices: u32,
    /// The campaign of `prizes`.
    pub campaign: u32,
    /// The session whose datagrams count.
    pub session: u16,
    /// A session that was opened since and has sent nothing yet.
    pub fresh: u16,
    /// Prizes won in `campaign`.
    pub prizes: u8,
    /// Notices in the chain.
    pub notice_count: u8,
    /// The ledger has a posting about the user.
    pub is_known: bool,
    /// Not forgotten.
    used: bool,
}

const _: () = assert!(size_of::<Account>() == 56);

impl Account {
    fn new(user: u64) -> Self {
        Self {
            user,
            balance: 0,
            requests: Requests::default(),
            notice_highest: 0,
            notices: NIL,
            campaign: 0,
            session: NONE,
            fresh: NONE,
            prizes: 0,
            notice_count: 0,
            is_known: false,
            used: true,
        }
    }

    /// Nothing would be lost if the account were forgotten.
    fn idle(&self) -> bool {
        self.session == NONE && self.fresh == NONE && !self.is_known && self.requests.unused()
    }
}

/// The accounts.
pub struct Accounts {
    key: Key,
    rows: Vec<Account>,
    free: Vec<u16>,
    index: HashTable<u16>,
}

impl Accounts {
    /// No accounts yet. `key` is secret: senders name whom they like, and must not be able to choose who collides.
    pub fn new(key: Key) -> Self {
        Self {
            key,
            rows: Vec::with_capacity(ACCOUNTS_PER_SET_MAX),
            free: Vec::new(),
            index: HashTable::with_capacity(ACCOUNTS_PER_SET_MAX),
        }
    }

    /// Accounts in use.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// The account of a user.
    pub fn find(&self, user: u64) -> Option<u16> {
        self.index.find(hash(&self.key, user), |at| self.rows[usize::from(*at)].user == user).copied()
    }

    /// The account of a user, made if there is none; `None` when the SET is full.
    pub fn find_or_make(&mut self, user: u64) -> Option<u16> {
        if let Some(at) = self.find(user) {
            return Some(at);
        }
        let at = match self.free.pop() {
            Some(at) => {
                self.rows[usize::from(at)] = Account::new(user);
                at
            }
            None if self.rows.len() == ACCOUNTS_PER_SET_MAX => return None,
            None => {
                self.rows.push(Account::new(user));
                self.rows.len() as u16 - 1
            }
        };
        let (rows, key) = (&self.rows, &self.key);
        self.index.insert_unique(hash(key, user), at, |at| hash(key, rows[usize::from(*at)].user));
        Some(at)
    }

    /// Forgets an account that holds nothing.
    pub fn forget_if_idle(&mut self, at: u16) {
        let account = &self.rows[usize::from(at)];
        if !account.idle() {
            return;
        }
        let user = account.user;
        if let Ok(entry) = self.index.find_entry(hash(&self.key, user), |at| self.rows[usize::from(*at)].user == user) {
            entry.remove();
            self.rows[usize::from(at)].used = false;
            self.free.push(at);
        }
    }

    /// Indices below this one may be in use.
    pub fn end(&self) -> u16 {
        self.rows.len() as u16
    }

    /// Is there an account at an index below [`Self::end`]?
    pub fn is_used(&self, at: u16) -> bool {
        self.rows[usize::from(at)].used
    }

    /// Sum of all balances, in fen.
    pub fn total_fen(&self) -> u64 {
        // A forgotten account's balance is zero, so every row may be added.
        self.rows.iter().map(|account| account.balance).sum()
    }
}

impl core::ops::Index<u16> for Accounts {
    type Output = Account;
    #[inline(always)]
    fn index(&self, at: u16) -> &Account {
        &self.rows[usize::from(at)]
    }
}

impl core::ops::IndexMut<u16> for Accounts {
    #[inline(always)]
    fn index_mut(&mut self, at: u16) -> &mut Account {
        &mut self.rows[usize::from(at)]
    }
}

fn hash(key: &Key, user: u64) -> u64 {
    sip(key, &user.to_le_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_who_collide_under_one_key_do_not_under_another() {
        let row = |key: u8, user: u64| hash(&[key; 16], user) % 4096;
        let chosen: Vec<u64> = (0..400_000).filter(|user| row(1, *user) == 0).collect();
        let collide = chosen.iter().filter(|user| row(2, **user) == 0).count();
        assert!(chosen.len() > 50 && collide < 5, "{collide} of {}", chosen.len());
    }
}
