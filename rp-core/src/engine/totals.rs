//! What an auditor reads over the wire: the totals for the address that asks, and the server's money.

use super::books::{Books, Counter, Sum};
use super::set::Set;
use super::{Asked, FULL_RETRY_MS, Outcome, Shared, Transmit};
use crate::clients::Clients as _;
use crate::gate_counters::{ANSWERS, ClientWord};
use crate::kind::Kind;
use crate::reason::Reason;
use crate::sealing::close_money;
use crate::ticket::ROLE_AUDITOR;
use crate::wire::{Origin, Peer, SessionHead, TOTALS_WORDS, TotalsAre};

impl Set {
    pub(super) fn totals(
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
        if self.slots.cold(slot).role != ROLE_AUDITOR {
            return Outcome::Dropped(Reason::NotAuditor);
        }
        if let Err(reason) = self.advance(slot, head.sequence) {
            return Outcome::Dropped(reason);
        }
        let counter = self.slots.cold(slot).next_counter();
        let totals = TotalsAre {
            flags: 0,
            session: head.session,
            counter,
            sequence: head.sequence,
            words: words(&asked.from, shared),
        };
        let out = tx.buffer();
        let len = totals.put(out);
        let len = close_money(&self.slots.entry(slot).key(), self.slots.sealing(slot), out, len);
        shared.reply_durably(asked, tx, len)
    }
}

/// The words of a TOTALS ARE, in the order that [`TotalsAre`] gives.
fn words(from: &Peer, shared: &Shared) -> [u8; 8 * TOTALS_WORDS] {
    let mut words = [0u64; TOTALS_WORDS];
    let client = shared.board.clients().find(Origin::from(from).ip);
    let gate = shared.board.gate_row(client);
    for kind in Kind::ALL.iter().filter(|kind| kind.is_request()) {
        words[kind.index()] += gate[ClientWord::received(*kind).index()];
    }
    for kind in ANSWERS {
        words[kind.index()] += gate[ClientWord::answer(kind).index()];
    }
    words[64] += gate[ClientWord::DROPPED.index()];
    for row in shared.all_books.iter().map(|books| &books.clients[client]) {
        for (word, counter) in words.iter_mut().zip(row.received.iter().chain(&row.sent)) {
            *word += counter.read();
        }
        for (at, counter) in [(64, &row.dropped), (65, &row.accepted), (72, &row.sessions)] {
            words[at] += counter.read();
        }
        for (at, sum) in [(66, &row.prizes), (68, &row.packets), (70, &row.shares)] {
            add(&mut words, at, sum);
        }
    }
    let all = |counter: fn(&Books) -> &Counter| -> u64 {
        shared.all_books.iter().map(|books| counter(books).read()).fold(0, u64::wrapping_add)
    };
    let bank = &shared.bank;
    words[80] = bank.issued_fen.read();
    words[81] = all(|books| &books.users_fen);
    words[82] = all(|books| &books.open.fen);
    words[83] = all(|books| &books.campaign_fen).wrapping_add(bank.campaign_fen.read());
    let out = all(|books| &books.transit_out_fen).wrapping_add(bank.transit_out_fen.read());
    let come = all(|books| &books.transit_in_fen).wrapping_add(bank.transit_in_fen.read());
    words[84] = out.wrapping_sub(come);
    for books in &shared.all_books {
        for (at, sum) in [(85, &books.made), (87, &books.taken), (89, &books.refunded), (91, &books.open)] {
            add(&mut words, at, sum);
        }
    }
    words[93] = bank.start.read();
    let mut bytes = [0; 8 * TOTALS_WORDS];
    for (chunk, word) in bytes.chunks_exact_mut(8).zip(words) {
        chunk.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

fn add(words: &mut [u64], at: usize, sum: &Sum) {
    words[at] = words[at].wrapping_add(sum.count.read());
    words[at + 1] = words[at + 1].wrapping_add(sum.fen.read());
}
