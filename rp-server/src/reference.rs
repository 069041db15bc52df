//! `rp-server reference`: the tables of names that the documents print, from the code that uses them.

use clap::{Args, ValueEnum};
use rp_core::gate_counters::{ANSWERS, Place};
use rp_core::kind::Kind;
use rp_core::reason::Reason;
use rp_net::say;

use crate::metrics::{self, Metric};

/// What is listed.
#[derive(Clone, Copy, ValueEnum)]
pub enum Subject {
    /// What /metrics shows
    Metrics,
    /// What the gate and the workers count
    Counters,
    /// Why a datagram is dropped
    Reasons,
}

/// Flags of `rp-server reference`.
#[derive(Args)]
pub struct ReferenceArgs {
    /// What to list
    subject: Subject,
}

impl ReferenceArgs {
    /// Prints the table as Markdown.
    pub fn run(&self) {
        let lines = match self.subject {
            Subject::Metrics => of_metrics(),
            Subject::Counters => of_counters(),
            Subject::Reasons => of_reasons(),
        };
        say!("{}", lines.join("\n"));
    }
}

fn of_metrics() -> Vec<String> {
    let head = ["| metric | type | unit | labels | meaning |", "|---|---|---|---|---|"].map(str::to_owned);
    let row = |metric: &Metric| {
        let Metric { name, kind, labels, help, .. } = metric;
        format!("| `{name}` | {} | {} | {} | {help} |", kind.name(), metric.unit(), labels.join(", "))
    };
    head.into_iter().chain(metrics::all().map(row)).collect()
}

fn of_counters() -> Vec<String> {
    let head = ["| place | what is counted there |", "|---|---|"].map(str::to_owned);
    let places = Place::ALL.iter().map(|place| format!("| `{}` | {} |", place.name(), place.meaning()));
    let second = ["", "| kind | from | meaning | counted |", "|---|---|---|---|"].map(str::to_owned);
    let kinds = Kind::ALL.iter().map(|kind| {
        let (from, counted) = match (kind.is_request(), ANSWERS.contains(kind)) {
            (true, _) => ("client", "at the gate: seen, and of them went up; at the workers: received"),
            (false, true) => ("server", "at the gate: answered; at the workers: sent"),
            (false, false) => ("server", "at the workers: sent"),
        };
        format!("| `{}` | {from} | {} | {counted} |", kind.name(), kind.meaning())
    });
    head.into_iter().chain(places).chain(second).chain(kinds).collect()
}

fn of_reasons() -> Vec<String> {
    let head = ["| reason | meaning |", "|---|---|"].map(str::to_owned);
    let row = |reason: &Reason| format!("| `{}` | {} |", reason.name(), reason.meaning());
    head.into_iter().chain(Reason::ALL.iter().map(row)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_its_cells_and_a_meaning() {
        for table in [of_metrics(), of_counters(), of_reasons()] {
            let mut columns = 0;
            for line in table.iter().filter(|line| !line.is_empty()) {
                columns = if line.starts_with("|---") || columns == 0 { line.matches('|').count() } else { columns };
                let is_head = !line.contains('`') && !line.starts_with("|---");
                assert!(is_head || line.matches('|').count() == columns, "{line}");
                assert!(!line.contains("|  |\n") && !line.ends_with("|  |"), "{line}");
            }
            assert!(table.len() > 20);
        }
        assert!(of_reasons().iter().any(|row| row == "| `bad_tag` | The tag does not verify. |"));
    }
}
