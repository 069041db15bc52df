//! `rp-server campaign`: prizes released evenly, started, changed, stopped, shown.

use anyhow::Result;
use clap::{Args, Subcommand};
use rp_core::engine::bank::Plan;
use rp_core::limits::PRIZES_PER_USER_DEFAULT;
use rp_net::say;

use super::unexpected;
use crate::admin::ask::ask;
use crate::admin::{AdminArgs, Answer, Question};
use crate::control::PlanChange;

/// `rp-server campaign`.
#[derive(Subcommand)]
pub enum CampaignOrder {
    /// Release prizes evenly until the budget is spent or the campaign is stopped.
    Start(StartArgs),
    /// Change the running campaign: its successor gets what is left of the budget.
    Set(SetArgs),
    /// Stop; what was not won goes back to the budget.
    Stop,
    /// Show the running campaign.
    Show,
}

/// Flags of `rp-server campaign start`.
#[derive(Args)]
pub struct StartArgs {
    /// Money that may be given out
    #[arg(long, value_name = "FEN")]
    budget_fen: u64,
    /// Prizes per second
    #[arg(long, value_name = "PER_SECOND")]
    rate: u32,
    /// Smallest prize
    #[arg(long, value_name = "FEN", default_value_t = 10)]
    from_fen: u64,
    /// Largest prize
    #[arg(long, value_name = "FEN", default_value_t = 309)]
    to_fen: u64,
    /// Prizes that one user may win
    #[arg(long, value_name = "N", default_value_t = PRIZES_PER_USER_DEFAULT)]
    prizes_per_user: u8,
}

/// Flags of `rp-server campaign set`.
#[derive(Args)]
pub struct SetArgs {
    #[command(flatten)]
    change: PlanChange,
}

impl StartArgs {
    /// As the bank takes it.
    pub fn plan(&self) -> Plan {
        Plan {
            budget_fen: self.budget_fen,
            rate: self.rate,
            from_fen: self.from_fen,
            to_fen: self.to_fen,
            per_user: self.prizes_per_user,
        }
    }
}

impl CampaignOrder {
    /// Carries the order out.
    ///
    /// # Errors
    /// No server answers, or it refuses.
    pub fn run(&self, admin: &AdminArgs) -> Result<()> {
        let question = match self {
            CampaignOrder::Start(args) => Question::CampaignStart(args.plan()),
            CampaignOrder::Set(args) => Question::CampaignChange(args.change),
            CampaignOrder::Stop => Question::CampaignStop,
            CampaignOrder::Show => Question::CampaignShow,
        };
        match ask(admin, &question)? {
            Answer::Done(words) => say!("{words}"),
            Answer::Campaign { number, plan, released } => say!(
                "campaign {number}: {} prizes a second of {}..={} fen, at most {} a user; {released} released, {} fen left",
                plan.rate,
                plan.from_fen,
                plan.to_fen,
                plan.per_user,
                plan.budget_fen
            ),
            _ => return unexpected(),
        }
        Ok(())
    }
}
