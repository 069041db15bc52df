//! The ground of the bench: every subject behind a cable of its own, and a generator at each other end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::subject::{Baselines, Running, SUBJECT_CPU, Subject};
use super::turn::{Meter, REST_S, Sample, Turn, clocks, scenario, seconds_of};
use crate::fleet::{Fleet, Seat, common_start};
use crate::lab::{Lab, Place, quiet};
use crate::machine;
use crate::programs::Programs;
use crate::signal;

/// What one server and one generator, which share their CPUs with the others, log in at least, per second.
const LOGINS_PER_S: u64 = 15_000;
/// CPU of the generators and of the receive work at their ends.
pub(super) const GENERATOR_CPU: usize = 1;
/// Sessions of a generator whose subject knows none: their numbers have 16 bits in DNS and memcached.
const BARE_SESSIONS: u64 = 60_000;
/// Of each cable: 2 048 slots together, as a card has.
pub(super) const STRANDS: usize = 8;
/// Without it each reply pays for waking the client.
pub(super) const COALESCE: Duration = Duration::from_micros(20);
/// Until programs have attached what they attach.
const SETTLE: Duration = Duration::from_secs(3);
/// Beyond the turns: for the reports.
const SLACK: Duration = Duration::from_secs(120);

/// Everything that runs; gone when dropped, generators first.
pub struct Ground {
    running: Vec<Running>,
    programs: Programs,
    lab: Lab,
}

impl Ground {
    /// Starts the subjects.
    ///
    /// # Errors
    /// What could not be started.
    pub fn prepare(subjects: &[Subject], programs: &Programs, baselines: &Baselines) -> Result<Ground> {
        let mut lab = Lab::build_with(subjects.len(), STRANDS, programs)?;
        // Their sinks take the place of the passing programs.
        subjects.iter().for_each(|_| lab.free_client_end(0));
        let start = |(cable, subject): (usize, &Subject)| {
            println!("starting {} ...", subject.name());
            Running::start(*subject, cable, &lab, programs, baselines)
                .with_context(|| format!("starting {}", subject.name()))
        };
        let running = subjects.iter().enumerate().map(start).collect::<Result<_>>()?;
        Ok(Ground { running, programs: programs.clone(), lab })
    }

    /// One that runs.
    ///
    /// # Panics
    /// When it was not started.
    pub fn of(&self, subject: Subject) -> &Running {
        self.running.iter().find(|running| running.subject == subject).expect("it was started")
    }

    /// Plays the turns in order; `before` is called at the second at which one begins.
    ///
    /// # Errors
    /// What stopped the run.
    pub fn play(
        &self,
        sessions: u64,
        turns: &[Turn],
        mut before: impl FnMut(&Ground, &Turn) -> Result<()>,
    ) -> Result<Vec<Sample>> {
        let ours = self.running.iter().filter(|running| running.subject.is_ours()).count() as u64;
        let start_s = common_start(sessions * ours, LOGINS_PER_S) + SETTLE.as_secs();
        let mut fleets = BTreeMap::new();
        for running in &self.running {
            fleets.insert(running.subject, self.generate(running, sessions, turns, start_s)?);
        }
        std::thread::sleep(SETTLE);
        for (client, link) in self.lab.clients() {
            for interface in link.client_interfaces() {
                quiet(client, &interface, GENERATOR_CPU, COALESCE)?;
            }
        }
        if ours > 0 {
            println!("logging {sessions} sessions in at {ours} of them ...");
        }
        let mut meter = Meter::default();
        self.watch(&mut fleets, turns, start_s, &mut meter, &mut before)?;
        self.collect(&mut fleets, turns, start_s, &meter)
    }

    fn generate(&self, running: &Running, sessions: u64, turns: &[Turn], start_s: u64) -> Result<Fleet> {
        let (client, link) = &self.lab.clients()[running.cable];
        let number = running.cable.to_string();
        let file = self.lab.room().file(&format!("scenario-{number}.toml"));
        std::fs::write(&file, scenario(running.subject, turns))?;
        let seat = Seat {
            name: number,
            place: Place::inside(client).on_cpu(GENERATOR_CPU),
            server: running.address.clone(),
            sources: Vec::new(),
        };
        let (file, start_s) = (file.display().to_string(), start_s.to_string());
        // One socket each: nothing is steered by content, so joined datagrams need no parting.
        let mut flags = vec!["--scenario", &file, "--start-at", &start_s, "--segment", "--sockets", "1"];
        let links = link.client_interfaces().join(",");
        flags.extend(["--no-reconcile", "--blast-through", &links]);
        let users = match running.subject.bare() {
            Some(kind) => {
                flags.extend(["--bare", kind]);
                BARE_SESSIONS
            }
            None => sessions,
        };
        Fleet::start(&self.programs, self.lab.room(), &[seat], users, &flags)
    }

    fn watch(
        &self,
        fleets: &mut BTreeMap<Subject, Fleet>,
        turns: &[Turn],
        start_s: u64,
        meter: &mut Meter,
        before: &mut impl FnMut(&Ground, &Turn) -> Result<()>,
    ) -> Result<()> {
        let limit = Duration::from_secs(start_s + seconds_of(turns) - machine::unix_us() / 1_000_000) + SLACK;
        let since = Instant::now();
        let (mut number, mut next_s) = (0, start_s + 1);
        while fleets.values_mut().any(|fleet| fleet.is_running().unwrap_or(false)) {
            machine::sleep_to_the_next_second();
            signal::check()?;
            let second = machine::unix_us() / 1_000_000;
            let subjects = self.running.iter().map(|running| (running.subject, running.cpu())).collect();
            meter.keep(second, clocks(subjects, SUBJECT_CPU));
            if let Some(turn) = turns.get(number).filter(|_| second >= next_s) {
                say(number, turns, turn);
                before(self, turn)?;
                next_s += turn.seconds + REST_S;
                number += 1;
            }
            if since.elapsed() > limit {
                let tails: Vec<String> = fleets.values().map(Fleet::log_tails).collect();
                bail!("the generators have not ended within {limit:?}:\n{}", tails.join("\n"));
            }
        }
        Ok(())
    }

    fn collect(
        &self,
        fleets: &mut BTreeMap<Subject, Fleet>,
        turns: &[Turn],
        start_s: u64,
        meter: &Meter,
    ) -> Result<Vec<Sample>> {
        let mut reports = BTreeMap::new();
        for (subject, fleet) in fleets.iter_mut() {
            let report = fleet.reports(Duration::from_secs(60)).with_context(|| subject.name().to_string())?.remove(0);
            reports.insert(*subject, report);
        }
        let (mut samples, mut due_s) = (Vec::new(), start_s + 1);
        for (number, turn) in turns.iter().enumerate() {
            let phase = reports[&turn.subject].phases.iter().find(|phase| phase.name == number.to_string());
            let began_s = phase.and_then(|phase| phase.per_second.first()).map(|second| second.second);
            ensure!(
                began_s.is_none_or(|began_s| began_s == due_s),
                "{} was not logged in in time for its turn",
                turn.subject.name()
            );
            due_s += turn.seconds + REST_S;
            let sample = phase.and_then(|phase| meter.sample(turn, phase));
            samples.push(sample.with_context(|| format!("turn {number} ({}) was not played", turn.subject.name()))?);
        }
        Ok(samples)
    }
}

fn say(number: usize, turns: &[Turn], turn: &Turn) {
    let Turn { chapter, subject, load, .. } = turn;
    let how = if load.live_frames { "live frames" } else { "socket clients" };
    println!("{:>4}/{} {chapter}: {}, {}/s by {how}", number + 1, turns.len(), subject.name(), load.rate);
}
