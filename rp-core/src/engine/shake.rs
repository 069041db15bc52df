//! A shake: answered *nothing*, or with the prize that it claimed.
//!
//! Without a gate, and for what a gate let up undecided, the worker takes the same steps as the gate (`answer.rs`). A claim is
//! settled here and nowhere else, once.

use super::ledger::Account;
use super::notices::{AFTER_ANSWER, Content};
use super::set::Set;
use super::{Asked, FULL_RETRY_MS, Outcome, Shared, Transmit};
use crate::answer::{self, Step};
use crate::entry::State;
use crate::kind::Kind;
use crate::posting::{Act, Posting};
use crate::sealing::close_money;
use crate::wire::{NoticeType, Prize, SessionHead};

impl Set {
    pub(super) fn shake(
        &mut self,
        slot: u16,
        head: &SessionHead,
        asked: &Asked,
        shared: &mut Shared,
        tx: &mut impl Transmit,
    ) -> Outcome {
        if !self.was_let_up(slot, head.sequence, shared) {
            let refusal = self.refusal(slot, head, Kind::Shake, asked.now, shared);
            let (entry, pot) = (self.slots.entry(slot), self.prizes.pot());
            let asks = (head.session, head.sequence);
            let shake = || answer::shake(&entry, &pot, asks, shared.session_rate(), asked.now.mono_ms());
            match refusal.unwrap_or_else(shake) {
                Step::Drop(reason) => return Outcome::Dropped(reason),
                Step::Busy(wait_ms) => return self.busy(slot, head, wait_ms, asked, shared, tx),
                step => {
                    self.heard(slot, asked, shared);
                    if step == Step::AnswerNew {
                        self.count_shake(asked, shared);
                    }
                    if step != Step::Up {
                        return self.nothing(slot, head, asked, shared, tx);
                    }
                }
            }
        }
        self.heard(slot, asked, shared);
        // What cannot be written down is not decided: the same shake comes again.
        if !shared.journal.has_room() {
            return self.busy(slot, head, FULL_RETRY_MS, asked, shared, tx);
        }
        if head.sequence <= self.slots.cold(slot).handled {
            return self.prize_again(slot, head, asked, shared, tx);
        }
        self.count_shake(asked, shared);
        match self.draw(slot, head.sequence, asked, shared) {
            Some(won) => {
                self.decided(slot, head.sequence, State::Won);
                self.send_prize(slot, &won, asked, shared, tx)
            }
            None => {
                self.decided(slot, head.sequence, State::Nothing);
                self.nothing(slot, head, asked, shared, tx)
            }
        }
    }

    #[inline]
    fn count_shake(&self, asked: &Asked, shared: &Shared) {
        shared.books.timeline.count(asked.now.unix_us);
        self.prizes.pot().shake(asked.now.unix_s());
    }

    /// The same shake is answered alike and draws no second time.
    fn prize_again(
        &mut self,
        slot: u16,
        head: &SessionHead,
        asked: &Asked,
        shared: &mut Shared,
        tx: &mut impl Transmit,
    ) -> Outcome {
        let account = self.slots.cold(slot).account;
        match self.notices.prize_of(&self.accounts[account], head.sequence, &self.blocks) {
            Some(won) => self.send_prize(slot, &won, asked, shared, tx),
            // Acknowledged: the client has its answer, and this is a late copy of the question.
            None => Outcome::Accepted,
        }
    }

    #[inline]
    fn nothing(
        &self,
        slot: u16,
        head: &SessionHead,
        asked: &Asked,
        shared: &Shared,
        tx: &mut impl Transmit,
    ) -> Outcome {
        let len = head.put_tagged(Kind::Nothing, &self.slots.entry(slot).key(), tx.buffer());
        shared.reply(asked, tx, len)
    }

    /// Settles the claim of a shake, or claims for it: the prize, if the user may have it and can be told.
    fn draw(&mut self, slot: u16, sequence: u32, asked: &Asked, shared: &mut Shared) -> Option<Content> {
        let status = self.slots.entry(slot).status();
        let has_claimed = status.sequence() == sequence && status.state() == State::Won;
        if !has_claimed && !self.prizes.pot().claim() {
            return None;
        }
        let won = self.grant(slot, sequence, asked, shared);
        self.prizes.settle();
        won
    }

    /// The first prize that waits. None may be left: a claim that was written off came after all.
    fn grant(&mut self, slot: u16, sequence: u32, asked: &Asked, shared: &mut Shared) -> Option<Content> {
        let prize = *self.prizes.first()?;
        let at = self.slots.cold(slot).account;
        let account = &mut self.accounts[at];
        if account.campaign != prize.campaign {
            (account.campaign, account.prizes) = (prize.campaign, 0);
        }
        if account.prizes >= prize.per_user {
            self.slots.entry(slot).cap(prize.campaign);
            return None;
        }
        let mut won = Content {
            number: 0,
            about_type: NoticeType::Prize,
            about: u64::from(prize.campaign) << 32 | u64::from(prize.number),
            from: 0,
            fen: prize.fen,
            at_ms: asked.now.unix_ms(),
            sequence,
        };
        let when = (AFTER_ANSWER, asked.now.mono_us);
        won.number = self.notices.add(&mut self.accounts, at, won, when, &mut self.blocks)?;
        self.prizes.take();
        let account = &mut self.accounts[at];
        account.prizes += 1;
        account.is_known = true;
        let user = account.user;
        self.sums
            .post(Account::Campaign, Account::User(&mut account.balance), prize.fen)
            .expect("the prize's money waited here");
        self.count_won(won.about, prize.fen, &shared.books);
        let client = self.slots.cold(slot).client;
        shared.books.clients[client].prizes.add(prize.fen);
        let base = Posting { debit: u64::from(prize.campaign), credit: user, ..Posting::new(Act::Won, won.at_ms) };
        self.write(shared, Posting { fen: prize.fen, about: won.about, ..base });
        Some(won)
    }

    fn send_prize(
        &mut self,
        slot: u16,
        won: &Content,
        asked: &Asked,
        shared: &mut Shared,
        tx: &mut impl Transmit,
    ) -> Outcome {
        let prize = Prize {
            flags: 0,
            session: self.session_of(slot),
            counter: self.slots.cold(slot).next_counter(),
            sequence: won.sequence,
            notice: won.number,
            about: won.about,
            fen: won.fen,
        };
        let out = tx.buffer();
        let len = prize.put(out);
        let len = close_money(&self.slots.entry(slot).key(), self.slots.sealing(slot), out, len);
        shared.reply_durably(asked, tx, len)
    }
}
