//! DETAIL: who took what of a packet, page by page.
//!
//! A packet of another SET is read by its owner, which answers the reader straight from there.

use super::notes::{Body, DetailAsk, Note};
use super::packets::set_of_packet;
use super::set::Set;
use super::{Asked, Outcome, Shared, Transmit};
use crate::clients::Clients as _;
use crate::kind::Kind;
use crate::limits::DETAIL_PAGE_SHARES;
use crate::reason::Reason;
use crate::sealing::close_money;
use crate::wire::{Detail, DetailPage, Origin, Refusal, Refused};

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
        let ask = DetailAsk {
            user: self.accounts[account].user,
            packet: detail.packet,
            request: detail.request,
            counter: self.slots.cold(slot).next_counter(),
            key: self.slots.entry(slot).key(),
            sealing: self.slots.sealing(slot),
            session: self.session_of(slot),
            peer: asked.from,
            door: asked.door,
            first: detail.first,
        };
        let owner = set_of_packet(detail.packet);
        if owner == u32::from(self.number) || owner >= shared.config.sets {
            let len = self.put_page(&ask, self.number, tx);
            return shared.reply_durably(asked, tx, len);
        }
        if shared.outbox.credits() == 0 {
            return self.refuse_busy(slot, Kind::Detail, detail.request, asked, shared, tx);
        }
        shared.outbox.ask(Note::new(owner as u16, self.number, Body::DetailAsk(ask)));
        Outcome::Accepted
    }

    /// Answers a reader of another SET straight from here.
    pub(super) fn send_page(&mut self, ask: &DetailAsk, from: u16, shared: &mut Shared, tx: &mut impl Transmit) {
        let len = self.put_page(ask, from, tx);
        let client = shared.board.clients().find(Origin::from(&ask.peer).ip);
        shared.send_durably(tx, len, ask.peer, ask.door, client);
    }

    fn put_page(&self, ask: &DetailAsk, reader_set: u16, tx: &mut impl Transmit) -> usize {
        let out = tx.buffer();
        let DetailAsk { session, counter, request, .. } = *ask;
        let refuse = |refusal: Refusal, out: &mut [u8]| {
            let (kind, refusal) = (Kind::Detail as u8, refusal as u8);
            Refused { flags: 0, session, counter, request, refusal, kind, retry_after_ms: 0, share_fen: 0 }.put(out)
        };
        let len = match self.packets.find(ask.packet) {
            None => refuse(Refusal::UnknownPacket, out),
            Some(packet) if packet.sender != ask.user && !packet.is_for(ask.user, reader_set, &self.blocks) => {
                refuse(Refusal::NotForYou, out)
            }
            Some(packet) => {
                let mut end = DetailPage::LEN;
                let mut count = 0;
                for row in packet.takers(&self.blocks).skip(usize::from(ask.first)).take(DETAIL_PAGE_SHARES) {
                    end += row.put_fields(&mut out[end..]);
                    count += 1;
                }
                let greeting_len = packet.put_greeting(&self.blocks, &mut out[end..]);
                let page = DetailPage {
                    flags: 0,
                    session,
                    counter,
                    request,
                    packet: packet.id,
                    sender: packet.sender,
                    total_fen: packet.total_fen,
                    left_fen: packet.left_fen,
                    made_ms: packet.made_ms,
                    state: packet.state as u8,
                    shares: packet.shares,
                    taken: packet.taken() as u8,
                    best: packet.best(&self.blocks).unwrap_or(u8::MAX),
                    first: ask.first,
                    count,
                    greeting_len: greeting_len as u8,
                    reserved: 0,
                };
                page.put(out);
                end + greeting_len
            }
        };
        close_money(&ask.key, ask.sealing, out, len)
    }
}
