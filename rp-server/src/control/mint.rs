//! Money for a range of users, or back from them: one order at a time, so many users as the bank may have on their way.
//!
//! Sans I/O: whoever asked is a value that comes back with the answer.

use rp_core::engine::Now;
use rp_core::engine::bank::{Bank, BankBooks};
use serde::{Deserialize, Serialize};

use crate::admin::Answer;

/// Users of one order; more would hold up the next one for minutes.
const USERS_MAX: u64 = 100_000_000;

/// What is asked for.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct MintOrder {
    /// First user.
    pub first: u64,
    /// Last user.
    pub last: u64,
    /// Fen for, or from, each.
    pub fen: u64,
    /// Take it back.
    pub takes_back: bool,
}

/// Orders, the first of them at work.
pub struct Mints<Asker>(Vec<Mint<Asker>>);

struct Mint<Asker> {
    order: MintOrder,
    next: u64,
    /// Users who come yet, `next` among them.
    left: u64,
    /// Counts of done and refused when it began.
    before: Option<(u64, u64)>,
    /// Users whom the bank would not take.
    turned_away: u64,
    asker: Asker,
}

impl<Asker> Default for Mints<Asker> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<Asker> Mints<Asker> {
    /// Nothing is on its way.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes an order, or answers at once that it cannot be.
    pub fn begin(&mut self, order: &MintOrder, books: &BankBooks, asker: Asker) -> Option<(Asker, Answer)> {
        let MintOrder { first, last, fen, takes_back } = *order;
        let users = last.checked_sub(first).and_then(|n| n.checked_add(1));
        let total = users.and_then(|users| users.checked_mul(fen));
        let issued = total.and_then(|fen| books.issued_fen.read().checked_add(fen));
        let countable = takes_back || issued.is_some_and(|fen| fen <= i64::MAX as u64);
        let Some(left) = users.filter(|users| fen > 0 && first > 0 && countable && *users <= USERS_MAX) else {
            let why = format!(
                "{fen} fen for users {first}..={last}: nothing, more money than can be counted, more than {USERS_MAX} users \
                 at once, or a user 0, whom there is not"
            );
            return Some((asker, Answer::Refused(why)));
        };
        self.0.push(Mint { order: *order, next: first, left, before: None, turned_away: 0, asker });
        None
    }

    /// Gives the bank what it takes.
    pub fn push(&mut self, bank: &mut Bank, now: Now) {
        let Some(mint) = self.0.first_mut() else { return };
        // What the last run of the server left on its way would be counted in this order.
        if mint.before.is_none() && bank.out() > 0 {
            return;
        }
        let MintOrder { fen, takes_back, .. } = mint.order;
        mint.before.get_or_insert_with(|| counts(bank.books(), takes_back));
        while mint.left > 0 && bank.journal().has_room() {
            let is_taken = match takes_back {
                true => bank.withdraw(mint.next, fen, now),
                false => bank.deposit(mint.next, fen, now),
            };
            if !is_taken {
                break;
            }
            // The last user of all has no next.
            mint.next = mint.next.wrapping_add(1);
            mint.left -= 1;
        }
        if bank.out() == 0 && bank.journal().has_room() {
            // Nothing is on its way, and the bank takes none: with what others got since, it would be more than can be
            // counted.
            mint.turned_away += mint.left;
            mint.left = 0;
        }
    }

    /// The answer to an order of which nothing is on its way.
    pub fn end(&mut self, bank: &Bank) -> Option<(Asker, Answer)> {
        if bank.out() > 0 || self.0.first().is_none_or(|mint| mint.left > 0 || mint.before.is_none()) {
            return None;
        }
        let mint = self.0.remove(0);
        let (done, refused) = counts(bank.books(), mint.order.takes_back);
        let (done_before, refused_before) = mint.before.unwrap_or_default();
        let booked = done - done_before;
        let refused = refused - refused_before + mint.turned_away;
        Some((mint.asker, Answer::Minted { booked, refused, fen_each: mint.order.fen }))
    }
}

/// Users served and users refused, since the server started.
fn counts(books: &BankBooks, takes_back: bool) -> (u64, u64) {
    match takes_back {
        true => (books.reclaimed.count.read(), books.uncovered.read()),
        false => (books.deposits.count.read(), books.deposits_back.count.read()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rp_core::engine::board::Board;
    use rp_core::engine::notes::{BANK, Body, Note};

    use super::*;

    const NOW: Now = Now { mono_us: 0, unix_us: 0 };

    /// Every deposit on its way is booked.
    fn book_all(bank: &mut Bank) {
        let written = bank.journal().written();
        bank.journal().durable_to(written);
        while let Some(note) = bank.pop_note() {
            let Body::Deposit { user, .. } = note.body else { unreachable!("nothing else was ordered") };
            bank.receive(Note::new(BANK, note.to, Body::DepositDone { user, back_fen: 0, of: note.source }), NOW);
        }
    }

    #[test]
    fn an_order_counts_nothing_that_was_on_its_way_before_it() {
        let board = Arc::new(Board::own(1));
        let mut bank = Bank::new(1, Arc::new(BankBooks::default()), Vec::new(), board, [1; 32], 1);
        assert!(bank.deposit(7, 100, NOW), "as a start sends again what a crash cut off");
        let mut mints = Mints::default();
        let order = MintOrder { first: 1, last: 3, fen: 5, takes_back: false };
        assert!(mints.begin(&order, bank.books(), ()).is_none());
        for _ in 0..2 {
            mints.push(&mut bank, NOW);
            assert!(mints.end(&bank).is_none());
            book_all(&mut bank);
        }
        let answer = mints.end(&bank).map(|(_, answer)| answer);
        assert!(matches!(answer, Some(Answer::Minted { booked: 3, refused: 0, fen_each: 5 })));
    }
}
