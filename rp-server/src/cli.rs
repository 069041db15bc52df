//! The command line: names the commands and hands each to the room that carries it out.

use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::admin::AdminArgs;
use crate::audit::AuditArgs;
use crate::doctor::DoctorArgs;
use crate::export::LedgerOrder;
use crate::gate::passing::PassArgs;
use crate::gate::verifying::VerifyArgs;
use crate::orders::{CampaignOrder, DenyOrder, LimitsArgs, MintArgs, SessionsArgs, StatusArgs, TimelineArgs};
use crate::pps::PpsArgs;
use crate::run::RunArgs;
use crate::ticket::TicketArgs;

/// A red-packet server over UDP, steered by XDP. Without a command it runs.
#[derive(Parser)]
#[command(name = "rp-server", version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    admin: AdminArgs,
}

#[derive(Subcommand)]
enum Command {
    /// Serve; the command when none is given.
    Run(Box<RunArgs>),
    /// Packets per second by kind, reason and CPU, from the kernel's counters.
    Pps(PpsArgs),
    /// What the running server counts.
    Status(StatusArgs),
    /// Sessions of the running server.
    Sessions(SessionsArgs),
    /// When the shakes of the last minutes came, second by second.
    Timeline(TimelineArgs),
    /// Show how fast clients may ask, and change it.
    Limits(LimitsArgs),
    /// Say from which parts of the network nothing is heard.
    #[command(subcommand)]
    Deny(DenyOrder),
    /// Start, stop or show the campaign whose prizes are released.
    #[command(subcommand)]
    Campaign(CampaignOrder),
    /// Give users money to send, or take it back.
    Mint(MintArgs),
    /// Recompute every fen from the ledger's postings; fails on the first fault.
    Audit(AuditArgs),
    /// Write the ledger out, copy it, move old files of it to an archive.
    #[command(subcommand)]
    Ledger(LedgerOrder),
    /// Look whether this machine has what a night needs; exit code 1 when something FAILs.
    Doctor(Box<DoctorArgs>),
    /// Issue a ticket.
    Ticket(TicketArgs),
    /// Let every frame in at an interface until killed.
    #[command(hide = true)]
    XdpPass(PassArgs),
    /// Say what the kernel's verifier makes of compiled programs.
    #[command(hide = true)]
    Verify(VerifyArgs),
}

impl Cli {
    /// Reads the command line; `run` is put in where no command is named.
    ///
    /// # Errors
    /// As clap words them; help and version are among them.
    pub fn read(words: impl IntoIterator<Item = String>) -> Result<Self, clap::Error> {
        let mut words: Vec<String> = words.into_iter().collect();
        let command = Self::command();
        let names = |word: &String| {
            command.get_subcommands().any(|c| c.get_name() == word)
                || ["help", "-h", "--help", "-V", "--version"].contains(&word.as_str())
        };
        if !words.iter().skip(1).any(names) {
            words.insert(1.min(words.len()), "run".to_string());
        }
        Self::from_arg_matches(&command.try_get_matches_from(words)?)
    }

    /// Carries the command out; the code to end with.
    ///
    /// # Errors
    /// What was tried, what the system said and what to do next.
    pub fn execute(self) -> Result<ExitCode> {
        let done = match self.command {
            Command::Audit(args) => return Ok(args.run()),
            Command::Doctor(args) => return Ok(args.run(&self.admin)),
            Command::Run(args) => args.run(&self.admin),
            Command::Pps(args) => args.run(),
            Command::Status(args) => args.run(&self.admin),
            Command::Sessions(args) => args.run(&self.admin),
            Command::Timeline(args) => args.run(&self.admin),
            Command::Limits(args) => args.run(&self.admin),
            Command::Deny(order) => order.run(&self.admin),
            Command::Campaign(order) => order.run(&self.admin),
            Command::Mint(args) => args.run(&self.admin),
            Command::Ledger(order) => order.run(),
            Command::Ticket(args) => args.run(),
            Command::XdpPass(args) => args.run(),
            Command::Verify(args) => args.run(),
        };
        done.map(|()| ExitCode::SUCCESS)
    }
}
