//! The report: everything the client knows at the end, for programs as JSON.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use rp_core::kind::Kind;
use rp_core::wire::Refusal;
use serde::Serialize;

use crate::books::{Books, Discard, Sum};
use crate::conductor::Reconciled;
use crate::expect::Measured;
use crate::fleet::Fleet;
use crate::record::{Ends, PhaseRecord};

type Counts = BTreeMap<&'static str, u64>;

/// The whole report.
#[derive(Serialize, Debug)]
#[allow(missing_docs)]
pub struct Report {
    pub users: [u64; 2],
    pub total: u64,
    pub sessions: u64,
    /// Is what bears money sealed, as the server said? None when it said nothing.
    pub sealing: Option<bool>,
    pub login: Login,
    pub phases: Vec<Phase>,
    pub datagrams: Datagrams,
    pub money: Money,
    pub reconciled: Reconciled,
    pub clock_offset_us: Option<i64>,
    pub generator_late: GeneratorLate,
    pub stolen_ms: u64,
    pub failures: Vec<String>,
    pub ok: bool,
}

/// The log-in of all users.
#[derive(Serialize, Debug)]
#[allow(missing_docs)]
pub struct Login {
    /// From the first HELLO to the last WELCOME.
    pub seconds: f64,
    pub refused: u64,
    pub retries: u64,
    pub again: u64,
    pub failed: u64,
}

/// One phase.
#[derive(Serialize, Debug)]
#[allow(missing_docs)]
pub struct Phase {
    pub name: String,
    pub seconds: u32,
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
    pub latency_us: Latency,
    /// Of packets made and shares taken.
    pub money_latency_us: Latency,
    pub per_second: Vec<Second>,
}

/// How often sessions were told to wait and did, and for how long in all.
#[derive(Serialize, Debug)]
#[allow(missing_docs)]
pub struct BackedOff {
    pub times: u64,
    pub seconds: f64,
}

/// Requests of one sort that move money.
#[derive(Serialize, Debug)]
#[allow(missing_docs)]
pub struct Requests {
    pub due: u64,
    pub answered: u64,
    pub refused: u64,
    pub lost: u64,
    pub retries: u64,
}

/// Percentiles in microseconds, from the due time to the answer.
#[derive(Serialize, Debug)]
#[allow(missing_docs)]
pub struct Latency {
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub p999: u64,
    pub max: u64,
}

/// One second of a phase.
#[derive(Serialize, Debug)]
#[allow(missing_docs)]
pub struct Second {
    pub second: u64,
    pub due: u64,
    pub sent: u64,
    pub answered: u64,
    pub prizes: u64,
    pub packets_sent: u64,
    pub shares_taken: u64,
}

/// Datagrams; each that came in is either received or discarded.
#[derive(Serialize, Debug)]
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
#[derive(Serialize, Debug)]
#[allow(missing_docs)]
pub struct Money {
    pub prizes: Sum,
    pub sent: Sum,
    pub taken: Sum,
    pub refunded: Sum,
}

/// How late the generator itself was.
#[derive(Serialize, Debug)]
#[allow(missing_docs)]
pub struct GeneratorLate {
    pub ms_max: f64,
    /// Share of shakes that were fired more than two milliseconds after their due time.
    pub share: f64,
}

/// What the loop around the fleet knows.
#[derive(Clone, Copy, Default, Debug)]
pub struct Outside {
    /// Datagrams that our kernel refused to send.
    pub unsent: u64,
    /// Datagrams that our sockets had no room for.
    pub overflow: u64,
    /// Frames past the stack with false lengths or checksums.
    pub damaged: u64,
    /// CPU time that the hypervisor gave to others during the run, in milliseconds.
    pub stolen_ms: u64,
}

fn counts(rows: impl Iterator<Item = (&'static str, u64)>) -> Counts {
    rows.filter(|(_, count)| *count > 0).collect()
}

fn requests(ends: &Ends) -> Requests {
    Requests { due: ends.due, answered: ends.answered, refused: ends.refused, lost: ends.lost, retries: ends.retries }
}

fn latency(histogram: &Histogram<u64>) -> Latency {
    let at = |share: f64| histogram.value_at_quantile(share);
    Latency { p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max: histogram.max() }
}

fn phase(record: &PhaseRecord) -> Phase {
    let shakes = &record.shakes;
    let refusals = Refusal::ALL.into_iter().map(|r| (r.name(), record.refusals[r as usize]));
    let per_second = (record.start_s..).zip(&record.per_second).map(|(second, row)| Second {
        second,
        due: row.due,
        sent: row.sent,
        answered: row.answered,
        prizes: row.prizes,
        packets_sent: row.packets_sent,
        shares_taken: row.shares_taken,
    });
    Phase {
        name: record.name.clone(),
        seconds: record.seconds,
        rate: record.rate,
        due: shakes.due,
        sent: shakes.sent,
        answered: shakes.answered,
        refused: shakes.refused,
        lost: shakes.lost,
        duplicate: record.duplicate,
        late: record.late,
        retries: shakes.retries,
        generator_late: record.generator_late,
        generator_cpu_us: record.generator_cpu_us,
        hostile: record.hostile,
        sends: requests(&record.sends),
        grabs: requests(&record.grabs),
        histories: requests(&record.histories),
        refusals: counts(refusals),
        backed_off: BackedOff { times: record.backed_off.times, seconds: record.backed_off.us as f64 / 1e6 },
        latency_us: latency(&record.latency_us),
        money_latency_us: latency(&record.money_latency_us),
        per_second: per_second.collect(),
    }
}

fn datagrams(books: &Books, outside: &Outside) -> Datagrams {
    let of = |rows: &[u64]| counts(Kind::ALL.iter().map(|kind| (kind.name(), rows[kind.index()])));
    Datagrams {
        sent: of(&books.sent),
        received: of(&books.received),
        discarded: counts(Discard::ALL.iter().map(|d| (d.name(), books.discarded[*d as usize]))),
        unsent: outside.unsent,
        overflow: outside.overflow,
        damaged: outside.damaged,
    }
}

impl Report {
    /// The report of a run that is over, but for expectations.
    pub fn new(fleet: &Fleet, ends: (u64, u64), total: u64, reconciled: Reconciled, outside: &Outside) -> Self {
        let books = &fleet.books;
        let login = &fleet.login;
        let first_us = login.first_us.unwrap_or(login.last_us);
        let (due, late) = fleet
            .records
            .iter()
            .fold((0, 0), |(due, late), record| (due + record.shakes.due, late + record.generator_late));
        let late_us_max = fleet.records.iter().map(|record| record.generator_late_us_max).max().unwrap_or(0);
        let mut report = Self {
            users: [ends.0, ends.1],
            total,
            sessions: fleet.up_highest.into(),
            sealing: fleet.is_sealed,
            login: Login {
                seconds: login.last_us.saturating_sub(first_us) as f64 / 1e6,
                refused: login.refused,
                retries: login.retries,
                again: login.again,
                failed: fleet.dead.into(),
            },
            phases: fleet.records.iter().map(phase).collect(),
            datagrams: datagrams(books, outside),
            money: Money { prizes: books.prizes, sent: books.packets, taken: books.shares, refunded: books.refunded },
            reconciled,
            clock_offset_us: fleet.clock_offset.map(|(offset_us, _)| offset_us),
            generator_late: GeneratorLate {
                ms_max: late_us_max as f64 / 1e3,
                share: late as f64 / (due as f64).max(1.0),
            },
            stolen_ms: outside.stolen_ms,
            failures: Vec::new(),
            ok: true,
        };
        report.judge(fleet);
        report
    }

    fn judge(&mut self, fleet: &Fleet) {
        let outstanding = fleet.outstanding();
        for (bad, sentence) in [
            (!self.reconciled.ok, format!("{} differences between the books", self.reconciled.differences.len())),
            (fleet.dead > 0, format!("{} users could not log in", fleet.dead)),
            (outstanding > 0, format!("{outstanding} requests have not ended")),
        ] {
            if bad {
                self.fail(sentence);
            }
        }
    }

    /// Notes a failure; the report is no longer ok.
    pub fn fail(&mut self, sentence: String) {
        self.failures.push(sentence);
        self.ok = false;
    }

    /// What expectations are checked against.
    pub fn measured(&self) -> Measured {
        let worst = |of: fn(&Latency) -> u64| {
            self.phases.iter().filter(|p| p.answered > 0).map(|p| of(&p.latency_us)).max().unwrap_or(0) as f64
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
