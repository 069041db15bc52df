//! One SET: its sessions, its users' accounts, the packets they sent and the prizes that wait for them.
//!
//! Owned by one thread. Other SETs and the bank are reached by notes alone.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::accounts::Accounts;
use super::bank::Winnings;
use super::blocks::Blocks;
use super::board::Board;
use super::ledger::{Account, Sums};
use super::notes::{BANK, Body, Cursors, Note, PrizeNote, Unlanded};
use super::notices::Notices;
use super::packets::Packets;
use super::prizes::Prizes;
use super::slots::{NONE, Slots};
use super::tally::Tally;
use super::telling::News;
use super::{Asked, Config, Now, Outcome, Shared, Transmit};
use crate::key::Key;
use crate::kind::Kind;
use crate::limits::{SET_WIDE_TOLD_PER_SECOND_MAX, SLOT_BITS, SLOTS_PER_SET};
use crate::posting::{Act, Posting, Source, Told};

/// Packets that one visit refunds at most.
const REFUNDS_PER_VISIT: usize = 16;
/// Microseconds between two checks of the sums.
const CHECK_US: u64 = 1_000_000;
/// Every so many checks the accounts are recounted one by one, which reads all of them.
const RECOUNT_EVERY: u64 = 32;

/// One SET.
pub struct Set {
    pub(super) number: u16,
    pub(super) slots: Slots,
    pub(super) accounts: Accounts,
    pub(super) blocks: Blocks,
    pub(super) packets: Packets,
    pub(super) prizes: Prizes,
    pub(super) notices: Notices,
    pub(super) sums: Sums,
    /// Number of the newest posting.
    pub(super) sequence: u64,
    /// What was seen of the notes of others.
    pub(super) cursors: Cursors,
    /// Notes to others that are not known to have arrived.
    pub(super) unlanded: Unlanded,
    /// What happened here in all.
    pub(super) tally: Tally,
    /// What was won here of the newest campaign.
    pub(super) winnings: Winnings,
    idle: Vec<u16>,
    checks: u64,
    check_us: u64,
    /// Packets for all users of the SET that were told of, in the second of `check_us`.
    set_wide_told: u32,
}

impl Set {
    pub(super) fn new(number: u16, config: &Config, key: Key, board: &Arc<Board>) -> Self {
        Self {
            number,
            slots: Slots::new(board.clone(), number, config.idle_us, !config.is_unsealed),
            accounts: Accounts::new(key),
            blocks: Blocks::default(),
            packets: Packets::new(number),
            prizes: Prizes::new(board.clone(), usize::from(number)),
            notices: Notices::default(),
            sums: Sums::default(),
            sequence: 0,
            cursors: Cursors::new(config.sets),
            unlanded: Unlanded::default(),
            tally: Tally::default(),
            winnings: Winnings::default(),
            idle: Vec::new(),
            // The SETs recount in turn, not all in the same second.
            checks: u64::from(number),
            check_us: 0,
            set_wide_told: 0,
        }
    }

    pub(super) fn place_on(&mut self, board: &Arc<Board>) {
        self.slots.place_on(board);
        self.prizes.place_on(board);
    }

    pub(super) fn sums(&self) -> &Sums {
        &self.sums
    }

    /// Reads a word of what a session's datagram will need; see [`Shard::touch`](super::Shard::touch).
    #[inline(always)]
    pub(super) fn touch(&self, session: u32) -> u32 {
        let slot = slot_of(session);
        // A session's first datagram ends the user's old session, which is the account's to say.
        let session = self.slots.fresh_account(slot).map_or(0, |at| self.accounts[at].session);
        self.slots.touch(slot) ^ u32::from(session)
    }

    pub(super) fn receive(
        &mut self,
        asked: &Asked,
        kind: Kind,
        datagram: &[u8],
        shared: &mut Shared,
        tx: &mut impl Transmit,
    ) -> Outcome {
        match kind {
            Kind::Hello => self.hello(asked, datagram, shared, tx),
            Kind::Login => self.log_in(asked, datagram, shared, tx),
            _ => self.session(asked, kind, datagram, shared, tx),
        }
    }

    pub(super) fn note(&mut self, now: Now, note: Note, shared: &mut Shared, tx: &mut impl Transmit) {
        match note.body {
            Body::GrabAsk { .. } => self.grab_asked(&note, now, shared),
            Body::GrabDone { .. } => self.grab_done(&note, now, shared, tx),
            Body::DetailAsk(ref ask) => {
                self.send_page(ask, shared, tx);
                shared.outbox.send_after(&shared.journal, self.heard_of(&note));
            }
            Body::PacketFor { user, packet, sender, fen, at_ms } => {
                if self.cursors.see(note.source) {
                    let told = Told { fen, made_ms: at_ms };
                    self.tell(&News { user, packet, sender, told, source: note.source }, now, shared);
                }
                shared.outbox.send_after(&shared.journal, self.heard_of(&note));
            }
            Body::Heard(source) => {
                shared.outbox.answered();
                self.unlanded.land(source);
            }
            Body::Landed(source) => drop(self.unlanded.land(source)),
            Body::Deposit { user, fen } => self.deposit(user, fen, &note, now, shared),
            Body::Reclaim { user, fen } => self.withdraw(user, fen, &note, now, shared),
            Body::Prize(prize) => self.prize(prize, now, shared),
            Body::CampaignEnd => {
                while let Some(prize) = self.prizes.take() {
                    self.prize_back(prize, shared);
                }
                shared.outbox.send_after(&shared.journal, Note::new(BANK, self.number, Body::CampaignOver));
            }
            Body::DepositDone { .. } | Body::Withdrawn { .. } | Body::PrizeBack(_) | Body::CampaignOver => {
                unreachable!("these go to the bank")
            }
        }
    }

    /// The answer to a note that was heard.
    fn heard_of(&self, note: &Note) -> Note {
        Note::new(note.from, self.number, Body::Heard(note.source))
    }

    /// Writes a posting of this SET; the source of its first note.
    pub(super) fn write(&mut self, shared: &mut Shared, posting: Posting<'_>) -> Source {
        self.sequence += 1;
        shared.journal.write(&Posting { set: self.number, sequence: self.sequence, ..posting });
        Source::new(self.number, self.sequence, 0)
    }

    /// Does what time demands; `true` when a limit of this visit left some of it for the next.
    pub(super) fn tick(&mut self, now: Now, shared: &mut Shared, tx: &mut impl Transmit) -> bool {
        self.end_idle(now, shared);
        let refunds_wait = self.refund_expired(now, shared);
        self.prizes.tick(now.mono_us);
        while let Some(prize) = self.prizes.take_untaken(now.mono_us) {
            self.prize_back(prize, shared);
        }
        let notices_wait = self.send_notices(now, shared, tx);
        if now.mono_us >= self.check_us + CHECK_US {
            self.check_us = now.mono_us;
            self.check(shared);
        }
        refunds_wait || notices_wait
    }

    /// The account of a user, made if the SET has room.
    pub(super) fn account_of(&mut self, user: u64, shared: &Shared) -> Option<u16> {
        let before = self.accounts.len();
        let at = self.accounts.find_or_make(user);
        shared.books.accounts.add((self.accounts.len() - before) as u64);
        at
    }

    /// Forgets an account if it holds nothing.
    pub(super) fn forget(&mut self, account: u16, shared: &Shared) {
        let before = self.accounts.len();
        self.accounts.forget_if_idle(account);
        shared.books.accounts.sub((before - self.accounts.len()) as u64);
    }

    /// Ends a session.
    pub(super) fn close(&mut self, slot: u16, now: Now, shared: &Shared) {
        let at = self.slots.cold(slot).account;
        let client = self.slots.cold(slot).client;
        let account = &mut self.accounts[at];
        if account.session == slot {
            account.session = NONE;
        }
        if account.fresh == slot {
            account.fresh = NONE;
        }
        self.slots.close(slot, now.mono_us);
        shared.books.sessions.sub(1);
        shared.books.set_sessions[self.number].sub(1);
        shared.books.logouts.add(1);
        shared.books.clients[client].sessions.sub(1);
        self.forget(at, shared);
    }

    fn end_idle(&mut self, now: Now, shared: &Shared) {
        let mut idle = core::mem::take(&mut self.idle);
        self.slots.turn(now.mono_us, &mut idle);
        for slot in idle.drain(..) {
            self.close(slot, now, shared);
            shared.books.idle_outs.add(1);
        }
        self.idle = idle;
    }

    fn refund_expired(&mut self, now: Now, shared: &mut Shared) -> bool {
        for _ in 0..REFUNDS_PER_VISIT {
            if !shared.journal.has_room() {
                return true;
            }
            let Some((id, sender, left)) = self.packets.expire(shared.ledger_ms(now.mono_us)) else { return false };
            let fen = *left;
            let at = self.accounts.find(sender).expect("who sent a packet has used a request number, and is kept");
            let account = &mut self.accounts[at];
            self.sums
                .post(Account::Packet(left), Account::User(&mut account.balance), fen)
                .expect("the packet holds what is left of it");
            self.count_refunded(fen, &shared.books);
            let at_ms = now.unix_ms();
            self.write(shared, Posting { debit: id, credit: sender, fen, ..Posting::new(Act::Refunded, at_ms) });
            if !self.tell_refund(at, id, fen, at_ms, now) {
                shared.books.notices_refused.add(1);
            }
        }
        true
    }

    fn prize(&mut self, prize: PrizeNote, now: Now, shared: &mut Shared) {
        self.sums.post(Account::Transit, Account::Campaign, prize.fen).expect("a campaign's budget fits 64 bits");
        if !self.prizes.push(prize, now.mono_us) {
            self.prize_back(prize, shared);
        }
    }

    fn prize_back(&mut self, prize: PrizeNote, shared: &mut Shared) {
        self.sums.post(Account::Campaign, Account::Transit, prize.fen).expect("the prize waited here");
        shared.books.prizes_back.add(prize.fen);
        shared.outbox.send_after(&shared.journal, Note::new(BANK, self.number, Body::PrizeBack(prize)));
    }

    /// Takes one of the second's places for a packet that all users of the SET are told of.
    pub(super) fn may_tell_everyone(&mut self) -> bool {
        self.set_wide_told += 1;
        self.set_wide_told <= SET_WIDE_TOLD_PER_SECOND_MAX
    }

    fn check(&mut self, shared: &Shared) {
        self.set_wide_told = 0;
        assert!(self.sums.balanced(), "SET {}: debits and credits differ: {:?}", self.number, self.sums);
        self.checks += 1;
        if self.checks.is_multiple_of(RECOUNT_EVERY) {
            self.audit();
        }
        shared.books.sums_checked.add(1);
    }

    /// Recounts everything, one by one.
    pub(super) fn audit(&self) {
        let held = (self.accounts.total_fen(), self.packets.total_fen(), self.prizes.total_fen());
        let kept = (self.sums.users, self.sums.packets, self.sums.campaign);
        assert_eq!(held, kept, "SET {}: users, packets and prizes hold other sums than the ledger", self.number);
        assert!(self.sums.balanced(), "SET {}: debits and credits differ: {:?}", self.number, self.sums);
    }

    /// The slot of a session id, if that session is up.
    #[inline(always)]
    pub(super) fn up(&self, session: u32) -> Option<u16> {
        let slot = slot_of(session);
        self.slots.entry(slot).status().is_of(session).then_some(slot)
    }

    /// The session id of a slot.
    #[inline(always)]
    pub(super) fn session_of(&self, slot: u16) -> u32 {
        self.slots.session_of(slot)
    }
}

#[inline(always)]
fn slot_of(session: u32) -> u16 {
    ((session & ((1 << SLOT_BITS) - 1)) % SLOTS_PER_SET as u32) as u16
}
