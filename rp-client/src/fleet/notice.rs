//! PRIZE and NOTICE: each is acknowledged as often as it comes, and counted once.

use rp_core::acknowledged::Told;
use rp_core::key::seal;
use rp_core::wire::{Notice, NoticeAck, NoticeType, Prize, TRAILER};

use super::{Asking, Fleet, Outbox};
use crate::books::Discard;

/// A prize of the shake under way is older than fewer notices than this, but for bad luck, which costs an answer and no money.
const RECENT: u64 = 8;

impl Fleet {
    pub(super) fn on_prize(
        &mut self,
        index: u32,
        now_us: u64,
        bytes: &[u8],
        out: &mut impl Outbox,
    ) -> Result<(), Discard> {
        let prize = Prize::take(bytes).filter(|_| bytes.len() == Prize::LEN + TRAILER).ok_or(Discard::BadLength)?;
        if !self.sessions[index as usize].has_seen(prize.notice) {
            self.sessions[index as usize].see(prize.notice);
            self.win(index, prize.about, prize.fen, now_us);
        }
        self.acknowledge(index, prize.notice, now_us, out);
        self.answer_shake(index, prize.sequence, now_us, out);
        Ok(())
    }

    pub(super) fn on_notice(
        &mut self,
        index: u32,
        now_us: u64,
        bytes: &[u8],
        out: &mut impl Outbox,
    ) -> Result<(), Discard> {
        let notice = Notice::take(bytes).filter(|_| bytes.len() == Notice::LEN + TRAILER).ok_or(Discard::BadLength)?;
        let about = NoticeType::of_number(notice.about_type).ok_or(Discard::BadField)?;
        let session = &mut self.sessions[index as usize];
        let is_new = !session.has_seen(notice.notice);
        // The PRIZE was lost on its way. An acknowledgement would end it at the server, and the repeated shake would
        // find no answer: so the shake comes first, and the notice comes again. One that is older than others is of another
        // shake, and would at last be taken for one that was seen.
        let is_recent = notice.notice + RECENT > session.notice_highest;
        let comes_first = about == NoticeType::Prize && session.asking == Asking::Shake && is_recent;
        // A session that is being closed begins nothing; the notice waits for the user's next.
        if is_new && (comes_first || session.asking == Asking::Bye) {
            return Ok(());
        }
        if is_new {
            session.see(notice.notice);
        }
        self.acknowledge(index, notice.notice, now_us, out);
        if !is_new {
            return self.stray();
        }
        match about {
            NoticeType::Prize => self.win(index, notice.about, notice.fen, now_us),
            NoticeType::Packet => self.grab(index, notice.about, now_us, out),
            NoticeType::Refund => {
                self.books.refunded.add(notice.fen);
                self.hear(index, Told::Refund { packet: notice.about }, notice.fen);
            }
        }
        Ok(())
    }

    fn win(&mut self, index: u32, about: u64, fen: u64, now_us: u64) {
        self.books.prizes.add(fen);
        self.news(now_us).prizes += 1;
        self.hear(index, Told::Prize { about }, fen);
    }

    fn acknowledge(&mut self, index: u32, notice: u64, now_us: u64, out: &mut impl Outbox) {
        let socket = self.socket(index);
        let session = &self.sessions[index as usize];
        let slot = out.slot(socket);
        let len = NoticeAck { flags: 0, session: session.id, notice }.put(slot);
        let len = seal(&session.key, slot, len);
        self.transmit(index, len, now_us, out);
    }
}

#[cfg(test)]
mod tests {
    use rp_core::limits::DATAGRAM_MAX;

    use super::super::alone::alone;
    use super::*;

    #[test]
    fn a_prize_waits_for_the_shake_unless_it_is_old() {
        let (mut fleet, mut out) = alone();
        fleet.shake(0, 0, 0, 0, &mut out);
        fleet.sessions[0].see(100);
        for (notice, prizes) in [(101, 0), (60, 1), (60, 1)] {
            let (about_type, about, from, fen, at_ms) = (NoticeType::Prize as u8, 1, 0, 5, 0);
            let mut bytes = [0; DATAGRAM_MAX];
            let len = Notice { flags: 0, session: 0, counter: 1, notice, about_type, about, from, fen, at_ms }
                .put(&mut bytes);
            assert_eq!(fleet.on_notice(0, 0, &bytes[..len + TRAILER], &mut out), Ok(()));
            assert_eq!(fleet.books.prizes.count, prizes, "{notice}");
        }
    }
}
