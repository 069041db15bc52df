//! One campaign: a budget whose prizes are due evenly in time, each at a place inside its part that nobody can foresee.

use rand_chacha::ChaCha12Rng;

use super::notes::PrizeNote;
use super::split::below;
use crate::posting::Planned;

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

/// A campaign that runs, or that has been stopped and waits for what is out.
pub(super) struct Campaign {
    /// Its budget is what was not drawn yet.
    pub plan: Plan,
    /// What it began with.
    pub budget_fen: u64,
    pub number: u32,
    /// No more prizes leave.
    pub is_stopped: bool,
    started_us: u64,
    /// Prizes drawn, and those of them that the due times count from.
    pub drawn: u32,
    drawn_before: u32,
    due_us: u64,
}

impl Plan {
    /// Can it be run at all?
    ///
    /// # Errors
    /// [`PlanError`].
    pub fn check(&self) -> Result<(), PlanError> {
        let Plan { budget_fen, rate, from_fen, to_fen, per_user } = *self;
        if rate == 0 || from_fen == 0 || from_fen > to_fen || budget_fen < from_fen || per_user == 0 {
            return Err(PlanError::Empty);
        }
        if rate > 1_000_000 { Err(PlanError::TooLarge) } else { Ok(()) }
    }

    /// As the ledger keeps it, beside the budget.
    pub(super) fn planned(&self) -> Planned {
        let Plan { rate, from_fen, to_fen, per_user, .. } = *self;
        Planned { rate, from_fen, to_fen, per_user }
    }

    /// From what the ledger keeps.
    pub(super) fn of(planned: &Planned, budget_fen: u64) -> Plan {
        let Planned { rate, from_fen, to_fen, per_user } = *planned;
        Plan { budget_fen, rate, from_fen, to_fen, per_user }
    }
}

impl Campaign {
    /// A campaign of which `drawn` prizes were drawn before.
    pub(super) fn new(plan: Plan, number: u32, drawn: u32, now_us: u64, rng: &mut ChaCha12Rng) -> Self {
        let started_us = now_us;
        let (budget_fen, is_stopped) = (plan.budget_fen, false);
        let mut campaign =
            Campaign { plan, budget_fen, number, is_stopped, started_us, drawn, drawn_before: drawn, due_us: 0 };
        campaign.due_us = campaign.next_due_us(rng);
        campaign
    }

    /// Prize `n` is due inside the n-th part of the time, at a place nobody can foresee.
    fn next_due_us(&self, rng: &mut ChaCha12Rng) -> u64 {
        let parts_us = u64::from(self.drawn - self.drawn_before) * 1_000_000 + below(1_000_000, rng);
        self.started_us + parts_us / u64::from(self.plan.rate)
    }

    /// Nothing can leave at `now_us`: that time does not count, so that no flood follows it.
    pub(super) fn wait(&mut self, now_us: u64) {
        let late_us = now_us.saturating_sub(self.due_us);
        self.started_us += late_us;
        self.due_us += late_us;
    }

    /// The next prize that is due, out of the budget; `None` when none is, or that, or the numbers for prizes, are spent.
    pub(super) fn draw(&mut self, now_us: u64, rng: &mut ChaCha12Rng) -> Option<PrizeNote> {
        let Plan { from_fen, to_fen, budget_fen, per_user, .. } = self.plan;
        if self.is_stopped || self.due_us > now_us || budget_fen < from_fen || self.drawn == u32::MAX {
            return None;
        }
        let fen = (from_fen + below(to_fen - from_fen + 1, rng)).min(budget_fen);
        let prize = PrizeNote { campaign: self.number, number: self.drawn, fen, per_user };
        self.plan.budget_fen -= fen;
        self.drawn += 1;
        self.due_us = self.next_due_us(rng);
        Some(prize)
    }
}
