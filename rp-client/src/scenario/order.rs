//! `rp-client scenario`: lists, shows and checks scenarios without a server.

use std::path::PathBuf;

use anyhow::Result;
use clap::Subcommand;
use rp_net::say;

use super::{built_in, load, read};

/// What to do with scenarios.
#[derive(Subcommand, Debug)]
pub enum ScenarioOrder {
    /// List those that are built in
    List,
    /// Print one, as a file to begin your own from
    Show {
        /// A file, or one that is built in
        #[arg(value_name = "SCENARIO")]
        named: PathBuf,
    },
    /// Say what a scenario would play, or what is wrong with it
    Check {
        /// A file, or one that is built in
        #[arg(value_name = "SCENARIO")]
        named: PathBuf,
    },
}

impl ScenarioOrder {
    /// Carries it out.
    ///
    /// # Errors
    /// The scenario cannot be read, or is none.
    pub fn run(&self) -> Result<()> {
        match self {
            ScenarioOrder::List => say!("{}", built_in::list()),
            ScenarioOrder::Show { named } => say!("{}", read(Some(named))?.1.trim_end()),
            ScenarioOrder::Check { named } => {
                for phase in load(Some(named), 1.0)? {
                    let (first, last) = (phase.rate(0), phase.rate(phase.seconds));
                    let rate = match (first, last) {
                        (0, 0) => String::new(),
                        (first, last) if first == last => format!("{first} shakes/s"),
                        (first, last) => format!("{first} to {last} shakes/s"),
                    };
                    let sends = phase.sends.map_or_else(String::new, |sends| format!("{} packets/s", sends.rate));
                    let seconds = match phase.seconds {
                        0 => "as long as it takes".to_string(),
                        seconds => format!("{seconds} s"),
                    };
                    say!("{}", format!("{:<22} {seconds:<20} {rate:<24} {sends}", phase.name).trim_end());
                }
            }
        }
        Ok(())
    }
}
