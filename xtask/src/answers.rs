//! What the programs answer in JSON, as far as the workshop reads it.
//!
//! A field that is missing fails the run that needs it: a silent zero would let a broken counter pass as a balanced one.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Datagrams by kind or by reason.
pub type Counts = BTreeMap<String, u64>;

/// A number of packets or prizes and their money.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Deserialize)]
pub struct Sum {
    /// How many.
    pub count: u64,
    /// Their money, in fen.
    pub fen: u64,
}

impl std::ops::Add for Sum {
    type Output = Sum;
    fn add(self, other: Sum) -> Sum {
        Sum { count: self.count + other.count, fen: self.fen + other.fen }
    }
}

impl std::fmt::Display for Sum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} fen)", self.count, self.fen)
    }
}

/// `rp-server status --json`.
#[derive(Clone, Debug, Deserialize)]
pub struct Status {
    /// How datagrams come in.
    pub gate: Gate,
    /// AF_XDP sockets.
    pub xsks: Vec<Xsk>,
    /// One row per worker.
    pub workers: Vec<Worker>,
    /// Sessions that are open.
    pub sessions: u64,
    /// Requests the workers took from their sockets, by kind.
    pub received: Counts,
    /// Datagrams sent, by kind.
    pub sent: Counts,
    /// Datagrams the workers dropped, by reason.
    pub dropped: Counts,
    /// Datagrams the workers answered at once.
    pub replied: u64,
    /// Datagrams the workers took that have no answer, or none at once.
    pub accepted: u64,
    /// Datagrams lost because a socket's buffer was full.
    pub socket_overflow: u64,
    /// Of the datagrams received, those that came by AF_XDP.
    pub from_xsk: u64,
    /// Of the datagrams sent, those that left by AF_XDP.
    pub sent_by_xsk: u64,
    /// Datagrams lost at an AF_XDP socket.
    pub xsk_lost: u64,
    /// The books.
    pub money: Money,
    /// What a session costs.
    pub memory: Memory,
    /// Log-ins since the start.
    pub logins: u64,
    /// Log-outs since the start.
    pub logouts: u64,
}

impl Status {
    /// Do joined datagrams part before they are steered?
    pub fn parts_joined(&self) -> bool {
        self.gate.mode == "driver"
    }

    /// Datagrams the workers took, by where they ended.
    pub fn ended(&self) -> u64 {
        self.replied + self.accepted + total(&self.dropped)
    }
}

/// How datagrams come in.
#[derive(Clone, Debug, Deserialize)]
pub struct Gate {
    /// `driver`, `skb` or `off`.
    pub mode: String,
    /// `xdp`, `cbpf` or `none`.
    pub steering: String,
    /// Interfaces the gate is attached to.
    pub interfaces: Vec<String>,
}

/// An AF_XDP socket.
#[derive(Clone, Debug, Deserialize)]
pub struct Xsk {
    /// Its interface.
    pub interface: String,
    /// The worker that reads it.
    pub worker: usize,
}

/// One worker.
#[derive(Clone, Debug, Deserialize)]
pub struct Worker {
    /// The CPU it is pinned to.
    pub cpu: u32,
    /// Its thread.
    pub tid: u32,
    /// Datagrams taken.
    pub received: u64,
    /// Datagrams answered.
    pub replied: u64,
    /// Datagrams sent.
    pub sent: u64,
}

/// The server's books; all money in fen.
#[derive(Clone, Debug, Deserialize)]
pub struct Money {
    /// Packets users made.
    pub made: Sum,
    /// Shares taken.
    pub taken: Sum,
    /// What went back to senders.
    pub refunded: Sum,
    /// Shares still to take.
    pub open: Sum,
    /// Prizes let out by campaigns.
    pub prizes_released: Sum,
    /// Prizes that nobody had won when their campaign ended.
    pub prizes_withdrawn: Sum,
    /// Prizes won.
    pub prizes: Sum,
    /// All postings sum to zero.
    pub balanced: bool,
}

/// What the server's process holds.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Memory {
    /// Anonymous resident memory, in bytes.
    pub rss_anon_bytes: u64,
    /// Memory of BPF maps, in bytes.
    pub maps_bytes: u64,
}

impl Memory {
    /// All of it.
    pub fn bytes(&self) -> u64 {
        self.rss_anon_bytes + self.maps_bytes
    }
}

/// `rp-client --json`.
#[derive(Clone, Debug, Deserialize)]
pub struct Report {
    /// Sessions it held.
    pub sessions: u64,
    /// The log-in phase.
    pub login: Login,
    /// The phases of its scenario, in order.
    pub phases: Vec<Phase>,
    /// Its own count of datagrams.
    pub datagrams: Datagrams,
    /// Its own count of money.
    pub money: ClientMoney,
    /// Its comparison with the server's totals.
    pub reconciled: Reconciled,
    /// How late the generator itself was.
    pub generator_late: Late,
    /// One sentence for each check that failed.
    pub failures: Vec<String>,
    /// Everything it checks held.
    pub ok: bool,
}

/// The log-in phase of one client machine.
#[derive(Clone, Debug, Deserialize)]
pub struct Login {
    /// From the first HELLO to the last WELCOME.
    pub seconds: f64,
    /// HELLOs and LOGINs sent again.
    pub retries: u64,
    /// Log-ins of users whose session the server no longer had.
    pub again: u64,
}

/// One phase of one client machine.
#[derive(Clone, Debug, Deserialize)]
pub struct Phase {
    /// As the scenario calls it.
    pub name: String,
    /// Requests per second over all client machines.
    pub rate: f64,
    /// Shakes that had to be sent.
    pub due: u64,
    /// Shakes sent, repeats not counted.
    pub sent: u64,
    /// Answered, with or without a prize.
    pub answered: u64,
    /// Refused by type.
    pub refused: u64,
    /// Never answered.
    pub lost: u64,
    /// Transmissions beyond the first.
    pub retries: u64,
    /// Sent late by the generator, or given up by it.
    pub generator_late: u64,
    /// CPU time of the kernel program that made them.
    pub generator_cpu_us: u64,
    /// Hostile datagrams sent beside them.
    pub hostile: u64,
    /// Packets to make.
    pub sends: Requests,
    /// Shares to take.
    pub grabs: Requests,
    /// Histories to read.
    pub histories: Requests,
    /// Refusals of all requests, by type.
    pub refusals: Counts,
    /// From the due time to the answer.
    pub latency_us: Latency,
    /// The same of packets made and shares taken.
    #[serde(default)]
    pub money_latency_us: Latency,
    /// Each second of the phase.
    pub per_second: Vec<Second>,
}

/// Requests of one sort that move money.
#[derive(Clone, Copy, Default, Debug, Deserialize)]
pub struct Requests {
    /// Never answered.
    pub lost: u64,
    /// Transmissions beyond the first.
    pub retries: u64,
}

/// Percentiles, in microseconds.
#[derive(Clone, Copy, Default, Debug, Deserialize)]
pub struct Latency {
    /// Median.
    pub p50: f64,
    /// 99 %.
    pub p99: f64,
    /// 99.9 %.
    pub p999: f64,
}

/// One second of one client machine.
#[derive(Clone, Debug, Deserialize)]
pub struct Second {
    /// Unix time.
    pub second: u64,
    /// Shakes that had to be sent.
    pub due: u64,
    /// Shakes sent.
    pub sent: u64,
    /// Shakes answered.
    pub answered: u64,
    /// Prizes won.
    pub prizes: u64,
}

/// A client machine's count of datagrams.
#[derive(Clone, Debug, Deserialize)]
pub struct Datagrams {
    /// Sent, by kind.
    pub sent: Counts,
    /// Received and believed, by kind.
    pub received: Counts,
    /// Received and not believed, by cause.
    pub discarded: Counts,
    /// Refused by the client's own kernel, though counted as sent.
    pub unsent: u64,
    /// Lost because a socket of the client was full.
    pub overflow: u64,
    /// Frames past its stack with false lengths or checksums.
    pub damaged: u64,
}

/// A client machine's count of money.
#[derive(Clone, Debug, Deserialize)]
pub struct ClientMoney {
    /// Prizes won.
    pub prizes: Sum,
    /// Packets made.
    pub sent: Sum,
    /// Shares taken.
    pub taken: Sum,
}

/// A client's comparison with the server's totals.
#[derive(Clone, Debug, Deserialize)]
pub struct Reconciled {
    /// No difference.
    pub ok: bool,
    /// Were the books compared?
    pub checked: bool,
    /// The server was started anew meanwhile, so that they could not be.
    pub restarted: bool,
    /// One sentence per difference.
    pub differences: Vec<String>,
}

/// How late the generator was.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Late {
    /// The latest burst, in milliseconds.
    pub ms_max: f64,
}

/// The sum of all rows.
pub fn total(counts: &Counts) -> u64 {
    counts.values().sum()
}

/// Adds tables up, row by row.
pub fn add_up<'a>(tables: impl IntoIterator<Item = &'a Counts>) -> Counts {
    let mut sum = Counts::new();
    for (name, count) in tables.into_iter().flatten() {
        *sum.entry(name.clone()).or_default() += count;
    }
    sum
}

/// `rp-server timeline --json`: one element per second.
#[derive(Clone, Debug, Deserialize)]
pub struct TimelineSecond {
    /// Unix time.
    pub second: u64,
    /// Shakes first seen, in 50 bins of 20 ms.
    pub bins: Vec<u64>,
}

/// One counter of the gate.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Deserialize)]
pub struct KernelRow {
    /// How many.
    pub datagrams: u64,
}

/// `rp-server pps --once --json`: the gate's counters, summed over CPUs.
#[derive(Clone, Debug, Deserialize)]
pub struct KernelCounts {
    /// Where frames went.
    pub places: BTreeMap<String, KernelRow>,
    /// Requests by kind.
    pub kinds: BTreeMap<String, KernelRow>,
    /// Drops by reason.
    pub reasons: BTreeMap<String, KernelRow>,
    /// Answers by kind.
    pub answers: BTreeMap<String, KernelRow>,
    /// Requests that went up to a worker, by kind.
    pub ups: BTreeMap<String, KernelRow>,
}

/// Datagrams of each kind.
pub fn by_kind(rows: &BTreeMap<String, KernelRow>) -> Counts {
    rows.iter().map(|(kind, row)| (kind.clone(), row.datagrams)).collect()
}

impl KernelCounts {
    /// Datagrams in a place.
    ///
    /// # Panics
    /// When the gate has no such place: the workshop and the gate have then drifted apart.
    pub fn place(&self, name: &str) -> u64 {
        self.places.get(name).unwrap_or_else(|| panic!("the gate has no counter called {name}")).datagrams
    }

    /// Drops in all.
    pub fn dropped(&self) -> u64 {
        self.reasons.values().map(|row| row.datagrams).sum()
    }
}
