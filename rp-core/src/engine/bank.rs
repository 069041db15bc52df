//! The bank: where money is issued, and campaigns release their prizes evenly in time.
//!
//! Sans I/O like the SETs, reached by notes like them, and with postings of its own; it runs beside the workers, on no core
//! that answers shakes. What it has out is bounded, so the ring back to it never overflows. Prizes on their way are no
//! postings: what nobody won when the server stops is in the campaign's account still.

mod orders;
mod restore;
mod standing;

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use rand_chacha::ChaCha12Rng;
use rand_core::SeedableRng;

use super::Now;
use super::board::Board;
pub use super::books::BankBooks;
use super::books::Books;
use super::campaign::Campaign;
pub use super::campaign::{Plan, PlanError};
use super::journal::Journal;
use super::notes::{BANK, Body, Cursors, Note, Outbox, PrizeNote, Unlanded};
use crate::key::sip;
use crate::limits::SETS_MAX;
use crate::posting::{Act, Planned, Posting, Source};
use crate::steer::set_of_user;
use orders::Orders;
pub use orders::{ORDERS_KEPT, OrderError, Progress};
pub use restore::Winnings;
pub use standing::{Running, Standing};

/// Prizes that may be at the SETs, untaken.
pub const PRIZES_OUT_MAX: u64 = 16_384;
/// Deposits and withdrawals that may be on their way.
pub const DEPOSITS_OUT_MAX: usize = 2048;
/// Notes between the bank and one worker, each way: all that can be out and its answers, and the end of a campaign for each
/// SET.
pub const RING_SLOTS: usize = PRIZES_OUT_MAX as usize + 2 * DEPOSITS_OUT_MAX + SETS_MAX;
/// Seconds without a shake after which a SET gets no prize that another gave back.
const ACTIVE_S: u64 = 2;

/// The bank.
pub struct Bank {
    sets: u32,
    books: Arc<BankBooks>,
    set_books: Vec<Arc<Books>>,
    board: Arc<Board>,
    rng: ChaCha12Rng,
    journal: Journal,
    outbox: Outbox,
    sequence: u64,
    cursors: Cursors,
    unlanded: Unlanded,
    campaign: Option<Campaign>,
    /// The number of the newest campaign in the ledger, and what the next one's is above at least.
    campaigns: u32,
    numbers_from: u32,
    /// Budgets of all campaigns, less what nobody won of those that are over.
    budgets_fen: u64,
    next_set: u32,
    back: VecDeque<PrizeNote>,
    orders: Orders,
    /// Deposits and withdrawals on their way.
    out: usize,
    /// Prizes that came back, and those of them that were sent again.
    came_back: u64,
    moved: u64,
    /// The campaign is of an earlier life: what was due before the first beat of this one is not released at once.
    is_resumed: bool,
    /// SETs that have not yet said that the campaign is over there.
    recalled: u32,
    /// What the campaign that closed last gave back.
    closed_fen: u64,
}

impl Bank {
    /// A bank that has issued nothing. Campaign numbers start at `unix_s`, so that no two runs of a server share one.
    pub fn new(
        sets: u32,
        books: Arc<BankBooks>,
        set_books: Vec<Arc<Books>>,
        board: Arc<Board>,
        seed: [u8; 32],
        unix_s: u32,
    ) -> Self {
        let half = seed.first_chunk().expect("it is longer");
        books.start.set(sip(half, b"start"));
        Self {
            sets,
            books,
            set_books,
            board,
            rng: ChaCha12Rng::from_seed(seed),
            journal: Journal::default(),
            outbox: Outbox::default(),
            sequence: 0,
            cursors: Cursors::new(sets),
            unlanded: Unlanded::default(),
            campaign: None,
            campaigns: 0,
            numbers_from: unix_s,
            budgets_fen: 0,
            next_set: 0,
            back: VecDeque::new(),
            orders: Orders::default(),
            out: 0,
            came_back: 0,
            moved: 0,
            is_resumed: false,
            recalled: 0,
            closed_fen: 0,
        }
    }

    /// Starts a campaign; its number.
    ///
    /// # Errors
    /// [`PlanError`], and nothing has changed.
    pub fn start(&mut self, plan: Plan, now: Now) -> Result<u32, PlanError> {
        if self.campaign.is_some() {
            return Err(PlanError::Running);
        }
        plan.check()?;
        if !self.may_issue(plan.budget_fen) {
            return Err(PlanError::TooLarge);
        }
        let number = self.campaigns.max(self.numbers_from) + 1;
        self.campaigns = number;
        let mut tail = [0; Planned::LEN];
        plan.planned().put(&mut tail);
        let base = Posting { credit: number.into(), fen: plan.budget_fen, ..Posting::new(Act::Started, now.unix_ms()) };
        self.write(Posting { tail: &tail, ..base });
        self.books.issued_fen.add(plan.budget_fen);
        self.books.campaign_fen.add(plan.budget_fen);
        self.budgets_fen = self.budgets_fen.wrapping_add(plan.budget_fen);
        self.books.campaign.set(number.into());
        self.campaign = Some(Campaign::new(plan, number, 0, now.mono_us, &mut self.rng));
        Ok(number)
    }

    /// Can so much more money be counted?
    pub fn may_issue(&self, fen: u64) -> bool {
        self.books.issued_fen.read().checked_add(fen).is_some_and(|fen| fen <= i64::MAX as u64)
    }

    /// Stops the campaign: nothing more is released, the SETs give back what waits, and once all of it is here the rest is
    /// no longer issued. `None` when none runs.
    pub fn stop(&mut self, now: Now) -> Option<u32> {
        let campaign = self.campaign.as_mut().filter(|campaign| !campaign.is_stopped)?;
        campaign.is_stopped = true;
        let number = campaign.number;
        self.write(Posting { debit: number.into(), ..Posting::new(Act::Stopped, now.unix_ms()) });
        self.recall();
        Some(number)
    }

    /// Asks every SET for the prizes that wait there.
    fn recall(&mut self) {
        self.recalled = self.sets;
        for set in 0..self.sets {
            self.outbox.send_after(&self.journal, Note::new(set as u16, BANK, Body::CampaignEnd));
        }
    }

    /// The campaign, its plan with what is left of its budget, and the prizes released so far; stopped ones until all that
    /// was out is back.
    pub fn campaign(&self) -> Option<(u32, Plan, u32)> {
        self.campaign.as_ref().map(|campaign| (campaign.number, campaign.plan, campaign.drawn))
    }

    /// Takes up an order of the operator's, which each deposit and withdrawal from here on is of, with users in rising order;
    /// how far it is. Numbers are above 0, and the hash is of all that makes it this order.
    ///
    /// # Errors
    /// [`OrderError`], and nothing has changed.
    ///
    /// # Panics
    /// When something is on its way: it would be counted in this order.
    pub fn take_up(&mut self, number: u64, hash: u64) -> Result<Progress, OrderError> {
        assert_eq!(self.out, 0, "an order begins when nothing of another is on its way");
        self.orders.take_up(number, hash)
    }

    /// How far the order that was taken up last is.
    pub fn progress(&self) -> Progress {
        self.orders.progress()
    }

    /// Issues money to a user; `false` when too much is on its way, or the money would not be countable.
    pub fn deposit(&mut self, user: u64, fen: u64, now: Now) -> bool {
        let issued = self.books.issued_fen.read().checked_add(fen);
        if self.out >= DEPOSITS_OUT_MAX || issued.is_none_or(|fen| fen > i64::MAX as u64) {
            return false;
        }
        self.books.issued_fen.add(fen);
        self.books.transit_out_fen.add(fen);
        let source = self.write(Posting { credit: user, fen, ..self.of_order(Act::Minted, now) });
        self.ask(user, Body::Deposit { user, fen }, source);
        true
    }

    /// Asks a user for money back; `false` when too much is on its way.
    pub fn withdraw(&mut self, user: u64, fen: u64, now: Now) -> bool {
        if self.out >= DEPOSITS_OUT_MAX {
            return false;
        }
        let source = self.write(Posting { credit: user, about: fen, ..self.of_order(Act::Reclaimed, now) });
        self.ask(user, Body::Reclaim { user, fen }, source);
        true
    }

    fn ask(&mut self, user: u64, body: Body, source: Source) {
        self.out += 1;
        let note = Note { to: set_of_user(user, self.sets) as u16, from: BANK, source, body };
        self.unlanded.push(note.clone());
        self.outbox.send_after(&self.journal, note);
    }

    /// Deposits and withdrawals on their way.
    pub fn out(&self) -> usize {
        self.out
    }

    /// Handles a note from a SET.
    pub fn receive(&mut self, note: Note, now: Now) {
        match note.body {
            Body::DepositDone { user, back_fen, of } => {
                self.answered(of);
                if back_fen == 0 {
                    self.books.deposits.count.add(1);
                } else {
                    self.redeem(&note, user, back_fen, now);
                    self.books.deposits_back.add(back_fen);
                }
            }
            Body::Withdrawn { user, fen, of } => {
                self.answered(of);
                self.redeem(&note, user, fen, now);
                if fen > 0 {
                    self.books.reclaimed.add(fen);
                } else {
                    self.books.uncovered.add(1);
                }
            }
            Body::PrizeBack(prize) => {
                self.came_back += 1;
                self.books.transit_in_fen.add(prize.fen);
                self.books.campaign_fen.add(prize.fen);
                self.back.push_back(prize);
            }
            Body::CampaignOver => {
                self.recalled -= 1;
                self.close(now);
            }
            other => unreachable!("SETs send nothing else to the bank: {other:?}"),
        }
    }

    /// An ask was answered; sent again after a crash, it may be answered twice.
    fn answered(&mut self, of: Source) {
        if self.unlanded.land(of) {
            self.out -= 1;
        }
    }

    /// Takes money that came back out of the world.
    fn redeem(&mut self, note: &Note, user: u64, fen: u64, now: Now) {
        if self.cursors.see(note.source) {
            self.books.transit_in_fen.add(fen);
            self.books.issued_fen.sub(fen);
            let source = note.source;
            self.write(Posting { debit: user, fen, source, ..self.of_order(Act::Redeemed, now) });
        }
        self.outbox.send_after(&self.journal, Note::new(note.from, BANK, Body::Landed(note.source)));
    }

    /// Releases the prizes that are due, and moves those that came back to SETs where people shake.
    pub fn tick(&mut self, now: Now) {
        let Some(campaign) = self.campaign.as_mut().filter(|campaign| !campaign.is_stopped) else { return };
        if core::mem::take(&mut self.is_resumed) {
            campaign.wait(now.mono_us);
        }
        let mut room = PRIZES_OUT_MAX.saturating_sub(out_of(&self.books, &self.set_books, self.moved, self.came_back));
        while room > 0 && !self.back.is_empty() {
            let Some(set) = next_active(&self.board, &mut self.next_set, self.sets, now) else { break };
            let prize = self.back.pop_front().expect("it is not empty");
            self.moved += 1;
            send(&self.books, &mut self.outbox, &self.journal, set, prize);
            room -= 1;
        }
        // What came back and found no SET to go to is out as well: else a campaign for nobody would grow without end.
        room = room.saturating_sub(self.back.len() as u64);
        if room == 0 {
            campaign.wait(now.mono_us);
        }
        while room > 0
            && let Some(prize) = campaign.draw(now.mono_us, &mut self.rng)
        {
            self.books.released.add(prize.fen);
            let set = self.next_set;
            self.next_set = (set + 1) % self.sets;
            send(&self.books, &mut self.outbox, &self.journal, set, prize);
            room -= 1;
        }
    }

    /// Ends a stopped campaign once every SET has said that nothing of it is left there; whatever was won is on disk then.
    fn close(&mut self, now: Now) {
        if self.recalled > 0 {
            return;
        }
        let Some(campaign) = self.campaign.take_if(|campaign| campaign.is_stopped) else { return };
        let mut fen = campaign.plan.budget_fen;
        while let Some(prize) = self.back.pop_front() {
            self.books.withdrawn.add(prize.fen);
            fen += prize.fen;
        }
        self.closed_fen = fen;
        self.books.campaign.set(0);
        self.budgets_fen = self.budgets_fen.wrapping_sub(fen);
        self.books.campaign_fen.sub(fen);
        self.books.issued_fen.sub(fen);
        self.write(Posting { debit: campaign.number.into(), fen, ..Posting::new(Act::Closed, now.unix_ms()) });
    }

    /// A posting of the order at work.
    fn of_order(&self, act: Act, now: Now) -> Posting<'static> {
        let (request, hash) = self.orders.current();
        Posting { request, hash, ..Posting::new(act, now.unix_ms()) }
    }

    fn write(&mut self, posting: Posting<'_>) -> Source {
        self.orders.book(&posting).expect("whoever gives an order goes on behind its last user");
        self.sequence += 1;
        self.journal.write(&Posting { set: BANK, sequence: self.sequence, ..posting });
        self.journal.end_event();
        Source::new(BANK, self.sequence, 0)
    }

    /// What it counted.
    pub fn books(&self) -> &BankBooks {
        &self.books
    }

    /// Serves the SETs of this board.
    pub fn place_on(&mut self, board: &Arc<Board>) {
        self.board = board.clone();
    }

    /// Is everything it wrote on disk, every user's answer here, and no note left to carry?
    pub fn is_at_rest(&self) -> bool {
        self.out == 0 && self.journal.is_durable() && self.outbox.is_at_rest()
    }

    /// The journal, whose bytes the caller carries to the ledger.
    pub fn journal(&mut self) -> &mut Journal {
        &mut self.journal
    }

    /// The next note to carry.
    pub fn pop_note(&mut self) -> Option<Note> {
        self.outbox.pop(&self.journal)
    }

    /// Puts a note back that its ring had no room for.
    pub fn unpop_note(&mut self, note: Note) {
        self.outbox.unpop(note);
    }
}

/// Prizes at the SETs, or on their way there or back.
fn out_of(books: &BankBooks, set_books: &[Arc<Books>], moved: u64, came_back: u64) -> u64 {
    let won: u64 = set_books.iter().map(|books| books.prizes.count.read()).sum();
    books.released.count.read() + moved - won - came_back
}

fn send(books: &BankBooks, outbox: &mut Outbox, journal: &Journal, set: u32, prize: PrizeNote) {
    books.campaign_fen.sub(prize.fen);
    books.transit_out_fen.add(prize.fen);
    outbox.send_after(journal, Note::new(set as u16, BANK, Body::Prize(prize)));
}

/// The next SET, round robin, in which somebody shook lately.
fn next_active(board: &Board, next_set: &mut u32, sets: u32, now: Now) -> Option<u32> {
    let is_active = |set: u32| board.pot(set as usize).shaken_s() + ACTIVE_S >= u64::from(now.unix_s());
    let found = (0..sets).map(|step| (*next_set + step) % sets).find(|set| is_active(*set))?;
    *next_set = (found + 1) % sets;
    Some(found)
}
