//! What a program says of its own flags, for a package: completions for shells, and pages for man.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, Command};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::say;

/// Flags of `completions`.
#[derive(Args, Debug, Clone)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Flags of `man`.
#[derive(Args, Debug, Clone)]
pub struct ManArgs {
    /// Where the pages go
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

impl CompletionsArgs {
    /// Prints what the shell is to read.
    ///
    /// # Errors
    /// None that is known.
    pub fn run(&self, mut tree: Command) -> Result<()> {
        let (mut script, name) = (Vec::new(), tree.get_name().to_owned());
        clap_complete::generate(self.shell, &mut tree, name, &mut script);
        say!("{}", String::from_utf8_lossy(&script).trim_end());
        Ok(())
    }
}

impl ManArgs {
    /// Writes a page for the program and one for each of its commands.
    ///
    /// # Errors
    /// What the system said of the folder.
    pub fn run(&self, tree: Command) -> Result<()> {
        std::fs::create_dir_all(&self.dir).with_context(|| format!("making {}", self.dir.display()))?;
        let name = tree.get_name().to_owned();
        write(tree.disable_help_subcommand(true), &name, &self.dir)
    }
}

/// `rp-server-campaign-start.1` for `rp-server campaign start`.
fn write(command: Command, name: &str, dir: &Path) -> Result<()> {
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        let sub_name = format!("{name}-{}", sub.get_name());
        write(sub.clone().disable_help_subcommand(true), &sub_name, dir)?;
    }
    let spoken = name.replacen('-', "\u{0}", 1).replace('-', " ").replace('\u{0}', "-");
    let command = command.name(name.to_owned()).bin_name(spoken);
    let mut page = Vec::new();
    Man::new(command).render(&mut page).context("writing a page")?;
    let file = dir.join(format!("{name}.1"));
    std::fs::write(&file, page).with_context(|| format!("writing {}", file.display()))
}
