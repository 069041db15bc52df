//! Pages told again from postings: a packet that memory has forgotten, and a user's history.
//!
//! Whoever reads the ledger finds the postings that an [`Ask`] is about, by whatever index he has, and gets the answer's
//! bytes from here. A packet is made again, share by share, by what made it the first time, and its page is written by what
//! writes that of a packet in memory: so both are alike to the byte, and so is who may read them.

use super::asks::{Ask, DetailAsk, HistoryAsk};
use super::blocks::Blocks;
use super::ledger::{Account, Sums};
use super::packets::Packet;
use crate::kind::Kind;
use crate::limits::{DATAGRAM_MAX, HISTORY_PAGE_ROWS};
use crate::posting::{Act, Posting, Terms};
use crate::wire::{HistoryPage, HistoryRow, Refusal, ShareRow};

impl Ask {
    /// Is it about this posting?
    pub fn is_about(&self, posting: &Posting<'_>) -> bool {
        match self {
            Ask::Detail(ask) => ask.is_about(posting),
            Ask::History(ask) => row_of(ask.reader.user, posting).is_some(),
        }
    }
}

impl DetailAsk {
    fn is_about(&self, posting: &Posting<'_>) -> bool {
        match posting.act {
            Act::Sent => posting.credit == self.packet,
            Act::Taken | Act::Handed | Act::Refunded => posting.debit == self.packet,
            _ => false,
        }
    }

    /// Answers from the packet's postings, all of them, in their order; the answer's length.
    pub fn answer<'a>(&self, postings: impl Iterator<Item = Posting<'a>>, out: &mut [u8; DATAGRAM_MAX]) -> usize {
        let mut blocks = Blocks::unreserved();
        match retold(postings, &mut blocks) {
            Some(packet) => self.answer_of(&packet, &blocks, out),
            None => self.reader.refuse(Kind::Detail, Refusal::UnknownPacket, out),
        }
    }
}

/// The packet of these postings, if they begin with its SEND.
fn retold<'a>(mut postings: impl Iterator<Item = Posting<'a>>, blocks: &mut Blocks) -> Option<Packet> {
    let sent = postings.next().filter(|posting| posting.act == Act::Sent)?;
    let terms = Terms::take(sent.tail)?;
    let view = terms.view(sent.fen, &sent.tail[Terms::LEN..])?;
    let mut packet = Packet::of(&view, (sent.credit, sent.debit), terms.seed, (sent.at_ms, terms.expires_ms), blocks);
    let mut sums = Sums::default();
    sums.post(Account::Transit, Account::Packet(&mut packet.left_fen), sent.fen).ok()?;
    for posting in postings {
        if posting.act == Act::Refunded {
            packet.refund(&mut sums).ok()?;
        } else {
            let row = ShareRow { user: posting.credit, taken_ms: posting.at_ms, share_fen: posting.fen as u32 };
            packet.give(row, blocks, &mut sums, Account::Transit).ok()?;
        }
    }
    Some(packet)
}

impl HistoryAsk {
    /// Answers from postings that it is about, newest first, with their positions; the answer's length. What lies before
    /// position `unseen` was not looked at; 0 when everything was.
    pub fn answer<'a>(
        &self,
        postings: impl Iterator<Item = (u64, Posting<'a>)>,
        unseen: u64,
        out: &mut [u8; DATAGRAM_MAX],
    ) -> usize {
        let (mut end, mut count, mut last, mut next) = (HistoryPage::LEN, 0, 0, unseen);
        for (position, posting) in postings {
            if count == HISTORY_PAGE_ROWS {
                next = last;
                break;
            }
            let Some(row) = row_of(self.reader.user, &posting) else { continue };
            end += row.put_fields(&mut out[end..]);
            (count, last) = (count + 1, position);
        }
        let (session, counter, request) = (self.reader.session, self.reader.counter, self.reader.request);
        HistoryPage { flags: 0, session, counter, request, next, count: count as u8 }.put(out);
        self.reader.close(out, end)
    }
}

/// What a posting says in the history of a user, if it moves his money. A share is taken, wherever its packet is.
fn row_of(user: u64, posting: &Posting<'_>) -> Option<HistoryRow> {
    let Posting { act, debit, credit, fen, about, at_ms, .. } = *posting;
    let (whose, act, about) = match act {
        Act::Deposited => (credit, act, 0),
        Act::Withdrawn => (debit, act, 0),
        Act::Won => (credit, act, about),
        Act::Sent => (debit, act, credit),
        Act::Taken | Act::Received => (credit, Act::Taken, debit),
        Act::Refunded => (credit, act, debit),
        _ => return None,
    };
    (whose == user && fen > 0).then_some(HistoryRow { at_ms, act: act as u8, about, fen })
}
