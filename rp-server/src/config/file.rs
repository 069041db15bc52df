//! The file: read, and held against the tree of commands key by key. What it cannot mean is refused with its line.

use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::builder::ValueParser;
use clap::error::{ContextKind, ContextValue};
use clap::{Arg, ArgAction, Command};
use toml::de::{DeTable, DeValue};

use super::tree::{Form, Key, is_true, keys, table_of};

/// A configuration file that was read.
#[derive(Default, Clone)]
pub struct File {
    /// Where it is.
    pub path: PathBuf,
    /// What it says, in the order of its lines.
    pub entries: Vec<Entry>,
}

/// One line of it.
#[derive(Clone)]
pub struct Entry {
    /// Table and name, like `campaign.rate`.
    pub place: String,
    /// The environment variable of its flag.
    pub env: String,
    /// Its values, as they would stand on a command line.
    pub words: Vec<String>,
    /// Its line in the file.
    pub line: usize,
}

impl File {
    /// Reads a file for this tree of commands.
    ///
    /// # Errors
    /// It cannot be read, is no TOML, or has a key or a value that no flag has; says the line.
    pub fn read(path: &Path, command: &Command) -> Result<File> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("reading the configuration file {}: --config names another", path.display()))?;
        File::of(path, &text, command)
    }

    pub(super) fn of(path: &Path, text: &str, command: &Command) -> Result<File> {
        let parsed = DeTable::parse(text).map_err(|error| {
            let line = error.span().map_or(1, |span| line_of(text, &span));
            anyhow!("{}, line {line}: {}", path.display(), error.message().replace('\n', ", "))
        })?;
        let mut entries = Vec::new();
        let reader = Reader { path, text, keys: keys(command) };
        reader.table(parsed.get_ref(), "", &mut entries)?;
        entries.sort_by_key(|entry| entry.line);
        Ok(File { path: path.to_owned(), entries })
    }

    /// The line of a key, if the file has it.
    pub fn entry(&self, place: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.place == place)
    }

    /// Does it say anything in this table?
    pub fn has_table(&self, table: &str) -> bool {
        self.entries.iter().any(|entry| entry.place.rsplit_once('.').is_some_and(|(of, _)| of == table))
    }
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    keys: Vec<Key>,
}

impl Reader<'_> {
    fn table(&self, table: &DeTable<'_>, name: &str, entries: &mut Vec<Entry>) -> Result<()> {
        for (key, value) in table {
            let line = line_of(self.text, &key.span());
            let at = || format!("{}, line {line}", self.path.display());
            let key = key.get_ref().as_ref();
            if let DeValue::Table(inner) = value.get_ref() {
                let inner_name = if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
                ensure!(
                    self.is_table(&inner_name),
                    "{}: unknown table [{inner_name}]{}",
                    at(),
                    self.nearest(name, key)
                );
                self.table(inner, &inner_name, entries)?;
                continue;
            }
            let Some(known) = self.keys.iter().find(|known| known.table == name && known.name == key) else {
                bail!("{}: unknown key `{key}`{}", at(), self.nearest(name, key));
            };
            let words = words_of(known, value.get_ref())
                .map_err(|expected| anyhow!("{}: {key} = {}: {expected}", at(), &self.text[value.span()]))?;
            entries.push(Entry { place: known.place(), env: known.env(), words, line });
        }
        Ok(())
    }

    /// Is it a command's, or on the way to one's?
    fn is_table(&self, name: &str) -> bool {
        let below = format!("{name}.");
        self.keys.iter().any(|key| key.table == name || key.table.starts_with(&below))
    }

    /// What was meant, probably.
    fn nearest(&self, table: &str, key: &str) -> String {
        if let Some(elsewhere) = self.keys.iter().find(|known| known.name == key) {
            return match elsewhere.table.as_str() {
                "" => format!(": `{key}` stands at the top, before the first table"),
                table => format!(": `{key}` is a key of the table [{table}]"),
            };
        }
        if self.is_table(key) {
            return format!(": [{key}] is a table");
        }
        let below = |known: &Key| {
            let rest = known.table.strip_prefix(table)?.trim_start_matches('.');
            rest.split('.').next().filter(|rest| !rest.is_empty()).map(str::to_owned)
        };
        let keys = self.keys.iter().filter(|known| known.table == table).map(|known| known.name.clone());
        let tables = self.keys.iter().filter_map(below);
        let near = keys.chain(tables).map(|name| (strsim::damerau_levenshtein(key, &name), name)).min();
        match near {
            // Further apart than half of the word, it is another word.
            Some((steps, name)) if steps * 2 <= key.len().max(2) => format!(": did you mean `{name}`?"),
            _ => ": `rp-server config example` shows all".to_owned(),
        }
    }
}

fn line_of(text: &str, span: &Range<usize>) -> usize {
    text[..span.start.min(text.len())].matches('\n').count() + 1
}

/// The words of a value, each of which the flag takes; else what is expected instead.
fn words_of(key: &Key, value: &DeValue<'_>) -> Result<Vec<String>, String> {
    let many = match value {
        DeValue::Array(values) if key.is_list() => values.iter().map(|value| value.get_ref()).collect(),
        one => vec![one],
    };
    if many.is_empty() && !key.arg.get_default_values().is_empty() {
        return Err(format!("at least one {} is expected", name_of(key)));
    }
    many.into_iter().map(|value| word_of(key, value)).collect()
}

fn word_of(key: &Key, value: &DeValue<'_>) -> Result<String, String> {
    let several = if key.is_list() { ", or several in [ ]" } else { "" };
    let word = match (key.form(), value) {
        (Form::Number, DeValue::Integer(number)) if number.radix() == 10 && !number.as_str().starts_with('-') => {
            number.as_str().to_owned()
        }
        (Form::Truth, DeValue::Boolean(is)) => is.to_string(),
        // A flag that takes a word takes it here too.
        (Form::Truth, DeValue::String(word)) if is_true(word).is_some() => word.clone().into_owned(),
        (Form::Text, DeValue::String(word)) => word.clone().into_owned(),
        (Form::Number, _) => return Err(format!("a whole number, 0 or above, is expected{several}")),
        (Form::Truth, _) => return Err("true or false is expected".to_owned()),
        (Form::Text, _) => return Err(format!("{} in quotes is expected{several}", name_of(key))),
    };
    try_out(key, &word).map(|()| word)
}

/// What the flag's value is called in the help.
fn name_of(key: &Key) -> String {
    let names = key.arg.get_value_names().unwrap_or_default();
    names.first().map_or_else(|| "a word".to_owned(), |name| name.to_string())
}

/// Would the flag take the word?
fn try_out(key: &Key, word: &str) -> Result<(), String> {
    if matches!(key.arg.get_action(), ArgAction::SetTrue) {
        return Ok(());
    }
    let parser: ValueParser = key.arg.get_value_parser().clone();
    let arg = Arg::new("word").allow_hyphen_values(true).value_parser(parser);
    let tried = Command::new("key").no_binary_name(true).arg(arg).try_get_matches_from([word]);
    let Err(error) = tried else { return Ok(()) };
    let possible = match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(words)) => words.join(", "),
        _ => String::new(),
    };
    Err(match std::error::Error::source(&error) {
        Some(why) => why.to_string(),
        None if possible.is_empty() => format!("{} is expected", name_of(key)),
        None => format!("expected is one of {possible}"),
    })
}

/// The tree with the file's words in the place of the defaults: so flags and environment go before them, by clap's own rule.
/// A key feeds every flag that has its environment variable, which means the same wherever it is.
pub fn feed(command: Command, file: &File) -> Command {
    fed(command, "", file)
}

fn fed(command: Command, table: &str, file: &File) -> Command {
    let command = command.mut_args(|arg| {
        let Some(env) = arg.get_env().map(|name| name.to_string_lossy().into_owned()) else { return arg };
        let Some(name) = arg.get_long() else { return arg };
        let place = if table.is_empty() { name.to_owned() } else { format!("{table}.{name}") };
        // A command's own table goes before the top.
        let entry = file.entry(&place).or_else(|| file.entries.iter().find(|entry| entry.env == env));
        match entry {
            // Where one is wanted and the list of another command's flag is at hand, its first.
            Some(entry) => {
                let most = if matches!(arg.get_action(), ArgAction::Append) { entry.words.len() } else { 1 };
                arg.required(false).default_values(entry.words[..most].to_vec())
            }
            None => arg,
        }
    });
    let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    names.iter().fold(command, |command, name| {
        let inner = table_of(table, name);
        command.mut_subcommand(name, |sub| fed(sub, &inner, file))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;

    fn check(text: &str, expected: &str) {
        let said = match File::of(Path::new("f"), text, &Cli::tree()) {
            Ok(file) => file.entries.iter().map(|entry| format!("{}={}", entry.place, entry.words.join("|"))).collect(),
            Err(error) => vec![error.to_string()],
        };
        assert_eq!(said.join("; "), expected, "{text}");
    }

    #[test]
    fn keys_and_values_are_held_to_the_flags() {
        check("idle = 20\n[campaign]\nrate = 5", "idle=20; campaign.rate=5");
        check("listen = [\"[::]:1\", '1.2.3.4:5']", "listen=[::]:1|1.2.3.4:5");
        check("listen = \"[::]:1\"", "listen=[::]:1");
        check("trace-gate = true\nsealing = \"off\"", "trace-gate=true; sealing=off");
        check("[ledger.backup]\nto = \"x\"", "ledger.backup.to=x");
        check("\n\nsession-rat = 5", "f, line 3: unknown key `session-rat`: did you mean `session-rate`?");
        check("session_rate = 5", "f, line 1: unknown key `session_rate`: did you mean `session-rate`?");
        check("budget-fen = 5", "f, line 1: unknown key `budget-fen`: `budget-fen` is a key of the table [campaign]");
        check(
            "[campaign]\nidle = 5",
            "f, line 2: unknown key `idle`: `idle` stands at the top, before the first table",
        );
        check("[campain]\nrate = 5", "f, line 1: unknown table [campain]: did you mean `campaign`?");
        check("zzzzzz = 5", "f, line 1: unknown key `zzzzzz`: `rp-server config example` shows all");
        check("idle = \"20\"", "f, line 1: idle = \"20\": a whole number, 0 or above, is expected");
        check("idle = 0", "f, line 1: idle = 0: 0 is not in 1..=86400");
        check("idle = -1", "f, line 1: idle = -1: a whole number, 0 or above, is expected");
        check("xdp = 5", "f, line 1: xdp = 5: MODE in quotes is expected");
        check("xdp = \"of\"", "f, line 1: xdp = \"of\": expected is one of auto, driver, skb, off");
        check("trace-gate = 1", "f, line 1: trace-gate = 1: true or false is expected");
        check("listen = []", "f, line 1: listen = []: at least one ADDR:PORT is expected");
        check("listen = [\"x\"]", "f, line 1: listen = [\"x\"]: invalid socket address syntax");
        check("config = \"x\"", "f, line 1: unknown key `config`: [config] is a table");
        check("idle = 5\nidle = 6", "f, line 2: duplicate key");
        check("idle 5", "f, line 1: key with no value, expected `=`");
    }
}
