//! Campaigns as they are ordered: by hand over the admin socket, or by the configuration file's table.
//!
//! The bank changes no plan that it once wrote down. So a change stops the campaign, waits until what was not won is back, and
//! gives all of it to a successor with the changed plan: a new number, and prizes per user counted anew. It is written down before
//! and struck out behind, so that the next start goes on with one that was cut off.

use rp_core::engine::bank::{Plan, PlanError};
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use super::followed::{Intent, Kept, Known, Step, Wish, being_stopped};
use super::{Control, Done};
use crate::admin::Answer;

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

/// A campaign that is stopped for its successor, or one that has begun and is not on disk yet: one at a time.
pub(super) struct Change {
    /// The one that is stopped; 0 where there is none.
    number: u32,
    /// The successor's; its budget is what comes back, and this beside.
    plan: Plan,
    more_fen: i128,
    /// What the file says, if it is the file's.
    wish: Option<Plan>,
    begun: Option<Begun>,
    /// No successor comes: it is struck out once so many postings of the bank are on disk.
    ends_after: Option<u64>,
    done: Option<Done>,
}

/// The campaign that a change comes to.
struct Begun {
    number: u32,
    /// It is on disk with so many postings of the bank.
    after: u64,
    words: String,
}

impl Change {
    /// To one that follows none.
    fn begun(plan: Plan, wish: Option<Plan>, begun: Begun) -> Change {
        Change { number: 0, plan, more_fen: 0, wish, begun: Some(begun), ends_after: None, done: None }
    }

    /// Is its campaign still to be begun?
    fn waits(&self) -> bool {
        self.begun.is_none() && self.goes_on()
    }

    /// Is it not to be struck out?
    pub(super) fn goes_on(&self) -> bool {
        self.ends_after.is_none()
    }
}

impl Control {
    pub(super) fn start_campaign(&mut self, plan: Plan, done: Done) {
        let begun = if self.change.is_some() { Err(CHANGING) } else { self.begin(plan) };
        match begun {
            // Not to be changed before it is on disk: what is written down of campaigns is never ahead of the ledger.
            Ok(begun) => self.change = Some(Change { done: Some(done), ..Change::begun(plan, None, begun) }),
            // Whoever asked may be gone, here and below.
            Err(why) => drop(done.send(Answer::Refused(why.to_owned()))),
        }
    }

    fn begin(&mut self, plan: Plan) -> Result<Begun, &'static str> {
        let number = self.bank.start(plan, self.clock.now()).map_err(refusal)?;
        let Plan { budget_fen, rate, .. } = plan;
        let words = format!("campaign {number} started: {rate} prizes a second");
        info!(campaign = number, budget_fen, rate, "{words}");
        Ok(Begun { number, after: self.bank.journal().written(), words })
    }

    /// Stops the campaign that runs, or the one that is stopped for a successor: none follows it then.
    pub(super) fn stop_campaign(&mut self, done: Done) {
        let number = match self.change.as_mut().filter(|change| change.waits()) {
            Some(change) => {
                let number = change.number;
                change.wish = self.wish.take().or(change.wish);
                // Not before: the campaign would go on if its end were not on disk.
                change.ends_after = Some(self.bank.journal().written());
                let why = format!("campaign {number} was stopped meanwhile by another order");
                let _unheard = change.done.take().map(|done| done.send(Answer::Refused(why)));
                Some(number)
            }
            None => self.bank.stop(self.clock.now()),
        };
        match number {
            Some(number) => self.stopping = Some((number, done)),
            None => drop(done.send(Answer::Refused(NONE_RUNS.to_owned()))),
        }
    }

    pub(super) fn show_campaign(&self) -> Answer {
        match self.bank.campaign() {
            Some((number, plan, released)) => Answer::Campaign { number, plan, released },
            None => Answer::Done(NONE_RUNS.to_owned()),
        }
    }

    pub(super) fn change_campaign(&mut self, change: &PlanChange, done: Done) {
        let Some((_, plan, _)) = self.bank.campaign() else {
            let _unheard = done.send(Answer::Refused(NONE_RUNS.to_owned()));
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
        match self.begin_change(plan, more_fen, None) {
            Ok(change) => change.done = Some(done),
            Err(why) => drop(done.send(Answer::Refused(why))),
        }
    }

    /// Stops the campaign for a successor, which is written down before.
    fn begin_change(&mut self, plan: Plan, more_fen: i128, wish: Option<Plan>) -> Result<&mut Change, String> {
        if self.change.is_some() {
            return Err(CHANGING.to_owned());
        }
        let Some(running) = self.bank.standing().running.filter(|running| !running.is_stopped) else {
            return Err("the campaign is being stopped".to_owned());
        };
        let campaign = running.number;
        let budget_fen = i128::from(plan.budget_fen) + more_fen;
        if budget_fen <= 0 && more_fen < 0 {
            let left_fen = plan.budget_fen;
            return Err(format!(
                "{} fen are taken away, and campaign {campaign} has {left_fen} left to release",
                -more_fen
            ));
        }
        let enough = Plan { budget_fen: u64::try_from(budget_fen).unwrap_or(u64::MAX), ..plan };
        enough.check().map_err(refusal)?;
        if !u64::try_from(more_fen.max(0)).is_ok_and(|fen| self.bank.may_issue(fen)) {
            return Err(refusal(PlanError::TooLarge).to_owned());
        }
        let known = self.followed.known().map_err(|error| format!("{error:#}"))?;
        let change = Intent { campaign, plan, more_fen, wish: wish.map(Wish) };
        self.followed.keep(Known { change: Some(change), ..known }).map_err(|error| {
            // It may be on disk all the same.
            let _is_as_it_was = self.followed.keep(known);
            format!("nothing has changed: {error:#}")
        })?;
        self.bank.stop(self.clock.now());
        Ok(self.change.insert(Change {
            number: campaign,
            plan,
            more_fen,
            wish,
            begun: None,
            ends_after: None,
            done: None,
        }))
    }

    /// Goes on with a change that an earlier life began: the bank's postings say how far it came.
    pub(super) fn resume_change(&mut self) {
        let change = match self.followed.known() {
            Ok(known) => known.change,
            Err(error) => return warn!("{error:#}; if a campaign was being changed, that does not go on"),
        };
        let Some(Intent { campaign: number, plan, more_fen, wish }) = change else { return };
        let is = self.bank.standing();
        let begun = if is.newest > number {
            let words = format!("campaign {number} is now {}", is.newest);
            Some(Begun { number: is.newest, after: self.bank.journal().written(), words })
        } else if is.newest < number {
            // Of another ledger: the file's plan is held to it, too.
            return warn!("campaign {number} was being changed, and this ledger does not have it: that does not go on");
        } else {
            info!(campaign = number, "campaign {number} was being changed: that goes on");
            // Unless it was.
            let _is_stopped = self.bank.stop(self.clock.now());
            None
        };
        let wish = wish.map(|Wish(plan)| plan);
        self.change = Some(Change { number, plan, more_fen, wish, begun, ends_after: None, done: None });
    }

    /// Starts the successor once nothing of the campaign before is out; whatever began or ended is written down once it is on
    /// disk.
    pub(super) fn succeed(&mut self) {
        let is_over = |number| self.bank.campaign().is_none_or(|(is, ..)| is != number);
        let is_next = |change: &mut Change| change.waits() && is_over(change.number);
        if let Some(change) = self.change.take_if(is_next) {
            self.begin_successor(change);
        }
        let journal = self.bank.journal();
        let is_ended = |change: &mut Change| change.ends_after.is_some_and(|after| journal.is_kept(after));
        if let Some(Change { number, wish, .. }) = self.change.take_if(is_ended) {
            // As the file's campaign it is over, too, if the file changed it.
            self.write_down(|known| wish.map(|plan| Kept { plan, campaign: number }).or(known));
        }
        let journal = self.bank.journal();
        let is_kept = |change: &mut Change| change.begun.as_ref().is_some_and(|begun| journal.is_kept(begun.after));
        if let Some(Change { number: before, wish, begun: Some(begun), done, .. }) = self.change.take_if(is_kept) {
            self.settle(before, wish, begun, done);
        }
    }

    fn begin_successor(&mut self, change: Change) {
        let (before, left_fen) = (change.number, i128::from(self.bank.closed_fen()));
        let budget_fen = u64::try_from((left_fen + change.more_fen).max(0)).unwrap_or(u64::MAX);
        let plan = Plan { budget_fen, ..change.plan };
        match self.bank.start(plan, self.clock.now()) {
            Ok(number) => {
                let rate = plan.rate;
                let words =
                    format!("campaign {before} is now {number}: {rate} prizes a second, {budget_fen} fen to give out");
                info!(campaign = number, before, budget_fen, rate, "{words}");
                let begun = Begun { number, after: self.bank.journal().written(), words };
                self.change = Some(Change { begun: Some(begun), ..change });
            }
            Err(error) => {
                let why = format!("campaign {before} is stopped, and no other started: {}", refusal(error));
                warn!("{why}");
                // Nobody gives its budget once more without being told to: what the file says from here on is no campaign
                // that is still to begin, nor one that changes.
                self.write_down(|known| known.filter(|kept| change.wish.is_none() && kept.campaign != before));
                if let Some(done) = change.done {
                    self.late.push((self.bank.journal().written(), Answer::Refused(why), done));
                }
            }
        }
    }

    /// What a change came to is on disk.
    fn settle(&mut self, before: u32, wish: Option<Plan>, begun: Begun, done: Option<Done>) {
        let kept = |followed: Option<Kept>| match wish {
            Some(plan) => Some(Kept { plan, campaign: begun.number }),
            // Changed by hand it is the file's still.
            None => followed
                .map(|kept| if kept.campaign == before { Kept { campaign: begun.number, ..kept } } else { kept }),
        };
        if let Some(done) = done {
            self.late.push((begun.after, Answer::Done(begun.words), done));
        }
        self.write_down(kept);
    }

    /// No change is under way any more; which campaign the file's is from here on.
    fn write_down(&mut self, file: impl FnOnce(Option<Kept>) -> Option<Kept>) {
        match self.followed.known() {
            Err(error) => warn!("{error:#}; what became of a campaign is not written down"),
            Ok(before) => {
                let known = Known { followed: file(before.followed), change: None };
                if known != before
                    && let Err(error) = self.followed.keep(known)
                {
                    warn!("{error:#}: that is tried again each second");
                }
            }
        }
        // The file may say something else by now; while the server ends, that is the next start's.
        if let Some(wish) = self.wish.take_if(|_| self.drain.is_none()) {
            let _logged = self.follow(Some(wish));
        }
    }

    /// The configuration file has this campaign: one that it had before goes on, another follows it. What happens, in a
    /// sentence; nothing when nothing does.
    pub(super) fn follow(&mut self, wish: Option<Plan>) -> Option<String> {
        // What it said before is of no account.
        self.wish = None;
        let wish = wish?;
        if let Some(Change { ends_after: Some(_), number, .. }) = self.change {
            let why = being_stopped(number);
            warn!("the file's campaign is not followed: {why}");
            return Some(format!("the file's campaign is not followed: {why}"));
        }
        if let Some(change) = &self.change {
            self.wish = Some(wish).filter(|wish| change.wish != Some(*wish));
            return self
                .wish
                .map(|_| "a campaign is being changed: the file's is followed when that is done".to_owned());
        }
        let known = self.followed.known().map_err(|error| format!("{error:#}"));
        let step = known.and_then(|known| known.step(wish, self.bank.standing()));
        let said = step.and_then(|step| self.take(step, wish));
        said.unwrap_or_else(|why| {
            warn!("the file's campaign is not followed: {why}");
            Some(format!("the file's campaign is not followed: {why}"))
        })
    }

    fn take(&mut self, step: Step, wish: Plan) -> Result<Option<String>, String> {
        let begun = match step {
            Step::Nothing => return Ok(None),
            Step::Change(more_fen) => {
                let left = self.bank.campaign().map_or(wish, |(_, plan, _)| plan);
                let plan = Plan { budget_fen: left.budget_fen, ..wish };
                let number = self.begin_change(plan, more_fen, Some(wish))?.number;
                return Ok(Some(format!("campaign {number} changes")));
            }
            Step::Begin => self.begin(wish)?,
            Step::GoesOn(number) => {
                let words = format!("campaign {number} goes on");
                Begun { number, after: self.bank.journal().written(), words }
            }
        };
        let said = begun.words.clone();
        self.change = Some(Change::begun(wish, Some(wish), begun));
        Ok(Some(said))
    }
}

const CHANGING: &str = "a campaign is being begun or changed: ask again when that is done";
const NONE_RUNS: &str = "no campaign is running";
/// What a server that ends says to orders that are about its future.
pub(super) const ENDING: &str = "the server is ending: nothing has changed; ask again after the next start";

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
