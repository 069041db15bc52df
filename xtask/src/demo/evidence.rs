//! Everything a run of the demo has seen, before anything is concluded from it.

use std::collections::BTreeMap;

use super::watch::Seen;
use crate::answers::{KernelCounts, Memory, Phase, Report, Status};
use crate::lab::{BySockets, Transmitted};

/// What was seen at one moment of the run.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Wall clock, in microseconds since 1970.
    pub unix_us: u64,
    /// Open sessions.
    pub sessions: u64,
    /// Datagrams the workers had taken.
    pub received: u64,
    /// Datagrams the workers had sent.
    pub sent: u64,
    /// CPU time of the server's threads and of its kernel programs, in nanoseconds.
    pub server_cpu_ns: u64,
    /// Clock ticks stolen by the hypervisor, and all, since boot.
    pub ticks: (u64, u64),
    /// What the server held.
    pub memory: Memory,
}

/// Everything a run has seen.
#[derive(Debug)]
pub struct Evidence {
    /// Sessions asked for.
    pub users: u64,
    /// One per client machine.
    pub reports: Vec<Report>,
    /// The server's answer after the last datagram.
    pub status: Status,
    /// The gate's counters after the last datagram; none when it was off.
    pub kernel: Option<KernelCounts>,
    /// What the drivers did with the gate's answers; none when it was off.
    pub driver: Option<Transmitted>,
    /// What went through the server's stack; none where others share it.
    pub stack: Option<BySockets>,
    /// What was seen meanwhile.
    pub seen: Seen,
}

/// A phase as all client machines together ran it.
#[derive(Debug)]
pub struct Joined<'a> {
    /// The phase in each machine's report.
    pub parts: Vec<&'a Phase>,
    /// Unix seconds in which shakes were due, each with how many on how many machines.
    pub due: BTreeMap<u64, (u64, usize)>,
}

impl Joined<'_> {
    /// As the scenario calls it.
    pub fn name(&self) -> &str {
        &self.parts[0].name
    }

    /// Sum of a number over the machines.
    pub fn sum(&self, of: impl Fn(&Phase) -> u64) -> u64 {
        self.parts.iter().map(|part| of(part)).sum()
    }

    /// Largest of a number over the machines.
    pub fn worst(&self, of: impl Fn(&Phase) -> f64) -> f64 {
        self.parts.iter().map(|part| of(part)).fold(0.0, f64::max)
    }
}

impl Evidence {
    /// The phases that shake, each joined over the client machines.
    pub fn shaking_phases(&self) -> Vec<Joined<'_>> {
        let phases = self.reports.iter().map(|report| report.phases.len()).min().unwrap_or(0);
        let joined = (0..phases).map(|index| self.joined(index));
        joined.filter(|phase| !phase.due.is_empty()).collect()
    }

    fn joined(&self, index: usize) -> Joined<'_> {
        let parts: Vec<&Phase> = self.reports.iter().map(|report| &report.phases[index]).collect();
        let mut due: BTreeMap<u64, (u64, usize)> = BTreeMap::new();
        for second in parts.iter().flat_map(|part| &part.per_second).filter(|second| second.due > 0) {
            let entry = due.entry(second.second).or_default();
            entry.0 += second.due;
            entry.1 += usize::from(second.sent > 0);
        }
        Joined { parts, due }
    }

    /// Shakes the server first saw in a second, in 50 bins.
    pub fn bins(&self, second: u64) -> &[u64] {
        self.seen.timeline.get(&second).map_or(&[], Vec::as_slice)
    }

    /// Shakes the server first saw in a second.
    pub fn shakes_in(&self, second: u64) -> u64 {
        self.bins(second).iter().sum()
    }

    /// The samples nearest to the beginning of the first second of a phase and to the end of its last.
    pub fn samples_around(&self, phase: &Joined<'_>) -> Option<(&Sample, &Sample)> {
        let (first, last) = (*phase.due.keys().next()?, *phase.due.keys().next_back()? + 1);
        Some((self.sample_near(first)?, self.sample_near(last)?))
    }

    fn sample_near(&self, second: u64) -> Option<&Sample> {
        self.seen.samples.iter().min_by_key(|sample| sample.unix_us.abs_diff(second * 1_000_000))
    }

    /// The sample with most sessions.
    pub fn fullest(&self) -> Option<&Sample> {
        self.seen.samples.iter().max_by_key(|sample| sample.sessions)
    }
}
