//! Requests about money: SEND, GRAB and HISTORY, each repeated under its own number until it is answered.
//!
//! A request outlives its session: after a log-in again it goes on under the new one, and the server answers alike what
//! it has done already.

use rp_core::acknowledged::Told;
use rp_core::kind::Kind;
use rp_core::sealing::close_money;
use rp_core::wire::{
    AUDIENCE_LISTED, AUDIENCE_SET, Grab, Grabbed, History, Refusal, Refused, Send, SendView, Sent, TRAILER,
};

use super::ask::WAIT_US;
use super::pool::{NODE_MAX, NONE};
use super::{Fleet, Outbox, State, Target};
use crate::books::Discard;
use crate::record::{Ends, PhaseRecord};
use crate::scenario::Sends;

/// Each wait for an answer is twice as long as the one before, up to this.
const WAIT_MAX_US: u64 = 6_400_000;
/// Transmissions before a request is given up: after more than a minute.
const TRIES_MAX: u8 = 16;
/// Transmissions refused as *busy* before a request is given up.
const BUSY_MAX: u8 = 50;
/// Transmissions in a row without a word from a server that may have come back: it may have given the session's id to
/// another, whose tags are not ours, and then it does not even say that it knows no such session.
const SILENT_MAX: u8 = 4;
/// What users write on their packets.
const GREETING: &str = "恭喜发财";

/// One request about money.
#[derive(Clone, Copy)]
pub(super) struct MoneyRequest {
    session: u32,
    stamp: u32,
    /// The user's request number; 0 until it is first sent.
    request: u64,
    pub what: What,
    tries: u8,
    busy: u8,
    pub phase: u8,
    due_us: u64,
    /// When it was told to wait; zero when it does not.
    told_us: u64,
}

#[derive(Clone, Copy)]
pub(super) enum What {
    /// The recipients follow from the draw, so that a repeat has the same body.
    Send {
        sends: Sends,
        draw: u64,
    },
    Grab {
        packet: u64,
    },
    /// Of a user who sent this packet with so much in it.
    History {
        packet: u64,
        fen: u64,
    },
}

fn ends(record: &mut PhaseRecord, what: What) -> &mut Ends {
    match what {
        What::Send { .. } => &mut record.sends,
        What::Grab { .. } => &mut record.grabs,
        What::History { .. } => &mut record.histories,
    }
}

impl Fleet {
    /// A packet of this session's user is due; `draw` chooses its recipients.
    pub fn send(
        &mut self,
        index: u32,
        (sends, draw): (Sends, u64),
        due_us: u64,
        phase: u8,
        now_us: u64,
        out: &mut impl Outbox,
    ) {
        if !self.config.bare {
            self.begin_money(index, What::Send { sends, draw }, due_us, phase, now_us, out);
        }
    }

    /// A share of a packet is to be taken by this session's user.
    pub(super) fn grab(&mut self, index: u32, packet: u64, now_us: u64, out: &mut impl Outbox) {
        self.begin_money(index, What::Grab { packet }, now_us, self.phase, now_us, out);
    }

    pub(super) fn begin_money(
        &mut self,
        index: u32,
        what: What,
        due_us: u64,
        phase: u8,
        now_us: u64,
        out: &mut impl Outbox,
    ) {
        let Some(record) = self.records.get_mut(usize::from(phase)) else { return };
        let ends = ends(record, what);
        ends.due += 1;
        let session = &mut self.sessions[index as usize];
        let hopeless = matches!(session.state, State::Dead | State::Out);
        let (stamp, request, tries, busy, told_us) = (0, 0, 0, 0, 0);
        let made = MoneyRequest { session: index, stamp, request, what, tries, busy, phase, due_us, told_us };
        let number = if hopeless { None } else { self.money.push(made, session.money) };
        let Some(number) = number else {
            ends.lost += 1;
            return;
        };
        session.money = number;
        self.transmit_money(number, now_us, out);
    }

    pub(super) fn money_timer(&mut self, number: u32, stamp: u32, now_us: u64, out: &mut impl Outbox) {
        // Freed places keep their last stamp, and a request in a reused place starts at 0 with another one.
        let request = *self.money.value(number);
        if request.stamp != stamp || request.tries == 0 {
            return;
        }
        self.settle_wait(number, now_us);
        if self.config.outlasts {
            let is_up = self.sessions[request.session as usize].state == State::Up;
            if is_up && request.tries >= SILENT_MAX {
                return self.log_in_again(request.session, now_us, out);
            }
        } else if request.tries >= TRIES_MAX || request.busy >= BUSY_MAX {
            ends(&mut self.records[usize::from(request.phase)], request.what).lost += 1;
            return self.end_money(number, now_us, out);
        }
        self.transmit_money(number, now_us, out);
    }

    /// Sends again all that the session has under way; the server has taken over its address.
    pub(super) fn repeat_money(&mut self, index: u32, now_us: u64, out: &mut impl Outbox) {
        let mut number = self.sessions[index as usize].money;
        while number != NONE {
            if self.money.value(number).tries < TRIES_MAX {
                self.transmit_money(number, now_us, out);
            }
            number = self.money.next(number);
        }
    }

    /// The session is another: all that it has under way goes on in it at once.
    pub(super) fn resume_money(&mut self, index: u32, now_us: u64, out: &mut impl Outbox) {
        let mut number = self.sessions[index as usize].money;
        while number != NONE {
            self.money.value(number).tries = 0;
            self.transmit_money(number, now_us, out);
            number = self.money.next(number);
        }
    }

    /// If it was told to wait, it does no longer.
    fn settle_wait(&mut self, number: u32, now_us: u64) {
        let told_us = std::mem::take(&mut self.money.value(number).told_us);
        if told_us != 0 {
            self.backed_off(now_us.saturating_sub(told_us));
        }
    }

    fn transmit_money(&mut self, number: u32, now_us: u64, out: &mut impl Outbox) {
        self.settle_wait(number, now_us);
        let stamp = self.random() as u32;
        let request = self.money.value(number);
        let wait_us = (WAIT_US << request.tries.min(8)).min(WAIT_MAX_US);
        request.tries = request.tries.saturating_add(1);
        request.stamp = stamp;
        self.timers.arm(now_us, wait_us, Target::Money(number), stamp);
        let session = &mut self.sessions[request.session as usize];
        if session.state != State::Up {
            return;
        }
        let ends = ends(&mut self.records[usize::from(request.phase)], request.what);
        // The number is drawn when the session is up: one below the server's highest would be stale.
        if request.request == 0 {
            session.request += 1;
            request.request = session.request;
            ends.sent += 1;
        } else {
            ends.retries += 1;
        }
        let request = *request;
        let len = self.write_money(&request, now_us, out);
        self.transmit(request.session, len, now_us, out);
    }

    fn write_money(&mut self, request: &MoneyRequest, now_us: u64, out: &mut impl Outbox) -> usize {
        let counter = self.next_counter(now_us);
        let session = &self.sessions[request.session as usize];
        let slot = out.slot(self.socket(request.session));
        let len = match request.what {
            What::History { .. } => {
                History { flags: 0, session: session.id, counter, request: request.request, before: 0 }.put(slot)
            }
            What::Grab { packet } => {
                Grab { flags: 0, session: session.id, counter, request: request.request, packet }.put(slot)
            }
            What::Send { sends, draw } => {
                let to_set = sends.recipients == 0;
                let fields = Send {
                    flags: 0,
                    session: session.id,
                    counter,
                    request: request.request,
                    total_fen: sends.fen,
                    split: sends.split,
                    audience: if to_set { AUDIENCE_SET } else { AUDIENCE_LISTED },
                    shares: sends.shares,
                    recipients: 0,
                    set: if to_set { (draw % u64::from(self.sets.max(1))) as u16 } else { 0 },
                    greeting_len: 0,
                    reserved: 0,
                };
                let mut users = [0; u8::MAX as usize];
                let users = self.recipients(draw, usize::from(sends.recipients), &mut users);
                SendView::put(fields, users, GREETING, slot)
            }
        };
        close_money(&session.key, session.sealing, slot, len)
    }

    /// Up to `count` different users of all, by the draw.
    fn recipients<'a>(&self, draw: u64, count: usize, users: &'a mut [u64; u8::MAX as usize]) -> &'a [u64] {
        let total = self.config.population.total();
        let count = count.min(usize::try_from(total).unwrap_or(usize::MAX));
        let (mut found, mut state) = (0, draw);
        while found < count {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let number = ((u128::from(state) * u128::from(total)) >> 64) as u64;
            let user = self.config.population.user_of_number(number);
            if !users[..found].contains(&user) {
                users[found] = user;
                found += 1;
            }
        }
        &users[..found]
    }

    pub(super) fn on_sent(
        &mut self,
        index: u32,
        now_us: u64,
        bytes: &[u8],
        out: &mut impl Outbox,
    ) -> Result<(), Discard> {
        let sent = Sent::take(bytes).filter(|_| bytes.len() == Sent::LEN + TRAILER).ok_or(Discard::BadLength)?;
        let Some(number) = self.find_money(index, sent.request) else { return self.stray() };
        let request = *self.money.value(number);
        let What::Send { sends, .. } = request.what else { return Err(Discard::BadField) };
        self.books.packets.add(sends.fen);
        self.hear(index, Told::Sent { request: sent.request, packet: sent.packet }, sends.fen);
        self.answer_money(&request, now_us);
        self.news(now_us).packets_sent += 1;
        self.look_for(index, &sent, sends.fen, now_us, out);
        self.end_money(number, now_us, out);
        Ok(())
    }

    pub(super) fn on_grabbed(
        &mut self,
        index: u32,
        now_us: u64,
        bytes: &[u8],
        out: &mut impl Outbox,
    ) -> Result<(), Discard> {
        let grabbed =
            Grabbed::take(bytes).filter(|_| bytes.len() == Grabbed::LEN + TRAILER).ok_or(Discard::BadLength)?;
        let Some(number) = self.find_money(index, grabbed.request) else { return self.stray() };
        let request = *self.money.value(number);
        if !matches!(request.what, What::Grab { packet } if packet == grabbed.packet) {
            return Err(Discard::BadField);
        }
        self.books.shares.add(grabbed.share_fen);
        self.hear(index, Told::Grabbed { request: grabbed.request, packet: grabbed.packet }, grabbed.share_fen);
        self.answer_money(&request, now_us);
        self.news(now_us).shares_taken += 1;
        self.end_money(number, now_us, out);
        Ok(())
    }

    /// It was done as asked.
    fn answer_money(&mut self, request: &MoneyRequest, now_us: u64) {
        let record = &mut self.records[usize::from(request.phase)];
        ends(record, request.what).answered += 1;
        record.moved_money(request.due_us, now_us);
    }

    pub(super) fn on_refused(
        &mut self,
        index: u32,
        now_us: u64,
        bytes: &[u8],
        out: &mut impl Outbox,
    ) -> Result<(), Discard> {
        let refused =
            Refused::take(bytes).filter(|_| bytes.len() == Refused::LEN + TRAILER).ok_or(Discard::BadLength)?;
        let refusal = Refusal::of_number(refused.refusal).ok_or(Discard::BadField)?;
        let Some(number) = self.find_money(index, refused.request) else { return self.stray() };
        let request = *self.money.value(number);
        let kind = match request.what {
            What::Send { .. } => Kind::Send,
            What::Grab { .. } => Kind::Grab,
            What::History { .. } => Kind::History,
        };
        if refused.kind != kind as u8 {
            return Err(Discard::BadField);
        }
        let record = &mut self.records[usize::from(request.phase)];
        record.refusals[usize::from(refused.refusal)] += 1;
        if refusal == Refusal::Busy {
            // The number is not consumed: the same request comes again later.
            let stamp = self.random() as u32;
            let request = self.money.value(number);
            (request.stamp, request.tries, request.busy) = (stamp, 1, request.busy.saturating_add(1));
            request.told_us = now_us;
            self.timers.arm(now_us, u64::from(refused.retry_after_ms) * 1000, Target::Money(number), stamp);
            return Ok(());
        }
        ends(record, request.what).refused += 1;
        if kind != Kind::History {
            self.hear(index, Told::Refused { request: refused.request, kind, refusal }, refused.share_fen.into());
        }
        self.end_money(number, now_us, out);
        Ok(())
    }

    /// Has the session a request about money under way?
    pub(super) fn moves_money(&self, index: u32) -> bool {
        self.sessions[index as usize].money != NONE
    }

    /// The session will not come back: its requests are lost.
    pub(super) fn lose_money(&mut self, index: u32) {
        while let number @ 0..=NODE_MAX = self.sessions[index as usize].money {
            let request = *self.money.value(number);
            ends(&mut self.records[usize::from(request.phase)], request.what).lost += 1;
            self.unlink_money(number);
        }
    }

    pub(super) fn find_money(&mut self, index: u32, request: u64) -> Option<u32> {
        let mut number = self.sessions[index as usize].money;
        while number != NONE && self.money.value(number).request != request {
            number = self.money.next(number);
        }
        (number != NONE).then_some(number)
    }

    pub(super) fn end_money(&mut self, number: u32, now_us: u64, out: &mut impl Outbox) {
        let index = self.money.value(number).session;
        self.unlink_money(number);
        self.leave_when_free(index, now_us, out);
    }

    fn unlink_money(&mut self, number: u32) {
        let request = self.money.value(number);
        request.tries = 0;
        let index = request.session as usize;
        self.sessions[index].money = self.money.remove(self.sessions[index].money, number);
    }
}
