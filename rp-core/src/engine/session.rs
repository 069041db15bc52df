//! What a session says: SHAKE and PING by its sequence, BYE, ECHO, acknowledgements; money goes on to `money.rs`.
//!
//! Order matters: the session must be up, the tag must verify and the address must be the session's before anything is
//! done, and only then is a datagram a sign of life.

use super::ledger::Account;
use super::notices::{AFTER_ANSWER, Content};
use super::set::Set;
use super::slots::State;
use super::{Asked, Outcome, Shared, Transmit};
use crate::key::{path_token, seal, verifies};
use crate::kind::Kind;
use crate::reason::Reason;
use crate::wire::{Notice, NoticeAck, NoticeType, Ping, Pong, Prize, SessionHead, close_money};

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
        if !verifies(&entry.key, datagram) {
            return Outcome::Dropped(Reason::BadTag);
        }
        if head.flags != 0 {
            return Outcome::Dropped(Reason::BadField);
        }
        if kind == Kind::Echo {
            return self.echo(slot, &head, asked, shared, tx);
        }
        if entry.peer != asked.from {
            let sequence = path_token(&entry.key, &asked.from.bytes(), path_epoch(asked));
            let challenge = SessionHead { flags: 0, session: head.session, sequence };
            let len = challenge.put_tagged(Kind::PathChallenge, &entry.key, tx.buffer());
            return shared.reply(asked, tx, len);
        }
        self.heard(slot, asked, shared);
        match kind {
            Kind::Shake => self.shake(slot, &head, asked, shared, tx),
            Kind::Ping => self.ping(slot, datagram, asked, shared, tx),
            Kind::Totals => self.totals(slot, &head, asked, shared, tx),
            Kind::Bye => self.bye(slot, &head, asked, shared, tx),
            Kind::NoticeAck => self.notice_ack(slot, datagram),
            _ => self.money(slot, kind, datagram, asked, shared, tx),
        }
    }

    /// A sign of life from the session's own address.
    #[inline]
    fn heard(&mut self, slot: u16, asked: &Asked, shared: &Shared) {
        self.slots.entry_mut(slot).last_seen_ms = asked.now.mono_ms();
        let cold = self.slots.cold(slot);
        cold.door = asked.door;
        if cold.fresh {
            self.settle(slot, asked, shared);
        }
    }

    /// Moves the session to a sequence; `Ok(false)` when it was there already.
    #[inline]
    pub(super) fn advance(&mut self, slot: u16, sequence: u32) -> Result<bool, Reason> {
        let entry = self.slots.entry_mut(slot);
        if sequence < entry.sequence || sequence == 0 {
            return Err(Reason::StaleSequence);
        }
        let is_new = sequence > entry.sequence;
        if is_new {
            entry.sequence = sequence;
            entry.state = State::Nothing;
        }
        Ok(is_new)
    }

    fn shake(
        &mut self,
        slot: u16,
        head: &SessionHead,
        asked: &Asked,
        shared: &mut Shared,
        tx: &mut impl Transmit,
    ) -> Outcome {
        match self.advance(slot, head.sequence) {
            Err(reason) => return Outcome::Dropped(reason),
            Ok(false) => return self.shake_again(slot, head, asked, shared, tx),
            Ok(true) => {
                shared.books.timeline.count(asked.now.unix_us);
                shared.books.shaken_s(usize::from(self.number)).set(u64::from(asked.now.unix_s()));
            }
        }
        match self.draw(slot, head.sequence, asked, shared) {
            Some(won) => self.send_prize(slot, &won, asked, shared, tx),
            None => self.nothing(slot, head, asked, shared, tx),
        }
    }

    /// The same shake is answered alike and draws no second time.
    fn shake_again(
        &mut self,
        slot: u16,
        head: &SessionHead,
        asked: &Asked,
        shared: &mut Shared,
        tx: &mut impl Transmit,
    ) -> Outcome {
        if self.slots.entry(slot).state != State::Won {
            return self.nothing(slot, head, asked, shared, tx);
        }
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
        let len = head.put_tagged(Kind::Nothing, &self.slots.entry(slot).key, tx.buffer());
        shared.reply(asked, tx, len)
    }

    /// Takes the first prize that waits, if the user may have it and can be told.
    fn draw(&mut self, slot: u16, sequence: u32, asked: &Asked, shared: &Shared) -> Option<Content> {
        let prize = *self.prizes.first()?;
        let at = self.slots.cold(slot).account;
        let account = &mut self.accounts[at];
        if account.campaign != prize.campaign {
            (account.campaign, account.prizes) = (prize.campaign, 0);
        }
        if account.prizes >= prize.per_user {
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
        self.sums
            .post(Account::Campaign, Account::User(&mut account.balance), prize.fen)
            .expect("the prize's money waited here");
        shared.books.prizes.add(prize.fen);
        let client = usize::from(self.slots.cold(slot).client);
        shared.books.clients.row(client).prizes.add(prize.fen);
        self.slots.entry_mut(slot).state = State::Won;
        Some(won)
    }

    fn send_prize(
        &mut self,
        slot: u16,
        won: &Content,
        asked: &Asked,
        shared: &Shared,
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
        let len = close_money(&self.slots.entry(slot).key, out, len);
        shared.reply(asked, tx, len)
    }

    /// Sends a notice to the session in `slot`.
    pub(super) fn send_notice(&mut self, slot: u16, content: &Content, shared: &Shared, tx: &mut impl Transmit) {
        let cold = self.slots.cold(slot);
        let (door, client, counter) = (cold.door, usize::from(cold.client), cold.next_counter());
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
        let len = close_money(&entry.key, out, len);
        shared.send(tx, len, entry.peer, door, client);
    }

    fn ping(&mut self, slot: u16, datagram: &[u8], asked: &Asked, shared: &Shared, tx: &mut impl Transmit) -> Outcome {
        let Some(ping) = Ping::take(datagram) else { return Outcome::Dropped(Reason::BadLength) };
        if let Err(reason) = self.advance(slot, ping.sequence) {
            return Outcome::Dropped(reason);
        }
        let Ping { session, sequence, client_time_us, .. } = ping;
        let pong = Pong { flags: 0, session, sequence, client_time_us, server_time_us: asked.now.unix_us };
        let out = tx.buffer();
        let len = pong.put(out);
        let len = seal(&self.slots.entry(slot).key, out, len);
        shared.reply(asked, tx, len)
    }

    fn bye(
        &mut self,
        slot: u16,
        head: &SessionHead,
        asked: &Asked,
        shared: &Shared,
        tx: &mut impl Transmit,
    ) -> Outcome {
        if let Err(reason) = self.advance(slot, head.sequence) {
            return Outcome::Dropped(reason);
        }
        let len = head.put_tagged(Kind::Goodbye, &self.slots.entry(slot).key, tx.buffer());
        self.close(slot, asked.now, shared);
        shared.reply(asked, tx, len)
    }

    fn notice_ack(&mut self, slot: u16, datagram: &[u8]) -> Outcome {
        let Some(ack) = NoticeAck::take(datagram) else { return Outcome::Dropped(Reason::BadLength) };
        let account = self.slots.cold(slot).account;
        // A second acknowledgement finds nothing, and is as welcome as the first.
        self.notices.acknowledge(&mut self.accounts[account], ack.notice, &mut self.blocks);
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
        let key = self.slots.entry(slot).key;
        let epoch = path_epoch(asked);
        let good = [epoch, epoch.wrapping_sub(1)].map(|epoch| path_token(&key, &address, epoch));
        if !good.contains(&head.sequence) {
            return Outcome::Dropped(Reason::BadEcho);
        }
        self.move_to(slot, asked, shared);
        self.heard(slot, asked, shared);
        let len = head.put_tagged(Kind::Echoed, &key, tx.buffer());
        shared.reply(asked, tx, len)
    }

    /// The session is where this request came from, and is counted there.
    pub(super) fn move_to(&mut self, slot: u16, asked: &Asked, shared: &Shared) {
        self.slots.entry_mut(slot).peer = asked.from;
        let rows = &shared.books.clients;
        let cold = self.slots.cold(slot);
        rows.row(usize::from(cold.client)).sessions.sub(1);
        rows.row(asked.client).sessions.add(1);
        (cold.client, cold.door) = (asked.client as u16, asked.door);
    }
}

/// No such session: a hint to log in again, untagged, no longer than its question, and not without limit.
fn hint(head: &SessionHead, asked: &Asked, shared: &mut Shared, tx: &mut impl Transmit) -> Outcome {
    if shared.hints_left == 0 {
        return Outcome::Dropped(Reason::HintLimited);
    }
    shared.hints_left -= 1;
    let hint = SessionHead { flags: 0, ..*head };
    let len = hint.put_untagged(Kind::UnknownSession, tx.buffer());
    shared.reply(asked, tx, len)
}

fn path_epoch(asked: &Asked) -> u32 {
    asked.now.unix_s() / PATH_EPOCH_S
}
