//! What holds, key by key, and where it came from: flag, environment, file or default.

use clap::parser::ValueSource;
use clap::{ArgMatches, Command};
use serde_json::{Value, json};

use super::file::File;
use super::tree::{Key, keys};

/// Where a value came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// The command line.
    Flag,
    /// An environment variable.
    Environment,
    /// The configuration file.
    File {
        /// Its line there.
        line: usize,
    },
    /// The program.
    Default,
    /// Nowhere: the server decides at its start.
    Unset,
}

/// A key and its value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Setting {
    /// Its table.
    pub table: String,
    /// Its name there.
    pub name: String,
    /// Its environment variable.
    pub env: String,
    /// Null when it has none.
    pub value: Value,
    /// Where from.
    pub origin: Origin,
}

impl Origin {
    /// In one word.
    pub fn name(&self) -> &'static str {
        match self {
            Origin::Flag => "flag",
            Origin::Environment => "environment",
            Origin::File { .. } => "file",
            Origin::Default => "default",
            Origin::Unset => "unset",
        }
    }
}

impl Setting {
    /// As an object of JSON.
    pub fn object(&self) -> Value {
        let line = match self.origin {
            Origin::File { line } => Some(line),
            _ => None,
        };
        json!({"value": self.value, "from": self.origin.name(), "line": line, "environment": self.env})
    }
}

/// The settings of `run` as it was matched, without what is left to chance.
pub fn of_run(command: &Command, file: Option<&File>, matches: &ArgMatches) -> Vec<Setting> {
    let top = keys(command).into_iter().filter(|key| key.table.is_empty());
    top.map(|key| {
        let id = key.arg.get_id().as_str();
        let raw = matches.try_get_raw(id).ok().flatten().into_iter().flatten();
        let words: Vec<String> = raw.map(|word| word.to_string_lossy().into_owned()).collect();
        let line = file.and_then(|file| file.entry(&key.name)).map(|entry| entry.line);
        let origin = match (matches.try_contains_id(id).ok().and_then(|_| matches.value_source(id)), line) {
            (Some(ValueSource::CommandLine), _) => Origin::Flag,
            (Some(ValueSource::EnvVariable), _) => Origin::Environment,
            (_, Some(line)) => Origin::File { line },
            (Some(_), None) => Origin::Default,
            (None, None) => Origin::Unset,
        };
        setting(&key, &words, origin)
    })
    .collect()
}

/// The settings of the other commands that environment or file change.
pub fn of_others(command: &Command, file: Option<&File>) -> Vec<Setting> {
    let (top, others): (Vec<Key>, Vec<Key>) = keys(command).into_iter().partition(|key| key.table.is_empty());
    others
        .into_iter()
        .filter_map(|key| {
            let entry = file.and_then(|file| file.entry(&key.place()));
            let is_shared = top.iter().any(|top| top.env() == key.env());
            match (std::env::var(key.env()), entry) {
                (Ok(word), _) if !is_shared => Some(setting(&key, &[word], Origin::Environment)),
                (_, Some(entry)) => Some(setting(&key, &entry.words, Origin::File { line: entry.line })),
                _ => None,
            }
        })
        .collect()
}

fn setting(key: &Key, words: &[String], origin: Origin) -> Setting {
    let value = match origin {
        Origin::Unset => Value::Null,
        _ => key.value(words),
    };
    Setting { table: key.table.clone(), name: key.name.clone(), env: key.env(), value, origin }
}
