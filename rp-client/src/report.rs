//! The report of a run: everything a client machine knows at the end, or several together, for programs as JSON.
//!
//! Its shape has a number, [`SCHEMA`], and is written down in `docs/report.schema.json`. What is made of it is in the rooms
//! below: the page, files of percentiles, sums of several reports, and comparisons of two.

pub mod compare;
pub mod file;
pub mod folder;
pub mod gather;
pub mod hgrm;
pub mod histogram;
pub mod html;
pub mod log;
pub mod machine;
pub mod merge;
pub mod onlooker;
pub mod order;
#[cfg(test)]
pub mod sample;
#[cfg(test)]
pub mod schema;
pub mod server;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::books::Sum;
use crate::conductor::Reconciled;
use crate::expect::Measured;
pub use gather::Outside;
pub use histogram::{Latency, Packed};
pub use machine::Machine;
pub use server::ServerSide;

/// The number of the report's shape: another one after each change that a reader would trip over.
pub const SCHEMA: u32 = 1;

/// Counts by name.
pub type Counts = BTreeMap<String, u64>;

/// The whole report.
#[derive(Clone, Serialize, Deserialize, PartialEq, Debug)]
#[allow(missing_docs)]
pub struct Report {
    pub schema: u32,
    pub program: Program,
    /// Microseconds since 1970.
    pub started_us: u64,
    pub ended_us: u64,
    /// First and last.
    pub users: [u64; 2],
    pub total: u64,
    pub play: Play,
    /// The client machines that it is of, by their users.
    pub machines: Vec<Machine>,
    pub sessions: u64,
    /// Is what bears money sealed, as the server said? None when it said nothing.
    pub sealing: Option<bool>,
    /// It was ended before its scenario was over.
    pub interrupted: bool,
    pub login: Login,
    pub phases: Vec<Phase>,
    pub datagrams: Datagrams,
    pub money: Money,
    pub reconciled: Reconciled,
    pub clock_offset_us: Option<i64>,
    pub generator_late: GeneratorLate,
    pub stolen_ms: u64,
    /// What the server counted in the same seconds.
    pub server: ServerSide,
    /// What was expected, as it was written.
    pub expected: String,
    /// Where the machines of a merged report differ, and what else its reader should know.
    pub remarks: Vec<String>,
    pub failures: Vec<String>,
    pub ok: bool,
}

/// Who wrote the report.
#[derive(Clone, Serialize, Deserialize, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct Program {
    pub name: String,
    pub version: String,
}

/// What was played, alike on all machines.
#[derive(Clone, Serialize, Deserialize, PartialEq, Debug)]
#[allow(missing_docs)]
pub struct Play {
    pub server: String,
    /// The scenario's name, or its file's.
    pub scenario: String,
    /// The scenario itself.
    pub scenario_text: String,
    pub time_scale: f64,
    pub pace: String,
    pub transport: String,
    /// What was measured instead of rp-server.
    pub bare: Option<String>,
}

/// The log-in of all users.
#[derive(Clone, Serialize, Deserialize, PartialEq, Debug)]
#[allow(missing_docs)]
pub struct Login {
    /// From the first HELLO to the last WELCOME, in microseconds since 1970.
    pub first_us: u64,
    pub last_us: u64,
    pub seconds: f64,
    pub refused: u64,
    pub retries: u64,
    pub again: u64,
    pub failed: u64,
}

/// One phase.
#[derive(Clone, Serialize, Deserialize, PartialEq, Debug)]
#[allow(missing_docs)]
pub struct Phase {
    pub name: String,
    /// The Unix second it began.
    pub start_s: u64,
    pub seconds: u32,
    /// Has it a schedule, alike on all machines? Log-in and log-out last as long as they take.
    pub timed: bool,
    pub rate: u32,
    pub due: u64,
    pub sent: u64,
    pub answered: u64,
    pub refused: u64,
    pub lost: u64,
    pub duplicate: u64,
    pub late: u64,
    pub retries: u64,
    /// Sent late by the generator, or given up by it.
    pub generator_late: u64,
    /// CPU time of the kernel program that made them.
    pub generator_cpu_us: u64,
    /// Hostile datagrams sent beside them.
    pub hostile: u64,
    pub sends: Requests,
    pub grabs: Requests,
    /// Histories to read.
    pub histories: Requests,
    /// Refusals of all requests, by type.
    pub refusals: Counts,
    /// Waiting that the server asked for, and that was done.
    pub backed_off: BackedOff,
    /// From the due time to the answer.
    pub latency_us: Latency,
    pub latency_histogram: Packed,
    /// Of packets made and shares taken.
    pub money_latency_us: Latency,
    pub money_latency_histogram: Packed,
    pub per_second: Vec<Second>,
    /// Seconds in which answers came; those of a kernel generator are not known by the second.
    pub latency_per_second: Vec<LatencySecond>,
}

/// How often sessions were told to wait and did, and for how long in all.
#[derive(Clone, Copy, Serialize, Deserialize, PartialEq, Debug)]
#[allow(missing_docs)]
pub struct BackedOff {
    pub times: u64,
    pub seconds: f64,
}

/// Requests of one sort that move money.
#[derive(Clone, Copy, Default, Serialize, Deserialize, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct Requests {
    pub due: u64,
    pub answered: u64,
    pub refused: u64,
    pub lost: u64,
    pub retries: u64,
}

/// One second of a phase. Shakes count in the second they were due, whenever they end; money in the second it was heard of.
#[derive(Clone, Copy, Default, Serialize, Deserialize, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct Second {
    pub second: u64,
    pub due: u64,
    pub sent: u64,
    pub answered: u64,
    pub refused: u64,
    pub lost: u64,
    pub retries: u64,
    pub prizes: u64,
    pub packets_sent: u64,
    pub shares_taken: u64,
    /// Client machines that sent in it.
    pub active: u32,
}

/// Latencies of the answers that came in one second.
#[derive(Clone, Serialize, Deserialize, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct LatencySecond {
    pub second: u64,
    pub answers: u64,
    pub latency_us: Latency,
    pub histogram: Packed,
}

/// Datagrams; each that came in is either received or discarded.
#[derive(Clone, Default, Serialize, Deserialize, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct Datagrams {
    pub sent: Counts,
    pub received: Counts,
    pub discarded: Counts,
    /// Refused by our own kernel, though counted as sent.
    pub unsent: u64,
    /// Lost because a socket of ours was full.
    pub overflow: u64,
    /// Frames past the stack with false lengths or checksums.
    pub damaged: u64,
}

/// Money that the users heard of.
#[derive(Clone, Copy, Serialize, Deserialize, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct Money {
    pub prizes: Sum,
    pub sent: Sum,
    pub taken: Sum,
    pub refunded: Sum,
}

/// How late the generator itself was.
#[derive(Clone, Copy, Serialize, Deserialize, PartialEq, Debug)]
#[allow(missing_docs)]
pub struct GeneratorLate {
    pub ms_max: f64,
    /// Share of shakes that were fired more than two milliseconds after their due time.
    pub share: f64,
}

impl GeneratorLate {
    /// That of phases in which the latest shake was fired so many milliseconds after its time.
    pub fn of(phases: &[Phase], ms_max: f64) -> Self {
        let (due, late) = phases.iter().fold((0, 0), |(due, late), p| (due + p.due, late + p.generator_late));
        Self { ms_max, share: late as f64 / (due as f64).max(1.0) }
    }
}

impl Phase {
    /// Is a Unix second one of its own?
    pub fn has(&self, second: u64) -> bool {
        (self.start_s..self.start_s + u64::from(self.seconds)).contains(&second)
    }
}

impl Report {
    /// Notes a failure; the report is no longer ok, nor is its machine. Which of several it was, the sentence says.
    pub fn fail(&mut self, sentence: String) {
        self.failures.push(sentence);
        self.ok = false;
        if let [machine] = self.machines.as_mut_slice() {
            machine.ok = false;
        }
    }

    /// Shakes answered in each second of a phase, and those due in it: as the server says, or as the clients do where it says
    /// nothing by the second.
    pub fn served(&self, phase: &Phase) -> Vec<(f64, f64)> {
        let due: BTreeMap<u64, f64> = phase.per_second.iter().map(|row| (row.second, row.due as f64)).collect();
        let beside = |second: u64, rate: f64| Some((rate, *due.get(&second)?));
        let server: Vec<_> = self.server.whole().filter_map(|row| beside(row.second, row.rate(row.answered))).collect();
        if !server.is_empty() {
            return server;
        }
        let came: BTreeMap<u64, u64> = phase.latency_per_second.iter().map(|row| (row.second, row.answers)).collect();
        let answers = |row: &Second| came.get(&row.second).copied().unwrap_or_default() as f64;
        phase.per_second.iter().map(|row| (answers(row), row.due as f64)).collect()
    }

    /// What expectations are checked against. Where nothing at all was answered, the wait had no end.
    pub fn measured(&self) -> Measured {
        let worst = |of: fn(&Latency) -> u64| {
            let wait = |p: &Phase| if p.answered > 0 { of(&p.latency_us) as f64 } else { f64::INFINITY };
            self.phases.iter().filter(|p| p.due > 0).map(wait).fold(0.0, f64::max)
        };
        let sum = |of: fn(&Phase) -> u64| self.phases.iter().map(of).sum::<u64>() as f64;
        let due = sum(|phase| phase.due).max(1.0);
        Measured {
            p50: worst(|l| l.p50),
            p90: worst(|l| l.p90),
            p99: worst(|l| l.p99),
            p999: worst(|l| l.p999),
            max: worst(|l| l.max),
            loss: sum(|phase| phase.lost) / due,
            refused: sum(|phase| phase.refused) / due,
            late: self.generator_late.share,
            mismatch: self.reconciled.differences.len() as f64,
        }
    }
}
