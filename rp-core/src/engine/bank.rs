//! The bank: where money is issued, and campaigns release their prizes evenly in time.
//!
//! Sans I/O like the SETs, and reached by notes like them; it runs beside the workers, on no core that answers shakes. What
//! it has out is bounded, so the ring back to it never overflows.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use rand_chacha::ChaCha12Rng;
use rand_core::SeedableRng;

use super::board::Board;
use super::books::{Books, Counter, Sum};
use super::notes::{BANK, Body, Note, PrizeNote};
use super::split::below;
use crate::limits::SETS_MAX;
use crate::steer::set_of_user;

/// Prizes that may be at the SETs, untaken.
pub const PRIZES_OUT_MAX: u64 = 16_384;
/// Deposits that may be on their way.
pub const DEPOSITS_OUT_MAX: usize = 2048;
/// Notes between the bank and one worker, each way: all that can be out, and the end of a campaign for each SET.
pub const RING_SLOTS: usize = PRIZES_OUT_MAX as usize + DEPOSITS_OUT_MAX + SETS_MAX;
/// Seconds without a shake after which a SET gets no prize that another gave back.
const ACTIVE_S: u64 = 2;

/// What the bank counted; written by the bank alone.
#[derive(Default)]
pub struct BankBooks {
    /// Money issued, less what came back for good.
    pub issued_fen: Counter,
    /// Budgets not yet released.
    pub campaign_fen: Counter,
    /// Money sent to SETs, in all.
    pub transit_out_fen: Counter,
    /// Money come from SETs, in all.
    pub transit_in_fen: Counter,
    /// Prizes released, each counted once however often it is moved.
    pub released: Sum,
    /// Of them those that nobody had won when their campaign ended.
    pub withdrawn: Sum,
    /// Deposits booked.
    pub deposits: Sum,
    /// Deposits that a full SET sent back.
    pub deposits_back: Sum,
    /// The running campaign's number; 0: none.
    pub campaign: Counter,
}

/// A campaign as it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Money that may be given out.
    pub budget_fen: u64,
    /// Prizes per second.
    pub rate: u32,
    /// Smallest prize.
    pub from_fen: u64,
    /// Largest prize.
    pub to_fen: u64,
    /// Prizes that one user may win.
    pub per_user: u8,
}

/// Why a campaign does not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanError {
    /// One is running.
    Running,
    /// Rate, amounts or prizes per user are zero, or the smallest prize is above the largest, or the budget below it.
    Empty,
    /// More prizes per second than can be released, or more money than 64 bits count.
    TooLarge,
}

struct Campaign {
    plan: Plan,
    number: u32,
    started_us: u64,
    released: u32,
    due_us: u64,
}

/// The bank.
pub struct Bank {
    sets: u32,
    books: Arc<BankBooks>,
    set_books: Vec<Arc<Books>>,
    board: Arc<Board>,
    rng: ChaCha12Rng,
    campaign: Option<Campaign>,
    campaigns: u32,
    next_set: u32,
    back: VecDeque<PrizeNote>,
    deposits_out: usize,
    came_back: u64,
    moved: u64,
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
        Self {
            sets,
            books,
            set_books,
            board,
            rng: ChaCha12Rng::from_seed(seed),
            campaign: None,
            campaigns: unix_s,
            next_set: 0,
            back: VecDeque::new(),
            deposits_out: 0,
            came_back: 0,
            moved: 0,
        }
    }

    /// Starts a campaign; its number.
    ///
    /// # Errors
    /// [`PlanError`], and nothing has changed.
    pub fn start(&mut self, plan: Plan, now_us: u64) -> Result<u32, PlanError> {
        if self.campaign.is_some() {
            return Err(PlanError::Running);
        }
        let Plan { budget_fen, rate, from_fen, to_fen, per_user } = plan;
        if rate == 0 || from_fen == 0 || from_fen > to_fen || budget_fen < from_fen || per_user == 0 {
            return Err(PlanError::Empty);
        }
        let issued = self.books.issued_fen.read().checked_add(budget_fen);
        if rate > 1_000_000 || issued.is_none_or(|fen| fen > i64::MAX as u64) {
            return Err(PlanError::TooLarge);
        }
        self.campaigns += 1;
        self.books.issued_fen.add(budget_fen);
        self.books.campaign_fen.add(budget_fen);
        self.books.campaign.set(u64::from(self.campaigns));
        let mut campaign = Campaign { plan, number: self.campaigns, started_us: now_us, released: 0, due_us: 0 };
        campaign.due_us = campaign.next_due_us(&mut self.rng);
        self.campaign = Some(campaign);
        Ok(self.campaigns)
    }

    /// Stops the campaign: the unreleased rest is no longer issued, and the SETs give back what waits.
    pub fn stop(&mut self, out: &mut Vec<Note>) -> Option<u32> {
        let campaign = self.campaign.take()?;
        self.books.campaign.set(0);
        self.unissue(campaign.plan.budget_fen);
        while let Some(prize) = self.back.pop_front() {
            self.withdraw(prize);
        }
        out.extend((0..self.sets).map(|set| Note { to: set as u16, from: BANK, body: Body::CampaignEnd }));
        Some(campaign.number)
    }

    /// The running campaign, what is left of its budget, and the prizes released so far.
    pub fn campaign(&self) -> Option<(u32, Plan, u32)> {
        self.campaign.as_ref().map(|campaign| (campaign.number, campaign.plan, campaign.released))
    }

    /// Issues money to a user; `false` when too many deposits are on their way, or the money would not be countable.
    pub fn deposit(&mut self, user: u64, fen: u64, out: &mut Vec<Note>) -> bool {
        let issued = self.books.issued_fen.read().checked_add(fen);
        if self.deposits_out >= DEPOSITS_OUT_MAX || issued.is_none_or(|fen| fen > i64::MAX as u64) {
            return false;
        }
        self.deposits_out += 1;
        self.books.issued_fen.add(fen);
        self.books.transit_out_fen.add(fen);
        let to = set_of_user(user, self.sets) as u16;
        out.push(Note { to, from: BANK, body: Body::Deposit { user, fen } });
        true
    }

    /// Deposits on their way.
    pub fn deposits_out(&self) -> usize {
        self.deposits_out
    }

    /// Handles a note from a SET.
    pub fn receive(&mut self, note: Note) {
        match note.body {
            Body::DepositDone { back_fen } => {
                self.deposits_out -= 1;
                if back_fen == 0 {
                    self.books.deposits.count.add(1);
                } else {
                    self.books.transit_in_fen.add(back_fen);
                    self.books.issued_fen.sub(back_fen);
                    self.books.deposits_back.add(back_fen);
                }
            }
            Body::PrizeBack(prize) => {
                self.came_back += 1;
                self.books.transit_in_fen.add(prize.fen);
                self.books.campaign_fen.add(prize.fen);
                if self.campaign.as_ref().is_some_and(|campaign| campaign.number == prize.campaign) {
                    self.back.push_back(prize);
                } else {
                    self.withdraw(prize);
                }
            }
            other => unreachable!("SETs send nothing else to the bank: {other:?}"),
        }
    }

    /// Releases the prizes that are due, and moves those that came back to SETs where people shake.
    pub fn tick(&mut self, now_us: u64, unix_s: u32, out: &mut Vec<Note>) {
        let won: u64 = self.set_books.iter().map(|books| books.prizes.count.read()).sum();
        let mut room = PRIZES_OUT_MAX.saturating_sub(self.released() + self.moved - won - self.came_back);
        while room > 0 && !self.back.is_empty() {
            let Some(set) = self.next_active(u64::from(unix_s)) else { break };
            let prize = self.back.pop_front().expect("it is not empty");
            self.moved += 1;
            self.send(set, prize, out);
            room -= 1;
        }
        // What came back and found no SET to go to is out as well: else a campaign for nobody would grow without end.
        room = room.saturating_sub(self.back.len() as u64);
        if room == 0
            && let Some(campaign) = &mut self.campaign
        {
            campaign.wait(now_us);
        }
        while room > 0 {
            let Some(campaign) = self.campaign.as_mut().filter(|c| c.due_us <= now_us) else { return };
            let Some(fen) = campaign.draw_fen(&mut self.rng) else { return };
            let prize = PrizeNote {
                campaign: campaign.number,
                number: campaign.released,
                fen,
                per_user: campaign.plan.per_user,
            };
            campaign.released += 1;
            campaign.due_us = campaign.next_due_us(&mut self.rng);
            self.books.released.add(fen);
            let set = self.next_set;
            self.next_set = (set + 1) % self.sets;
            self.send(set, prize, out);
            room -= 1;
        }
    }

    fn released(&self) -> u64 {
        self.books.released.count.read()
    }

    fn send(&mut self, set: u32, prize: PrizeNote, out: &mut Vec<Note>) {
        self.books.campaign_fen.sub(prize.fen);
        self.books.transit_out_fen.add(prize.fen);
        out.push(Note { to: set as u16, from: BANK, body: Body::Prize(prize) });
    }

    /// The next SET, round robin, in which somebody shook lately.
    fn next_active(&mut self, unix_s: u64) -> Option<u32> {
        let is_active = |set: u32| self.board.pot(set as usize).shaken_s() + ACTIVE_S >= unix_s;
        let found = (0..self.sets).map(|step| (self.next_set + step) % self.sets).find(|set| is_active(*set))?;
        self.next_set = (found + 1) % self.sets;
        Some(found)
    }

    fn withdraw(&mut self, prize: PrizeNote) {
        self.books.withdrawn.add(prize.fen);
        self.unissue(prize.fen);
    }

    fn unissue(&mut self, fen: u64) {
        self.books.campaign_fen.sub(fen);
        self.books.issued_fen.sub(fen);
    }
}

impl Campaign {
    /// Prize `n` is due inside the n-th part of the time, at a place nobody can foresee.
    fn next_due_us(&self, rng: &mut ChaCha12Rng) -> u64 {
        let parts_us = u64::from(self.released) * 1_000_000 + below(1_000_000, rng);
        self.started_us + parts_us / u64::from(self.plan.rate)
    }

    /// Nothing can leave at `now_us`: that time does not count, so that no flood follows it.
    fn wait(&mut self, now_us: u64) {
        let late_us = now_us.saturating_sub(self.due_us);
        self.started_us += late_us;
        self.due_us += late_us;
    }

    /// The next prize, out of the budget; `None` when that, or the numbers for prizes, are spent.
    fn draw_fen(&mut self, rng: &mut ChaCha12Rng) -> Option<u64> {
        let Plan { from_fen, to_fen, budget_fen, .. } = self.plan;
        if budget_fen < from_fen || self.released == u32::MAX {
            return None;
        }
        let fen = (from_fen + below(to_fen - from_fen + 1, rng)).min(budget_fen);
        self.plan.budget_fen -= fen;
        Some(fen)
    }
}
