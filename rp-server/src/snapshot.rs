//! All that is to be seen of the server at one whole second of the wall clock, taken by the control plane.
//!
//! Page, /metrics, /status, /events and `rp-server status --snapshot` show the same snapshot, so that for the same second all
//! of them agree. What is no total is a rate since the snapshot before, by the monotonic clock.

mod machine;
mod rates;
mod recorder;
mod window;

use std::sync::{Arc, OnceLock};

use rp_core::engine::bank::Plan;
use rp_core::gate_counters::Counts;
use serde::Serialize;
use serde_json::{Value, json};

use crate::admin::PlanFields;
use crate::latency::Times;
use crate::pps::report::{block, count, rate};
use crate::sight::{ClientStatus, Status};
pub use machine::{CpuShare, Process, ThreadShare};
pub use rates::Rates;
pub use recorder::Recorder;
pub use window::{Publisher, Window, open};

/// The names of the fields are a promise; whoever changes what one means raises this.
pub const SCHEMA: u32 = 1;

/// The server at one second.
#[derive(Serialize)]
pub struct Snapshot {
    /// See [`SCHEMA`].
    pub schema: u32,
    /// The second, since 1970.
    pub unix_s: u64,
    /// Seconds since the snapshot before.
    pub interval_s: f64,
    /// What `rp-server status` shows.
    pub status: Status,
    /// The kernel's counters, if there is a gate.
    pub kernel: Option<Kernel>,
    /// Per second, since the snapshot before.
    pub rates: Rates,
    /// Sessions open by SET.
    pub sets: Vec<u64>,
    /// Client addresses, those with the most sessions.
    pub clients: Vec<ClientStatus>,
    /// How long answers took since the snapshot before.
    pub latency_us: Latency,
    /// How long commits of the ledger took since the snapshot before.
    pub commit_us: Spread,
    /// How busy the machine's CPUs were since the snapshot before.
    pub cpus: Vec<CpuShare>,
    /// How much this process' threads ran since the snapshot before.
    pub threads: Vec<ThreadShare>,
    /// The running campaign.
    pub campaign: Option<Campaign>,
    /// All times since the start, for /metrics.
    #[serde(skip)]
    pub times: AllTimes,
    /// The process, likewise.
    #[serde(skip)]
    pub process: Process,
    #[serde(skip)]
    text: OnceLock<Arc<str>>,
}

/// The kernel's counters.
pub struct Kernel {
    /// By CPU, since the server's start.
    pub totals: Vec<Counts>,
    /// By CPU, since the snapshot before.
    pub since: Vec<Counts>,
    /// The time since then.
    pub interval_s: f64,
}

/// A running campaign.
#[derive(Clone, Copy, Serialize)]
pub struct Campaign {
    /// Its number.
    pub number: u32,
    /// What was asked, the budget less what was released.
    #[serde(with = "PlanFields")]
    pub plan: Plan,
    /// Prizes released.
    pub released: u32,
}

/// How long answers took, in microseconds.
#[derive(Serialize)]
pub struct Latency {
    /// From the receipt of a batch of datagrams to the hand-over of its replies.
    pub worker: Spread,
    /// From the posting of what was asked to the reply's leaving, for replies that wait for the disk.
    pub durable: Spread,
}

/// How some times are spread, in microseconds; null when there were none.
#[derive(Serialize)]
pub struct Spread {
    /// Half took no longer.
    pub p50: Option<u64>,
    /// Nine of ten took no longer.
    pub p90: Option<u64>,
    /// 99 of 100 took no longer.
    pub p99: Option<u64>,
    /// 999 of 1000 took no longer.
    pub p999: Option<u64>,
    /// The longest.
    pub max: Option<u64>,
    /// How many.
    pub count: u64,
}

/// All times since the start.
pub struct AllTimes {
    /// As [`Latency::worker`].
    pub worker: Steps,
    /// As [`Latency::durable`].
    pub durable: Steps,
    /// Commits.
    pub commit: Steps,
}

/// Times in few buckets.
pub struct Steps {
    /// How many took less than each of [`STEPS_US`].
    pub below: Vec<u64>,
    /// How many.
    pub count: u64,
    /// All together, in microseconds.
    pub sum_us: u64,
}

/// Where the few buckets end, in microseconds: powers of two, from 16 us to 8 s.
pub const STEPS_US: [u64; 20] = {
    let mut steps = [16; 20];
    let mut at = 1;
    while at < steps.len() {
        steps[at] = 2 * steps[at - 1];
        at += 1;
    }
    steps
};

impl Snapshot {
    /// As JSON, made when somebody first asks. Two who ask at once both make it, so that neither waits for the other's.
    pub fn text(&self) -> Arc<str> {
        if let Some(text) = self.text.get() {
            return text.clone();
        }
        let text: Arc<str> = serde_json::to_string(self).expect("all keys are text and all figures are finite").into();
        // It is the same, whoever was first.
        let _first = self.text.set(text.clone());
        text
    }
}

impl Kernel {
    /// The sum over CPUs.
    pub fn total(&self) -> Counts {
        sum(&self.totals)
    }

    /// The sum over CPUs, since the snapshot before.
    pub fn since(&self) -> Counts {
        sum(&self.since)
    }

    /// CPUs that counted something, with their totals and what they counted since.
    pub fn used(&self) -> impl Iterator<Item = (usize, &Counts, &Counts)> {
        let all = self.totals.iter().zip(&self.since).enumerate();
        all.filter(|(_, (totals, _))| **totals != Counts::default()).map(|(cpu, (totals, since))| (cpu, totals, since))
    }
}

fn sum(blocks: &[Counts]) -> Counts {
    blocks.iter().fold(Counts::default(), |sum, counts| sum.plus(counts))
}

impl Serialize for Kernel {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let rates = |since: &Counts| block(since, &|row| rate(row, self.interval_s));
        let of_cpu = |(cpu, totals, since): (usize, &Counts, &Counts)| json!({"cpu": cpu, "totals": block(totals, &count), "rates": rates(since)});
        let cpus: Vec<Value> = self.used().map(of_cpu).collect();
        json!({"totals": block(&self.total(), &count), "rates": rates(&self.since()), "cpus": cpus})
            .serialize(serializer)
    }
}

impl From<&Times> for Spread {
    fn from(times: &Times) -> Self {
        let [p50, p90, p99, p999] = [0.5, 0.9, 0.99, 0.999].map(|share| times.quantile(share));
        Self { p50, p90, p99, p999, max: times.longest(), count: times.count() }
    }
}

impl From<&Times> for Steps {
    fn from(times: &Times) -> Self {
        let below = STEPS_US.iter().map(|us| times.below(*us)).collect();
        Self { below, count: times.count(), sum_us: times.sum_us }
    }
}
