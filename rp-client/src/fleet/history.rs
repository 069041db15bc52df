//! HISTORY: now and then a user whose packet was just made reads whether his history has it, as he sent it.

use rp_core::posting::Act;
use rp_core::wire::{HistoryPage, HistoryRow, Sent, TRAILER};

use super::money::What;
use super::{Fleet, Outbox};
use crate::books::Discard;

/// One packet in so many is looked for in its sender's history, by its number in its SET.
const LOOKED_FOR_ONE_IN: u64 = 16;

impl Fleet {
    /// A packet was made.
    pub(super) fn look_for(&mut self, index: u32, sent: &Sent, fen: u64, now_us: u64, out: &mut impl Outbox) {
        if (sent.packet >> 16).is_multiple_of(LOOKED_FOR_ONE_IN) {
            self.begin_money(index, What::History { packet: sent.packet, fen }, now_us, self.phase, now_us, out);
        }
    }

    pub(super) fn on_history(
        &mut self,
        index: u32,
        now_us: u64,
        bytes: &[u8],
        out: &mut impl Outbox,
    ) -> Result<(), Discard> {
        let page = HistoryPage::take(bytes).ok_or(Discard::BadLength)?;
        let count = usize::from(page.count);
        if bytes.len() != HistoryPage::LEN + HistoryRow::LEN * count + TRAILER {
            return Err(Discard::BadLength);
        }
        let Some(number) = self.find_money(index, page.request) else { return self.stray() };
        let request = *self.money.value(number);
        let What::History { packet, fen } = request.what else { return Err(Discard::BadField) };
        let mut rows = bytes[HistoryPage::LEN..].chunks_exact(HistoryRow::LEN).take(count).filter_map(HistoryRow::take);
        let is_true = match rows.find(|row| row.act == Act::Sent as u8 && row.about == packet) {
            Some(row) => row.fen == fen,
            // What came after it may fill the page, or more files than the server looks into for one.
            None => page.next != 0,
        };
        self.books.false_histories += u64::from(!is_true);
        self.records[usize::from(request.phase)].histories.answered += 1;
        self.end_money(number, now_us, out);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rp_core::limits::DATAGRAM_MAX;

    use super::super::alone::alone;
    use super::*;

    #[test]
    fn a_page_without_the_packet_is_false_only_when_nothing_older_is_at_hand() {
        let (mut fleet, mut out) = alone();
        for (request, next, falses) in [(1, 5, 0), (2, 0, 1)] {
            fleet.begin_money(0, What::History { packet: 9, fen: 5 }, 0, 0, 0, &mut out);
            let mut bytes = [0; DATAGRAM_MAX];
            let len = HistoryPage { flags: 0, session: 0, counter: 1, request, next, count: 0 }.put(&mut bytes);
            assert_eq!(fleet.on_history(0, 0, &bytes[..len + TRAILER], &mut out), Ok(()));
            assert_eq!((fleet.books.false_histories, fleet.outstanding()), (falses, 0), "next {next}");
        }
    }
}
