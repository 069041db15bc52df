//! The command line: names the commands and hands each to the room that carries it out. Every flag is also an environment
//! variable, RP_ and its name; the help says so once instead of at each.

mod flags;
mod moment;
mod value;

use std::ffi::OsString;

use anyhow::Result;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};
use rp_net::manual::{CompletionsArgs, ManArgs};

use crate::ending;
use crate::one::order::OneArgs;
use crate::report::order::ReportArgs;
use crate::run::run;
use crate::scenario::order::ScenarioOrder;

pub use flags::Flags;
pub use moment::clock_face;
pub use value::server;

const AFTER_HELP: &str = "Without a command it is `rp-client run`; see `rp-client run --help`.
Every flag is also an environment variable, RP_ and its name in capitals; a flag goes before it.";

/// The load and reference client of the red-packet server: logs in any number of users, plays a scenario, and proves that
/// its books and the server's agree.
#[derive(Parser, Debug)]
#[command(name = "rp-client", version, max_term_width = 110, after_help = AFTER_HELP)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// What the program does.
#[derive(Subcommand, Debug)]
enum Command {
    /// Play a scenario; the command when none is given
    Run(Box<Flags>),
    /// Be one user by hand
    One(Box<OneArgs>),
    /// List, show and check scenarios
    #[command(subcommand)]
    Scenario(ScenarioOrder),
    /// Show, draw, add up and compare reports
    Report(ReportArgs),
    /// Print completions of this command line for a shell
    #[command(hide = true)]
    Completions(CompletionsArgs),
    /// Write a page for man about each command
    #[command(hide = true)]
    Man(ManArgs),
}

impl Cli {
    /// Reads the command line; `run` is put in where no command is named.
    ///
    /// # Errors
    /// As clap words them; help and version are among them.
    pub fn read(words: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let mut words: Vec<OsString> = words.into_iter().collect();
        let command = Self::as_shown();
        let is_named = words.get(1).is_some_and(|word| {
            let own = ["help", "-h", "--help", "-V", "--version"];
            command.get_subcommands().map(clap::Command::get_name).chain(own).any(|known| word == known)
        });
        if !is_named {
            words.insert(1.min(words.len()), "run".into());
        }
        let matches: ArgMatches = command.try_get_matches_from(words)?;
        Self::from_arg_matches(&matches)
    }

    /// The command line as help, completions and man pages show it: variables are not named at each flag.
    pub fn as_shown() -> clap::Command {
        hide_variables(Self::command())
    }

    /// Carries the command out; the code to end with.
    ///
    /// # Errors
    /// What was tried, what the system said and what to do next.
    pub fn execute(self) -> Result<u8> {
        let is_well = match self.command {
            Command::Run(flags) => run(&flags.settled())?,
            Command::One(args) => return args.run(),
            Command::Scenario(order) => order.run().map(|()| true)?,
            Command::Report(args) => args.run()?,
            Command::Completions(args) => args.run(Self::as_shown()).map(|()| true)?,
            Command::Man(args) => args.run(Self::as_shown()).map(|()| true)?,
        };
        Ok(if is_well { ending::WELL } else { ending::FAILED })
    }
}

fn hide_variables(command: clap::Command) -> clap::Command {
    command.mut_args(|arg| arg.hide_env(true)).mut_subcommands(hide_variables)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of a terminal that has room for a prompt beside the help.
    const SCREEN_LINES: usize = 40;

    fn flags(words: &[&str]) -> Flags {
        let cli = Cli::read(words.iter().map(OsString::from)).expect("good flags");
        let Command::Run(flags) = cli.command else { panic!("{words:?} is no run") };
        flags.settled()
    }

    fn walk(path: &str, command: &clap::Command, visit: &mut impl FnMut(&str, &clap::Command)) {
        visit(path, command);
        for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
            walk(&format!("{path} {}", below.get_name()), below, visit);
        }
    }

    #[test]
    fn flags_are_the_same_with_and_without_the_word_run() {
        Cli::command().debug_assert();
        for words in [&["rp-client", "--users", "5..=9"][..], &["rp-client", "run", "--users", "5..=9"]] {
            let flags = flags(words);
            assert_eq!((flags.users, flags.sockets, flags.scenario), (5..=9, 4, None));
        }
        assert!(Cli::read(["rp-client", "--users", "5..9"].map(OsString::from)).is_err());
    }

    #[test]
    fn a_scenario_is_named_by_its_place_or_by_its_flag() {
        for words in [&["rp-client", "run", "demo"][..], &["rp-client", "--scenario", "demo"], &["rp-client", "demo"]] {
            assert_eq!(flags(words).scenario.as_deref(), Some("demo".as_ref()), "{words:?}");
        }
        assert_eq!(flags(&["rp-client", "run", "--scenario", "a.toml", "demo"]).scenario, Some("demo".into()));
    }

    #[test]
    fn every_flag_is_an_environment_variable_too() {
        walk("rp-client", &Cli::command(), &mut |path, command| {
            for arg in command.get_arguments().filter(|arg| arg.get_long().is_some()) {
                let long = arg.get_long().unwrap_or_default();
                let expected = format!("RP_{}", long.to_uppercase().replace('-', "_"));
                let is_claps_own = ["help", "version"].contains(&long);
                let has = arg.get_env().is_some_and(|name| name == expected.as_str());
                assert!(is_claps_own || has, "{path} --{long} has no variable {expected}");
            }
        });
    }

    #[test]
    fn help_fits_a_screen() {
        walk("rp-client", &Cli::as_shown(), &mut |path, command| {
            let text = command.clone().term_width(100).render_help().to_string();
            assert!(text.lines().count() <= SCREEN_LINES, "{path} -h has {} lines:\n{text}", text.lines().count());
        });
    }
}
