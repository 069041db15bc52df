//! Every flag of every command as a key: the tree of commands is walked, so that no list has to be kept beside it.
//!
//! The keys of `run` stand at the top of the file, those of another command in the table of its name; `[campaign]` holds those of
//! `campaign start`. A flag that names no environment variable gets one by the same rule: `RP_`, the table, the flag.

use std::any::TypeId;

use clap::builder::BoolishValueParser;
use clap::{Arg, ArgAction, Command};
use serde_json::Value;

/// A flag as a key.
pub struct Key {
    /// Its table in the file; empty at the top.
    pub table: String,
    /// Its name there, which is the flag's.
    pub name: String,
    /// The command that it is a flag of, from the top.
    pub path: Vec<String>,
    /// The flag.
    pub arg: Arg,
}

/// What a key's values are written as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// A whole number.
    Number,
    /// `true` or `false`.
    Truth,
    /// Words in quotes.
    Text,
}

impl Key {
    /// Its place in the file in one word, like `campaign.rate`.
    pub fn place(&self) -> String {
        if self.table.is_empty() { self.name.clone() } else { format!("{}.{}", self.table, self.name) }
    }

    /// Its environment variable.
    pub fn env(&self) -> String {
        self.arg.get_env().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// What one value of it is written as.
    pub fn form(&self) -> Form {
        let of = self.arg.get_value_parser().type_id();
        let is = |ids: &[TypeId]| ids.iter().any(|id| of == *id);
        let numbers = [TypeId::of::<u8>(), TypeId::of::<u16>(), TypeId::of::<u32>(), TypeId::of::<u64>()];
        match () {
            () if is(&numbers) || is(&[TypeId::of::<usize>()]) => Form::Number,
            () if is(&[TypeId::of::<bool>()]) => Form::Truth,
            () => Form::Text,
        }
    }

    /// May it have several values?
    pub fn is_list(&self) -> bool {
        matches!(self.arg.get_action(), ArgAction::Append)
    }

    /// Its value, made of words as they stand on a command line.
    pub fn value(&self, words: &[String]) -> Value {
        let of = |word: &String| match self.form() {
            Form::Number => word.parse::<u64>().map_or_else(|_| word.clone().into(), Value::from),
            Form::Truth => is_true(word).map_or_else(|| word.clone().into(), Value::from),
            Form::Text => word.clone().into(),
        };
        match words {
            [word] if !self.is_list() => of(word),
            words => words.iter().map(of).collect(),
        }
    }
}

/// `on`, `yes`, `true` and `1`, and their opposites.
pub fn is_true(word: &str) -> Option<bool> {
    let is = |words: [&str; 6]| words.iter().any(|one| one.eq_ignore_ascii_case(word));
    match () {
        () if is(["true", "on", "yes", "1", "t", "y"]) => Some(true),
        () if is(["false", "off", "no", "0", "f", "n"]) => Some(false),
        () => None,
    }
}

/// The tree in which each flag has its environment variable, and one without a value can be told `false` there.
pub fn complete(command: Command) -> Command {
    completed(command, "")
}

fn completed(command: Command, table: &str) -> Command {
    let prefix = format!("RP_{}", if table.is_empty() { String::new() } else { format!("{table}_") });
    let command = command.mut_args(|arg| {
        let Some(flag) = arg.get_long().map(str::to_owned) else { return arg };
        let arg = match arg.get_action() {
            ArgAction::SetTrue => arg.value_parser(BoolishValueParser::new()),
            _ => arg,
        };
        match arg.get_env() {
            Some(_) => arg,
            None => arg.env(format!("{prefix}{flag}").to_uppercase().replace(['-', '.'], "_")),
        }
    });
    let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    names.iter().fold(command, |command, name| {
        let inner = table_of(table, name);
        command.mut_subcommand(name, |sub| completed(sub, &inner))
    })
}

/// The tree whose short help fits a screen: without the names of environment variables and of the values that a wrong one is told.
pub fn brief(command: Command) -> Command {
    let command = command.mut_args(|arg| {
        let takes_values = arg.get_action().takes_values();
        arg.hide_env(true).hide_possible_values(takes_values)
    });
    let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    names.iter().fold(command, |command, name| command.mut_subcommand(name, brief))
}

/// The table of a command that stands below another's.
pub fn table_of(outer: &str, name: &str) -> String {
    match (outer, name) {
        ("", "run") => String::new(),
        ("campaign", "start") => "campaign".to_owned(),
        ("", name) => name.to_owned(),
        (outer, name) => format!("{outer}.{name}"),
    }
}

/// All keys of a completed tree, in the order of its help.
pub fn keys(command: &Command) -> Vec<Key> {
    let mut keys = Vec::new();
    collect(command, "", &[], &mut keys);
    keys
}

fn collect(command: &Command, table: &str, path: &[String], keys: &mut Vec<Key>) {
    for arg in command.get_arguments() {
        let Some(name) = arg.get_long() else { continue };
        // Which file is read is not said in it.
        if !["help", "version", "config"].contains(&name) {
            keys.push(Key { table: table.to_owned(), name: name.to_owned(), path: path.to_vec(), arg: arg.clone() });
        }
    }
    for sub in command.get_subcommands() {
        let path = [path, &[sub.get_name().to_owned()]].concat();
        collect(sub, &table_of(table, sub.get_name()), &path, keys);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use clap::{Arg, Command};

    use super::*;
    use crate::cli::Cli;

    /// Lines of a terminal.
    const SCREEN: usize = 40;

    fn each(command: &Command, path: &str, visit: &mut dyn FnMut(&str, &Command)) {
        visit(path, command);
        command.get_subcommands().for_each(|sub| each(sub, format!("{path} {}", sub.get_name()).trim(), visit));
    }

    #[test]
    fn every_flag_is_an_environment_variable_of_one_meaning() {
        let mut meanings: BTreeMap<String, (String, String)> = BTreeMap::new();
        each(&Cli::tree(), "", &mut |path, command| {
            for arg in command.get_arguments().filter(|arg| !arg.is_positional()) {
                let flag = arg.get_long().expect("flags are long words").to_owned();
                let env = arg.get_env().unwrap_or_else(|| panic!("{path} --{flag} has no environment variable"));
                let env = env.to_str().expect("it is in ASCII").to_owned();
                assert!(env.starts_with("RP_"), "{path} --{flag}: {env}");
                let meaning = (flag, format!("{:?}", arg.get_value_parser().type_id()));
                let before = meanings.entry(env.clone()).or_insert_with(|| meaning.clone());
                assert_eq!(*before, meaning, "{env} of {path} means something else elsewhere");
            }
        });
        assert!(meanings.len() > 40, "{} flags", meanings.len());
    }

    #[test]
    fn every_flag_has_a_place_in_the_file_of_its_own() {
        let keys = keys(&Cli::tree());
        let mut places: Vec<String> = keys.iter().map(Key::place).collect();
        places.sort();
        let all = places.len();
        places.dedup();
        assert_eq!(places.len(), all);
        let has = |place: &str| places.iter().any(|one| one == place);
        assert!(has("listen") && has("campaign.rate") && has("ledger.backup.to"), "{places:?}");
    }

    #[test]
    fn a_command_that_gives_orders_takes_none_from_a_servers_environment() {
        let of = |keys: &[Key], place: &str| keys.iter().find(|key| key.place() == place).map(Key::env);
        let keys = keys(&Cli::tree());
        assert_ne!(of(&keys, "session-rate"), of(&keys, "limits.session-rate"));
        assert_eq!(of(&keys, "limits.session-rate").as_deref(), Some("RP_LIMITS_SESSION_RATE"));
    }

    #[test]
    fn each_short_help_fits_a_screen() {
        each(&Cli::tree(), "", &mut |path, command| {
            let mut command = brief(command.clone()).term_width(100);
            // Those that stand with every command.
            if !path.is_empty() {
                command = ["admin", "config"].iter().fold(command, |command, flag| {
                    command.arg(Arg::new(flag).long(flag).value_name("FILE").help("One line").help_heading("Operator"))
                });
            }
            let help = command.render_help().to_string();
            assert!(help.lines().count() <= SCREEN, "{path}: {} lines:\n{help}", help.lines().count());
        });
    }

    #[test]
    fn the_tree_is_sound() {
        Cli::tree().debug_assert();
    }
}
