//! Configuration: a TOML file whose keys are the flags' own words, below the environment and the flags themselves.
//!
//! The file is read before the command line and takes the place of the flags' defaults, so nothing else has to know of it.
//! What no flag is called, or no flag takes, ends the command with the file's line: a wrong key is never passed over.

mod commands;
pub mod effective;
mod example;
pub mod file;
pub mod live;
pub mod strays;
pub mod tree;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Command};

pub use commands::ConfigOrder;
use effective::Setting;
use file::File;

/// The file that is read when none is named.
pub const FILE_DEFAULT: &str = "/etc/red-packet/server.toml";
/// Named instead of a file: none is read.
const NONE: &str = "off";

/// Which file is read.
#[derive(Args, Clone)]
pub struct ConfigArgs {
    /// Configuration file, or off [default: /etc/red-packet/server.toml if there]
    #[arg(long, env = "RP_CONFIG", value_name = "FILE", global = true, help_heading = "Operator")]
    config: Option<PathBuf>,
}

/// How this program was started: what a reload goes by.
#[derive(Default, Clone)]
pub struct Start {
    /// The command line, `run` put in.
    pub words: Vec<String>,
    /// The file that was read.
    pub file: Option<File>,
    /// What holds of the server's own keys; empty for other commands.
    pub settings: Vec<Setting>,
}

/// Reads the file that is named by flag or environment, else the default one where there is one.
///
/// # Errors
/// As of [`File::read`].
pub fn read(words: &[String], command: &Command) -> Result<Option<File>> {
    place(words).map(|path| File::read(&path, command)).transpose()
}

/// Where the file is, found before the command line is read; none when there is none.
pub fn place(words: &[String]) -> Option<PathBuf> {
    let named = named(words).or_else(|| std::env::var("RP_CONFIG").ok());
    match named.as_deref() {
        Some("" | NONE) => None,
        Some(path) => Some(PathBuf::from(path)),
        None => Some(PathBuf::from(FILE_DEFAULT)).filter(|path| path.exists()),
    }
}

fn named(words: &[String]) -> Option<String> {
    let mut words = words.iter().skip(1).take_while(|word| *word != "--");
    while let Some(word) = words.next() {
        if word == "--config" {
            return words.next().cloned();
        }
        if let Some(path) = word.strip_prefix("--config=") {
            return Some(path.to_owned());
        }
    }
    None
}

/// Does the command go by a file at all? Help does not, nor what looks at files itself.
pub fn is_wanted(words: &[String]) -> bool {
    let goes_without = match *command_of(words) {
        ["help" | "completions" | "man", ..] | [_, "help"] => true,
        ["config", order] => ["check", "example", "reload"].contains(&order),
        _ => false,
    };
    !goes_without && !asks_for_help(words)
}

/// Is help or the version asked for, which any command answers?
pub fn asks_for_help(words: &[String]) -> bool {
    words.iter().skip(1).any(|word| ["-h", "--help", "-V", "--version"].contains(&word.as_str()))
}

/// The first two words behind the program's that are neither a flag of all commands nor its value: there a command is named, if
/// one is. The same word further on is a value, like that of `--data man`.
pub fn command_of(words: &[String]) -> Vec<&str> {
    let (mut words, mut found) = (words.iter().skip(1).map(String::as_str), Vec::new());
    while found.len() < 2
        && let Some(word) = words.next()
    {
        match word {
            "--config" | "--admin" => drop(words.next()),
            _ if word.starts_with("--config=") || word.starts_with("--admin=") => {}
            _ => found.push(word),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_named_where_commands_stand_and_nowhere_else() {
        for (line, is_wanted_by_it) in [
            ("", true),
            ("run", true),
            ("run --data man", true),
            ("--data man", true),
            ("run --data completions --pin help", true),
            ("run --config check", true),
            ("--admin man audit --data help", true),
            ("--config=man run", true),
            ("config show", true),
            ("man out", false),
            ("--admin socket man out", false),
            ("--config=off completions bash", false),
            ("help run", false),
            ("config help", false),
            ("config check x", false),
            ("--admin socket config reload", false),
            ("config --config x example", false),
            ("run --data x -h", false),
            ("--version", false),
        ] {
            let words: Vec<String> =
                ["rp-server"].into_iter().chain(line.split_whitespace()).map(str::to_owned).collect();
            assert_eq!(is_wanted(&words), is_wanted_by_it, "{line}");
        }
    }
}
