//! The environment: does a variable say something that nobody hears?

use super::finding::{Finding, quoted};
use crate::cli::Cli;
use crate::config::strays::{self, Stray};

const CHECK: &str = "environment";

/// Is every variable that looks like a flag's one?
pub fn variables() -> Finding {
    judge(&strays::here(&Cli::tree()))
}

fn judge(strays: &[Stray]) -> Finding {
    let [Stray { name, meant }, ..] = strays else {
        return Finding::pass(CHECK, "no variable is nearly a flag's");
    };
    let found = strays.iter().map(|stray| format!("{} is no flag's: {}?", stray.name, stray.meant));
    let remedy = format!("unset {}  # {meant} is the flag's", quoted(name));
    Finding::warn(CHECK, found.collect::<Vec<_>>().join("; "), remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict::{Pass, Warn};

    #[test]
    fn a_misspelt_variable_is_a_warning() {
        let stray = Stray { name: "RP_WORKER".into(), meant: "RP_WORKERS".into() };
        for (strays, verdict) in [(&[][..], Pass), (&[stray], Warn)] {
            assert_eq!(judge(strays).verdict, verdict);
        }
    }
}
