//! The conductor: leads the fleet through a run, from the first reading of the auditors to the last, sans I/O.
//!
//! Phases follow each other without a gap; a phase that lasts as long as it takes is followed by the next whole second,
//! or by the common start time of all machines. After the last phase nothing is due any more: what is outstanding is
//! waited for, then both sides' books are laid side by side.

pub mod progress;
mod schedule;
mod silence;
mod watch;

use anyhow::{Result, bail};

pub use crate::audit::Reconciled;
use crate::audit::{Equation, Reading};
use crate::fleet::{Fleet, Outbox};
use crate::pace::PaceName;
use crate::population::Population;
use crate::record::PhaseRecord;
use crate::scenario::{Action, Blast, Phase};
use schedule::Schedule;
use silence::{SILENCE_US, heard};
use watch::Watch;

/// How long the reading of the last phase's end is waited for: it may be lost, and is asked for again.
const LAST_LOOK_US: u64 = 3_000_000;
/// How long what is outstanding is waited for after the last phase; longer than any request is repeated.
const DRAIN_US: u64 = 90_000_000;
/// Nothing may arrive for this long before the books are read.
const QUIET_US: u64 = 500_000;
/// Readings that agree are enough, even when others keep the server's money moving.
const READINGS_MIN: u32 = 3;
/// Readings at the end, until the books agree.
const READINGS_MAX: u32 = 20;
/// Time between two of them.
const READING_REST_US: u64 = 500_000;
/// Time between two pings that measure the clock.
const PING_REST_US: u64 = 200_000;

/// What a conductor is told at start.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The users.
    pub population: Population,
    /// The phases.
    pub phases: Vec<Phase>,
    /// When shakes are due.
    pub pace: PaceName,
    /// Unix second at which the first timed phase begins, on all machines.
    pub start_at_s: Option<u64>,
    /// Of the random paces and recipients.
    pub seed: u64,
    /// Are the books to be compared?
    pub reconcile: bool,
}

/// A blast that has to be begun, or goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BlastUnderWay {
    /// Which phase it is.
    pub phase: usize,
    /// Unix second at which it begins.
    pub start_s: u64,
    /// How long it lasts.
    pub seconds: u32,
    /// What is sent.
    pub load: Blast,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// Auditors log in.
    Auditors,
    /// The auditors read for the first time.
    ReadBefore,
    /// A phase that lasts as long as it takes.
    Untimed(usize),
    /// A phase with a schedule.
    Timed(usize),
    /// Waiting for answers, then for silence.
    Drain,
    /// The auditors read again.
    ReadAfter,
    /// The auditors log out.
    Dismiss,
    /// The run is over.
    Done,
}

/// Leads one run.
pub struct Conductor {
    plan: Plan,
    schedule: Schedule,
    stage: Stage,
    /// When the stage began, or its step.
    since_us: u64,
    received: u64,
    start_s: u64,
    pinged_us: u64,
    ping_next: u32,
    before: Option<Reading>,
    last: Option<Reading>,
    readings: u32,
    /// The auditors have been asked.
    reading: bool,
    stopped: bool,
    /// What the server counts meanwhile.
    pub watch: Watch,
    /// What came of comparing the books.
    pub reconciled: Reconciled,
}

impl Conductor {
    /// A run that begins when it is first polled.
    pub fn new(plan: Plan) -> Self {
        let schedule = Schedule::new(plan.population, plan.pace, plan.seed);
        let reconciled = Reconciled { ok: !plan.reconcile, ..Reconciled::default() };
        Self {
            plan,
            schedule,
            stage: Stage::Auditors,
            since_us: 0,
            received: 0,
            start_s: 0,
            pinged_us: 0,
            ping_next: 0,
            before: None,
            last: None,
            readings: 0,
            reading: false,
            stopped: false,
            watch: Watch::default(),
            reconciled,
        }
    }

    /// Is the run over?
    pub fn is_done(&self) -> bool {
        self.stage == Stage::Done
    }

    /// The phase under way, if one is.
    pub fn phase(&self) -> Option<&Phase> {
        match self.stage {
            Stage::Untimed(i) | Stage::Timed(i) => self.plan.phases.get(i),
            _ => None,
        }
    }

    /// The blast under way.
    pub fn blast(&self) -> Option<BlastUnderWay> {
        let Stage::Timed(i) = self.stage else { return None };
        let phase = &self.plan.phases[i];
        let Action::Blast(load) = phase.action else { return None };
        Some(BlastUnderWay { phase: i, start_s: self.start_s, seconds: phase.seconds, load })
    }

    /// The blast has ended, and its phase with it.
    pub fn end_blast(&mut self, now_us: u64, fleet: &mut Fleet) {
        if let Some(blast) = self.blast() {
            self.enter_phase(blast.phase + 1, now_us, fleet);
        }
    }

    /// What is under way, in a word.
    pub fn stage_name(&self) -> &str {
        match self.stage {
            Stage::Auditors | Stage::ReadBefore => "reading the server's totals",
            Stage::Untimed(_) | Stage::Timed(_) => self.phase().map_or("", |phase| &phase.name),
            Stage::Drain => "waiting for answers",
            Stage::ReadAfter | Stage::Dismiss | Stage::Done => "comparing the books",
        }
    }

    /// Were the phases ended before their time?
    pub fn was_stopped(&self) -> bool {
        self.stopped
    }

    /// Ends the phases: nothing more becomes due.
    pub fn stop(&mut self) {
        self.stopped |= !matches!(self.stage, Stage::Drain | Stage::ReadAfter | Stage::Dismiss | Stage::Done);
    }

    /// When [`poll`](Self::poll) has work again, unless a datagram comes first.
    pub fn next_us(&self, now_us: u64) -> u64 {
        match self.stage {
            Stage::Timed(_) if self.blast().is_none() => self.schedule.next_us().min(now_us + PING_REST_US),
            Stage::Done => now_us,
            _ => now_us + 20_000,
        }
    }

    /// Does what is due.
    ///
    /// # Errors
    /// The server does not answer; the message says what to look at.
    pub fn poll(&mut self, now_us: u64, fleet: &mut Fleet, out: &mut impl Outbox) -> Result<()> {
        if self.since_us == 0 {
            self.enter(Stage::Auditors, now_us);
            if self.plan.reconcile {
                fleet.log_in_auditors(now_us, out);
            } else {
                self.enter_phase(0, now_us, fleet);
            }
        }
        match self.stage {
            Stage::Untimed(_) | Stage::Timed(_) if self.stopped => self.enter(Stage::Drain, now_us),
            Stage::Auditors | Stage::ReadBefore if self.stopped => {
                // Nothing was played, so there is nothing to compare.
                self.reconciled.ok = true;
                self.enter(Stage::Done, now_us);
            }
            _ => {}
        }
        match self.stage {
            Stage::Auditors => self.wait_for_auditors(now_us, fleet)?,
            Stage::ReadBefore => {
                if let Some(reading) = self.read(fleet, now_us, out) {
                    self.before = Some(reading);
                    self.enter_phase(0, now_us, fleet);
                } else if now_us > self.since_us + SILENCE_US {
                    bail!("the server does not tell an auditor its totals; --no-reconcile runs without them");
                }
            }
            Stage::Untimed(i) => {
                heard(fleet, now_us, self.since_us)?;
                let done = match self.plan.phases[i].action {
                    Action::Login => fleet.all_in(),
                    _ => fleet.all_out(),
                };
                if done {
                    fleet.records[i].seconds = now_us.saturating_sub(self.since_us).div_ceil(1_000_000) as u32;
                    self.enter_phase(i + 1, now_us, fleet);
                }
            }
            Stage::Timed(_) if self.blast().is_some() => {}
            Stage::Timed(i) => self.play(i, now_us, fleet, out),
            Stage::Drain => {
                if self.plan.reconcile && (fleet.outstanding() > 0 || self.lacks_end(now_us)) {
                    self.watch.look(now_us, fleet, out);
                }
                self.drain(now_us, fleet);
            }
            Stage::ReadAfter => self.compare(now_us, fleet, out),
            Stage::Dismiss => {
                if fleet.auditors_up() == 0 || now_us > self.since_us + SILENCE_US {
                    self.enter(Stage::Done, now_us);
                }
            }
            Stage::Done => {}
        }
        // Not at the end: the books are compared in silence.
        if self.phase().is_some() && self.blast().is_none() {
            fleet.keep_alive(now_us, out);
            if self.plan.reconcile {
                self.watch.look(now_us, fleet, out);
            }
        }
        Ok(())
    }

    fn enter(&mut self, stage: Stage, now_us: u64) {
        self.stage = stage;
        self.since_us = now_us.max(1);
    }

    fn enter_phase(&mut self, i: usize, now_us: u64, fleet: &mut Fleet) {
        let Some(phase) = self.plan.phases.get(i) else { return self.enter(Stage::Drain, now_us) };
        let next_s = now_us / 1_000_000 + 1;
        let follows = i > 0 && self.plan.phases[i - 1].seconds > 0;
        self.start_s = match phase.seconds {
            0 => now_us / 1_000_000,
            _ if follows => self.start_s + u64::from(self.plan.phases[i - 1].seconds),
            _ => self.plan.start_at_s.take().unwrap_or(next_s),
        };
        let rate = phase.rate(phase.seconds);
        fleet.records.push(PhaseRecord::new(&phase.name, self.start_s, phase.seconds, rate));
        fleet.phase = i as u8;
        match phase.action {
            Action::Login => fleet.log_in_all(),
            Action::Logout => fleet.log_out_all(),
            Action::Hold | Action::Shake { .. } => self.schedule.begin(self.start_s),
            // The kernel program is begun, and its end seen, by the loop around us.
            Action::Blast(_) => {}
        }
        let stage = if phase.seconds == 0 { Stage::Untimed(i) } else { Stage::Timed(i) };
        self.enter(stage, now_us);
    }

    fn wait_for_auditors(&mut self, now_us: u64, fleet: &mut Fleet) -> Result<()> {
        if fleet.auditors_up() == fleet.readings.len() {
            self.enter(Stage::ReadBefore, now_us);
            return Ok(());
        }
        heard(fleet, now_us, self.since_us)
    }

    /// Asks all auditors, and joins their readings once all have come.
    fn read(&mut self, fleet: &mut Fleet, now_us: u64, out: &mut impl Outbox) -> Option<Reading> {
        if !std::mem::replace(&mut self.reading, true) {
            fleet.readings.fill(None);
            self.since_us = now_us;
        }
        // One who lost his session, or gave up, asks again.
        for auditor in 0..fleet.readings.len() {
            if fleet.readings[auditor].is_none() {
                fleet.ask_totals(auditor, now_us, out);
            }
        }
        let reading = Reading::join(&fleet.readings, &fleet.books);
        if reading.is_some() {
            self.reading = false;
            self.since_us = now_us;
        }
        reading
    }

    fn play(&mut self, i: usize, now_us: u64, fleet: &mut Fleet, out: &mut impl Outbox) {
        if now_us >= self.pinged_us + PING_REST_US && fleet.up > 0 {
            self.pinged_us = now_us;
            self.ping_next = (self.ping_next + 7919) % fleet.count();
            fleet.ping(self.ping_next, now_us, out);
        }
        self.schedule.play(&self.plan.phases[i], i as u8, now_us, fleet, out);
        if self.schedule.is_over() {
            self.enter_phase(i + 1, now_us, fleet);
        }
    }

    /// Is the reading still to come that ends the last second of the phases?
    fn lacks_end(&self, now_us: u64) -> bool {
        let is_patient = now_us < self.since_us + LAST_LOOK_US;
        self.plan.reconcile && is_patient && !self.watch.has_read(self.since_us / 1_000_000)
    }

    /// Waits until nothing is outstanding, then until nothing arrives for a while.
    fn drain(&mut self, now_us: u64, fleet: &Fleet) {
        let received = fleet.books.received_in_all();
        let outstanding = fleet.outstanding() > 0 && now_us < self.since_us + DRAIN_US;
        if outstanding || self.lacks_end(now_us) {
            self.pinged_us = now_us;
        } else if received != self.received {
            self.received = received;
            self.pinged_us = now_us;
        } else if now_us >= self.pinged_us + QUIET_US {
            let stage = if self.plan.reconcile { Stage::ReadAfter } else { Stage::Done };
            self.enter(stage, now_us);
        }
    }

    fn compare(&mut self, now_us: u64, fleet: &mut Fleet, out: &mut impl Outbox) {
        if !self.reading && self.readings > 0 && now_us < self.since_us + READING_REST_US {
            return;
        }
        let Some(reading) = self.read(fleet, now_us, out) else {
            if now_us > self.since_us + SILENCE_US {
                let differences = vec!["the server did not tell its totals".to_string()];
                let reconciled = Reconciled { ok: false, differences, ..Reconciled::default() };
                self.conclude(reconciled, now_us, fleet, out);
            }
            return;
        };
        if self.readings == 0 {
            self.watch.close(now_us, reading.clone());
        }
        self.readings += 1;
        let Some(before) = &self.before else { return };
        let restarted = reading.is_of_another_start(before);
        let mut equations = if restarted { Vec::new() } else { reading.equations(before) };
        // Other machines may be at work: the server's sums are judged only when they are at rest.
        let at_rest = self.last.as_ref().is_some_and(|last| !reading.money_moved(last));
        if at_rest {
            equations.extend(reading.sums());
        }
        let differences: Vec<String> = equations.iter().filter_map(Equation::difference).collect();
        self.last = Some(reading);
        let settled = differences.is_empty() && (at_rest || self.readings >= READINGS_MIN);
        if settled || self.readings >= READINGS_MAX {
            let ok = differences.is_empty();
            let reconciled = Reconciled { ok, checked: !restarted, restarted, differences, equations };
            self.conclude(reconciled, now_us, fleet, out);
        }
    }

    fn conclude(&mut self, reconciled: Reconciled, now_us: u64, fleet: &mut Fleet, out: &mut impl Outbox) {
        self.reconciled = reconciled;
        fleet.dismiss_auditors(now_us, out);
        self.enter(Stage::Dismiss, now_us);
    }
}
