//! A GRAB over two SETs: the owner of the packet decides, the taker's SET books and answers.

use super::ledger::Account;
use super::money::Request;
use super::notes::{Body, Decision, Note};
use super::requests::Standing;
use super::set::Set;
use super::slots::NONE;
use super::{Now, Shared, Transmit};
use crate::kind::Kind;
use crate::posting::{Act, Posting};

impl Set {
    /// A user of another SET asks for a share of a packet of this one.
    pub(super) fn grab_asked(&mut self, note: &Note, now: Now, shared: &mut Shared) {
        let Body::GrabAsk { user, packet, request, hash } = note.body else { return };
        let decision = self.decide(packet, (user, note.from), now, shared, None);
        let body = Body::GrabDone { user, packet, request, hash, decision };
        let mut done = Note::new(note.from, self.number, body);
        if let Decision::Share(fen) = decision {
            let handed =
                Posting { debit: packet, credit: user, fen, request, hash, ..Posting::new(Act::Handed, now.unix_ms()) };
            done.source = self.write(shared, handed);
            self.unlanded.push(done.clone());
        }
        shared.outbox.send_after(&shared.journal, done);
    }

    /// The owner of a packet decided a grab by a user of this SET.
    pub(super) fn grab_done(&mut self, note: &Note, now: Now, shared: &mut Shared, tx: &mut impl Transmit) {
        let Body::GrabDone { user, packet, request: number, hash, decision } = note.body else { return };
        // One that is sent again after a crash answers an ask that nobody remembers, unless the user has asked again.
        let at = self.accounts.find(user);
        if at.is_some_and(|at| self.accounts[at].requests.is_pending(&self.blocks, number)) {
            shared.outbox.answered();
        }
        if note.source.is_some() {
            let landed = Note::new(note.from, self.number, Body::Landed(note.source));
            if !self.cursors.see(note.source) {
                return shared.outbox.send_after(&shared.journal, landed);
            }
            self.received(note, now, shared);
            shared.outbox.send_after(&shared.journal, landed);
        }
        let at = self.accounts.find(user).expect("who asked has used a request number, and is kept");
        // If the user has asked again, the first answer was the answer to both.
        if !self.accounts[at].requests.is_pending(&self.blocks, number) {
            return;
        }
        let answer = match decision {
            Decision::Share(fen) => self.grabbed(at, number, (packet, fen), shared),
            Decision::No(why, fen) => {
                let request = Request { slot: NONE, account: at, kind: Kind::Grab, number, hash };
                self.refuse(&request, packet, (why, fen), now, shared)
            }
        };
        let slot = self.accounts[at].session;
        if let Some(answer) = answer
            && slot != NONE
        {
            let len = self.put_answer(slot, number, answer, tx);
            let cold = self.slots.cold(slot);
            let (door, client) = (cold.door, cold.client);
            shared.send_durably(tx, len, self.slots.entry(slot).peer(), door, client);
        }
    }

    /// A share of another SET's packet arrives.
    fn received(&mut self, note: &Note, now: Now, shared: &mut Shared) {
        let Body::GrabDone { user, packet, request, hash, decision: Decision::Share(fen) } = note.body else { return };
        let at = self.account_of(user, shared).expect("who asked has used a request number, and is kept");
        let account = &mut self.accounts[at];
        account.is_known = true;
        self.sums
            .post(Account::Transit, Account::User(&mut account.balance), fen)
            .expect("a balance fits 64 bits as the money issued does");
        let requests = &mut account.requests;
        if matches!(requests.standing(&self.blocks, request, hash), Standing::New | Standing::Stale) {
            assert!(requests.begin(&mut self.blocks, request, hash), "nothing is pending when notes are sent again");
        }
        let source = note.source;
        let received = Posting {
            debit: packet,
            credit: user,
            fen,
            request,
            hash,
            source,
            ..Posting::new(Act::Received, now.unix_ms())
        };
        self.write(shared, received);
    }
}
