//! Campaigns: what each may give out, to whom it did, and what went back.

use std::collections::{HashMap, HashSet};

use rp_core::posting::{Planned, Posting};

use super::fault::{Breach, Rule};
use super::figures::Sum;

/// Prizes per second that a campaign may release.
const RATE_MAX: u32 = 1_000_000;

struct Campaign {
    budget_fen: u64,
    plan: Planned,
    won_fen: u64,
    prizes: HashSet<u32>,
    by_user: HashMap<u64, u8>,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Running,
    Stopped,
    Closed,
}

/// All campaigns that there ever were.
#[derive(Default)]
pub struct Campaigns {
    campaigns: HashMap<u64, Campaign>,
}

impl Campaigns {
    /// A campaign gets its budget.
    pub fn start(&mut self, posting: &Posting<'_>) -> Result<(), Breach> {
        let (number, budget_fen) = (posting.credit, posting.fen);
        let Some(plan) = Planned::take(posting.tail).filter(|_| posting.tail.len() == Planned::LEN) else {
            return Rule::Form.broken(format!("a tail of {} bytes", posting.tail.len()));
        };
        let is_plan = (1..=RATE_MAX).contains(&plan.rate)
            && (1..=plan.to_fen).contains(&plan.from_fen)
            && plan.from_fen <= budget_fen
            && plan.per_user > 0;
        Rule::Plan.demand(is_plan, || format!("{budget_fen} fen by {plan:?}"))?;
        if let Some((running, _)) = self.campaigns.iter().find(|(_, campaign)| campaign.stage == Stage::Running) {
            return Rule::Campaign.broken(format!("campaign {number} starts while {running} runs"));
        }
        // A prize's name has 32 bits for the campaign.
        let is_number = (1..=u64::from(u32::MAX)).contains(&number);
        let campaign = Campaign {
            budget_fen,
            plan,
            won_fen: 0,
            prizes: HashSet::new(),
            by_user: HashMap::new(),
            stage: Stage::Running,
        };
        let is_new = self.campaigns.insert(number, campaign).is_none();
        Rule::Campaign.demand(is_number && is_new, || format!("campaign {number} starts a second time"))
    }

    /// A user wins a prize.
    pub fn win(&mut self, posting: &Posting<'_>) -> Result<(), Breach> {
        let (number, user, fen) = (posting.debit, posting.credit, posting.fen);
        let (of, prize) = (posting.about >> 32, posting.about as u32);
        let campaign = self.find(number)?;
        Rule::Campaign.demand(of == number && campaign.stage != Stage::Closed, || {
            format!("prize {prize} of campaign {of} out of campaign {number}, which is {:?}", campaign.stage)
        })?;
        let plan = campaign.plan;
        Rule::PrizeFen.demand((plan.from_fen..=plan.to_fen).contains(&fen), || {
            format!("{fen} fen, planned are {} to {}", plan.from_fen, plan.to_fen)
        })?;
        Rule::PrizeOnce
            .demand(campaign.prizes.insert(prize), || format!("prize {prize} of campaign {number} was won before"))?;
        let left = campaign.budget_fen - campaign.won_fen;
        Rule::Budget.demand(fen <= left, || format!("{fen} fen, where {left} are left"))?;
        campaign.won_fen += fen;
        let won = campaign.by_user.entry(user).or_default();
        Rule::Cap.demand(*won < plan.per_user, || format!("user {user} has won {won} prizes before"))?;
        *won += 1;
        Ok(())
    }

    /// A campaign ends.
    pub fn stop(&mut self, posting: &Posting<'_>) -> Result<(), Breach> {
        self.go_on(posting.debit, Stage::Running, Stage::Stopped)
    }

    /// What nobody won goes back.
    pub fn close(&mut self, posting: &Posting<'_>) -> Result<(), Breach> {
        let number = posting.debit;
        self.go_on(number, Stage::Stopped, Stage::Closed)?;
        let campaign = self.find(number)?;
        let left = campaign.budget_fen - campaign.won_fen;
        Rule::Campaign.demand(posting.fen == left, || {
            format!("{} fen go back of campaign {number}, where {left} are left", posting.fen)
        })
    }

    /// Prizes that were won, and their money.
    pub fn won(&self) -> Sum {
        let mut won = Sum::default();
        for campaign in self.campaigns.values() {
            won.count += campaign.prizes.len() as u64;
            won.fen += campaign.won_fen;
        }
        won
    }

    /// What campaigns that are not closed have left.
    pub fn left(&self) -> Sum {
        let mut left = Sum::default();
        for campaign in self.campaigns.values().filter(|campaign| campaign.stage != Stage::Closed) {
            left.add(campaign.budget_fen - campaign.won_fen);
        }
        left
    }

    fn go_on(&mut self, number: u64, from: Stage, to: Stage) -> Result<(), Breach> {
        let campaign = self.find(number)?;
        let is = std::mem::replace(&mut campaign.stage, to);
        Rule::Campaign.demand(is == from, || format!("campaign {number} is {is:?} and becomes {to:?}"))
    }

    fn find(&mut self, number: u64) -> Result<&mut Campaign, Breach> {
        match self.campaigns.get_mut(&number) {
            Some(campaign) => Ok(campaign),
            None => Rule::Campaign.broken(format!("campaign {number} never started")),
        }
    }
}
