//! Fenced blocks: commands that a reader types, and what they print.
//!
//! A block of commands is `sh`, with words behind it that say how it is run: see [`How`].

use std::collections::BTreeMap;

/// A fenced block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fence {
    /// Line of its opening, from 1.
    pub line: usize,
    /// What stands behind the backticks.
    pub info: String,
    /// What is in it.
    pub body: String,
    /// Whether a heading does not stand between it and the block before.
    pub follows: bool,
    /// How far its opening is from the margin: in a list.
    indent: usize,
}

/// How a block of commands is run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum How {
    /// On the server's machine, or on a client's, and ends with this code.
    Run {
        /// Whose machine.
        at: Machine,
        /// The exit code.
        exit: i32,
    },
    /// Started there, and ended by SIGTERM behind the page's last block: it must then end in order.
    Background(Machine),
    /// Elsewhere: this file of the repository names each of its lines.
    RunBy(String),
    /// Nowhere, for this reason.
    NoRun(String),
}

/// A machine of the laboratory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Machine {
    /// The server's.
    Server,
    /// A client's: the first or the second.
    Client(usize),
}

impl Fence {
    /// Is it a block of commands?
    pub fn is_commands(&self) -> bool {
        self.info == "sh" || self.info.starts_with("sh,") || self.info.starts_with("sh ")
    }

    /// Its text as it is run here: with fewer of something where it says `fewer=MANY/FEW`, for the sake of time.
    pub fn script(&self) -> String {
        let fewer = self.info.split(',').find_map(|word| word.trim().strip_prefix("fewer=")?.split_once('/'));
        fewer.map_or_else(|| self.body.clone(), |(many, few)| self.body.replace(many, few))
    }

    /// How it is run.
    ///
    /// # Errors
    /// A sentence on a word that is not known.
    pub fn how(&self) -> Result<How, String> {
        let mut words = BTreeMap::new();
        for word in self.info.split(',').skip(1) {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            words.insert(name.trim(), value.trim());
        }
        let at = match words.remove("on") {
            None => Machine::Server,
            Some("client") => Machine::Client(0),
            Some("client-2") => Machine::Client(1),
            Some(other) => return Err(format!("there is no machine {other:?}")),
        };
        if let Some(fewer) = words.remove("fewer")
            && fewer.split_once('/').is_none_or(|(many, _)| !self.body.contains(many))
        {
            return Err(format!("fewer={fewer}: write MANY/FEW, of which the block says MANY"));
        }
        let exit = words.remove("exit").map_or(Ok(0), |code| code.parse().map_err(|_| format!("exit={code}")))?;
        let how = match words.pop_first() {
            None => How::Run { at, exit },
            Some(("background", "")) => How::Background(at),
            Some(("run-by", place)) if !place.is_empty() => How::RunBy(place.to_owned()),
            Some(("norun", reason)) if !reason.is_empty() => How::NoRun(reason.to_owned()),
            Some((word, _)) => return Err(format!("{word:?} says nothing about commands")),
        };
        match words.pop_first() {
            None => Ok(how),
            Some((word, _)) => Err(format!("{word:?} does not go with the word before it")),
        }
    }

    /// Its commands, one by one: without comments, and with continued lines joined.
    pub fn commands(&self) -> Vec<String> {
        let joined = self.body.replace("\\\n", " ");
        let lines = joined.lines().map(|line| line.split(" # ").next().unwrap_or(line));
        let words = lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        words.filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
    }
}

/// The blocks of a text.
pub fn all(text: &str) -> Vec<Fence> {
    let mut fences: Vec<Fence> = Vec::new();
    let mut open: Option<Fence> = None;
    let mut heading = true;
    for (index, line) in text.lines().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let mark = line[indent..].strip_prefix("```");
        match (&mut open, mark) {
            (None, Some(info)) => {
                let info = info.trim().to_owned();
                open = Some(Fence { line: index + 1, info, body: String::new(), follows: !heading, indent });
            }
            (Some(_), Some(_)) => {
                fences.extend(open.take());
                heading = false;
            }
            (Some(fence), None) => {
                fence.body.push_str(&line[indent.min(fence.indent)..]);
                fence.body.push('\n');
            }
            (None, None) => heading |= line.starts_with('#'),
        }
    }
    fences
}

/// Does `said` hold what a page says of it? Numbers may be others, spaces more; `...` stands for anything, on a line of its
/// own for any lines.
///
/// # Errors
/// The first line that is not there.
pub fn holds(page: &str, said: &str) -> Result<(), String> {
    let said: Vec<String> = said.lines().map(plain).filter(|line| !line.is_empty()).collect();
    let mut at = 0;
    let mut anywhere = true;
    for line in page.lines().map(plain).filter(|line| !line.is_empty()) {
        if line == "..." {
            anywhere = true;
            continue;
        }
        let found = said[at..].iter().position(|other| is_like(&line, other));
        match found {
            Some(step) if anywhere || step == 0 => at += step + 1,
            _ => return Err(line),
        }
        anywhere = false;
    }
    Ok(())
}

/// A line with one space where there are several, and `#` for every number.
fn plain(line: &str) -> String {
    let mut text = String::new();
    let letters: Vec<char> = line.split_whitespace().collect::<Vec<_>>().join(" ").chars().collect();
    let digit = |index: usize| letters.get(index).is_some_and(char::is_ascii_digit);
    for (index, letter) in letters.iter().enumerate() {
        let between = matches!(letter, ' ' | '.') && digit(index + 1) && text.ends_with('#');
        if letter.is_ascii_digit() {
            if !text.ends_with('#') {
                text.push('#');
            }
        } else if !between {
            text.push(*letter);
        }
    }
    text
}

fn is_like(pattern: &str, line: &str) -> bool {
    let parts: Vec<&str> = pattern.split("...").collect();
    let (Some(first), Some(last)) = (parts.first(), parts.last()) else { return false };
    if parts.len() == 1 {
        return pattern == line;
    }
    let Some(mut rest) = line.strip_prefix(first) else { return false };
    for part in &parts[1..parts.len() - 1] {
        let Some(found) = rest.find(part) else { return false };
        rest = &rest[found + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_says_how_it_is_run() {
        let how =
            |info: &str| Fence { line: 1, info: info.into(), body: String::new(), follows: false, indent: 0 }.how();
        let rows = [
            ("sh", Ok(How::Run { at: Machine::Server, exit: 0 })),
            ("sh,on=client,exit=2", Ok(How::Run { at: Machine::Client(0), exit: 2 })),
            ("sh,background", Ok(How::Background(Machine::Server))),
            ("sh,run-by=.ci/run", Ok(How::RunBy(".ci/run".into()))),
            ("sh,norun=needs-a-card", Ok(How::NoRun("needs-a-card".into()))),
            ("sh,norun", Err("\"norun\" says nothing about commands".into())),
            ("sh,on=moon", Err("there is no machine \"moon\"".into())),
            ("sh,background,norun=x", Err("\"norun\" does not go with the word before it".into())),
        ];
        for (info, expected) in rows {
            assert_eq!(how(info), expected, "{info}");
        }
    }

    #[test]
    fn numbers_may_be_others_and_dots_are_anything() {
        let said = "workers     2 on CPUs 0, 1\nmemory 1 034 112 kB\nkey     abc/realm.key\n\nlast 0.25 us\n";
        for (page, missing) in [
            ("workers 8 on CPUs 2, 3\nmemory 77 kB\n", None),
            ("memory 1 kB\n...\nlast 12 us\n", None),
            ("key ...realm.key\n", None),
            ("workers 8 on CPUs 2, 3\nlast 3 us\n", Some("last # us")),
            ("key ...ream.key\n", Some("key ...ream.key")),
        ] {
            assert_eq!(holds(page, said).err().as_deref(), missing, "{page}");
        }
    }

    #[test]
    fn comments_are_no_commands() {
        let body = "# first\nsudo a --b   # why\n\nc \\\n  d\n".to_owned();
        let fence = Fence { line: 1, info: "sh".into(), body, follows: false, indent: 0 };
        assert_eq!(fence.commands(), ["sudo a --b", "c d"]);
    }
}
