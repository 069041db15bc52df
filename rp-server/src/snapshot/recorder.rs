//! Takes the snapshots: reads every counter once a second, and remembers the last reading for the rates.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rp_core::gate_counters::Counts;

use super::machine::Machine;
use super::rates::Totals;
use super::{AllTimes, Campaign, Kernel, Latency, SCHEMA, Snapshot};
use crate::latency::Times;
use crate::sight::Sight;

/// Client addresses in a snapshot.
const CLIENTS_MAX: usize = 50;
/// A shorter interval says little: the first second that follows sooner is left out.
const SHORTEST_S: f64 = 0.25;

/// Who takes snapshots.
pub struct Recorder {
    sight: Arc<Sight>,
    earlier: Reading,
}

/// What rates are made of.
#[derive(Default)]
struct Reading {
    at: Duration,
    totals: Totals,
    kernel: Option<Vec<Counts>>,
    worker: Times,
    durable: Times,
    commit: Times,
    machine: Machine,
}

impl Recorder {
    /// Whose first interval begins here.
    pub fn new(sight: Arc<Sight>) -> Recorder {
        let mut recorder = Recorder { sight, earlier: Reading::default() };
        let _for_its_reading = recorder.take_at(0, None);
        recorder
    }

    /// How long it is until the next whole second of the wall clock.
    pub fn rest(&self) -> Duration {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Duration::from_secs(1) - Duration::from_nanos(since_1970.subsec_nanos().into())
    }

    /// The snapshot of the second that has just begun; none when the last one, of `newest_s`, is of the same, or a moment old.
    pub fn take(&mut self, newest_s: Option<u64>, campaign: Option<Campaign>) -> Option<Snapshot> {
        let unix_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let seconds = (rp_net::proc::monotonic_time() - self.earlier.at).as_secs_f64();
        // Timers may end a little early, and clocks may be set.
        (newest_s != Some(unix_s) && seconds >= SHORTEST_S).then(|| self.take_at(unix_s, campaign))
    }

    fn take_at(&mut self, unix_s: u64, campaign: Option<Campaign>) -> Snapshot {
        let sight = &self.sight;
        let at = rp_net::proc::monotonic_time();
        let commit = sight.scribe.commit_times.read();
        let mut status = sight.status();
        // One more may have come between: a snapshot says one number for one thing.
        status.ledger.commits = commit.count();
        let kernel = sight.gate_counters.as_ref().and_then(|maps| maps.read_gate().ok());
        let total = kernel.as_ref().map(|cpus| super::sum(cpus));
        let later = Reading {
            at,
            totals: Totals::of(&status, total.as_ref()),
            worker: sight.times(|face| &face.answer_times),
            durable: sight.times(|face| &face.durable_times),
            commit,
            machine: Machine::read(),
            kernel,
        };
        let earlier = std::mem::replace(&mut self.earlier, later);
        let later = &self.earlier;
        let interval_s = (at - earlier.at).as_secs_f64();
        let mut clients = sight.by_client();
        clients.truncate(CLIENTS_MAX);
        Snapshot {
            schema: SCHEMA,
            unix_s,
            interval_s,
            kernel: later.kernel.as_ref().map(|totals| Kernel {
                totals: totals.clone(),
                since: since(totals, earlier.kernel.as_deref().unwrap_or(&[])),
                interval_s,
            }),
            rates: later.totals.since(&earlier.totals, interval_s),
            status,
            sets: sight.sessions_by_set(),
            clients,
            latency_us: Latency {
                worker: (&later.worker.since(&earlier.worker)).into(),
                durable: (&later.durable.since(&earlier.durable)).into(),
            },
            commit_us: (&later.commit.since(&earlier.commit)).into(),
            cpus: later.machine.busy_since(&earlier.machine),
            threads: later.machine.ran_since(&earlier.machine, interval_s),
            campaign,
            times: AllTimes {
                worker: (&later.worker).into(),
                durable: (&later.durable).into(),
                commit: (&later.commit).into(),
            },
            process: later.machine.process.clone(),
            text: Default::default(),
        }
    }
}

fn since(later: &[Counts], earlier: &[Counts]) -> Vec<Counts> {
    let before = |cpu: usize| earlier.get(cpu).copied().unwrap_or_default();
    later.iter().enumerate().map(|(cpu, counts)| counts.since(&before(cpu))).collect()
}
