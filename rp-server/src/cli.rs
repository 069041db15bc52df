//! The command line: names the commands and hands each to the room that carries it out.

use anyhow::Result;
use clap::{Parser, Subcommand};

/// A red-packet server over UDP, steered by XDP.
#[derive(Parser)]
#[command(name = "rp-server", version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Packets per second by kind, reason and CPU, from the kernel's counters.
    Pps(crate::pps::PpsArgs),
    /// Let every frame in at an interface until killed.
    #[command(hide = true)]
    XdpPass(crate::gate::passing::PassArgs),
}

impl Cli {
    /// Carries the command out.
    ///
    /// # Errors
    /// What was tried, what the system said and what to do next.
    pub fn execute(self) -> Result<()> {
        match self.command {
            Command::Pps(args) => args.run(),
            Command::XdpPass(args) => args.run(),
        }
    }
}
