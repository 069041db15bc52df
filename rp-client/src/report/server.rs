//! What the server counted, by the second: by its totals, which an auditor asks for over the wire, and by its own snapshots.
//!
//! The totals are of the addresses that a client sends from, and include what the gate answered. They are there for every
//! run that compares its books. What only the server knows of itself (the gate's packets and reasons, prizes released) is
//! in its snapshots, which come over HTTP when `--server-http` says where.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The server's side of a run.
#[derive(Clone, Default, Serialize, Deserialize, PartialEq, Debug)]
pub struct ServerSide {
    /// What the auditors read, a row for each second between two readings.
    pub per_second: Vec<ServerSecond>,
    /// The server's own snapshots; none without `--server-http`.
    pub snapshots: Vec<Snapshot>,
}

impl ServerSide {
    /// The rows by their seconds; those of one second are one.
    pub fn by_second(&self) -> BTreeMap<u64, ServerSecond> {
        let mut rows = BTreeMap::<u64, ServerSecond>::new();
        for row in &self.per_second {
            rows.entry(row.second).and_modify(|sum| sum.go_on(row)).or_insert(*row);
        }
        rows
    }

    /// Seconds in which the auditors of all machines read.
    pub fn whole(&self) -> impl Iterator<Item = &ServerSecond> {
        let most = self.per_second.iter().map(|row| row.machines).max().unwrap_or_default();
        self.per_second.iter().filter(move |row| row.machines == most)
    }
}

/// What the server counted of our addresses between two readings, a second apart when none was lost.
#[derive(Clone, Copy, Default, Serialize, Deserialize, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct ServerSecond {
    /// Unix time.
    pub second: u64,
    /// Time between the readings; all else is counts, to be divided by it.
    pub span_us: u64,
    /// Client machines whose auditors read.
    pub machines: u32,
    /// Requests received, of all kinds.
    pub received: u64,
    /// Replies and notices sent.
    pub sent: u64,
    pub dropped: u64,
    pub shakes: u64,
    /// Shakes answered, with or without a prize.
    pub answered: u64,
    pub busy: u64,
    pub prizes: u64,
    pub packets_made: u64,
    pub shares_taken: u64,
    /// Open at the end of the second.
    pub sessions: u64,
}

impl ServerSecond {
    /// A count as a rate per second.
    pub fn rate(&self, count: u64) -> f64 {
        count as f64 * 1e6 / (self.span_us as f64).max(1.0)
    }

    /// Adds what another machine's auditors read in the same second.
    pub fn add(&mut self, other: &Self) {
        // The mean: where one machine's reading was lost, its next one counts twice and is of twice the time.
        let machines = self.machines + other.machines;
        let spans_us = self.span_us * u64::from(self.machines) + other.span_us * u64::from(other.machines);
        self.span_us = spans_us / u64::from(machines).max(1);
        self.machines = machines;
        self.count(other);
    }

    /// Adds what the same machines' auditors read later.
    fn go_on(&mut self, later: &Self) {
        self.span_us += later.span_us;
        self.count(later);
        self.sessions = later.sessions;
    }

    fn count(&mut self, other: &Self) {
        for (sum, part) in [
            (&mut self.received, other.received),
            (&mut self.sent, other.sent),
            (&mut self.dropped, other.dropped),
            (&mut self.shakes, other.shakes),
            (&mut self.answered, other.answered),
            (&mut self.busy, other.busy),
            (&mut self.prizes, other.prizes),
            (&mut self.packets_made, other.packets_made),
            (&mut self.shares_taken, other.shares_taken),
            (&mut self.sessions, other.sessions),
        ] {
            *sum += part;
        }
    }
}

/// What the server said of itself in one snapshot: of everybody's datagrams, in the second before it was taken.
#[derive(Clone, Default, Serialize, Deserialize, PartialEq, Debug)]
#[allow(missing_docs)]
pub struct Snapshot {
    /// When it was taken, in Unix seconds: it is of the second before.
    pub unix_s: u64,
    pub asked_per_s: f64,
    pub kernel_answered_per_s: f64,
    pub workers_answered_per_s: f64,
    pub prizes_released_per_s: f64,
    pub prizes_got_per_s: f64,
    pub packets_made_per_s: f64,
    pub shares_taken_per_s: f64,
    /// Dropped by gate or worker, by reason.
    pub dropped_per_s: BTreeMap<String, f64>,
    /// Frames at the gate, by where they went; empty without a gate.
    pub gate_per_s: BTreeMap<String, f64>,
    /// Anonymous memory of the server and its maps.
    pub memory_bytes: u64,
}
