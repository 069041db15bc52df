//! What a session says: PING by its sequence, BYE, ECHO, acknowledgements; SHAKE goes on to `shake.rs`, money to `money.rs`.
//!
//! Order matters: the session must be up, the tag must verify and the address must be the session's before anything is
//! done, and only then is a datagram a sign of life. The same functions decide as in the gate (`answer.rs`); what a gate
//! decided already, and sent up, stands in the session's entry.

use super::notices::Content;
use super::set::Set;
use super::{Asked, FULL_RETRY_MS, Now, Outcome, Shared, Transmit};
use crate::answer::{self, Step};
use crate::clients::Clients as _;
use crate::entry::State;
use crate::key::{path_token, seal, verifies};
use crate::kind::Kind;
use crate::limits::DATAGRAM_MAX;
use crate::posting::{Act, Posting};
use crate::reason::Reason;
use crate::sealing::{close_money, open_money};
use crate::wire::{FLAG_SEALED, Notice, NoticeAck, Origin, Ping, Pong, SessionHead};

/// Seconds that a path token is made for; it is good in the next as many, too.
const PATH_EPOCH_S: u32 = 30;

impl Set {
    pub(super) fn session(
        &mut self,
        asked: &Asked,
        kind: Kind,
        datagram: &[u8],
        shared: &mut Shared,
        tx: &mut impl Transmit,
    ) -> Outcome {
        let Some(head) = SessionHead::take(datagram) else { return Outcome::Dropped(Reason::BadLength) };
        let Some(slot) = self.up(head.session) else { return hint(&head, asked, shared, tx) };
        let entry = self.slots.entry(slot);
        let key = entry.key();
        if !verifies(&key, datagram) {
            return Outcome::Dropped(Reason::BadTag);
        }
        let flags_allowed = if kind.bears_money() { FLAG_SEALED } else { 0 };
        if head.flags & !flags_allowed != 0 {
            return Outcome::Dropped(Reason::BadField);
        }
        let is_here = entry.peer() == asked.from;
        if (kind == Kind::Echo || !is_here) && !shared.admit_stranger(asked.now) {
            return Outcome::Dropped(Reason::StrangerLimited);
        }
        if kind == Kind::Echo {
            return self.echo(slot, &head, asked, shared, tx);
        }
        if !is_here {
            let sequence = path_token(&key, &asked.from.bytes(), path_epoch(asked));
            let challenge = SessionHead { flags: 0, session: head.session, sequence };
            let len = challenge.put_tagged(Kind::PathChallenge, &key, tx.buffer());
            return shared.reply(asked, tx, len);
        }
        entry.see(asked.now.mono_ms());
        match kind {
            Kind::Shake => return self.shake(slot, &head, asked, shared, tx),
            Kind::Ping => return self.ping(slot, &head, datagram, asked, shared, tx),
            _ => {}
        }
        if let Step::Busy(wait_ms) = answer::other(&entry, head.session, shared.session_rate(), asked.now.mono_ms()) {
            return self.busy(slot, &head, wait_ms, asked, shared, tx);
        }
        if let Err(wait_ms) = shared.admit_session(kind, asked.now) {
            return self.busy(slot, &head, wait_ms, asked, shared, tx);
        }
        self.heard(slot, asked, shared);
        match kind {
            Kind::Totals => self.totals(slot, &head, asked, shared, tx),
            Kind::Bye => self.bye(slot, &head, asked, shared, tx),
            Kind::NoticeAck => self.notice_ack(slot, datagram, asked.now, shared),
            _ => self.open_and_do(slot, kind, datagram, asked, shared, tx),
        }
    }

    /// What bears money is opened before anybody reads it.
    fn open_and_do(
        &mut self,
        slot: u16,
        kind: Kind,
        datagram: &[u8],
        asked: &Asked,
        shared: &mut Shared,
        tx: &mut impl Transmit,
    ) -> Outcome {
        let mut room = [0; DATAGRAM_MAX];
        match open_money(self.slots.sealing(slot), datagram, &mut room) {
            Ok(opened) => self.money(slot, kind, opened, asked, shared, tx),
            Err(reason) => Outcome::Dropped(reason),
        }
    }

    /// The session speaks from its own address.
    #[inline]
    pub(super) fn heard(&mut self, slot: u16, asked: &Asked, shared: &Shared) {
        let cold = self.slots.cold(slot);
        cold.door = asked.door;
        if cold.fresh {
            self.settle(slot, asked, shared);
        }
    }

    /// Moves the session to a sequence of the worker's own.
    pub(super) fn advance(&mut self, slot: u16, sequence: u32) -> Result<(), Reason> {
        if sequence < self.slots.entry(slot).status().sequence() || sequence == 0 {
            return Err(Reason::StaleSequence);
        }
        self.decided(slot, sequence, State::Nothing);
        Ok(())
    }

    /// Did a gate ask the buckets already, and let this sequence up? It does so while the newest is not *nothing*.
    pub(super) fn was_let_up(&self, slot: u16, sequence: u32, shared: &Shared) -> bool {
        let status = self.slots.entry(slot).status();
        shared.config.is_gated && sequence >= status.sequence() && sequence > 0 && status.state() != State::Nothing
    }

    /// What a shake or a ping is refused with before anything is changed, the limit of all sessions among it.
    pub(super) fn refusal(
        &self,
        slot: u16,
        head: &SessionHead,
        kind: Kind,
        now: Now,
        shared: &mut Shared,
    ) -> Option<Step> {
        let (entry, rate) = (self.slots.entry(slot), shared.session_rate());
        let refusal = answer::refusal(&entry, (head.session, head.sequence), rate, now.mono_ms());
        refusal.or_else(|| shared.admit_session(kind, now).err().map(Step::Busy))
    }

    /// The worker has decided a sequence; the session may be further already.
    pub(super) fn decided(&mut self, slot: u16, sequence: u32, state: State) {
        let cold = self.slots.cold(slot);
        let is_new = sequence > cold.handled;
        cold.handled = cold.handled.max(sequence);
        let entry = self.slots.entry(slot);
        loop {
            let old = entry.status();
            let is_newest = sequence > old.sequence() || sequence == old.sequence() && is_new;
            if !is_newest || entry.swap(old, old.with_sequence(sequence).with_state(state)) {
                return;
            }
        }
    }

    /// Too fast: nothing was done and no number is used up.
    pub(super) fn busy(
        &mut self,
        slot: u16,
        head: &SessionHead,
        wait_ms: u32,
        asked: &Asked,
        shared: &Shared,
        tx: &mut impl Transmit,
    ) -> Outcome {
        let busy = SessionHead { flags: answer::tenths(wait_ms), ..*head };
        let len = busy.put_tagged(Kind::Busy, &self.slots.entry(slot).key(), tx.buffer());
        shared.reply(asked, tx, len)
    }

    /// Sends a notice to the session in `slot`.
    pub(super) fn send_notice(&mut self, slot: u16, content: &Content, shared: &mut Shared, tx: &mut impl Transmit) {
        let cold = self.slots.cold(slot);
        let (door, client, counter) = (cold.door, cold.client, cold.next_counter());
        let notice = Notice {
            flags: 0,
            session: self.session_of(slot),
            counter,
            notice: content.number,
            about_type: content.about_type as u8,
            about: content.about,
            from: content.from,
            fen: content.fen,
            at_ms: content.at_ms,
        };
        let entry = self.slots.entry(slot);
        let out = tx.buffer();
        let len = notice.put(out);
        let len = close_money(&entry.key(), self.slots.sealing(slot), out, len);
        shared.send_durably(tx, len, entry.peer(), door, client);
    }

    fn ping(
        &mut self,
        slot: u16,
        head: &SessionHead,
        datagram: &[u8],
        asked: &Asked,
        shared: &mut Shared,
        tx: &mut impl Transmit,
    ) -> Outcome {
        let Some(ping) = Ping::take(datagram) else { return Outcome::Dropped(Reason::BadLength) };
        if !self.was_let_up(slot, ping.sequence, shared) {
            let refusal = self.refusal(slot, head, Kind::Ping, asked.now, shared);
            let (entry, now_ms) = (self.slots.entry(slot), asked.now.mono_ms());
            let ping = || answer::ping(&entry, (ping.session, ping.sequence), shared.session_rate(), now_ms);
            match refusal.unwrap_or_else(ping) {
                Step::Drop(reason) => return Outcome::Dropped(reason),
                Step::Busy(wait_ms) => return self.busy(slot, head, wait_ms, asked, shared, tx),
                Step::Answer | Step::AnswerNew | Step::Up => {}
            }
        }
        self.heard(slot, asked, shared);
        self.decided(slot, ping.sequence, State::Nothing);
        let Ping { session, sequence, client_time_us, .. } = ping;
        let pong = Pong { flags: 0, session, sequence, client_time_us, server_time_us: asked.now.unix_us };
        let out = tx.buffer();
        let len = pong.put(out);
        let len = seal(&self.slots.entry(slot).key(), out, len);
        shared.reply(asked, tx, len)
    }

    fn bye(
        &mut self,
        slot: u16,
        head: &SessionHead,
        asked: &Asked,
        shared: &mut Shared,
        tx: &mut impl Transmit,
    ) -> Outcome {
        if !shared.journal.has_room() {
            return self.busy(slot, head, FULL_RETRY_MS, asked, shared, tx);
        }
        if let Err(reason) = self.advance(slot, head.sequence) {
            return Outcome::Dropped(reason);
        }
        let len = head.put_tagged(Kind::Goodbye, &self.slots.entry(slot).key(), tx.buffer());
        self.close(slot, asked.now, shared);
        // Behind the notices that wait for the disk: nothing comes to a client that has left.
        shared.reply_durably(asked, tx, len)
    }

    fn notice_ack(&mut self, slot: u16, datagram: &[u8], now: Now, shared: &mut Shared) -> Outcome {
        let Some(ack) = NoticeAck::take(datagram) else { return Outcome::Dropped(Reason::BadLength) };
        let account = &mut self.accounts[self.slots.cold(slot).account];
        let user = account.user;
        // A second acknowledgement finds nothing, and is as welcome as the first. One that cannot be written down is not
        // heard: the notice goes out again.
        if shared.journal.has_room() && self.notices.acknowledge(account, ack.notice, &mut self.blocks) {
            self.write(shared, Posting { debit: user, about: ack.notice, ..Posting::new(Act::Seen, now.unix_ms()) });
        }
        Outcome::Accepted
    }

    /// The session's client is at a new address and proves that it receives there.
    fn echo(
        &mut self,
        slot: u16,
        head: &SessionHead,
        asked: &Asked,
        shared: &Shared,
        tx: &mut impl Transmit,
    ) -> Outcome {
        let address = asked.from.bytes();
        let key = self.slots.entry(slot).key();
        let epoch = path_epoch(asked);
        let good = [epoch, epoch.wrapping_sub(1)].map(|epoch| path_token(&key, &address, epoch));
        if !good.contains(&head.sequence) {
            return Outcome::Dropped(Reason::BadEcho);
        }
        self.move_to(slot, asked, shared);
        self.slots.entry(slot).see(asked.now.mono_ms());
        self.heard(slot, asked, shared);
        let len = head.put_tagged(Kind::Echoed, &key, tx.buffer());
        shared.reply(asked, tx, len)
    }

    /// The session is where this request came from, and is counted there.
    pub(super) fn move_to(&mut self, slot: u16, asked: &Asked, shared: &Shared) {
        // The gate reads the address of an open entry only.
        let entry = self.slots.entry(slot);
        let status = entry.close();
        let client = shared.board.clients().find_or_take(Origin::from(&asked.from).ip);
        entry.place(&asked.from, client);
        entry.publish(status);
        let rows = &shared.books.clients;
        let cold = self.slots.cold(slot);
        rows[cold.client].sessions.sub(1);
        rows[client].sessions.add(1);
        (cold.client, cold.door) = (client, asked.door);
    }
}

/// No such session: a hint to log in again, untagged, no longer than its question, and not without limit.
fn hint(head: &SessionHead, asked: &Asked, shared: &mut Shared, tx: &mut impl Transmit) -> Outcome {
    if !shared.admit_stranger(asked.now) {
        return Outcome::Dropped(Reason::StrangerLimited);
    }
    if shared.hints_left == 0 || !shared.journal.has_room() {
        return Outcome::Dropped(Reason::HintLimited);
    }
    shared.hints_left -= 1;
    let hint = SessionHead { flags: 0, ..*head };
    let len = hint.put_untagged(Kind::UnknownSession, tx.buffer());
    // To a BYE that came again it says what GOODBYE says, and must not come before it.
    shared.reply_durably(asked, tx, len)
}

fn path_epoch(asked: &Asked) -> u32 {
    asked.now.unix_s() / PATH_EPOCH_S
}
