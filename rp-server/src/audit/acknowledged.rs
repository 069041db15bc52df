//! What clients wrote down of money they were told of, held against the ledger: every line of it must be there, exactly so.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use rp_core::acknowledged::{Acknowledged, Told, Topic};
use serde::Serialize;

use super::figures::Sum;
use crate::ledger::Reader;

/// What all files say, by what there is only one of.
pub struct Claims {
    by_topic: HashMap<(u64, Topic), Claim>,
    heard: Heard,
}

/// What one line says, and what the ledger says to it.
struct Claim {
    line: Line,
    told: Acknowledged,
    found: Found,
}

/// Where something stands: the file, by its place in the list, and its line from 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    file: usize,
    line: usize,
}

enum Found {
    Nothing,
    Itself,
    Another(u64, Acknowledged),
}

/// What clients heard, each thing once.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize)]
pub struct Heard {
    /// Lines of all files.
    pub lines: u64,
    /// Packets made.
    pub sent: Sum,
    /// Shares taken.
    pub grabbed: Sum,
    /// Requests refused for good; of *already yours* with the share.
    pub refused: Sum,
    /// Prizes won.
    pub prizes: Sum,
    /// Refunds.
    pub refunds: Sum,
    /// Refusals of which the ledger keeps nothing: *full*, *malformed*, *conflict*, *stale*.
    pub unkept: u64,
}

/// The first line that the ledger denies.
#[derive(Debug)]
pub struct Denied {
    /// The file.
    pub file: PathBuf,
    /// Its line, from 1.
    pub line: usize,
    /// What it says, and what was found.
    pub found: String,
}

impl Claims {
    /// Reads the files. A last line without an end was never finished, and says nothing.
    ///
    /// # Errors
    /// A file cannot be read, or has a line that is none.
    pub fn read(files: &[PathBuf]) -> Result<Result<Claims, Denied>> {
        let mut claims = Claims { by_topic: HashMap::new(), heard: Heard::default() };
        for (file, path) in files.iter().enumerate() {
            let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
            let whole = text.rfind('\n').map_or("", |end| &text[..end]);
            for (line, said) in (1..).zip(whole.lines()) {
                let told =
                    said.parse().map_err(|_| anyhow!("{}, line {line}: '{said}' is nothing told", path.display()))?;
                if let Err(found) = claims.note(Line { file, line }, told) {
                    return Ok(Err(Denied { file: path.clone(), line, found }));
                }
            }
        }
        Ok(Ok(claims))
    }

    fn note(&mut self, line: Line, told: Acknowledged) -> Result<(), String> {
        self.heard.lines += 1;
        if !told.is_kept() {
            self.heard.unkept += 1;
            return Ok(());
        }
        let claim = Claim { line, told, found: Found::Nothing };
        let before = self.by_topic.entry(told.topic()).or_insert(claim);
        if before.told != told {
            return Err(format!("'{told}', and before that '{}'", before.told));
        }
        if before.line == line {
            let Heard { sent, grabbed, refused, prizes, refunds, .. } = &mut self.heard;
            let sum = match told.told {
                Told::Sent { .. } => sent,
                Told::Grabbed { .. } => grabbed,
                Told::Refused { .. } => refused,
                Told::Prize { .. } => prizes,
                Told::Refund { .. } => refunds,
            };
            sum.add(told.fen);
        }
        Ok(())
    }

    /// Looks every line up in the ledger; what was heard, or the first line, file by file, that is not there.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn hold(mut self, reader: &mut dyn Reader, files: &[PathBuf]) -> Result<Result<Heard, Denied>> {
        reader.read(1, &mut |position, posting| {
            if let Some(truth) = Acknowledged::by(posting)
                && let Some(claim) = self.by_topic.get_mut(&truth.topic())
            {
                claim.found = if claim.told == truth { Found::Itself } else { Found::Another(position, truth) };
            }
            Ok(())
        })?;
        let denied = self.by_topic.values().filter(|claim| !matches!(claim.found, Found::Itself));
        Ok(match denied.min_by_key(|claim| claim.line) {
            None => Ok(self.heard),
            Some(claim) => Err(claim.denied(&files[claim.line.file])),
        })
    }
}

impl Claim {
    fn denied(&self, file: &Path) -> Denied {
        let told = self.told;
        let found = match &self.found {
            Found::Another(position, truth) => format!("'{told}', but the ledger has '{truth}', position {position}"),
            _ => format!("'{told}', of which the ledger knows nothing"),
        };
        Denied { file: file.to_owned(), line: self.line.line, found }
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Denied { file, line, found } = self;
        write!(f, "{}, line {line}: a client was told {found}", file.display())
    }
}

impl fmt::Display for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Heard { sent, grabbed, refused, prizes, refunds, unkept, .. } = self;
        write!(
            f,
            "told      packets {}, shares {}, prizes {}, refunds {}, refusals {}: all in the ledger; {unkept} refusals that it \
             does not keep",
            sent.count, grabbed.count, prizes.count, refunds.count, refused.count
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(line: usize) -> Line {
        Line { file: 0, line }
    }

    fn told(text: &str) -> Acknowledged {
        text.parse().expect(text)
    }

    #[test]
    fn the_same_told_twice_counts_once_and_another_answer_is_denied() {
        let mut claims = Claims { by_topic: HashMap::new(), heard: Heard::default() };
        for (number, text) in (1..).zip(["sent 1 1 9 300", "prize 1 5 40", "prize 1 5 40", "refused 1 2 send full 0"]) {
            claims.note(line(number), told(text)).expect(text);
        }
        let Heard { lines, sent, prizes, unkept, .. } = claims.heard;
        assert_eq!((lines, sent.count, prizes.count, prizes.fen, unkept), (4, 1, 1, 40, 1));
        for text in ["sent 1 1 8 300", "grabbed 1 1 9 300", "prize 1 5 41"] {
            claims.note(line(9), told(text)).expect_err(text);
        }
    }
}
