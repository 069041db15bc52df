//! What of the configuration a running server can change to: it is read again as it was at the start, with the file of now.

use anyhow::{Context as _, Result, anyhow};
use rp_core::engine::bank::Plan;

use super::effective::Setting;
use super::{Start, place};
use crate::cli::Cli;
use crate::limits::LimitArgs;
use crate::network::Net;

/// Keys that a running server changes to; all others hold from the next start on.
const LIVE: [&str; 7] =
    ["session-rate", "session-burst", "sessions-rate", "strangers-rate", "prefix-rate", "deny", "log-level"];

/// What is asked of a running server.
pub struct Wish {
    /// Limits.
    pub limits: LimitArgs,
    /// The whole deny list.
    pub deny: Vec<Net>,
    /// What is said.
    pub log_level: String,
    /// The campaign of the file, if it has one.
    pub campaign: Option<Plan>,
    /// All keys.
    pub settings: Vec<Setting>,
}

impl Wish {
    /// Reads flags, environment and file again.
    ///
    /// # Errors
    /// The file is wrong, and says why.
    pub fn read(start: &Start) -> Result<Wish> {
        let cli = Cli::read(start.words.iter().cloned())?;
        let campaign = Wish::campaign_of(&cli.start)?;
        let settings = cli.start.settings.clone();
        let args = cli.into_run().context("the command line of the start is another command's")?;
        let (limits, deny, log_level) = args.live();
        Ok(Wish { limits, deny, log_level, campaign, settings })
    }

    /// The campaign of the file, if it has one.
    ///
    /// # Errors
    /// Its table lacks something, or no such campaign can be.
    pub fn campaign_of(start: &Start) -> Result<Option<Plan>> {
        let Some(file) = start.file.as_ref().filter(|file| file.has_table("campaign")) else { return Ok(None) };
        let plan = Cli::campaign(&file.path)?.plan();
        let name = || format!("{}, table [campaign]", file.path.display());
        plan.check().map_err(|error| anyhow!(crate::control::refusal(error))).with_context(name)?;
        Ok(Some(plan))
    }

    /// Keys that differ from those of the start and cannot change now, each in a sentence.
    pub fn later(&self, start: &Start) -> Vec<String> {
        let changed = self.settings.iter().filter(|setting| !LIVE.contains(&setting.name.as_str()));
        let changed = changed.filter_map(|setting| {
            let before = start.settings.iter().find(|before| before.name == setting.name)?;
            let written = |value| super::commands::written(value);
            (before.value != setting.value).then(|| {
                let (name, is, was) = (&setting.name, written(&setting.value), written(&before.value));
                format!("{name} = {is} takes effect at the next start; until then {was} holds")
            })
        });
        changed.collect()
    }

    /// Where it was read, for people.
    pub fn source(start: &Start) -> String {
        place(&start.words).map_or("no configuration file".to_owned(), |path| path.display().to_string())
    }
}
