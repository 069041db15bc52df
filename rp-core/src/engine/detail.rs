//! DETAIL: who took what of a packet, page by page; HISTORY: what moved a user's money.
//!
//! A packet of another SET is read by its owner, which answers the reader straight from there. What memory does not hold is
//! the ledger's to answer: the question waits for whoever reads it, and the answer comes back as finished bytes.

use alloc::boxed::Box;

use super::asks::{Ask, DetailAsk, HistoryAsk, Reader};
use super::blocks::Blocks;
use super::notes::{Body, Note};
use super::packets::{Packet, set_of_packet};
use super::set::Set;
use super::{Asked, Outcome, Shared, Transmit};
use crate::clients::Clients as _;
use crate::kind::Kind;
use crate::limits::{DATAGRAM_MAX, DETAIL_PAGE_SHARES};
use crate::reason::Reason;
use crate::wire::{Detail, DetailPage, History, Origin, Refusal};

impl Set {
    pub(super) fn detail(
        &mut self,
        slot: u16,
        account: u16,
        datagram: &[u8],
        asked: &Asked,
        shared: &mut Shared,
        tx: &mut impl Transmit,
    ) -> Outcome {
        let Some(detail) = Detail::take(datagram) else { return Outcome::Dropped(Reason::BadLength) };
        let owner = set_of_packet(detail.packet);
        let is_abroad = owner != u32::from(self.number) && owner < shared.config.sets;
        if is_abroad && shared.outbox.credits() == 0 {
            return self.refuse_busy(slot, Kind::Detail, detail.request, asked, shared, tx);
        }
        let reader = self.reader(slot, account, detail.request, asked);
        let ask = DetailAsk { reader, packet: detail.packet, first: detail.first };
        if is_abroad {
            shared.outbox.ask(Note::new(owner as u16, self.number, Body::DetailAsk(Box::new(ask))));
            return Outcome::Accepted;
        }
        match self.put_page(&ask, shared, tx) {
            Some(len) => shared.reply_durably(asked, tx, len),
            None => Outcome::Accepted,
        }
    }

    pub(super) fn history(
        &mut self,
        slot: u16,
        account: u16,
        datagram: &[u8],
        asked: &Asked,
        shared: &mut Shared,
        tx: &mut impl Transmit,
    ) -> Outcome {
        let Some(History { request, before, .. }) = History::take(datagram) else {
            return Outcome::Dropped(Reason::BadLength);
        };
        let ask = Ask::History(HistoryAsk { reader: self.reader(slot, account, request, asked), before });
        let refusal = match shared.config.keeps_postings {
            true if shared.asks.push(ask, &shared.journal) => return Outcome::Accepted,
            true => Refusal::Busy,
            false => Refusal::NotKept,
        };
        let len = ask.refuse(refusal, tx.buffer());
        shared.reply(asked, tx, len)
    }

    fn reader(&mut self, slot: u16, account: u16, request: u64, asked: &Asked) -> Reader {
        Reader {
            user: self.accounts[account].user,
            set: self.number,
            request,
            counter: self.slots.cold(slot).next_counter(),
            key: self.slots.entry(slot).key(),
            sealing: self.slots.sealing(slot),
            session: self.session_of(slot),
            peer: asked.from,
            door: asked.door,
        }
    }

    /// Answers a reader of another SET straight from here.
    pub(super) fn send_page(&mut self, ask: &DetailAsk, shared: &mut Shared, tx: &mut impl Transmit) {
        if let Some(len) = self.put_page(ask, shared, tx) {
            let Reader { peer, door, .. } = ask.reader;
            let client = shared.board.clients().find(Origin::from(&peer).ip);
            shared.send_durably(tx, len, peer, door, client);
        }
    }

    /// Writes the answer, unless it is the ledger's to give.
    fn put_page(&self, ask: &DetailAsk, shared: &mut Shared, tx: &mut impl Transmit) -> Option<usize> {
        if let Some(packet) = self.packets.find(ask.packet) {
            return Some(ask.answer_of(packet, &self.blocks, tx.buffer()));
        }
        let refusal = match shared.config.keeps_postings && self.packets.may_have_made(ask.packet) {
            true if shared.asks.push(Ask::Detail(*ask), &shared.journal) => return None,
            true => Refusal::Busy,
            false => Refusal::UnknownPacket,
        };
        Some(ask.reader.refuse(Kind::Detail, refusal, tx.buffer()))
    }
}

impl DetailAsk {
    /// Answers from the packet, wherever it was found; the answer's length.
    pub(super) fn answer_of(&self, packet: &Packet, blocks: &Blocks, out: &mut [u8; DATAGRAM_MAX]) -> usize {
        let reader = &self.reader;
        if packet.sender != reader.user && !packet.is_for(reader.user, reader.set, blocks) {
            return reader.refuse(Kind::Detail, Refusal::NotForYou, out);
        }
        let mut end = DetailPage::LEN;
        let mut count = 0;
        for row in packet.takers(blocks).skip(usize::from(self.first)).take(DETAIL_PAGE_SHARES) {
            end += row.put_fields(&mut out[end..]);
            count += 1;
        }
        let greeting_len = packet.put_greeting(blocks, &mut out[end..]);
        let page = DetailPage {
            flags: 0,
            session: reader.session,
            counter: reader.counter,
            request: reader.request,
            packet: packet.id,
            sender: packet.sender,
            total_fen: packet.total_fen,
            left_fen: packet.left_fen,
            made_ms: packet.made_ms,
            state: packet.state as u8,
            shares: packet.shares,
            taken: packet.taken() as u8,
            best: packet.best(blocks).unwrap_or(u8::MAX),
            first: self.first,
            count,
            greeting_len: greeting_len as u8,
            reserved: 0,
        };
        page.put(out);
        reader.close(out, end + greeting_len)
    }
}
