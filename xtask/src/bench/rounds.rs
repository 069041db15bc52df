//! The rounds of the bench: the search for the highest rate without loss, and server and echo in turn at a rate.

use std::time::Duration;

use anyhow::{Result, bail};
use serde::Serialize;

use super::Extent;
use super::ground::{Ground, Subject};
use super::window::{Meter, Window, median};
use crate::answers::Phase;

/// Log-ins and last questions of a million sessions, in seconds.
const SLACK_S: u64 = 240;
/// Quiet samples that a median needs.
const SAMPLES_MIN: usize = 5;

/// One step of the search.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// Shakes per second.
    pub rate: u64,
    /// Shakes that had to be sent.
    pub due: u64,
    /// Never answered.
    pub lost: u64,
    /// Transmissions beyond the first: a datagram was lost, or came too late.
    pub retries: u64,
}

impl Step {
    /// Every shake was answered, and less than a thousandth of the datagrams had to be repeated: a veth's ring has no
    /// back-pressure, so a generator that was held up loses a few of its own making.
    fn is_lossless(&self) -> bool {
        self.lost == 0 && self.retries * 1000 < self.due
    }
}

/// The search for the highest rate without loss.
#[derive(Clone, Debug, Serialize)]
pub struct Search {
    /// The highest rate below every step that lost something, in shakes per second.
    pub highest: u64,
    /// Every step.
    pub steps: Vec<Step>,
}

/// Server and echo at one rate.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// Shakes per second.
    pub rate: u64,
    /// Median CPU time of the server per shake, in microseconds.
    pub server_us: f64,
    /// Median CPU time of the echo per datagram, in microseconds.
    pub echo_us: f64,
    /// The first over the second.
    pub ratio: f64,
    /// Shakes and echoes never answered.
    pub lost: [u64; 2],
    /// Median and 99.9 % latency of the server's answers and of the echo's, in microseconds.
    pub latency_us: [[f64; 2]; 2],
    /// Too few windows were quiet, so the medians are over disturbed ones, too.
    pub disturbed: bool,
    /// Windows behind the medians.
    pub windows: [Vec<Window>; 2],
}

fn shake(rate: u64, seconds: u64) -> String {
    format!("[[phase]]\nkind = \"shake\"\nname = \"{rate}\"\nseconds = {seconds}\nrate = {rate}\n\n")
}

fn hold(seconds: u64) -> String {
    format!("[[phase]]\nkind = \"hold\"\nseconds = {seconds}\n\n")
}

const LOGIN: &str = "[[phase]]\nkind = \"login\"\n\n";
/// Sessions that are left open fill the SETs, and the next run would wait until they have been idle for long.
const LOGOUT: &str = "[[phase]]\nkind = \"logout\"\n\n";

/// Raises the rate step by step until something is lost.
///
/// # Errors
/// What stopped the run, or a loss at the first rate already.
pub fn search(ground: &mut Ground, extent: &Extent) -> Result<Search> {
    let (first, last, step) = extent.search;
    let rates: Vec<u64> = (first..=last).step_by(usize::try_from(step)?).collect();
    // A pause after each step lets what was late arrive before the next.
    let turns: String = rates.iter().map(|rate| shake(*rate, extent.turn_s) + &hold(1)).collect();
    let seconds = rates.len() as u64 * (extent.turn_s + 1) + SLACK_S;
    let mut fleets = ground.generate(extent.sessions, &[(Subject::Server, format!("{LOGIN}{turns}{LOGOUT}"))])?;
    let reports = ground.watch(&mut fleets, Duration::from_secs(seconds), |_, _| ())?;
    let steps: Vec<Step> = reports[0].phases.iter().filter(|phase| phase.due > 0).map(step_of).collect();
    match steps.iter().take_while(|step| step.is_lossless()).last() {
        Some(step) => Ok(Search { highest: step.rate, steps: steps.clone() }),
        None => bail!("shakes are lost at {first}/s already: {steps:?}"),
    }
}

fn step_of(phase: &Phase) -> Step {
    Step { rate: phase.rate as u64, due: phase.due, lost: phase.lost, retries: phase.retries }
}

/// Lets server and echo take turns at each rate.
///
/// # Errors
/// What stopped the run, or no answer at all.
pub fn compare(ground: &mut Ground, extent: &Extent, rates: &[u64]) -> Result<Vec<Comparison>> {
    let rounds = rates.len() as u64 * extent.turns * 2;
    let (mut server, mut echo) = (String::from(LOGIN), String::from(LOGIN));
    for rate in rates {
        for _ in 0..extent.turns {
            server += &(shake(*rate, extent.turn_s) + &hold(extent.turn_s));
            echo += &(hold(extent.turn_s) + &shake(*rate, extent.turn_s));
        }
    }
    let mut fleets = ground.generate(extent.sessions, &[(Subject::Server, server), (Subject::Echo, echo)])?;
    let limit = Duration::from_secs(rounds * extent.turn_s + SLACK_S);
    let mut meter = Meter::default();
    let reports = ground.watch(&mut fleets, limit, |ground, second| meter.read(ground, second))?;
    let phases =
        [0, 1].map(|index: usize| reports[index].phases.iter().filter(|phase| phase.due > 0).collect::<Vec<_>>());
    rates.iter().map(|rate| comparison(*rate, &phases, &meter)).collect()
}

fn comparison(rate: u64, phases: &[Vec<&Phase>; 2], meter: &Meter) -> Result<Comparison> {
    let of = |subject: Subject| phases[subject as usize].iter().copied().filter(move |phase| phase.rate as u64 == rate);
    let all = Subject::ALL.map(|subject| of(subject).flat_map(|phase| meter.windows(phase, subject)).collect());
    let quiet = all
        .each_ref()
        .map(|windows: &Vec<Window>| windows.iter().filter(|window| window.is_quiet()).copied().collect::<Vec<_>>());
    let disturbed = quiet.iter().any(|windows| windows.len() < SAMPLES_MIN);
    let windows = if disturbed { all } else { quiet };
    let medians = windows.each_ref().map(|windows| median(windows.iter().map(|window| window.cpu_us)));
    let [Some(server_us), Some(echo_us)] = medians else {
        bail!("at {rate}/s nothing was answered in any whole second");
    };
    Ok(Comparison {
        rate,
        server_us,
        echo_us,
        ratio: server_us / echo_us,
        lost: Subject::ALL.map(|subject| of(subject).map(|phase| phase.lost).sum()),
        latency_us: Subject::ALL.map(|subject| {
            let worst = |value: fn(&Phase) -> f64| of(subject).map(value).fold(0.0, f64::max);
            [worst(|phase| phase.latency_us.p50), worst(|phase| phase.latency_us.p999)]
        }),
        disturbed,
        windows,
    })
}
