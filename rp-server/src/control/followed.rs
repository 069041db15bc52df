//! What is written down of the file's campaign, beside the ledger: which one it is, and a change that is under way.
//!
//! A change is written down before the campaign is stopped for it, and struck out once its successor is on disk. So whatever
//! cuts it off, the bank's own postings say how far it came, and the next start goes on from there; nothing is given twice.

use std::io::ErrorKind;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use rp_core::engine::bank::{Plan, Standing};
use serde::{Deserialize, Serialize};
use tracing::info;

use crate::admin::PlanFields;
use crate::ledger::schema::CAMPAIGN_NAME;
use crate::ledger::sync;

/// Where it is written down, and what.
#[derive(Default)]
pub(super) struct Followed {
    /// Nowhere when no money is kept.
    path: Option<PathBuf>,
    known: Option<Known>,
    /// The disk refused it.
    is_unwritten: bool,
}

/// What is written down.
#[derive(Clone, Copy, Default, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Known {
    /// The file's campaign; none before there was one.
    pub followed: Option<Kept>,
    /// A change that is not known to be carried out.
    pub change: Option<Intent>,
}

/// The campaign that carries out a plan of the file.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    #[serde(with = "PlanFields")]
    pub plan: Plan,
    pub campaign: u32,
}

/// A campaign that is to have a successor.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Intent {
    pub campaign: u32,
    /// The successor's; its budget is what comes back, and this beside.
    #[serde(with = "PlanFields")]
    pub plan: Plan,
    pub more_fen: i128,
    /// What the file says, if it is the file that changes it.
    pub wish: Option<Wish>,
}

/// A plan of the file.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Wish(#[serde(with = "PlanFields")] pub Plan);

/// What follows from a plan of the file.
#[derive(PartialEq, Debug)]
pub(super) enum Step {
    /// It is carried out.
    Nothing,
    Begin,
    /// This campaign is it, which was not written down.
    GoesOn(u32),
    /// The file's campaign gets a successor, with so much beside what is left.
    Change(i128),
}

impl Followed {
    /// In the ledger's folder.
    pub(super) fn in_folder(folder: Option<PathBuf>) -> Followed {
        Followed { path: folder.map(|folder| folder.join(CAMPAIGN_NAME)), ..Followed::default() }
    }

    /// What was written down last, in this life or an earlier one.
    ///
    /// # Errors
    /// It cannot be read: then nobody knows, and no campaign may be started for it.
    pub(super) fn known(&mut self) -> Result<Known> {
        if let Some(known) = self.known {
            return Ok(known);
        }
        let known = match &self.path {
            None => Known::default(),
            Some(path) => match std::fs::read_to_string(path) {
                Err(error) if error.kind() == ErrorKind::NotFound => Known::default(),
                read => read
                    .map_err(anyhow::Error::from)
                    .and_then(|text| Ok(serde_json::from_str(&text)?))
                    .with_context(|| {
                        let path = path.display();
                        format!("which campaign is the file's cannot be read in {path}: mend it, or move it away")
                    })?,
            },
        };
        Ok(*self.known.insert(known))
    }

    /// Writes it down; it is on disk then.
    ///
    /// # Errors
    /// The disk refuses: what was there before may be, until [`try_again`](Self::try_again) succeeds.
    pub(super) fn keep(&mut self, known: Known) -> Result<()> {
        self.known = Some(known);
        let written = self.write(&known);
        self.is_unwritten = written.is_err();
        written
    }

    /// Did the disk refuse what was to be written last?
    pub(super) fn is_unwritten(&self) -> bool {
        self.is_unwritten
    }

    /// Writes down what the disk refused, if it does not any more.
    pub(super) fn try_again(&mut self) {
        if let Some(known) = self.known.filter(|_| self.is_unwritten)
            && self.keep(known).is_ok()
        {
            info!("{CAMPAIGN_NAME} could be written");
        }
    }

    fn write(&self, known: &Known) -> Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let text = serde_json::to_string(known).context("writing a plan down")?;
        let draft = path.with_extension("draft");
        std::fs::write(&draft, text + "\n")
            .and_then(|()| std::fs::File::open(&draft)?.sync_all())
            .and_then(|()| std::fs::rename(&draft, path))
            .with_context(|| format!("writing {}", path.display()))?;
        path.parent().map_or(Ok(()), sync)
    }
}

impl Known {
    /// What follows from a plan of the file, when the bank stands so.
    ///
    /// # Errors
    /// Why it is not followed, and what to do: nobody can say whether its budget was given out before.
    pub(super) fn step(&self, wish: Plan, is: Standing) -> Result<Step, String> {
        let kept = self.followed.as_ref();
        let told = kept.map(|kept| kept.campaign).max(self.change.map(|change| change.campaign)).unwrap_or(0);
        let newest = is.newest;
        if told > newest {
            return Err(format!(
                "{CAMPAIGN_NAME} beside the ledger tells of campaign {told}, and the ledger of none above {newest}: is it another \
                 ledger's? Move it away, or restore the ledger's own"
            ));
        }
        if kept.is_some_and(|kept| kept.plan == wish) {
            return Ok(Step::Nothing);
        }
        match (is.running, kept) {
            (Some(running), _) if running.is_stopped => Err(being_stopped(running.number)),
            (Some(running), Some(kept)) if running.number == kept.campaign => {
                // What was given out of the budget stays given.
                Ok(Step::Change(i128::from(wish.budget_fen) - i128::from(kept.plan.budget_fen)))
            }
            (Some(running), _) if running.plan == wish => Ok(Step::GoesOn(running.number)),
            (Some(running), _) => Err(format!(
                "another campaign runs, {}: stop it first by `rp-server campaign stop`, then {}",
                running.number,
                by_hand(wish)
            )),
            (None, None) if newest == 0 => Ok(Step::Begin),
            (None, Some(kept)) if newest == kept.campaign => Ok(Step::Begin),
            (None, _) => Err(format!(
                "this ledger had a campaign, {newest}, and nothing says that it was not the file's: if the budget is to be given \
                 out now, {}",
                by_hand(wish)
            )),
        }
    }
}

/// Why nothing follows a campaign yet.
pub(super) fn being_stopped(number: u32) -> String {
    format!("campaign {number} is being stopped: ask again by `rp-server config reload` when it is")
}

/// How to start what the file says.
fn by_hand(wish: Plan) -> String {
    let Plan { budget_fen, rate, from_fen, to_fen, per_user } = wish;
    format!(
        "start the file's by `rp-server campaign start --budget-fen {budget_fen} --rate {rate} --from-fen {from_fen} --to-fen \
         {to_fen} --prizes-per-user {per_user}` and say that it is by `rp-server config reload`"
    )
}

#[cfg(test)]
mod tests {
    use rp_core::engine::bank::Running;

    use super::*;

    const PLAN: Plan = Plan { budget_fen: 100, rate: 5, from_fen: 1, to_fen: 2, per_user: 3 };
    const OTHER: Plan = Plan { budget_fen: 130, rate: 9, ..PLAN };

    #[test]
    fn a_campaign_begins_only_where_it_is_sure_that_it_did_not_before() {
        let followed = |campaign| Known { followed: Some(Kept { plan: PLAN, campaign }), change: None };
        let over = |newest| Standing { newest, running: None };
        let runs =
            |number, plan| Standing { newest: number, running: Some(Running { number, plan, is_stopped: false }) };
        let stops =
            |number| Standing { newest: number, running: Some(Running { number, plan: PLAN, is_stopped: true }) };
        let never = Known::default();
        for (known, wish, is, step) in [
            (never, PLAN, over(0), Step::Begin),
            // Its Started was on disk, and nothing else yet.
            (never, PLAN, runs(7, PLAN), Step::GoesOn(7)),
            (followed(7), OTHER, runs(8, OTHER), Step::GoesOn(8)),
            (followed(7), PLAN, over(7), Step::Nothing),
            (followed(7), PLAN, runs(8, OTHER), Step::Nothing),
            (followed(7), OTHER, runs(7, PLAN), Step::Change(30)),
            // The successor of one that was changed by hand has another budget than the file's.
            (followed(7), OTHER, runs(7, OTHER), Step::Change(30)),
            (followed(7), OTHER, over(7), Step::Begin),
        ] {
            assert_eq!(known.step(wish, is), Ok(step), "{known:?} {is:?}");
        }
        for (known, wish, is, why) in [
            (never, PLAN, over(7), "this ledger had a campaign, 7, "),
            (never, PLAN, runs(7, OTHER), "another campaign runs, 7: stop it first by "),
            (never, PLAN, runs(7, Plan { budget_fen: 99, ..PLAN }), "another campaign runs, 7: "),
            (followed(6), OTHER, runs(7, PLAN), "another campaign runs, 7: "),
            (followed(6), OTHER, over(7), "this ledger had a campaign, 7, "),
            (followed(7), OTHER, stops(7), "campaign 7 is being stopped: "),
            (followed(8), PLAN, over(7), "campaign.json beside the ledger tells of campaign 8, "),
        ] {
            let said = known.step(wish, is).expect_err("nobody can say");
            assert!(said.starts_with(why), "{known:?} {is:?}: {said}");
        }
    }

    #[test]
    fn only_a_file_that_is_not_there_says_that_nothing_was_followed() {
        let folder = std::env::temp_dir().join(format!("rp-followed-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("the folder for temporary files can be written");
        let read = || Followed::in_folder(Some(folder.clone())).known();
        assert_eq!(read().expect("it is not there"), Known::default());
        let change = Intent { campaign: 7, plan: OTHER, more_fen: -5, wish: Some(Wish(OTHER)) };
        let known = Known { followed: Some(Kept { plan: PLAN, campaign: 7 }), change: Some(change) };
        Followed::in_folder(Some(folder.clone())).keep(known).expect("our own folder");
        assert_eq!(read().expect("it was written"), known);
        for wrong in ["", "{", r#"{"budget_fen":1,"rate":1,"from_fen":1,"to_fen":1,"per_user":1}"#] {
            std::fs::write(folder.join(CAMPAIGN_NAME), wrong).expect("our own folder");
            let said = format!("{:#}", read().expect_err("nobody knows"));
            assert!(said.contains("mend it, or move it away"), "{said}");
        }
        std::fs::remove_dir_all(&folder).expect("our own folder");
    }

    #[test]
    fn what_a_disk_refuses_is_written_once_it_does_not() {
        let folder = std::env::temp_dir().join(format!("rp-followed-later-{}", std::process::id()));
        let mut followed = Followed::in_folder(Some(folder.clone()));
        let known = Known { followed: Some(Kept { plan: PLAN, campaign: 7 }), change: None };
        followed.keep(known).expect_err("there is no folder");
        followed.try_again();
        std::fs::create_dir_all(&folder).expect("the folder for temporary files can be written");
        followed.try_again();
        assert_eq!(Followed::in_folder(Some(folder.clone())).known().expect("it was written"), known);
        std::fs::remove_file(folder.join(CAMPAIGN_NAME)).expect("it is there");
        followed.try_again();
        assert!(!folder.join(CAMPAIGN_NAME).exists(), "once is enough");
        std::fs::remove_dir_all(&folder).expect("our own folder");
    }
}
