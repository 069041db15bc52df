//! Money that comes in and goes out: deposits and withdrawals, as the bank asks for them.

use super::ledger::Account;
use super::notes::{BANK, Body, Note};
use super::set::Set;
use super::{Now, Shared};
use crate::posting::{Act, Posting, Source};

impl Set {
    /// Books a deposit, or sends it back when the SET has no room for the user.
    pub(super) fn deposit(&mut self, user: u64, fen: u64, note: &Note, now: Now, shared: &mut Shared) {
        let of = note.source;
        if !self.cursors.see(of) {
            return self.answer_bank(Body::DepositDone { user, back_fen: 0, of }, Source::NONE, shared);
        }
        let is_booked = self.account_of(user, shared).is_some_and(|at| {
            let account = &mut self.accounts[at];
            let is_booked = self.sums.post(Account::Transit, Account::User(&mut account.balance), fen).is_ok();
            account.is_known |= is_booked;
            is_booked
        });
        let base = Posting { credit: user, fen, source: of, ..Posting::new(Act::Deposited, now.unix_ms()) };
        if is_booked {
            self.write(shared, base);
            return self.answer_bank(Body::DepositDone { user, back_fen: 0, of }, Source::NONE, shared);
        }
        let source = self.write(shared, Posting { act: Act::Bounced, debit: u64::from(self.number), ..base });
        self.answer_bank(Body::DepositDone { user, back_fen: fen, of }, source, shared);
    }

    /// Pays money back to the bank, if the user has so much.
    pub(super) fn withdraw(&mut self, user: u64, asked_fen: u64, note: &Note, now: Now, shared: &mut Shared) {
        let of = note.source;
        if !self.cursors.see(of) {
            return;
        }
        let paid = self.accounts.find(user).is_some_and(|at| {
            let account = &mut self.accounts[at];
            self.sums.post(Account::User(&mut account.balance), Account::Transit, asked_fen).is_ok()
        });
        let fen = if paid { asked_fen } else { 0 };
        let withdrawn = Posting { debit: user, fen, source: of, ..Posting::new(Act::Withdrawn, now.unix_ms()) };
        let source = self.write(shared, withdrawn);
        self.answer_bank(Body::Withdrawn { user, fen, of }, source, shared);
    }

    fn answer_bank(&mut self, body: Body, source: Source, shared: &mut Shared) {
        let note = Note { source, ..Note::new(BANK, self.number, body) };
        if source.is_some() {
            self.unlanded.push(note.clone());
        }
        shared.outbox.send_after(&shared.journal, note);
    }
}
