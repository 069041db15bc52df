//! What is wrong in a scenario, and in which line.

use std::fmt;

/// A fault; shown as `LINE: sentence`, to stand behind the name of its file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    line: usize,
    sentence: String,
}

impl Fault {
    /// A fault in a line, the first of which is 1.
    pub fn at(line: usize, sentence: String) -> Self {
        Self { line, sentence }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.line, self.sentence)
    }
}

impl std::error::Error for Fault {}
