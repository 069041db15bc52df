//! The command line: names the commands and hands each to the room that carries it out.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, anyhow, bail};
use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use rp_net::manual::{CompletionsArgs, ManArgs};
use tracing::warn;

use crate::admin::AdminArgs;
use crate::audit::AuditArgs;
use crate::config::strays::{self, Stray};
use crate::config::{self, ConfigArgs, ConfigOrder, Start, effective, file, tree};
use crate::doctor::DoctorArgs;
use crate::export::LedgerOrder;
use crate::gate::passing::PassArgs;
use crate::gate::verifying::VerifyArgs;
use crate::logs::{self, LogArgs};
use crate::orders::{
    CampaignOrder, DenyOrder, LimitsArgs, MintArgs, SessionsArgs, StartArgs, StatusArgs, TimelineArgs,
};
use crate::packets::PacketsArgs;
use crate::pps::PpsArgs;
use crate::reference::ReferenceArgs;
use crate::run::RunArgs;
use crate::ticket::TicketArgs;

/// Where else a flag may stand.
const KEYS: &str = "Each flag is also an environment variable (--idle: RP_IDLE; of a command: RP_COMMAND_FLAG) and a \
                    key of the configuration file: `rp-server config example`.";

/// What the short help leaves out.
const SHORT: &str = "--help shows the rarer flags too, and each flag's environment variable; each is a key of the \
                     configuration file, too: `rp-server config example`.";

/// A red-packet server over UDP, steered by XDP. Without a command it runs.
#[derive(Parser)]
#[command(name = "rp-server", version, max_term_width = 100, after_help = KEYS)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    admin: AdminArgs,
    #[command(flatten)]
    config: ConfigArgs,
    /// How it was started.
    #[arg(skip)]
    pub start: Start,
}

#[derive(Subcommand)]
enum Command {
    /// Serve; the command when none is given.
    #[command(after_help = SHORT)]
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
    /// What became of all packets, and who took what of one; from the ledger.
    Packets(PacketsArgs),
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
    /// Show the configuration, prove a file, print an example.
    #[command(subcommand)]
    Config(ConfigOrder),
    /// Print completions of this command line for a shell.
    #[command(hide = true)]
    Completions(CompletionsArgs),
    /// Write a page for man about each command.
    #[command(hide = true)]
    Man(ManArgs),
    /// Let every frame in at an interface until killed.
    #[command(hide = true)]
    XdpPass(PassArgs),
    /// Say what the kernel's verifier makes of compiled programs.
    #[command(hide = true)]
    Verify(VerifyArgs),
    /// Print the table of metrics, counters or reasons that the documents show.
    #[command(hide = true)]
    Reference(ReferenceArgs),
}

impl Cli {
    /// All commands and flags, each with its environment variable.
    pub fn tree() -> clap::Command {
        tree::complete(Self::command())
    }

    /// Reads the configuration file and the command line; `run` is put in where no command is named.
    ///
    /// # Errors
    /// The file's; else a [`clap::Error`], as it words them: help and version are among them.
    pub fn read(words: impl IntoIterator<Item = String>) -> Result<Self> {
        let mut words: Vec<String> = words.into_iter().collect();
        let command = Self::tree();
        let names = |word: &&str| *word == "help" || command.get_subcommands().any(|c| c.get_name() == *word);
        if !config::command_of(&words).first().is_some_and(names) && !config::asks_for_help(&words) {
            words.insert(1.min(words.len()), "run".to_string());
        }
        let file = if config::is_wanted(&words) { config::read(&words, &command)? } else { None };
        let fed = match &file {
            Some(file) => file::feed(command.clone(), file),
            None => command.clone(),
        };
        let is_brief = words.iter().any(|word| word == "-h");
        let matches = if is_brief { tree::brief(fed) } else { fed }.try_get_matches_from(&words)?;
        let run = matches.subcommand_matches("run");
        let settings = run.map(|run| effective::of_run(&command, file.as_ref(), run)).unwrap_or_default();
        Ok(Self { start: Start { words, file, settings }, ..Self::from_arg_matches(&matches)? })
    }

    /// The campaign that a file's table is about.
    ///
    /// # Errors
    /// The file cannot be read, or its table says too little.
    pub fn campaign(path: &Path) -> Result<StartArgs> {
        let words = ["rp-server", "campaign", "start", "--config"].map(str::to_owned);
        let cli = Self::read(words.into_iter().chain([path.display().to_string()])).map_err(|error| {
            let missing = error.downcast_ref::<clap::Error>().and_then(|error| error.get(ContextKind::InvalidArg));
            match missing {
                Some(ContextValue::Strings(flags)) => {
                    let key = |flag: &'_ String| flag.trim_start_matches('-').split(' ').next().map(str::to_owned);
                    let keys: Vec<String> = flags.iter().filter_map(key).collect();
                    anyhow!("{}, table [campaign]: {} is missing", path.display(), keys.join(", "))
                }
                _ => error,
            }
        })?;
        match cli.command {
            Command::Campaign(CampaignOrder::Start(args)) => Ok(args),
            _ => bail!("`campaign start` is another command"),
        }
    }

    /// The flags of `run`, if that is the command.
    pub fn into_run(self) -> Option<Box<RunArgs>> {
        match self.command {
            Command::Run(args) => Some(args),
            _ => None,
        }
    }

    /// Carries the command out; the code to end with.
    ///
    /// # Errors
    /// What was tried, what the system said and what to do next.
    pub fn execute(self) -> Result<ExitCode> {
        logs::begin(&match &self.command {
            Command::Run(args) => args.log.clone(),
            _ => LogArgs::default(),
        })?;
        if matches!(self.command, Command::Run(_)) {
            for Stray { name, meant } in strays::here(&Self::tree()) {
                warn!("{name} is no flag's variable, and says nothing: did you mean {meant}?");
            }
        }
        let done = match self.command {
            Command::Audit(args) => return Ok(args.run()),
            Command::Doctor(args) => return Ok(args.run(&self.admin)),
            Command::Run(args) => args.run(&self.admin, self.start),
            Command::Pps(args) => args.run(),
            Command::Status(args) => args.run(&self.admin),
            Command::Sessions(args) => args.run(&self.admin),
            Command::Timeline(args) => args.run(&self.admin),
            Command::Limits(args) => args.run(&self.admin),
            Command::Deny(order) => order.run(&self.admin),
            Command::Campaign(order) => order.run(&self.admin),
            Command::Mint(args) => args.run(&self.admin),
            Command::Packets(args) => args.run(),
            Command::Ledger(order) => order.run(),
            Command::Ticket(args) => args.run(),
            Command::Config(order) => order.run(&self.start.words, self.start.file.as_ref(), &self.admin),
            Command::Completions(args) => args.run(Self::tree()),
            Command::Man(args) => args.run(Self::tree()),
            Command::XdpPass(args) => args.run(),
            Command::Verify(args) => args.run(),
            Command::Reference(args) => {
                args.run();
                Ok(())
            }
        };
        done.map(|()| ExitCode::SUCCESS)
    }
}
