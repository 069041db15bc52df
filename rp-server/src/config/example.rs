//! The default configuration, made from the help: every key with its meaning and its default, all commented out.

use std::fmt::Write as _;

use clap::{ArgAction, Command};

use super::tree::{Form, Key, keys};

/// The width of a comment.
const WIDTH: usize = 100;

/// The text of `rp-server config example`.
pub fn example(command: &Command) -> String {
    let mut out = String::from(
        "# Configuration of rp-server. Keys are the flags' own words; a flag goes before its environment variable, that before\n\
         # this file, and this before the default, which is what stands here. `rp-server config check FILE` proves a file,\n\
         # `rp-server config show --effective` shows what holds. SIGHUP, or `rp-server config reload`, changes limits, deny\n\
         # list, log level and campaign of a running server.\n",
    );
    let keys: Vec<Key> = keys(command).into_iter().filter(|key| !key.arg.is_hide_set()).collect();
    let top = || keys.iter().filter(|key| key.table.is_empty());
    let mut told: Vec<&str> = Vec::new();
    for heading in top().map(heading) {
        if told.contains(&heading) {
            continue;
        }
        told.push(heading);
        let _infallible = write!(out, "\n# == {heading} ==\n");
        top().filter(|key| self::heading(key) == heading).for_each(|key| put(key, &mut out));
    }
    out.push_str("\n# == Campaign: started with the server, changed when this table changes ==\n\n# [campaign]\n");
    keys.iter().filter(|key| key.table == "campaign").for_each(|key| put(key, &mut out));
    out
}

fn heading(key: &Key) -> &str {
    key.arg.get_help_heading().unwrap_or("Server")
}

fn put(key: &Key, out: &mut String) {
    let help = key.arg.get_help().map(ToString::to_string).unwrap_or_default();
    let is_flag = matches!(key.arg.get_action(), ArgAction::SetTrue);
    let possible = key.arg.get_possible_values();
    let names = key.arg.get_value_names().unwrap_or_default();
    let unit = match (is_flag, names.first()) {
        (false, _) if !possible.is_empty() && key.form() == Form::Text => {
            format!(" ({})", possible.iter().map(|value| value.get_name()).collect::<Vec<_>>().join("|"))
        }
        (false, Some(name)) => format!(" ({name})"),
        _ => String::new(),
    };
    out.push('\n');
    for line in wrapped(&format!("{}{unit}", help.replace('\n', " "))) {
        let _infallible = writeln!(out, "# {line}");
    }
    let defaults = key.arg.get_default_values().iter().map(|word| word.to_string_lossy().into_owned());
    let defaults: Vec<String> = defaults.collect();
    let value = match defaults.as_slice() {
        [] if is_flag => "false".to_owned(),
        [] => String::new(),
        defaults => super::commands::written(&key.value(defaults)),
    };
    let _infallible = writeln!(out, "# {} = {value}", key.name);
}

fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.last_mut().expect("there is one from the start");
        if !last.is_empty() && last.len() + word.len() >= WIDTH {
            lines.push(word.to_owned());
        } else {
            let between = if last.is_empty() { "" } else { " " };
            let _infallible = write!(last, "{between}{word}");
        }
    }
    lines
}
