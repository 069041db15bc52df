//! A run becomes a report: fleet, conductor and what the loop around them knows, brought together once all is over.

use anyhow::Result;
use clap::ValueEnum;
use rp_core::kind::Kind;
use rp_core::wire::Refusal;

use super::server::Snapshot;
use super::{
    BackedOff, Counts, Datagrams, GeneratorLate, Latency, LatencySecond, Login, Machine, Money, Packed, Phase, Play,
    Program, Report, Requests, SCHEMA, Second, ServerSide,
};
use crate::books::{Books, Discard};
use crate::cli::Flags;
use crate::conductor::Conductor;
use crate::fleet::Fleet;
use crate::record::{Ends, PhaseRecord};
use crate::scenario;

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
    /// When it began and ended, in microseconds since 1970.
    pub ran_us: (u64, u64),
}

/// What a run was asked to be.
#[derive(Clone, Debug)]
pub struct Asked {
    /// First and last user.
    pub users: (u64, u64),
    /// Users of all machines.
    pub total: u64,
    /// What was played.
    pub play: Play,
    /// The machine, with what is its own in the run.
    pub machine: Machine,
    /// Expectations, as they were written.
    pub expected: String,
}

impl Asked {
    /// What the flags say, once the seed is drawn and the users of all machines are known.
    ///
    /// # Errors
    /// The scenario cannot be read.
    pub fn of(flags: &Flags, total: u64, seed: u64) -> Result<Self> {
        let (scenario, scenario_text) = scenario::read(flags.scenario.as_deref())?;
        let machine = Machine {
            seed,
            sockets: flags.sockets,
            segment: flags.segment,
            sources: flags.source.iter().map(ToString::to_string).collect(),
            ..Machine::here()
        };
        let play = Play {
            server: flags.server.to_string(),
            scenario,
            scenario_text,
            time_scale: flags.time_scale,
            pace: word(flags.pace),
            transport: word(flags.transport),
            bare: flags.bare.map(word),
        };
        let users = (*flags.users.start(), *flags.users.end());
        Ok(Self { users, total, play, machine, expected: flags.expect.clone() })
    }
}

/// A choice, as it is written on the command line.
fn word(choice: impl ValueEnum) -> String {
    choice.to_possible_value().map_or_else(String::new, |value| value.get_name().to_string())
}

fn counts(rows: impl Iterator<Item = (&'static str, u64)>) -> Counts {
    rows.filter(|(_, count)| *count > 0).map(|(name, count)| (name.to_string(), count)).collect()
}

fn requests(ends: &Ends) -> Requests {
    Requests { due: ends.due, answered: ends.answered, refused: ends.refused, lost: ends.lost, retries: ends.retries }
}

fn phase(record: &PhaseRecord) -> Phase {
    let shakes = &record.shakes;
    let refusals = Refusal::ALL.into_iter().map(|r| (r.name(), record.refusals[r as usize]));
    let per_second = (record.start_s..).zip(&record.per_second).map(|(second, row)| Second {
        second,
        due: row.due,
        sent: row.sent,
        answered: row.answered,
        refused: row.refused,
        lost: row.lost,
        retries: row.retries,
        prizes: row.prizes,
        packets_sent: row.packets_sent,
        shares_taken: row.shares_taken,
        active: u32::from(row.sent > 0),
    });
    Phase {
        name: record.name.clone(),
        start_s: record.start_s,
        seconds: record.seconds,
        timed: record.timed,
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
        latency_us: Latency::of(&record.latency_us),
        latency_histogram: Packed::of(&record.latency_us),
        money_latency_us: Latency::of(&record.money_latency_us),
        money_latency_histogram: Packed::of(&record.money_latency_us),
        per_second: per_second.collect(),
        latency_per_second: record.latency_per_second.iter().map(latency_second).collect(),
    }
}

fn latency_second(row: &crate::record::LatencySecond) -> LatencySecond {
    let (second, answers, latency_us) = (row.second, row.answers, row.latency_us);
    LatencySecond { second, answers, latency_us, histogram: row.packed.clone() }
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

fn login(fleet: &Fleet) -> Login {
    let login = &fleet.login;
    let first_us = login.first_us.unwrap_or(login.last_us);
    Login {
        first_us,
        last_us: login.last_us,
        seconds: login.last_us.saturating_sub(first_us) as f64 / 1e6,
        refused: login.refused,
        retries: login.retries,
        again: login.again,
        failed: fleet.dead.into(),
    }
}

impl Report {
    /// The report of a run that is over, but for expectations and the server's snapshots.
    pub fn gather(fleet: &Fleet, conductor: Conductor, asked: Asked, outside: &Outside) -> Self {
        let books = &fleet.books;
        let phases: Vec<Phase> = fleet.records.iter().map(phase).collect();
        let late_us_max = fleet.records.iter().map(|record| record.generator_late_us_max).max().unwrap_or(0);
        let generator_late = GeneratorLate::of(&phases, late_us_max as f64 / 1e3);
        let login = login(fleet);
        let clock_offset_us = fleet.clock_offset.map(|(offset_us, _)| offset_us);
        let (started_us, ended_us) = outside.ran_us;
        let machine = Machine {
            users: asked.users.into(),
            started_us,
            ended_us,
            sessions: fleet.up_highest.into(),
            login_s: login.seconds,
            due: phases.iter().map(|phase| phase.due).sum(),
            answered: phases.iter().map(|phase| phase.answered).sum(),
            clock_offset_us,
            generator_late,
            stolen_ms: outside.stolen_ms,
            ok: true,
            ..asked.machine
        };
        let mut report = Self {
            schema: SCHEMA,
            program: Program { name: "rp-client".to_string(), version: env!("CARGO_PKG_VERSION").to_string() },
            started_us,
            ended_us,
            users: asked.users.into(),
            total: asked.total,
            play: asked.play,
            machines: vec![machine],
            sessions: fleet.up_highest.into(),
            sealing: fleet.is_sealed,
            interrupted: conductor.was_stopped(),
            login,
            phases,
            datagrams: datagrams(books, outside),
            money: Money { prizes: books.prizes, sent: books.packets, taken: books.shares, refunded: books.refunded },
            clock_offset_us,
            generator_late,
            stolen_ms: outside.stolen_ms,
            server: ServerSide { per_second: conductor.watch.seconds, snapshots: Vec::new() },
            reconciled: conductor.reconciled,
            expected: asked.expected,
            remarks: Vec::new(),
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

    /// Takes the server's own snapshots along, and says when seconds are missing among them.
    pub fn see(&mut self, snapshots: Vec<Snapshot>) {
        let ended_us = self.ended_us.saturating_add_signed(self.clock_offset_us.unwrap_or_default());
        if let (Some(first), Some(last)) = (snapshots.first(), snapshots.last()) {
            // By the server's clock. Its second at the end may not have been shown yet.
            let last_s = last.unix_s.max((ended_us / 1_000_000).saturating_sub(1));
            let seconds = last_s.saturating_sub(first.unix_s).saturating_add(1);
            let missing = seconds.saturating_sub(snapshots.len() as u64);
            if missing > 0 {
                self.remarks.push(format!(
                    "{missing} of the server's {seconds} snapshots are missing: its --http did not show them"
                ));
            }
        }
        self.server.snapshots = snapshots;
    }

    /// Holds the report to expectations; each that fails is a failure of it. A run that was ended early shows of none that it
    /// holds.
    pub fn expect(&mut self, expectations: &[crate::expect::Expectation]) {
        if self.interrupted && !expectations.is_empty() {
            self.fail(
                "the run was ended before its scenario was over: what was expected of it is not shown".to_string(),
            );
        }
        let measured = self.measured();
        expectations.iter().filter_map(|e| e.failure(&measured)).for_each(|failure| self.fail(failure));
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{START_S, report};
    use super::*;
    use crate::expect;

    /// The failures of a report that is held to expectations.
    fn failures(mut report: Report, expected: &str) -> Vec<String> {
        report.expect(&expect::parse(expected).expect(expected));
        assert_eq!((report.ok, report.machines[0].ok), (report.failures.is_empty(), report.failures.is_empty()));
        report.failures
    }

    #[test]
    fn a_run_that_was_ended_early_meets_no_expectation() {
        let mut early = report(1, 100);
        early.interrupted = true;
        assert_eq!(failures(early.clone(), ""), Vec::<String>::new());
        assert_eq!(failures(report(1, 100), "mismatch=0"), Vec::<String>::new());
        assert!(failures(early, "mismatch=0").concat().contains("before its scenario was over"));
    }

    #[test]
    fn a_phase_without_an_answer_meets_no_limit_of_latency() {
        let mut mute = report(1, 100);
        assert_eq!(failures(mute.clone(), "p99<1s,max<1s"), Vec::<String>::new());
        let phase = &mut mute.phases[2];
        (phase.answered, phase.lost) = (0, phase.due);
        assert_eq!(failures(mute, "p99<1s,max<1s,mismatch=0").len(), 2);
    }

    #[test]
    fn missing_snapshots_are_remarked_on() {
        let shown = |second: &u64| Snapshot { unix_s: START_S + second, ..Snapshot::default() };
        for (seconds, remark) in [
            (&[0, 1, 2, 3, 4, 5, 6][..], None),
            (&[0, 1, 2, 3, 4, 5], None),
            (&[0, 1, 3, 4, 5, 6], Some("1 of the server's 7 snapshots are missing")),
            (&[0, 1], Some("4 of the server's 6 snapshots are missing")),
        ] {
            let mut report = report(1, 100);
            report.see(seconds.iter().map(shown).collect());
            let said = report.remarks.concat();
            assert!(remark.map_or(said.is_empty(), |remark| said.contains(remark)), "{seconds:?}: {said}");
        }
    }
}
