//! Configuration: a TOML file whose keys are the flags' own words, below the environment and the flags themselves.
//!
//! The file is read before the command line and takes the place of the flags' defaults, so nothing else has to know of it.
//! What no flag is called, or no flag takes, ends the command with the file's line: a wrong key is never passed over.

mod commands;
pub mod effective;
mod example;
pub mod file;
pub mod live;
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
    let asks =
        |word: &String| ["help", "-h", "--help", "-V", "--version", "completions", "man"].contains(&word.as_str());
    let looks = |pair: &[String]| pair[0] == "config" && ["check", "example", "reload"].contains(&pair[1].as_str());
    !words.iter().skip(1).any(asks) && !words.windows(2).any(looks)
}
