//! What the one user asks of his money: SEND, GRAB, DETAIL, BALANCE and HISTORY, each under a request number until it is
//! answered for good.

use rp_core::kind::Kind;
use rp_core::wire::{
    Balance, BalanceIs, Detail, DetailPage, Grab, Grabbed, History, HistoryPage, HistoryRow, Refusal, Refused, Send,
    SendView, Sent, ShareRow, TRAILER,
};
use std::time::Duration;

use super::trouble::{Asked, Trouble};
use super::{BUSY_MAX, One, random};

/// A packet in all its pages.
#[derive(Clone, Debug)]
pub struct PacketDetail {
    /// The head of its first page.
    pub page: DetailPage,
    /// Shares taken, in order.
    pub rows: Vec<ShareRow>,
    /// What its sender wrote on it.
    pub greeting: String,
}

/// What a packet is made of, but for its recipients and words.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct Terms {
    pub fen: u64,
    pub shares: u8,
    pub split: u8,
    pub audience: u8,
    pub set: u16,
}

impl One {
    /// A new request number, unless an old one is named.
    fn number(&mut self, repeated: Option<u64>) -> u64 {
        repeated.unwrap_or_else(|| {
            self.request += 1;
            self.request
        })
    }

    /// Makes a packet; its number, and the request's.
    ///
    /// # Errors
    /// Refused, or no answer.
    pub fn send(
        &mut self,
        terms: Terms,
        to: &[u64],
        greeting: &str,
        repeated: Option<u64>,
    ) -> Result<(Sent, u64), Trouble> {
        let request = self.number(repeated);
        let bytes = self.by_request(Kind::Send, Kind::Sent, request, |session, counter, out| {
            let fields = Send {
                flags: 0,
                session,
                counter,
                request,
                total_fen: terms.fen,
                split: terms.split,
                audience: terms.audience,
                shares: terms.shares,
                recipients: 0,
                set: terms.set,
                greeting_len: 0,
                reserved: 0,
            };
            SendView::put(fields, to, greeting, out)
        })?;
        Sent::take(&bytes).map(|sent| (sent, request)).ok_or_else(Trouble::false_answer)
    }

    /// Takes a share of a packet.
    ///
    /// # Errors
    /// Refused, or no answer.
    pub fn grab(&mut self, packet: u64, repeated: Option<u64>) -> Result<(Grabbed, u64), Trouble> {
        let request = self.number(repeated);
        let put = |session, counter, out: &mut [u8]| Grab { flags: 0, session, counter, request, packet }.put(out);
        let bytes = self.by_request(Kind::Grab, Kind::Grabbed, request, put)?;
        Grabbed::take(&bytes).map(|grabbed| (grabbed, request)).ok_or_else(Trouble::false_answer)
    }

    /// Who took what of a packet, page by page.
    ///
    /// # Errors
    /// Refused, or no answer.
    pub fn detail(&mut self, packet: u64) -> Result<PacketDetail, Trouble> {
        let mut detail = self.detail_page(packet, 0)?;
        while detail.rows.len() < usize::from(detail.page.taken) {
            let next = self.detail_page(packet, detail.rows.len() as u8)?;
            if next.rows.is_empty() {
                break;
            }
            detail.rows.extend(next.rows);
        }
        Ok(detail)
    }

    fn detail_page(&mut self, packet: u64, first: u8) -> Result<PacketDetail, Trouble> {
        let request = random()?;
        let put =
            |session, counter, out: &mut [u8]| Detail { flags: 0, session, counter, request, packet, first }.put(out);
        let bytes = self.by_request(Kind::Detail, Kind::DetailPage, request, put)?;
        let page = DetailPage::take(&bytes).ok_or_else(Trouble::false_answer)?;
        let tail = bytes.get(DetailPage::LEN..bytes.len() - TRAILER).ok_or_else(Trouble::false_answer)?;
        let rows_len = ShareRow::LEN * usize::from(page.count);
        let (rows, greeting) = tail.split_at_checked(rows_len).ok_or_else(Trouble::false_answer)?;
        let rows = rows.chunks_exact(ShareRow::LEN).filter_map(ShareRow::take).collect();
        Ok(PacketDetail { page, rows, greeting: String::from_utf8_lossy(greeting).into_owned() })
    }

    /// How much the user has.
    ///
    /// # Errors
    /// Refused, or no answer.
    pub fn balance(&mut self) -> Result<u64, Trouble> {
        let request = random()?;
        let put = |session, counter, out: &mut [u8]| Balance { flags: 0, session, counter, request }.put(out);
        let bytes = self.by_request(Kind::Balance, Kind::BalanceIs, request, put)?;
        BalanceIs::take(&bytes).map(|is| is.balance_fen).ok_or_else(Trouble::false_answer)
    }

    /// What moved the user's money, newest first: as many rows as are wanted of those that are, page by page.
    ///
    /// # Errors
    /// Refused, or no answer.
    pub fn history(&mut self, most: usize, is_wanted: impl Fn(u8) -> bool) -> Result<Vec<HistoryRow>, Trouble> {
        let (mut found, mut before) = (Vec::new(), 0);
        loop {
            let request = random()?;
            let put =
                |session, counter, out: &mut [u8]| History { flags: 0, session, counter, request, before }.put(out);
            let bytes = self.by_request(Kind::History, Kind::HistoryPage, request, put)?;
            let page = HistoryPage::take(&bytes).ok_or_else(Trouble::false_answer)?;
            let tail = bytes.get(HistoryPage::LEN..bytes.len() - TRAILER).ok_or_else(Trouble::false_answer)?;
            let rows = tail.chunks_exact(HistoryRow::LEN).take(page.count.into()).filter_map(HistoryRow::take);
            found.extend(rows.filter(|row| is_wanted(row.act)));
            if page.next == 0 || found.len() >= most {
                found.truncate(most);
                return Ok(found);
            }
            before = page.next;
        }
    }

    /// Asks under a request number until it is answered for good; a session that is lost meanwhile is made anew once, and
    /// the number outlives it.
    fn by_request(
        &mut self,
        kind: Kind,
        answer: Kind,
        request: u64,
        put: impl Fn(u32, u64, &mut [u8]) -> usize,
    ) -> Result<Vec<u8>, Trouble> {
        let (mut busy, mut lost) = (0, 0);
        // It may have been carried out all the same.
        let numbered =
            |trouble: Trouble| if matches!(kind, Kind::Send | Kind::Grab) { trouble.of(request) } else { trouble };
        loop {
            let asked = self.ask(
                Asked::Of(kind),
                |one| one.write_money(&put),
                |heard| {
                    let number =
                        heard.bytes().get(14..22).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes);
                    number == Some(request) && (heard.kind == answer || heard.kind == Kind::Refused)
                },
            );
            let heard = match asked {
                Err(Trouble::SessionLost { .. }) if lost == 0 => {
                    lost += 1;
                    self.log_in().map_err(numbered)?;
                    continue;
                }
                other => other.map_err(numbered)?,
            };
            if heard.kind == answer {
                return Ok(heard.bytes().to_vec());
            }
            let refused = Refused::take(heard.bytes()).ok_or_else(Trouble::false_answer)?;
            busy += 1;
            if refused.refusal != Refusal::Busy as u8 || busy >= BUSY_MAX {
                return Err(Trouble::of_refusal(refused.refusal, kind, refused.share_fen));
            }
            self.listen(Duration::from_millis(refused.retry_after_ms.into()))?;
        }
    }
}
