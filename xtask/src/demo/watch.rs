//! Watching the run: one sample a second, one line of progress, and the campaign that changes with the phase.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::evidence::Sample;
use super::scenario::{PRIZE_FEN, Scenario, Shaking};
use crate::answers::{Status, total};
use crate::fleet::Fleet;
use crate::server::Server;
use crate::{machine, signal};

/// A campaign ends this long before its phase, so that its last prizes meet shakes.
const CAMPAIGN_MARGIN_S: u64 = 3;
/// Log-in and the clients' last questions, in seconds; beyond, something hangs.
const SLACK_S: u64 = 240;
/// Seconds between lines where they cannot be overwritten.
const LINE_EVERY_S: u64 = 10;

/// The server's timeline is read this often, in seconds: it remembers a quarter of an hour.
const TIMELINE_EVERY_S: usize = 240;

/// What was seen while the clients ran.
#[derive(Debug, Default)]
pub struct Seen {
    /// One sample per second.
    pub samples: Vec<Sample>,
    /// The server's shakes by unix second, in bins of 20 ms.
    pub timeline: BTreeMap<u64, Vec<u64>>,
}

impl Seen {
    /// Adds what the server remembers of its shakes; what it has forgotten stays.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn recall(&mut self, server: &Server) -> Result<()> {
        self.timeline.extend(server.timeline()?.into_iter().map(|row| (row.second, row.bins)));
        Ok(())
    }
}

/// Samples once a second until the clients have ended.
///
/// # Errors
/// When the server stops answering, the run takes too long, or this process is asked to end.
pub fn watch(server: &Server, fleet: &mut Fleet, users: u64, scenario: &Scenario) -> Result<Seen> {
    let started = Instant::now();
    let limit = Duration::from_secs(scenario.seconds() + SLACK_S);
    let mut seen = Seen::default();
    let mut conductor = Conductor::new(scenario, users);
    while fleet.is_running()? {
        machine::sleep_to_the_next_second();
        signal::check()?;
        if started.elapsed() > limit {
            bail!("the clients have not ended within {limit:?}; their logs end:\n{}", fleet.log_tails());
        }
        let status = server.status()?;
        let sample = sample_of(server, &status)?;
        show(started.elapsed().as_secs(), seen.samples.last(), &sample, &status);
        conductor.follow(server, seen.samples.last(), &sample)?;
        seen.samples.push(sample);
        if seen.samples.len().is_multiple_of(TIMELINE_EVERY_S) {
            seen.recall(server)?;
        }
    }
    println!();
    seen.recall(server)?;
    Ok(seen)
}

fn sample_of(server: &Server, status: &Status) -> Result<Sample> {
    let (answered, dropped) = if status.gate.mode == "off" {
        (0, 0)
    } else {
        let kernel = server.kernel_counts()?;
        (kernel.place("answered"), kernel.dropped())
    };
    Ok(Sample {
        unix_us: machine::unix_us(),
        sessions: status.sessions,
        received: total(&status.received) + answered + dropped,
        sent: total(&status.sent) + answered,
        server_cpu_ns: machine::cpu_ns_of(server.pid()) + machine::programs_ns_of(server.pid()),
        ticks: machine::stolen_ticks(),
        memory: status.memory,
    })
}

fn show(seconds: u64, last: Option<&Sample>, sample: &Sample, status: &Status) {
    let (coming, going) = last.map_or((0.0, 0.0), |last| rates(last, sample));
    let prizes = status.money.prizes.count;
    let line = format!(
        "{seconds:4} s  sessions {:>9}  in {coming:>9.0}/s  out {going:>9.0}/s  prizes won {prizes}",
        sample.sessions
    );
    if std::io::stdout().is_terminal() {
        print!("\r{line:<90}");
        let _lost_progress_is_no_failure = std::io::stdout().flush();
    } else if seconds.is_multiple_of(LINE_EVERY_S) {
        println!("{line}");
    }
}

fn rates(last: &Sample, sample: &Sample) -> (f64, f64) {
    let seconds = (sample.unix_us - last.unix_us) as f64 / 1e6;
    ((sample.received - last.received) as f64 / seconds, (sample.sent - last.sent) as f64 / seconds)
}

/// Runs the campaign of the phase that is being played.
struct Conductor<'a> {
    phases: &'a [Shaking],
    users: u64,
    /// Phases begun, and when the newest did, in microseconds since 1970.
    begun: usize,
    since_us: u64,
    campaign: bool,
}

impl<'a> Conductor<'a> {
    fn new(scenario: &'a Scenario, users: u64) -> Conductor<'a> {
        Conductor { phases: &scenario.shaking, users, begun: 0, since_us: 0, campaign: false }
    }

    fn follow(&mut self, server: &Server, last: Option<&Sample>, sample: &Sample) -> Result<()> {
        let Some(last) = last else { return Ok(()) };
        let (coming, _) = rates(last, sample);
        if let Some(next) = self.phases.get(self.begun)
            && last.sessions >= self.users
            && coming > 0.8 * next.rate as f64
        {
            self.stop(server)?;
            self.start(server, next)?;
            self.begun += 1;
            self.since_us = sample.unix_us;
        } else if let Some(phase) = self.begun.checked_sub(1).map(|index| self.phases[index])
            && sample.unix_us > self.since_us + phase.seconds.saturating_sub(CAMPAIGN_MARGIN_S) * 1_000_000
        {
            self.stop(server)?;
        }
        Ok(())
    }

    fn start(&mut self, server: &Server, phase: &Shaking) -> Result<()> {
        let (from, to) = PRIZE_FEN;
        let budget = to * phase.prizes_per_s * phase.seconds;
        let words = [
            "campaign".into(),
            "start".into(),
            "--budget-fen".into(),
            budget.to_string(),
            "--rate".into(),
            phase.prizes_per_s.to_string(),
            "--from-fen".into(),
            from.to_string(),
            "--to-fen".into(),
            to.to_string(),
        ];
        server.ask(&words.each_ref().map(String::as_str))?;
        self.campaign = true;
        Ok(())
    }

    fn stop(&mut self, server: &Server) -> Result<()> {
        if std::mem::take(&mut self.campaign) {
            server.ask(&["campaign", "stop"])?;
        }
        Ok(())
    }
}
