//! `rp-server config`: shows the configuration, proves a file, writes an example, has a running server read its file again.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use rp_net::say;
use serde_json::{Map, Value};

use super::effective::{Origin, Setting, of_others};
use super::file::File;
use super::{FILE_DEFAULT, example, tree};
use crate::admin::ask::ask;
use crate::admin::{AdminArgs, Answer, Question};
use crate::cli::Cli;

/// `rp-server config`.
#[derive(Subcommand)]
pub enum ConfigOrder {
    /// Show what the file says, or with --effective every key with its value and where that came from
    Show(ShowArgs),
    /// Prove a file: every key known, every value taken
    Check(CheckArgs),
    /// Print a file with every key, its meaning and its default, all commented out
    Example,
    /// Have the running server read its configuration again, and show what changed
    Reload,
}

/// Flags of `rp-server config show`.
#[derive(Args)]
pub struct ShowArgs {
    /// Every key: of flags, environment, file and defaults
    #[arg(long)]
    effective: bool,
    /// Print one object of JSON
    #[arg(long)]
    json: bool,
    /// Flags of `rp-server run`, as they would be given to it
    #[arg(last = true, value_name = "FLAGS", requires = "effective")]
    flags: Vec<String>,
}

/// Flags of `rp-server config check`.
#[derive(Args)]
pub struct CheckArgs {
    /// The file [default: the one that a server here would read]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

impl ConfigOrder {
    /// Carries the order out; `words` are all of the command line, `file` is what it goes by.
    ///
    /// # Errors
    /// The file is wrong, or there is none to speak of.
    pub fn run(self, words: &[String], file: Option<&File>, admin: &AdminArgs) -> Result<()> {
        match self {
            ConfigOrder::Reload => match ask(admin, &Question::Reload)? {
                Answer::Done(said) => say!("{said}"),
                _ => bail!("the server answered another question: is it of this version?"),
            },
            ConfigOrder::Show(args) => args.run(words, file)?,
            ConfigOrder::Check(args) => args.run(words)?,
            ConfigOrder::Example => {
                say!("{}", example::example(&Cli::tree()).trim_end());
            }
        }
        Ok(())
    }
}

impl CheckArgs {
    fn run(self, words: &[String]) -> Result<()> {
        let Some(path) = self.file.or_else(|| super::place(words)) else {
            bail!(
                "there is no file to check: name one, or write {FILE_DEFAULT} (`rp-server config example` prints one)"
            );
        };
        let file = File::read(&path, &Cli::tree())?;
        if file.has_table("campaign") {
            Cli::campaign(&path)?;
        }
        say!("{}: {} keys, all known, every value taken", path.display(), file.entries.len());
        Ok(())
    }
}

impl ShowArgs {
    fn run(self, words: &[String], file: Option<&File>) -> Result<()> {
        let settings = match (self.effective, file) {
            (true, _) => self.effective(words)?,
            (false, None) => bail!("there is no configuration file: {FILE_DEFAULT} does not exist, and none is named"),
            (false, Some(file)) => of_file(file),
        };
        if self.json {
            let named = settings.iter().map(|setting| (place(setting), setting.object()));
            say!("{}", serde_json::to_string_pretty(&named.collect::<Map<String, Value>>())?);
            return Ok(());
        }
        if let Some(file) = file {
            say!("# {}", file.path.display());
        }
        let mut table = "";
        for setting in &settings {
            if setting.table != table {
                table = &setting.table;
                say!("\n[{table}]");
            }
            say!("{}", line(setting, file));
        }
        Ok(())
    }

    /// What a server would go by that is started here, with these flags.
    fn effective(&self, words: &[String]) -> Result<Vec<Setting>> {
        let file = super::place(words).map_or(super::NONE.to_owned(), |path| path.display().to_string());
        let mut run = ["rp-server", "run", "--config", &file].map(str::to_owned).to_vec();
        run.extend(self.flags.iter().cloned());
        let cli = Cli::read(run)?;
        let mut settings = cli.start.settings;
        settings.extend(of_others(&Cli::tree(), cli.start.file.as_ref()));
        // Keys at the top come before the first table.
        settings.sort_by(|a, b| a.table.cmp(&b.table));
        Ok(settings)
    }
}

fn of_file(file: &File) -> Vec<Setting> {
    let keys = tree::keys(&Cli::tree());
    let of = |entry: &super::file::Entry| {
        let key = keys.iter().find(|key| key.place() == entry.place)?;
        let (table, name, value) = (key.table.clone(), key.name.clone(), key.value(&entry.words));
        Some(Setting { table, name, env: entry.env.clone(), value, origin: Origin::File { line: entry.line } })
    };
    let mut settings: Vec<Setting> = file.entries.iter().filter_map(of).collect();
    settings.sort_by(|a, b| a.table.cmp(&b.table));
    settings
}

fn place(setting: &Setting) -> String {
    let Setting { table, name, .. } = setting;
    if table.is_empty() { name.clone() } else { format!("{table}.{name}") }
}

/// A line that a file may have, with where it came from behind it.
fn line(setting: &Setting, file: Option<&File>) -> String {
    let whence = match (&setting.origin, file) {
        (Origin::Environment, _) => format!("environment: {}", setting.env),
        (Origin::File { line }, Some(file)) => format!("file: {}, line {line}", file.path.display()),
        (Origin::Unset, _) => return format!("# {} is left to the server", setting.name),
        (origin, _) => origin.name().to_owned(),
    };
    format!("{:<40} # {whence}", format!("{} = {}", setting.name, written(&setting.value)))
}

/// A value as TOML.
pub(super) fn written(value: &Value) -> String {
    match value {
        Value::String(text) => toml::Value::String(text.clone()).to_string(),
        Value::Array(values) => format!("[{}]", values.iter().map(written).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}
