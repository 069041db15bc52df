//! Money for a range of users, or back from them: one order at a time, so many users as the bank may have on their way.

use rp_core::engine::Now;
use rp_core::engine::bank::{Bank, BankBooks};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

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
#[derive(Default)]
pub struct Mints(Vec<Mint>);

struct Mint {
    order: MintOrder,
    next: u64,
    /// Users who come yet, `next` among them.
    left: u64,
    /// Counts of done and refused when it began.
    before: Option<(u64, u64)>,
    /// Users whom the bank would not take.
    turned_away: u64,
    done: Option<oneshot::Sender<Answer>>,
}

impl Mints {
    /// Nothing is on its way.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes an order, or refuses it at once.
    pub fn begin(&mut self, order: &MintOrder, books: &BankBooks, done: oneshot::Sender<Answer>) {
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
            let _ = done.send(Answer::Refused(why));
            return;
        };
        self.0.push(Mint { order: *order, next: first, left, before: None, turned_away: 0, done: Some(done) });
    }

    /// Gives the bank what it takes.
    pub fn push(&mut self, bank: &mut Bank, now: Now) {
        let Some(mint) = self.0.first_mut() else { return };
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

    /// Answers an order of which nothing is on its way.
    pub fn end(&mut self, bank: &Bank) {
        if bank.out() > 0 || self.0.first().is_none_or(|mint| mint.left > 0 || mint.before.is_none()) {
            return;
        }
        let mut mint = self.0.remove(0);
        let (done, refused) = counts(bank.books(), mint.order.takes_back);
        let (done_before, refused_before) = mint.before.unwrap_or_default();
        let booked = done - done_before;
        let refused = refused - refused_before + mint.turned_away;
        if let Some(asker) = mint.done.take() {
            // Whoever asked may be gone; the money is booked all the same.
            let _ = asker.send(Answer::Minted { booked, refused, fen_each: mint.order.fen });
        }
    }
}

/// Users served and users refused, since the server started.
fn counts(books: &BankBooks, takes_back: bool) -> (u64, u64) {
    match takes_back {
        true => (books.reclaimed.count.read(), books.uncovered.read()),
        false => (books.deposits.count.read(), books.deposits_back.count.read()),
    }
}
