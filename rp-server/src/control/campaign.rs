//! Campaigns as they are ordered: by hand over the admin socket, or by the configuration file's table.
//!
//! The bank changes no plan that it once wrote down. So a change stops the campaign, waits until what was not won is back, and
//! gives all of it to a successor with the changed plan: a new number, and prizes per user counted anew.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use rp_core::engine::bank::{Plan, PlanError};
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use super::{Control, Done};
use crate::admin::{Answer, PlanFields};

/// The file in the ledger's folder that says which campaign the configuration file has started.
const FOLLOWED: &str = "campaign.json";

/// What is to be changed of a campaign.
#[derive(clap::Args, Clone, Copy, Default, Debug, Serialize, Deserialize)]
pub struct PlanChange {
    /// Prizes per second
    #[arg(long, value_name = "PER_SECOND")]
    pub rate: Option<u32>,
    /// Smallest prize
    #[arg(long, value_name = "FEN")]
    pub from_fen: Option<u64>,
    /// Largest prize
    #[arg(long, value_name = "FEN")]
    pub to_fen: Option<u64>,
    /// Prizes that one user may win
    #[arg(long, value_name = "N")]
    pub prizes_per_user: Option<u8>,
    /// Money beside what is left
    #[arg(long, value_name = "FEN")]
    pub add_fen: Option<u64>,
}

/// A campaign that is stopped for its successor.
pub(super) struct Change {
    number: u32,
    /// The successor's; its budget is what comes back, and this beside.
    plan: Plan,
    more_fen: i128,
    done: Option<Done>,
}

/// The campaign of the configuration file.
#[derive(Default)]
pub(super) struct Followed {
    /// Where it is written down; nowhere when no money is kept.
    pub(super) path: Option<PathBuf>,
    plan: Option<Plan>,
}

impl Control {
    pub(super) fn start_campaign(&mut self, plan: Plan) -> Answer {
        if self.change.is_some() {
            return Answer::Refused(CHANGING.to_owned());
        }
        match self.bank.start(plan, self.clock.now()) {
            Ok(number) => {
                let Plan { budget_fen, rate, .. } = plan;
                info!(campaign = number, budget_fen, rate, "campaign {number} started: {rate} prizes a second");
                Answer::Done(format!("campaign {number} started: {rate} prizes a second"))
            }
            Err(error) => Answer::Refused(refusal(error).to_string()),
        }
    }

    pub(super) fn show_campaign(&self) -> Answer {
        match self.bank.campaign() {
            Some((number, plan, released)) => Answer::Campaign { number, plan, released },
            None => Answer::Done("no campaign is running".to_string()),
        }
    }

    pub(super) fn change_campaign(&mut self, change: &PlanChange, done: Done) {
        let Some((_, plan, _)) = self.bank.campaign() else {
            let _may_be_gone = done.send(Answer::Refused("no campaign is running".to_string()));
            return;
        };
        let plan = Plan {
            rate: change.rate.unwrap_or(plan.rate),
            from_fen: change.from_fen.unwrap_or(plan.from_fen),
            to_fen: change.to_fen.unwrap_or(plan.to_fen),
            per_user: change.prizes_per_user.unwrap_or(plan.per_user),
            ..plan
        };
        let more_fen = change.add_fen.unwrap_or(0).into();
        if let Err((why, done)) = self.begin_change(plan, more_fen, Some(done)) {
            // Whoever asked may be gone.
            let _unheard = done.map(|done| done.send(Answer::Refused(why)));
        }
    }

    /// Stops the campaign for a successor.
    fn begin_change(&mut self, plan: Plan, more_fen: i128, done: Option<Done>) -> Result<(), (String, Option<Done>)> {
        let enough = Plan { budget_fen: plan.budget_fen.saturating_add(more_fen.try_into().unwrap_or(0)), ..plan };
        if let Err(error) = enough.check() {
            return Err((refusal(error).to_owned(), done));
        }
        if self.change.is_some() {
            return Err((CHANGING.to_owned(), done));
        }
        let Some(number) = self.bank.stop(self.clock.now()) else {
            return Err(("the campaign is being stopped".to_owned(), done));
        };
        self.change = Some(Change { number, plan, more_fen, done });
        Ok(())
    }

    /// Starts the successor once nothing of the campaign before is out.
    pub(super) fn succeed(&mut self) {
        let is_over = |bank: &rp_core::engine::bank::Bank, number| bank.campaign().is_none_or(|(is, ..)| is != number);
        let Some(change) = self.change.take_if(|change| is_over(&self.bank, change.number)) else { return };
        let left_fen = i128::from(self.bank.closed_fen());
        let budget_fen = u64::try_from((left_fen + change.more_fen).max(0)).unwrap_or(u64::MAX);
        let plan = Plan { budget_fen, ..change.plan };
        let answer = match self.bank.start(plan, self.clock.now()) {
            Ok(number) => {
                let (before, rate) = (change.number, plan.rate);
                let words =
                    format!("campaign {before} is now {number}: {rate} prizes a second, {budget_fen} fen to give out");
                info!(campaign = number, before, budget_fen, rate, "{words}");
                Answer::Done(words)
            }
            Err(error) => {
                let why = format!("campaign {} is stopped, and no other started: {}", change.number, refusal(error));
                warn!("{why}");
                Answer::Refused(why)
            }
        };
        if let Some(done) = change.done {
            self.late.push((self.bank.journal().written(), answer, done));
        }
    }

    /// The configuration file has this campaign: one that it had before goes on, another follows it. What happens, in a
    /// sentence; nothing when nothing does.
    pub(super) fn follow(&mut self, wish: Option<Plan>) -> Option<String> {
        let wish = wish?;
        let before = self.followed.plan();
        if before == Some(wish) {
            return None;
        }
        let said = match (self.bank.campaign(), before) {
            // An earlier life started it, and had no time to write that down.
            (Some((number, is, _)), None) if Plan { budget_fen: wish.budget_fen, ..is } == wish => {
                format!("campaign {number} goes on")
            }
            (Some((number, is, _)), before) => {
                // What was given out of the budget stays given.
                let more_fen = before.map_or(0, |before| i128::from(wish.budget_fen) - i128::from(before.budget_fen));
                match self.begin_change(Plan { budget_fen: is.budget_fen, ..wish }, more_fen, None) {
                    Ok(()) => format!("campaign {number} changes"),
                    Err((why, _)) => return Some(unfollowed(&why)),
                }
            }
            (None, _) => match self.start_campaign(wish) {
                Answer::Done(words) => words,
                Answer::Refused(why) => return Some(unfollowed(&why)),
                _ => return None,
            },
        };
        if let Err(error) = self.followed.keep(wish) {
            warn!("{error:#}: the next start may take it for another campaign");
        }
        Some(said)
    }
}

const CHANGING: &str = "a campaign is being changed: ask again when that is done";

fn unfollowed(why: &str) -> String {
    warn!("the file's campaign is not followed: {why}");
    format!("the file's campaign is not followed: {why}")
}

/// A plan in a file.
#[derive(Serialize, Deserialize)]
struct Written(#[serde(with = "PlanFields")] Plan);

impl Followed {
    /// The plan that was followed last, in this life or an earlier one.
    fn plan(&mut self) -> Option<Plan> {
        if self.plan.is_none() {
            let text = self.path.as_ref().and_then(|path| std::fs::read_to_string(path).ok());
            self.plan = text.and_then(|text| serde_json::from_str(&text).ok()).map(|Written(plan)| plan);
        }
        self.plan
    }

    fn keep(&mut self, plan: Plan) -> Result<()> {
        self.plan = Some(plan);
        let Some(path) = &self.path else { return Ok(()) };
        let text = serde_json::to_string(&Written(plan)).context("writing a plan down")?;
        let draft = path.with_extension("draft");
        std::fs::write(&draft, text + "\n")
            .and_then(|()| std::fs::File::open(&draft)?.sync_all())
            .and_then(|()| std::fs::rename(&draft, path))
            .with_context(|| format!("writing {}", path.display()))
    }

    /// In the ledger's folder.
    pub(super) fn in_folder(folder: Option<PathBuf>) -> Followed {
        Followed { path: folder.map(|folder| folder.join(FOLLOWED)), plan: None }
    }
}

/// Why a campaign does not start.
pub fn refusal(error: PlanError) -> &'static str {
    match error {
        PlanError::Running => "a campaign is running: stop it first by `rp-server campaign stop`",
        PlanError::Empty => {
            "a campaign needs a rate, amounts with from at most to, a budget for one prize and prizes per user, all above zero"
        }
        PlanError::TooLarge => "at most 1 000 000 prizes a second, and no more money than 63 bits count",
    }
}
