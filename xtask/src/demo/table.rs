//! The demo's table: what the original published beside what was just measured, for eyes and for programs.

use std::path::Path;

use anyhow::{Context, Result};
use serde::{Serialize, Serializer};

/// What a figure has to reach.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Target {
    /// Not more than this.
    AtMost(f64),
    /// Not less than this.
    AtLeast(f64),
    /// This and nothing else.
    Exactly(f64),
}

impl Target {
    /// Does a figure reach it?
    pub fn is_met_by(self, measured: f64) -> bool {
        match self {
            Target::AtMost(limit) => measured <= limit,
            Target::AtLeast(limit) => measured >= limit,
            Target::Exactly(value) => measured == value,
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Target::AtMost(limit) => write!(f, "<= {}", Short(*limit)),
            Target::AtLeast(limit) => write!(f, ">= {}", Short(*limit)),
            Target::Exactly(value) => write!(f, "{}", Short(*value)),
        }
    }
}

impl Serialize for Target {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One figure.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// What it says, in the words of the glossary.
    pub name: String,
    /// Its unit.
    pub unit: &'static str,
    /// What the original published, where it did.
    pub original: Option<f64>,
    /// What was measured.
    pub measured: f64,
    /// What it has to reach, where that is said.
    pub target: Option<Target>,
    /// Whether it does.
    pub met: Option<bool>,
}

impl Row {
    /// A figure without original and target.
    pub fn new(name: impl Into<String>, unit: &'static str, measured: f64) -> Row {
        Row { name: name.into(), unit, original: None, measured, target: None, met: None }
    }

    /// Sets what the original published.
    #[must_use]
    pub fn original(mut self, value: f64) -> Row {
        self.original = Some(value);
        self
    }

    /// Sets the target and judges the figure by it.
    #[must_use]
    pub fn target(mut self, target: Target) -> Row {
        self.met = Some(target.is_met_by(self.measured));
        self.target = Some(target);
        self
    }
}

/// A number as short as a table allows: thousands grouped, three digits where there are few.
pub struct Short(pub f64);

impl std::fmt::Display for Short {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let value = self.0;
        if value.abs() >= 1000.0 || value.fract() == 0.0 {
            return f.write_str(&grouped(value));
        }
        let digits = if value.abs() >= 100.0 {
            0
        } else if value.abs() >= 10.0 {
            1
        } else {
            2
        };
        write!(f, "{value:.digits$}")
    }
}

/// A whole number with its thousands apart.
pub fn grouped(value: f64) -> String {
    let plain = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (index, digit) in plain.chars().enumerate() {
        if index > 0 && (plain.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    if value < 0.0 { format!("-{text}") } else { text }
}

/// The table as text of at most 100 columns.
pub fn text_of(rows: &[Row]) -> String {
    let mut text = format!("{:<47} {:>13} {:>13} {:>13}  {}\n", "", "original", "here", "target", "");
    for row in rows {
        let name = format!("{} [{}]", row.name, row.unit);
        let original = row.original.map_or_else(|| "-".into(), |value| Short(value).to_string());
        let target = row.target.map_or_else(String::new, |target| target.to_string());
        let verdict = match row.met {
            Some(true) => "met",
            Some(false) => "SHORT",
            None => "",
        };
        let here = Short(row.measured).to_string();
        let line = format!("{name:<47} {original:>13} {here:>13} {target:>13}  {verdict}");
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Writes `value` to `path`, indented.
///
/// # Errors
/// When the file cannot be written.
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).context("the table is not JSON")?;
    std::fs::write(path, text + "\n").with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_judged_at_its_edge() {
        for (target, measured, met) in [
            (Target::AtMost(20.0), 20.0, true),
            (Target::AtMost(20.0), 20.01, false),
            (Target::AtLeast(58.0), 58.0, true),
            (Target::AtLeast(58.0), 57.0, false),
            (Target::Exactly(0.0), 0.0, true),
            (Target::Exactly(0.0), 1.0, false),
        ] {
            assert_eq!(Row::new("row", "unit", measured).target(target).met, Some(met), "{measured} {target}");
        }
    }

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (0.254, "0.25"),
            (12.34, "12.3"),
            (999.4, "999"),
            (1_000_000.0, "1 000 000"),
            (65_600.4, "65 600"),
            (-1234.0, "-1 234"),
        ] {
            assert_eq!(Short(value).to_string(), text);
        }
    }

    #[test]
    fn the_table_has_a_line_per_row_and_fits_100_columns() {
        let rows = [
            Row::new("sessions", "count", 1e6).original(1e6).target(Target::Exactly(1e6)),
            Row::new("log-in of all sessions", "s", 21.0).original(540.0).target(Target::AtMost(20.0)),
        ];
        let text = text_of(&rows);
        assert_eq!(text.lines().count(), 3);
        assert!(text.lines().all(|line| line.len() <= 100), "{text}");
        assert!(text.contains("met") && text.contains("SHORT"), "{text}");
    }
}
