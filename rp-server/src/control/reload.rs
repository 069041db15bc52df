//! The configuration, read again while the server runs: limits, deny list, what is logged and the campaign change at once,
//! everything else is named and waits for the next start. A file that is wrong changes nothing.

use anyhow::Result;
use tracing::{error, info, warn};

use super::Control;
use super::campaign::ENDING;
use crate::admin::Answer;
use crate::config::live::Wish;
use crate::limits::LimitArgs;
use crate::logs;
use crate::network::Net;

impl Control {
    /// SIGHUP.
    pub(super) fn hear_of_reload(&mut self) {
        if self.drain.is_some() {
            return warn!("SIGHUP: {ENDING}");
        }
        self.systemd.reloading();
        let _told_in_the_log = self.reload();
        self.systemd.ready();
    }

    /// Reads the configuration again and changes to it; what changed, line by line.
    ///
    /// # Errors
    /// The file is wrong, or the deny list too long, and nothing has changed.
    pub(super) fn reload(&mut self) -> Result<Vec<String>> {
        let source = Wish::source(&self.start);
        let changed = Wish::read(&self.start).and_then(|wish| self.change_to(wish));
        match &changed {
            Ok(changed) => info!(changes = changed.len(), "configuration read again: {source}"),
            Err(error) => error!("configuration not changed: {error:#}"),
        }
        changed
    }

    pub(super) fn answer_reload(&mut self) -> Answer {
        match self.reload() {
            Ok(changed) if changed.is_empty() => Answer::Done("nothing changes".to_owned()),
            Ok(changed) => Answer::Done(changed.join("\n")),
            Err(error) => Answer::Refused(format!("nothing has changed: {error:#}")),
        }
    }

    fn change_to(&mut self, wish: Wish) -> Result<Vec<String>> {
        let mut changed = Vec::new();
        // First what may be refused.
        if let Some((add, remove)) = difference(&self.keeper.denied(), &wish.deny) {
            self.keeper.deny(&add, &remove)?;
            let words = |nets: &[Net]| nets.iter().map(|net| format!(" {net}")).collect::<String>();
            changed.push(format!("deny: added{}, removed{}", or_none(words(&add)), or_none(words(&remove))));
        }
        changed.extend(self.change_limits(wish.limits));
        if self.start.settings.iter().any(|is| is.name == "log-level" && is.value != wish.log_level.as_str()) {
            logs::change(&wish.log_level)?;
            changed.push(format!("log-level: {}", wish.log_level));
        }
        changed.iter().for_each(|line| info!("{line}"));
        if let Some(line) = self.follow(wish.campaign) {
            changed.push(line);
        }
        for line in wish.later(&self.start) {
            warn!("{line}");
            changed.push(line);
        }
        for setting in &mut self.start.settings {
            if setting.name == "log-level" {
                setting.value = wish.log_level.clone().into();
            }
        }
        Ok(changed)
    }

    fn change_limits(&mut self, limits: LimitArgs) -> Vec<String> {
        let before = self.keeper.limits();
        if before == limits {
            return Vec::new();
        }
        self.keeper.set(limits);
        let rows = before.rows().into_iter().zip(limits.rows());
        let changed = rows.filter(|((_, before), (_, after))| before != after);
        changed.map(|((name, before), (_, after))| format!("{name}: {after}, before {before}")).collect()
    }
}

/// What to add and what to remove, if anything.
fn difference(before: &[Net], after: &[Net]) -> Option<(Vec<Net>, Vec<Net>)> {
    let less = |of: &[Net], less: &[Net]| of.iter().filter(|net| !less.contains(net)).copied().collect::<Vec<_>>();
    let (add, remove) = (less(after, before), less(before, after));
    (!add.is_empty() || !remove.is_empty()).then_some((add, remove))
}

fn or_none(words: String) -> String {
    if words.is_empty() { " none".to_owned() } else { words }
}
