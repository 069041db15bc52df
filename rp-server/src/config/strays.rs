//! Environment variables that are nearly a flag's: nobody would see that they say nothing.
//!
//! They are named and not refused, for containers find variables in their environment that others made: a service `rp` has an
//! `RP_PORT`.

use std::ffi::OsString;

use clap::Command;

use super::tree::{self, Key};

/// A variable that no flag has, and the one that was probably meant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stray {
    /// As it is called.
    pub name: String,
    /// The flag's.
    pub meant: String,
}

/// Those among these names, for the flags of a completed tree.
pub fn among(names: impl IntoIterator<Item = OsString>, command: &Command) -> Vec<Stray> {
    // Which file is read is no key of it.
    let known: Vec<String> = tree::keys(command).iter().map(Key::env).chain(["RP_CONFIG".to_owned()]).collect();
    let ours = names.into_iter().filter_map(|name| name.into_string().ok()).filter(|name| name.starts_with("RP_"));
    let stray = |name: String| {
        let near = known.iter().map(|known| (strsim::damerau_levenshtein(&name, known), known)).min()?;
        // Further apart than a letter in five, it is another word; not at all, it is the flag's.
        (1..=(name.len() - 3).div_ceil(5)).contains(&near.0).then(|| Stray { meant: near.1.clone(), name })
    };
    ours.filter_map(stray).collect()
}

/// Those in this process's environment.
pub fn here(command: &Command) -> Vec<Stray> {
    among(std::env::vars_os().map(|(name, _)| name), command)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;

    #[test]
    fn a_slip_is_named_and_what_others_call_theirs_is_not() {
        let meant = |name: &str| among([name.into()], &Cli::tree()).pop().map(|stray| stray.meant);
        for (name, flag) in [
            ("RP_SESION_RATE", "RP_SESSION_RATE"),
            ("RP_WORKER", "RP_WORKERS"),
            ("RP_SET", "RP_SETS"),
            ("RP_CONFG", "RP_CONFIG"),
            ("RP_CAMPAIGN_BUDGET_FENS", "RP_CAMPAIGN_BUDGET_FEN"),
        ] {
            assert_eq!(meant(name).as_deref(), Some(flag), "{name}");
        }
        for name in
            ["RP_SETS", "RP_CONFIG", "RP_PORT", "RP_SERVICE_HOST", "RP_SEED", "RP_TRIALS", "RP_USERS", "RP_", "RPSETS"]
        {
            assert_eq!(meant(name), None, "{name}");
        }
    }
}
