//! What happened in one phase: each request under exactly one end, latencies from the due time, and every second apart.

use hdrhistogram::Histogram;
use rp_core::wire::Refusal;

use crate::report::{Latency, Packed};

/// Latencies beyond this, in microseconds, are counted as this much.
const LATENCY_MAX_US: u64 = 120_000_000;
/// Refusals by number; the numbers start at 1, and row 0 is unused.
pub const REFUSALS: usize = Refusal::ALL.len() + 1;
/// A request sent later than this after its due time was late by the generator's fault, in microseconds.
pub const LATE_US: u64 = 2_000;

/// One second of a phase. Requests count in the second they were due; money in the second it was heard of.
#[derive(Clone, Copy, Default, Debug)]
pub struct Second {
    /// Shakes due.
    pub due: u64,
    /// Of them sent.
    pub sent: u64,
    /// Of them answered.
    pub answered: u64,
    /// Of them refused.
    pub refused: u64,
    /// Of them never answered, or never sent.
    pub lost: u64,
    /// Transmissions of them beyond the first.
    pub retries: u64,
    /// Prizes won.
    pub prizes: u64,
    /// Packets made.
    pub packets_sent: u64,
    /// Shares taken.
    pub shares_taken: u64,
}

/// Requests of one sort, by their end. Once nothing is outstanding, `due` is the sum of the ends.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Had to be sent.
    pub due: u64,
    /// Were sent.
    pub sent: u64,
    /// Answered as asked.
    pub answered: u64,
    /// Refused by type.
    pub refused: u64,
    /// Never answered, or never sent.
    pub lost: u64,
    /// Transmissions beyond the first.
    pub retries: u64,
}

impl Ends {
    /// Not ended yet.
    pub fn outstanding(&self) -> u64 {
        self.due - self.answered - self.refused - self.lost
    }
}

/// Waiting that the server asked for by *busy* or *full* with a time, and that was done.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct BackedOff {
    /// How often.
    pub times: u64,
    /// For how long in all, in microseconds.
    pub us: u64,
}

/// Latencies of the shakes whose answers came in one second.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LatencySecond {
    /// Unix time.
    pub second: u64,
    /// How many.
    pub answers: u64,
    /// Their percentiles.
    pub latency_us: Latency,
    /// All of them, packed: a histogram as it is has a hundred times the size.
    pub packed: Packed,
}

impl LatencySecond {
    fn of(second: u64, histogram: &Histogram<u64>) -> Self {
        Self { second, answers: histogram.len(), latency_us: Latency::of(histogram), packed: Packed::of(histogram) }
    }
}

/// What happened in a phase.
pub struct PhaseRecord {
    /// As in the scenario.
    pub name: String,
    /// The Unix second it began.
    pub start_s: u64,
    /// How long it lasts.
    pub seconds: u32,
    /// Has it a schedule? Log-in and log-out last as long as they take.
    pub timed: bool,
    /// Shakes a second over all machines, at the end of the phase.
    pub rate: u32,
    /// Shakes.
    pub shakes: Ends,
    /// Packets to make.
    pub sends: Ends,
    /// Shares to take.
    pub grabs: Ends,
    /// Histories to read.
    pub histories: Ends,
    /// Refusals by number.
    pub refusals: [u64; REFUSALS],
    /// What sessions waited because they were told to; counts when the wait ends.
    pub backed_off: BackedOff,
    /// Answers to what had been answered.
    pub duplicate: u64,
    /// Answers to what had been given up.
    pub late: u64,
    /// Requests that the generator sent late.
    pub generator_late: u64,
    /// The latest of them, in microseconds.
    pub generator_late_us_max: u64,
    /// CPU time of the kernel program that made them, in microseconds.
    pub generator_cpu_us: u64,
    /// Hostile datagrams sent beside them.
    pub hostile: u64,
    /// Latencies of answered shakes, in microseconds from the due time.
    pub latency_us: Histogram<u64>,
    /// The same of the running second.
    pub latency_second_us: Histogram<u64>,
    /// Latencies of packets made and shares taken, in microseconds from when they were to be asked for.
    pub money_latency_us: Histogram<u64>,
    /// The same of the running second.
    pub money_latency_second_us: Histogram<u64>,
    /// Latencies of shakes, by the second in which their answers came; seconds without any are left out.
    pub latency_per_second: Vec<LatencySecond>,
    /// Every second.
    pub per_second: Vec<Second>,
}

/// An empty histogram with three significant digits.
pub fn latencies() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_MAX_US, 3).expect("bounds and digits are within what HdrHistogram takes")
}

impl PhaseRecord {
    /// An empty record.
    pub fn new(name: &str, start_s: u64, seconds: u32, rate: u32) -> Self {
        Self {
            name: name.to_string(),
            start_s,
            seconds,
            timed: seconds > 0,
            rate,
            shakes: Ends::default(),
            sends: Ends::default(),
            grabs: Ends::default(),
            histories: Ends::default(),
            refusals: [0; REFUSALS],
            backed_off: BackedOff::default(),
            duplicate: 0,
            late: 0,
            generator_late: 0,
            generator_late_us_max: 0,
            generator_cpu_us: 0,
            hostile: 0,
            latency_us: latencies(),
            latency_second_us: latencies(),
            money_latency_us: latencies(),
            money_latency_second_us: latencies(),
            latency_per_second: Vec::new(),
            per_second: vec![Second::default(); seconds.max(1) as usize],
        }
    }

    /// The row of a time; what comes after the end counts in the last.
    pub fn second(&mut self, at_us: u64) -> &mut Second {
        let last = self.per_second.len() as u64 - 1;
        let at = (at_us / 1_000_000).saturating_sub(self.start_s).min(last);
        &mut self.per_second[at as usize]
    }

    /// A shake is due.
    pub fn due(&mut self, due_us: u64, now_us: u64) {
        self.shakes.due += 1;
        self.second(due_us).due += 1;
        let late_us = now_us.saturating_sub(due_us);
        if late_us > LATE_US {
            self.generator_late += 1;
        }
        self.generator_late_us_max = self.generator_late_us_max.max(late_us);
    }

    /// A shake left for the first time.
    pub fn sent(&mut self, due_us: u64) {
        self.shakes.sent += 1;
        self.second(due_us).sent += 1;
    }

    /// A shake is answered.
    pub fn answered(&mut self, due_us: u64, now_us: u64) {
        self.shakes.answered += 1;
        self.second(due_us).answered += 1;
        self.latency_second_us.saturating_record(now_us.saturating_sub(due_us).max(1));
    }

    /// A shake is refused.
    pub fn refused(&mut self, due_us: u64) {
        self.shakes.refused += 1;
        self.second(due_us).refused += 1;
    }

    /// A shake is given up.
    pub fn lost(&mut self, due_us: u64) {
        self.shakes.lost += 1;
        self.second(due_us).lost += 1;
    }

    /// A shake is sent once more.
    pub fn repeated(&mut self, due_us: u64) {
        self.shakes.retries += 1;
        self.second(due_us).retries += 1;
    }

    /// A packet is made, or a share taken.
    pub fn moved_money(&mut self, due_us: u64, now_us: u64) {
        self.money_latency_second_us.saturating_record(now_us.saturating_sub(due_us).max(1));
    }

    /// Ends the Unix second `second`: its latencies join the phase's.
    pub fn turn_second(&mut self, second: u64) {
        if !self.latency_second_us.is_empty() {
            self.latency_per_second.push(LatencySecond::of(second, &self.latency_second_us));
            self.latency_us.add(&self.latency_second_us).expect("both have the same bounds");
            self.latency_second_us.reset();
        }
        if !self.money_latency_second_us.is_empty() {
            self.money_latency_us.add(&self.money_latency_second_us).expect("both have the same bounds");
            self.money_latency_second_us.reset();
        }
    }

    /// Everything that has not ended yet.
    pub fn outstanding(&self) -> u64 {
        [self.shakes, self.sends, self.grabs, self.histories].iter().map(Ends::outstanding).sum()
    }
}
