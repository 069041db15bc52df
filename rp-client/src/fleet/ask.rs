//! Requests under the session's sequence: SHAKE, PING, BYE, TOTALS, one at a time, the same number until it is answered.

use rp_core::key::seal;
use rp_core::kind::Kind;
use rp_core::wire::{Ping, SessionHead};

use super::pool::{NODE_MAX, NONE};
use super::{Asking, Deferred, Fleet, Outbox, State};

/// Wait for the first answer; each further wait is twice as long. About the second of RFC 8085, section 3.1.1: a shorter
/// one doubled the load of a server that had fallen a fifth of a second behind, which then never caught up.
pub(super) const WAIT_US: u64 = 800_000;
/// Transmissions before a request is given up: after 0.8 + 1.6 + 3.2 + 6.4 seconds.
const TRIES_MAX: u8 = 4;
/// Sessions that log out at once.
const LEAVING_MAX: u32 = 240;
/// How long an answer may take before the question is repeated: twice what answers take on average, and [`WAIT_US`] at
/// least. A server that has fallen behind is then not given the same work twice.
#[derive(Default)]
pub(super) struct Patience {
    smooth_us: u64,
}

impl Patience {
    /// Average over the last few thousand answers: each moves it by this part of the difference, as a power of two.
    const GAIN_BITS: u32 = 10;
    const MAX_US: u64 = 3_200_000;

    /// An answer took this long.
    pub fn learn(&mut self, took_us: u64) {
        self.smooth_us = self.smooth_us - (self.smooth_us >> Self::GAIN_BITS) + took_us.min(Self::MAX_US);
    }

    fn us(&self) -> u64 {
        (2 * (self.smooth_us >> Self::GAIN_BITS)).clamp(WAIT_US, Self::MAX_US)
    }
}

/// Who is to be logged out yet, and who is being.
#[derive(Default)]
pub(super) struct Leave {
    next: u32,
    end: u32,
    under_way: u32,
}

/// Sessions looked at in one sweep for those that fall silent.
const SWEEP_MAX: u64 = 4096;

impl Fleet {
    /// A shake of this session is due. When an earlier one is under way it waits, and its latency grows.
    pub fn shake(&mut self, index: u32, due_us: u64, phase: u8, now_us: u64, out: &mut impl Outbox) {
        let record = &mut self.records[usize::from(phase)];
        record.due(due_us, now_us);
        let session = &self.sessions[index as usize];
        if session.state == State::Up && session.asking == Asking::Nothing {
            return self.begin_shake(index, due_us, phase, now_us, out);
        }
        let hopeless = matches!(session.state, State::Dead | State::Out);
        let node = if hopeless { None } else { self.deferred.push(Deferred { due_us, phase }, NONE) };
        let Some(node) = node else {
            record.lost(due_us);
            return;
        };
        let mut last = session.deferred;
        if last == NONE {
            self.sessions[index as usize].deferred = node;
            return;
        }
        while self.deferred.next(last) != NONE {
            last = self.deferred.next(last);
        }
        self.deferred.link(last, node);
    }

    fn begin_shake(&mut self, index: u32, due_us: u64, phase: u8, now_us: u64, out: &mut impl Outbox) {
        let session = &mut self.sessions[index as usize];
        session.due_us = due_us;
        session.phase = phase;
        self.records[usize::from(phase)].sent(due_us);
        self.begin(index, Asking::Shake, now_us, out);
    }

    /// Pings from a session if it is up and asks nothing; says whether it did.
    pub fn ping(&mut self, index: u32, now_us: u64, out: &mut impl Outbox) -> bool {
        let session = &self.sessions[index as usize];
        let free = session.state == State::Up && session.asking == Asking::Nothing && !self.config.bare;
        if free {
            self.begin(index, Asking::Ping, now_us, out);
        }
        free
    }

    /// Asks for the server's totals by auditor `auditor`, if he is up and asks nothing. The answer goes to `readings`.
    pub fn ask_totals(&mut self, auditor: usize, now_us: u64, out: &mut impl Outbox) {
        let index = self.count() + auditor as u32;
        let session = &self.sessions[index as usize];
        if session.state == State::Up && session.asking == Asking::Nothing {
            self.begin(index, Asking::Totals, now_us, out);
        }
    }

    /// Logs the auditors out.
    pub fn dismiss_auditors(&mut self, now_us: u64, out: &mut impl Outbox) {
        for index in self.count()..self.sessions.len() as u32 {
            if self.sessions[index as usize].state == State::Up {
                self.begin(index, Asking::Bye, now_us, out);
            }
        }
    }

    /// Starts to log out all users.
    pub fn log_out_all(&mut self) {
        (self.leave.next, self.leave.end) = (0, self.count());
    }

    /// Is no user left to be logged out?
    pub fn all_out(&self) -> bool {
        self.leave.next == self.leave.end && self.leave.under_way == 0
    }

    pub(super) fn log_out_more(&mut self, now_us: u64, out: &mut impl Outbox) {
        while self.leave.next < self.leave.end && self.leave.under_way < LEAVING_MAX {
            let index = self.leave.next;
            self.leave.next += 1;
            let session = &mut self.sessions[index as usize];
            if matches!(session.state, State::Down | State::Out | State::Dead) {
                continue;
            }
            session.leaving = true;
            self.leave.under_way += 1;
            self.leave_when_free(index, now_us, out);
        }
    }

    /// Says goodbye for a session that is to be logged out, once nothing of it is under way.
    pub(super) fn leave_when_free(&mut self, index: u32, now_us: u64, out: &mut impl Outbox) {
        let session = &self.sessions[index as usize];
        let is_free = session.state == State::Up && session.asking == Asking::Nothing && session.money == NONE;
        if session.leaving && is_free {
            self.begin(index, Asking::Bye, now_us, out);
        }
    }

    fn begin(&mut self, index: u32, asking: Asking, now_us: u64, out: &mut impl Outbox) {
        let session = &mut self.sessions[index as usize];
        if session.sequence == u32::MAX {
            // No number is left: what is asked waits for the next session.
            session.asking = asking;
            return self.log_in_again(index, now_us, out);
        }
        session.asking = asking;
        session.asks_at(now_us);
        session.sequence += 1;
        session.tries = 0;
        session.gave_up = false;
        self.transmit_ask(index, now_us, out);
    }

    fn transmit_ask(&mut self, index: u32, now_us: u64, out: &mut impl Outbox) {
        let socket = self.socket(index);
        let session = &mut self.sessions[index as usize];
        let slot = out.slot(socket);
        let head = SessionHead { flags: 0, session: session.id, sequence: session.sequence };
        let len = match session.asking {
            Asking::Shake => head.put_tagged(Kind::Shake, &session.key, slot),
            Asking::Bye => head.put_tagged(Kind::Bye, &session.key, slot),
            Asking::Totals => head.put_tagged(Kind::Totals, &session.key, slot),
            Asking::Ping => {
                let ping = Ping { flags: 0, session: session.id, sequence: session.sequence, client_time_us: now_us };
                let len = ping.put(slot);
                seal(&session.key, slot, len)
            }
            Asking::Nothing | Asking::Held => return,
        };
        let wait_us = WAIT_US << session.tries;
        session.tries += 1;
        self.transmit(index, len, now_us, out);
        self.arm(index, now_us, wait_us);
    }

    /// Sends again what the session asks; the server has taken over its address.
    pub(super) fn repeat_ask(&mut self, index: u32, now_us: u64, out: &mut impl Outbox) {
        if self.sessions[index as usize].tries < TRIES_MAX {
            self.count_retry(index);
            self.transmit_ask(index, now_us, out);
        }
    }

    pub(super) fn retry_ask(&mut self, index: u32, now_us: u64, out: &mut impl Outbox) {
        let session = &mut self.sessions[index as usize];
        if session.asking == Asking::Held {
            let waited_us = session.asked_for_us(now_us);
            self.backed_off(waited_us);
            return self.end_ask(index, now_us, out);
        }
        if session.asking == Asking::Shake {
            let patience_us = self.patience.us() << (session.tries - 1);
            let rest_us = patience_us.saturating_sub(session.asked_for_us(now_us));
            if rest_us > 0 {
                return self.arm(index, now_us, rest_us);
            }
        }
        let session = &mut self.sessions[index as usize];
        if session.tries < TRIES_MAX {
            self.count_retry(index);
            return self.transmit_ask(index, now_us, out);
        }
        session.gave_up = true;
        let (asking, phase, due_us) = (session.asking, usize::from(session.phase), session.due_us);
        if asking == Asking::Shake {
            self.records[phase].lost(due_us);
        }
        if asking == Asking::Bye {
            return self.went_out(index);
        }
        if self.config.outlasts {
            // A server that has come back may have given the session's id to another, and then it does not even say so.
            self.sessions[index as usize].asking = Asking::Nothing;
            return self.log_in_again(index, now_us, out);
        }
        self.end_ask(index, now_us, out);
    }

    fn count_retry(&mut self, index: u32) {
        let session = &self.sessions[index as usize];
        if session.asking == Asking::Shake {
            self.records[usize::from(session.phase)].repeated(session.due_us);
        }
    }

    /// What was asked has ended; a shake that waited may begin.
    pub(super) fn end_ask(&mut self, index: u32, now_us: u64, out: &mut impl Outbox) {
        let session = &mut self.sessions[index as usize];
        session.asking = Asking::Nothing;
        session.stamp = session.stamp.wrapping_add(1);
        self.next_shake(index, now_us, out);
        self.leave_when_free(index, now_us, out);
    }

    /// Begins the first shake that waits, if any.
    pub(super) fn next_shake(&mut self, index: u32, now_us: u64, out: &mut impl Outbox) {
        let node = self.sessions[index as usize].deferred;
        if node != NONE {
            let Deferred { due_us, phase } = *self.deferred.value(node);
            self.sessions[index as usize].deferred = self.deferred.remove(node, node);
            self.begin_shake(index, due_us, phase, now_us, out);
        }
    }

    /// The server said *busy*: nothing starts for a while.
    pub(super) fn hold(&mut self, index: u32, now_us: u64, delay_us: u64) {
        let session = &mut self.sessions[index as usize];
        session.asking = Asking::Held;
        session.asks_at(now_us);
        self.arm(index, now_us, delay_us);
    }

    /// A wait that the server asked for has ended.
    pub(super) fn backed_off(&mut self, waited_us: u64) {
        if let Some(record) = self.records.get_mut(usize::from(self.phase)) {
            record.backed_off.times += 1;
            record.backed_off.us += waited_us;
        }
    }

    /// Puts a shake under way back in front of those that wait, for the next session.
    pub(super) fn suspend_ask(&mut self, index: u32) {
        let session = &mut self.sessions[index as usize];
        if std::mem::take(&mut session.asking) == Asking::Shake {
            let record = &mut self.records[usize::from(session.phase)];
            // It is sent once more, as the first transmission of another number.
            record.shakes.sent -= 1;
            record.second(session.due_us).sent -= 1;
            record.repeated(session.due_us);
            match self.deferred.push(Deferred { due_us: session.due_us, phase: session.phase }, session.deferred) {
                Some(node) => session.deferred = node,
                None => record.lost(session.due_us),
            }
        }
    }

    /// The session has ended by our own wish.
    pub(super) fn went_out(&mut self, index: u32) {
        self.unmap(index);
        if !self.is_auditor(index) {
            self.up -= 1;
        }
        let session = &mut self.sessions[index as usize];
        session.state = State::Out;
        session.asking = Asking::Nothing;
        session.stamp = session.stamp.wrapping_add(1);
        self.left(index);
        self.lose_all(index);
    }

    /// The session need not be logged out any more.
    pub(super) fn left(&mut self, index: u32) {
        if std::mem::take(&mut self.sessions[index as usize].leaving) {
            self.leave.under_way -= 1;
        }
    }

    /// Everything that waits for a session that will not come is lost.
    pub(super) fn lose_all(&mut self, index: u32) {
        while let node @ 0..=NODE_MAX = self.sessions[index as usize].deferred {
            let Deferred { due_us, phase } = *self.deferred.value(node);
            self.records[usize::from(phase)].lost(due_us);
            self.sessions[index as usize].deferred = self.deferred.remove(node, node);
        }
        self.lose_money(index);
    }

    /// Pings sessions that would otherwise fall silent for too long: each is looked at four times in the server's idle
    /// time, and pings when it was silent for a third of it.
    pub fn keep_alive(&mut self, now_us: u64, out: &mut impl Outbox) {
        let round_us = u64::from(self.idle_s) * 1_000_000 / 4;
        if round_us == 0 || self.up == 0 {
            return;
        }
        let since_us = now_us.saturating_sub(self.swept_us);
        let due = self.sessions.len() as u64 * since_us.min(round_us) / round_us;
        if due == 0 {
            return;
        }
        self.swept_us = now_us;
        for _ in 0..due.min(SWEEP_MAX) {
            let silent_s = ((now_us / 1_000_000) as u32).saturating_sub(self.sessions[self.swept as usize].last_s);
            if silent_s > self.idle_s / 3 {
                self.ping(self.swept, now_us, out);
            }
            self.swept = (self.swept + 1) % self.sessions.len() as u32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::alone::alone;
    use super::*;

    #[test]
    fn who_outlasts_his_server_logs_in_again_where_nobody_answers() {
        let (mut fleet, mut out) = alone();
        fleet.shake(0, 0, 0, 0, &mut out);
        (0..13_000).for_each(|ms| fleet.poll(1000 * ms, &mut out));
        let mut expected = vec![Kind::Shake as u8; usize::from(TRIES_MAX)];
        expected.push(Kind::Hello as u8);
        assert_eq!(out.1[..expected.len()], expected);
        assert_eq!((fleet.records[0].shakes.lost, fleet.outstanding()), (1, 0));
    }

    #[test]
    fn patience_grows_with_slow_answers_and_shrinks_again() {
        let mut patience = Patience::default();
        assert_eq!(patience.us(), WAIT_US);
        (0..10_000).for_each(|_| patience.learn(300));
        assert_eq!(patience.us(), WAIT_US);
        (0..10_000).for_each(|_| patience.learn(1_500_000));
        assert!(patience.us() > 2_900_000 && patience.us() <= 3_000_000, "{}", patience.us());
        (0..10_000).for_each(|_| patience.learn(300));
        assert_eq!(patience.us(), WAIT_US);
    }
}
