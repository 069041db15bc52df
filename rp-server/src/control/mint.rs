//! Money for a range of users, or back from them: one order at a time, so many users as the bank may have on their way.
//!
//! Sans I/O: whoever asked is a value that comes back with the answer. Users are asked from the first on, so an order that is
//! given again goes on behind the last of whom the bank knows that he was asked under its number.

use rp_core::engine::Now;
use rp_core::engine::bank::{Bank, ORDERS_KEPT, OrderError, Progress};
use rp_core::key::sip;
use serde::{Deserialize, Serialize};

use crate::admin::Answer;

/// Users of one order; more would hold up the next one for minutes.
const USERS_MAX: u64 = 100_000_000;

/// What is asked for.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct MintOrder {
    /// The order's number, above 0: what is asked for again under it is done once.
    pub number: u64,
    /// First user.
    pub first: u64,
    /// Last user.
    pub last: u64,
    /// Fen for, or from, each.
    pub fen: u64,
    /// Take it back.
    pub takes_back: bool,
}

/// What became of an order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Minted {
    /// So many users got the money, or gave it back.
    pub booked: u64,
    /// So many did not: their SETs were full, or they had not so much.
    pub refused: u64,
    /// So many were not asked: it would have been more money than can be counted.
    pub turned_away: u64,
    /// So many had been served when the order was given before.
    pub booked_before: u64,
    /// So many had been refused then, and were not asked again.
    pub refused_before: u64,
}

/// Orders, the first of them at work.
pub struct Mints<Asker>(Vec<Mint<Asker>>);

struct Mint<Asker> {
    order: MintOrder,
    stage: Stage,
    asker: Asker,
}

enum Stage {
    /// Behind other orders, or behind what the last run of the server left on its way.
    Waits,
    Works(Work),
    /// It cannot be, and why.
    Refused(String),
}

struct Work {
    next: u64,
    /// Users who come yet, `next` among them.
    left: u64,
    /// How far it was when it was taken up.
    before: Progress,
    /// Users whom the bank would not take.
    turned_away: u64,
}

impl MintOrder {
    /// Of all that makes it this order; its number is only its name.
    fn hash(&self) -> u64 {
        let words = [self.first, self.last, self.fen, u64::from(self.takes_back)];
        sip(&[0; 16], words.map(u64::to_le_bytes).as_flattened())
    }

    /// Users who were asked.
    fn asked(&self, progress: Progress) -> u64 {
        if progress.asked_to == 0 { 0 } else { progress.asked_to - self.first + 1 }
    }

    fn take_up(&self, bank: &mut Bank) -> Stage {
        let MintOrder { number, first, last, fen, takes_back } = *self;
        let before = match bank.take_up(number, self.hash()) {
            Ok(before) => before,
            Err(error) => return Stage::Refused(refusal(number, error)),
        };
        let left = last - first + 1 - self.asked(before);
        let issued = left.checked_mul(fen).and_then(|fen| bank.books().issued_fen.read().checked_add(fen));
        if !takes_back && issued.is_none_or(|fen| fen > i64::MAX as u64) {
            return Stage::Refused(format!("{fen} fen for each of {left} users: more money than can be counted"));
        }
        // Behind the last user of all there is none, and none is left.
        let next = if before.asked_to == 0 { first } else { before.asked_to.wrapping_add(1) };
        Stage::Works(Work { next, left, before, turned_away: 0 })
    }

    fn answer(&self, work: &Work, progress: Progress) -> Answer {
        let booked = |progress: Progress| self.asked(progress) - progress.refused;
        let Work { before, turned_away, .. } = *work;
        Answer::Minted(Minted {
            booked: booked(progress) - booked(before),
            refused: progress.refused - before.refused,
            turned_away,
            booked_before: booked(before),
            refused_before: before.refused,
        })
    }
}

fn refusal(number: u64, error: OrderError) -> String {
    match error {
        OrderError::Conflict => format!(
            "number {number} is of an order for other users, another sum or the other way: nothing has moved; give this \
             one another number"
        ),
        OrderError::Forgotten(lowest) => format!(
            "number {number} is below {lowest}, the lowest of the {ORDERS_KEPT} that are remembered, so it may have been \
             carried out: nothing has moved; `rp-server ledger export` has every posting with its order's number; give a \
             new order a number above {lowest}"
        ),
    }
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
    pub fn begin(&mut self, order: &MintOrder, asker: Asker) -> Option<(Asker, Answer)> {
        let MintOrder { number, first, last, fen, .. } = *order;
        let is_some = number > 0 && fen > 0 && first > 0 && first <= last;
        if !is_some || last - first >= USERS_MAX {
            let why = format!(
                "order {number}, {fen} fen for users {first}..={last}: nothing, more than {USERS_MAX} users at once, or a \
                 user or an order 0, which there is not"
            );
            return Some((asker, Answer::Refused(why)));
        }
        self.0.push(Mint { order: *order, stage: Stage::Waits, asker });
        None
    }

    /// Gives the bank what it takes.
    pub fn push(&mut self, bank: &mut Bank, now: Now) {
        let Some(Mint { order, stage, .. }) = self.0.first_mut() else { return };
        if matches!(stage, Stage::Waits) && bank.out() == 0 {
            *stage = order.take_up(bank);
        }
        let Stage::Works(work) = stage else { return };
        while work.left > 0 && bank.journal().has_room() {
            let is_taken = match order.takes_back {
                true => bank.withdraw(work.next, order.fen, now),
                false => bank.deposit(work.next, order.fen, now),
            };
            if !is_taken {
                break;
            }
            // The last user of all has no next.
            work.next = work.next.wrapping_add(1);
            work.left -= 1;
        }
        if bank.out() == 0 && bank.journal().has_room() {
            // Nothing is on its way, and the bank takes none: with what others got since, it would be more than can be
            // counted.
            work.turned_away += work.left;
            work.left = 0;
        }
    }

    /// The answer to an order of which nothing is on its way.
    pub fn end(&mut self, bank: &Bank) -> Option<(Asker, Answer)> {
        let answer = match &self.0.first()?.stage {
            Stage::Refused(why) => Answer::Refused(why.clone()),
            Stage::Works(work) if work.left == 0 && bank.out() == 0 => self.0[0].order.answer(work, bank.progress()),
            _ => return None,
        };
        Some((self.0.remove(0).asker, answer))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rp_core::engine::bank::BankBooks;
    use rp_core::engine::board::Board;
    use rp_core::engine::notes::{BANK, Body, Note};
    use rp_core::posting;

    use super::*;

    const NOW: Now = Now { mono_us: 0, unix_us: 0 };
    const ORDER: MintOrder = MintOrder { number: 8, first: 1, last: 3, fen: 5, takes_back: false };

    fn new_bank() -> Bank {
        Bank::new(1, Arc::new(BankBooks::default()), Vec::new(), Arc::new(Board::own(1)), [1; 32], 1)
    }

    /// What was written is on disk, and every deposit on its way is booked; the bytes of it.
    fn book_all(bank: &mut Bank) -> Vec<u8> {
        let written = bank.journal().written();
        bank.journal().durable_to(written);
        while let Some(note) = bank.pop_note() {
            let Body::Deposit { user, .. } = note.body else { unreachable!("nothing else was ordered") };
            bank.receive(Note::new(BANK, note.to, Body::DepositDone { user, back_fen: 0, of: note.source }), NOW);
        }
        bank.journal().take()
    }

    fn give(order: &MintOrder, bank: &mut Bank) -> Result<Minted, String> {
        let mut mints = Mints::default();
        assert!(mints.begin(order, ()).is_none());
        loop {
            mints.push(bank, NOW);
            match mints.end(bank) {
                None => drop(book_all(bank)),
                Some((_, Answer::Minted(minted))) => return Ok(minted),
                Some((_, Answer::Refused(why))) => return Err(why),
                Some(_) => unreachable!("it answers something else"),
            }
        }
    }

    /// So many got the money, and so many before.
    fn got(booked: u64, booked_before: u64) -> Result<Minted, String> {
        Ok(Minted { booked, refused: 0, turned_away: 0, booked_before, refused_before: 0 })
    }

    #[test]
    fn an_order_counts_nothing_that_was_on_its_way_before_it() {
        let mut bank = new_bank();
        assert!(bank.deposit(7, 100, NOW), "as a start sends again what a crash cut off");
        assert_eq!(give(&ORDER, &mut bank), got(3, 0));
    }

    #[test]
    fn an_order_that_is_given_again_goes_on_where_the_ledger_ends() {
        let mut bank = new_bank();
        let mut mints = Mints::default();
        assert!(mints.begin(&ORDER, ()).is_none());
        mints.push(&mut bank, NOW);
        let written = book_all(&mut bank);
        for kept in 0..=3 {
            let mut again = new_bank();
            for posting in posting::each(&written).take(kept) {
                again.restore(&posting, NOW).expect("it was written");
            }
            again.restored(|_| u64::MAX, std::iter::empty(), NOW).expect("nothing is wrong");
            let kept = kept as u64;
            assert_eq!(give(&ORDER, &mut again), got(3 - kept, kept));
            assert_eq!(give(&ORDER, &mut again), got(0, 3), "and once it is done it moves nothing");
            assert_eq!(again.books().issued_fen.read(), 15);
            for other in [
                MintOrder { first: 2, ..ORDER },
                MintOrder { last: 4, ..ORDER },
                MintOrder { fen: 6, ..ORDER },
                MintOrder { takes_back: true, ..ORDER },
            ] {
                let why = give(&other, &mut again).expect_err("its number is taken");
                assert!(why.starts_with("number 8 is of an order for other users"), "{why}");
            }
            assert_eq!(again.books().issued_fen.read(), 15);
        }
    }
}
