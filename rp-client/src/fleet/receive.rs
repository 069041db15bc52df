//! What comes back: every datagram is believed and acted on, or thrown away for a counted reason.

use rp_core::key::verifies;
use rp_core::kind::{Kind, VERSION_BITS};
use rp_core::limits::DATAGRAM_MAX;
use rp_core::sealing::open_money;
use rp_core::wire::{
    Field, Pong, SHAKE_LEN, SessionHead, TAG_LEN, TOTALS_WORDS, TRAILER, TotalsAre, UNKNOWN_SESSION_LEN,
};

use super::login::slot_of;
use super::{Asking, Fleet, Outbox, State};
use crate::books::Discard;
use crate::record::Second;

/// Milliseconds in the unit of a BUSY's flags.
const BUSY_UNIT_US: u64 = 100_000;

impl Fleet {
    /// Handles one datagram.
    pub fn receive(&mut self, now_us: u64, bytes: &[u8], out: &mut impl Outbox) {
        let kind = match bytes.first() {
            Some(first) if first & 0xc0 == VERSION_BITS => Kind::of_number(first & 0x3f),
            _ => None,
        };
        if self.config.bare {
            return self.receive_echo(kind, now_us, bytes, out);
        }
        let outcome = match kind.filter(|kind| !kind.is_request()) {
            Some(kind) => self.dispatch(kind, now_us, bytes, out).map(|()| kind),
            None => Err(Discard::NotAReply),
        };
        match outcome {
            Ok(kind) => self.books.received[kind.index()] += 1,
            Err(discard) => self.books.discarded[discard as usize] += 1,
        }
    }

    fn receive_echo(&mut self, kind: Option<Kind>, now_us: u64, bytes: &[u8], out: &mut impl Outbox) {
        match SessionHead::take(bytes) {
            Some(head) if kind == Some(Kind::Shake) && head.session < self.count() && bytes.len() == SHAKE_LEN => {
                self.books.received[Kind::Shake.index()] += 1;
                self.answer_shake(head.session, head.sequence, now_us, out);
            }
            _ => self.books.discarded[Discard::NotAReply as usize] += 1,
        }
    }

    fn dispatch(&mut self, kind: Kind, now_us: u64, bytes: &[u8], out: &mut impl Outbox) -> Result<(), Discard> {
        match kind {
            Kind::Challenge => return self.on_challenge(now_us, bytes, out),
            Kind::Welcome => return self.on_welcome(now_us, bytes, out),
            Kind::LoginRefused => return self.on_login_refused(now_us, bytes),
            _ => {}
        }
        let head = SessionHead::take(bytes).ok_or(Discard::BadLength)?;
        let index = self.by_slot[slot_of(head.session)];
        let session = match self.sessions.get(index as usize) {
            Some(session) if session.id == head.session && session.state == State::Up => session,
            // Neither side has the session: something said before it ended arrived after.
            _ if kind == Kind::UnknownSession && bytes.len() == UNKNOWN_SESSION_LEN => return Ok(()),
            _ => return Err(Discard::NoSuchSession),
        };
        if kind == Kind::UnknownSession {
            return self.on_unknown_session(index, now_us, bytes, out);
        }
        if !verifies(&session.key, bytes) {
            return Err(Discard::BadTag);
        }
        if kind.bears_money() {
            let mut room = [0; DATAGRAM_MAX];
            let opened = open_money(session.sealing, bytes, &mut room).map_err(|_| Discard::BadSeal)?;
            return self.on_money(kind, index, now_us, opened, out);
        }
        match kind {
            Kind::Pong => self.on_pong(index, now_us, bytes, out),
            _ if bytes.len() != SHAKE_LEN => Err(Discard::BadLength),
            Kind::Nothing => {
                self.answer_shake(index, head.sequence, now_us, out);
                Ok(())
            }
            Kind::Busy => self.on_busy(index, &head, now_us, out),
            Kind::Goodbye => self.on_goodbye(index, &head),
            Kind::PathChallenge => self.on_path_challenge(index, &head, now_us, out),
            Kind::Echoed => {
                self.repeat_ask(index, now_us, out);
                self.repeat_money(index, now_us, out);
                Ok(())
            }
            _ => Err(Discard::BadField),
        }
    }

    /// What bears money, opened.
    fn on_money(
        &mut self,
        kind: Kind,
        index: u32,
        now_us: u64,
        bytes: &[u8],
        out: &mut impl Outbox,
    ) -> Result<(), Discard> {
        match kind {
            Kind::Sent => self.on_sent(index, now_us, bytes, out),
            Kind::Grabbed => self.on_grabbed(index, now_us, bytes, out),
            Kind::Refused => self.on_refused(index, now_us, bytes, out),
            Kind::Prize => self.on_prize(index, now_us, bytes, out),
            Kind::Notice => self.on_notice(index, now_us, bytes, out),
            Kind::TotalsAre => self.on_totals(index, now_us, bytes, out),
            Kind::HistoryPage => self.on_history(index, now_us, bytes, out),
            // DETAIL PAGE and BALANCE IS answer what this client never asks.
            _ => Err(Discard::BadField),
        }
    }

    /// A shake is answered, if the session still asks it.
    pub(super) fn answer_shake(&mut self, index: u32, sequence: u32, now_us: u64, out: &mut impl Outbox) {
        let session = &self.sessions[index as usize];
        if session.asking != Asking::Shake || session.sequence != sequence {
            return self.repeated(index, sequence);
        }
        let (phase, due_us) = (usize::from(session.phase), session.due_us);
        let asked_for_us = session.asked_for_us(now_us);
        self.records[phase].answered(due_us, now_us);
        self.patience.learn(asked_for_us);
        self.end_ask(index, now_us, out);
    }

    /// The answer to a sequence comes again, or too late.
    fn repeated(&mut self, index: u32, sequence: u32) {
        let session = &self.sessions[index as usize];
        let gave_up = session.sequence == sequence && session.gave_up;
        if let Some(record) = self.records.get_mut(usize::from(session.phase)) {
            if gave_up { record.late += 1 } else { record.duplicate += 1 }
        }
    }

    /// An answer to what has ended: believed, counted as received, and of no further use.
    pub(super) fn stray(&mut self) -> Result<(), Discard> {
        self.duplicate();
        Ok(())
    }

    pub(super) fn duplicate(&mut self) {
        if let Some(record) = self.records.get_mut(usize::from(self.phase)) {
            record.duplicate += 1;
        }
    }

    /// The row of the running second, for news that nobody asked for.
    pub(super) fn news(&mut self, now_us: u64) -> &mut Second {
        self.records[usize::from(self.phase)].second(now_us)
    }

    /// Only a hint, and anyone could have sent it: it counts when the session waits for an answer.
    fn on_unknown_session(
        &mut self,
        index: u32,
        now_us: u64,
        bytes: &[u8],
        out: &mut impl Outbox,
    ) -> Result<(), Discard> {
        if bytes.len() != UNKNOWN_SESSION_LEN {
            return Err(Discard::BadLength);
        }
        let asking = self.sessions[index as usize].asking;
        if asking == Asking::Bye {
            self.went_out(index);
        } else if asking != Asking::Nothing || self.moves_money(index) {
            self.log_in_again(index, now_us, out);
        }
        Ok(())
    }

    fn on_busy(&mut self, index: u32, head: &SessionHead, now_us: u64, out: &mut impl Outbox) -> Result<(), Discard> {
        let session = &self.sessions[index as usize];
        if session.sequence != head.sequence || !matches!(session.asking, Asking::Shake | Asking::Ping) {
            self.repeated(index, head.sequence);
            return Ok(());
        }
        if session.asking == Asking::Shake {
            let record = &mut self.records[usize::from(session.phase)];
            record.refused(session.due_us);
            record.refusals[rp_core::wire::Refusal::Busy as usize] += 1;
        }
        match u64::from(head.flags) * BUSY_UNIT_US {
            0 => self.end_ask(index, now_us, out),
            delay_us => self.hold(index, now_us, delay_us),
        }
        Ok(())
    }

    fn on_goodbye(&mut self, index: u32, head: &SessionHead) -> Result<(), Discard> {
        let session = &self.sessions[index as usize];
        if session.asking == Asking::Bye && session.sequence == head.sequence {
            self.went_out(index);
        } else {
            self.repeated(index, head.sequence);
        }
        Ok(())
    }

    fn on_pong(&mut self, index: u32, now_us: u64, bytes: &[u8], out: &mut impl Outbox) -> Result<(), Discard> {
        let pong = Pong::take(bytes).filter(|_| bytes.len() == Pong::LEN + TAG_LEN).ok_or(Discard::BadLength)?;
        let session = &self.sessions[index as usize];
        if session.asking != Asking::Ping || session.sequence != pong.sequence {
            self.repeated(index, pong.sequence);
            return Ok(());
        }
        let round_trip_us = now_us.saturating_sub(pong.client_time_us);
        // The quickest round trip knows best; the server read its clock somewhere in the middle of it.
        if self.clock_offset.is_none_or(|(_, best_us)| round_trip_us <= best_us) {
            let middle_us = pong.client_time_us + round_trip_us / 2;
            self.clock_offset = Some((pong.server_time_us.wrapping_sub(middle_us) as i64, round_trip_us));
        }
        self.end_ask(index, now_us, out);
        Ok(())
    }

    fn on_totals(&mut self, index: u32, now_us: u64, bytes: &[u8], out: &mut impl Outbox) -> Result<(), Discard> {
        let totals =
            TotalsAre::take(bytes).filter(|_| bytes.len() == TotalsAre::LEN + TRAILER).ok_or(Discard::BadLength)?;
        let session = &self.sessions[index as usize];
        if session.asking != Asking::Totals || session.sequence != totals.sequence {
            self.repeated(index, totals.sequence);
            return Ok(());
        }
        let mut words = [0; TOTALS_WORDS];
        for (word, bytes) in words.iter_mut().zip(totals.words.chunks_exact(8)) {
            *word = <u64 as Field>::take(bytes);
        }
        let auditor = (index - self.count()) as usize;
        self.readings[auditor] = Some(words);
        self.end_ask(index, now_us, out);
        Ok(())
    }

    fn on_path_challenge(
        &mut self,
        index: u32,
        head: &SessionHead,
        now_us: u64,
        out: &mut impl Outbox,
    ) -> Result<(), Discard> {
        let socket = self.socket(index);
        let session = &self.sessions[index as usize];
        let echo = SessionHead { flags: 0, session: session.id, sequence: head.sequence };
        let len = echo.put_tagged(Kind::Echo, &session.key, out.slot(socket));
        self.transmit(index, len, now_us, out);
        Ok(())
    }
}
