//! The reference of flags, from the programs' own help: what a program does not say of itself is not in the book.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail, ensure};

use super::page::Page;
use crate::command;
use crate::programs::Programs;

/// Columns of the help; the programs wrap at what the terminal has.
const COLUMNS: &str = "100";

/// The help of one command.
#[derive(Clone, Debug)]
pub struct Help {
    /// As it is typed: `rp-server campaign start`.
    pub name: String,
    /// All that `--help` prints.
    pub text: String,
}

/// The pages of flags, as they must be.
///
/// # Errors
/// When a program does not say its help.
pub fn pages(programs: &Programs, workshop: &Path) -> Result<Vec<Page>> {
    let of = [
        ("rp-server", programs.server.as_path(), SERVER),
        ("rp-client", programs.client.as_path(), CLIENT),
        ("cargo xtask", workshop, WORKSHOP),
    ];
    let mut pages =
        of.into_iter().map(|(name, program, head)| page(name, program, head)).collect::<Result<Vec<_>>>()?;
    pages.push(configuration(&programs.server)?);
    pages.push(table(&programs.server, "docs/reference/metrics.md", METRICS, &[("", "metrics")])?);
    let counted = [("Places and kinds", "counters"), ("Reasons", "reasons")];
    pages.push(table(&programs.server, "docs/reference/counters.md", COUNTERS, &counted)?);
    Ok(pages)
}

const METRICS: &str = "# Metrics\n\nWhat `/metrics` shows ([HTTP](http.md)); all of it is of one whole second. How to be woken by them is in \
[Alerting](../how-to/alerting.md).\n";
const COUNTERS: &str = "# Counters and reasons\n\nThe same words in the pinned maps, in `rp-server pps` and `status`, in `/metrics`, on the page \
and in reports. How to read the maps is in [Reading the PPS maps](../how-to/counters.md).\n";

/// A page of tables that `rp-server reference` prints, each under its heading.
fn table(server: &Path, path: &str, head: &str, parts: &[(&str, &str)]) -> Result<Page> {
    let mut text = head.to_owned();
    for (heading, subject) in parts {
        if !heading.is_empty() {
            text.push_str(&format!("\n## {heading}\n"));
        }
        text.push('\n');
        text.push_str(&trimmed(&command::read(bare(server).args(["reference", subject]))?));
    }
    Ok(Page { path: path.into(), text })
}

/// Every key of the server's file, as its own example has them.
fn configuration(server: &Path) -> Result<Page> {
    let example = command::read(bare(server).args(["config", "example"]))?;
    let text = format!(
        "# Configuration\n\nWhat `rp-server config example` prints, written here by `cargo xtask book --write`; how to use it is in \
         [Settings in a file](../how-to/settings.md).\n\n```toml\n{}```\n",
        trimmed(&example)
    );
    Ok(Page { path: "docs/reference/configuration.md".into(), text })
}

/// A program without settings of whoever runs this, at the width of the pages.
fn bare(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("RP_")) {
        command.env_remove(name);
    }
    // A file of this machine's would change defaults.
    command.env("COLUMNS", COLUMNS).env("RP_CONFIG", "off");
    command
}

/// Lines that end where their words do.
fn trimmed(text: &str) -> String {
    // The variable that keeps a file of this machine's away is no news.
    let text = text.replace("RP_CONFIG=off", "RP_CONFIG=");
    let lines = text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
    lines.trim_end().to_owned() + "\n"
}

const SERVER: &str = "Without a command it is `rp-server run`. Every flag is also an environment variable and a key of a file: \
[Configuration](configuration.md).";
const CLIENT: &str = "Every flag is also an environment variable, `RP_` and its name in capitals; a flag on the command line goes before it.";
const WORKSHOP: &str = "Builds, tests and measures; run from anywhere in the repository. What needs root says so.";

fn page(name: &str, program: &Path, head: &str) -> Result<Page> {
    let file = name.split(' ').next_back().unwrap_or(name);
    let mut text = format!(
        "# {name}\n\nWhat `{name} --help` and its commands print, written here by `cargo xtask book --write`; a test holds this page to \
         the program.\n{head}\n"
    );
    for help in all(name, program)? {
        text.push_str(&format!("\n## {}\n\n```text\n{}```\n", help.name, help.text));
    }
    Ok(Page { path: format!("docs/reference/{file}.md"), text })
}

/// The help of a program and of each of its commands that is not hidden, a command before its own.
///
/// # Errors
/// When it does not say its help.
pub fn all(name: &str, program: &Path) -> Result<Vec<Help>> {
    let mut found = Vec::new();
    let mut path = Vec::new();
    walk(name, program, &mut path, &mut found)?;
    Ok(found)
}

fn walk(name: &str, program: &Path, path: &mut Vec<String>, found: &mut Vec<Help>) -> Result<()> {
    let Some(text) = help_of(program, path)? else { bail!("{name} {} says no help", path.join(" ")) };
    let commands = commands_of(&text);
    let words = std::iter::once(name).chain(path.iter().map(String::as_str)).collect::<Vec<_>>();
    found.push(Help { name: words.join(" "), text });
    for command in commands {
        path.push(command);
        walk(name, program, path, found)?;
        path.pop();
    }
    Ok(())
}

/// What `--help` prints, with lines that end where their words do; none where there is no such command.
///
/// # Errors
/// When the program is not there.
pub fn help_of(program: &Path, path: &[String]) -> Result<Option<String>> {
    ensure!(program.exists(), "there is no {}: build it first", program.display());
    Ok(command::read(bare(program).args(path).arg("--help")).ok().map(|text| trimmed(&text)))
}

/// The commands that a help lists.
fn commands_of(help: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let listed = lines.take_while(|line| line.starts_with("  "));
    // Deeper lines go on with the sentence above them.
    let names = listed.filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).filter(|name| !name.is_empty());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

/// A sentence for each flag in `line` that its command does not have; a line that starts none of our programs says nothing.
///
/// # Errors
/// When a program cannot be started.
pub fn unknown_flags(line: &str, programs: &Programs, workshop: &Path) -> Result<Vec<String>> {
    let words: Vec<&str> = line.split(|letter: char| letter.is_whitespace() || "\"'()`;|&".contains(letter)).collect();
    // There they are packages, and the flags are cargo's.
    let is_cargos = words.windows(2).any(|pair| pair[0] == "cargo" && pair[1] != "xtask");
    let mut faults = Vec::new();
    for (index, word) in words.iter().enumerate() {
        let name = word.rsplit('/').next().unwrap_or(word);
        let is_workshop = name == "xtask" && index > 0 && words[index - 1] == "cargo";
        let program = match name {
            "rp-server" if !is_cargos => &programs.server,
            "rp-client" if !is_cargos => &programs.client,
            "xtask" if is_workshop => workshop,
            _ => continue,
        };
        let rest = &words[index + 1..];
        // Another program on the line has its own turn.
        let end = rest.iter().position(|word| word.ends_with("rp-server") || word.ends_with("rp-client"));
        faults.extend(unknown(name, program, &rest[..end.unwrap_or(rest.len())])?);
    }
    Ok(faults)
}

fn unknown(name: &str, program: &Path, words: &[&str]) -> Result<Vec<String>> {
    let mut path: Vec<String> = Vec::new();
    let Some(mut help) = help_of(program, &path)? else { bail!("{name} says no help") };
    for word in words.iter().take_while(|word| !word.starts_with('-') && !word.is_empty()) {
        path.push((*word).to_owned());
        // What is no command is an argument, and then the help is the same as before.
        match help_of(program, &path)?.filter(|text| usage_of(text).split(' ').any(|part| part == *word)) {
            Some(text) => help = text,
            None => {
                path.pop();
                break;
            }
        }
    }
    if name != "xtask" && path.is_empty() {
        path.push("run".into());
        help.extend(help_of(program, &path)?);
    }
    // Behind a bare `--` they are another command's.
    let own = words.iter().take_while(|word| **word != "--");
    let flags = own.filter(|word| word.starts_with("--"));
    let flags = flags.map(|word| word.split(['=', ',', '.', '[', ']', ':']).next().unwrap_or(word));
    let missing = flags.filter(|flag| !has(&help, flag));
    Ok(missing.map(|flag| format!("{name} {} has no {flag}", path.join(" "))).collect())
}

fn usage_of(help: &str) -> &str {
    help.lines().find(|line| line.starts_with("Usage:")).unwrap_or("")
}

fn has(help: &str, flag: &str) -> bool {
    let ends = |at: usize| {
        !help[at + flag.len()..].starts_with(|letter: char| letter.is_ascii_alphanumeric() || letter == '-')
    };
    help.match_indices(flag).any(|(at, _)| ends(at)) || flag == "--help" || flag == "--version"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_from_the_help() {
        let help = "About\n\nUsage: x <COMMAND>\n\nCommands:\n  run       Serve\n  pps       Packets per second\n            by kind\n  \
                    help      Print\n\nOptions:\n  -h, --help  Print help\n";
        assert_eq!(commands_of(help), ["run", "pps"]);
        assert!(has(help, "--help") && !has("--once-more", "--once") && has("  --once  x", "--once"));
    }
}
