//! A scenario: the phases of a run, from a TOML file or from those that are built in.
//!
//! ```toml
//! [[phase]]
//! kind = "shake"           # login, hold, shake, ramp, blast, storm or logout
//! name = "30 000 QPS"      # any; the kind if absent
//! seconds = 60             # all but login and logout, which last as long as they take
//! rate = 30000             # shake and ramp: shakes a second over all machines
//! rate_to = 60000          # ramp: the rate of its last second
//! blast = { burst = 64, sessions = 1000, skewed = true, hostile = 5, links = 1 }   # blast: all of them may be absent
//! send = { rate = 200, fen = 300, shares = 3, recipients = 3, split = "random" }   # hold, shake, ramp; required in storm
//! ```
//!
//! A storm sends its packets to whole SETs, so that everyone there grabs at once. A blast is made by a kernel program instead
//! of sockets (`blast.rs`); its rate is this machine's.

pub mod built_in;
mod fault;
pub mod order;
mod place;
mod rules;

use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};

use fault::Fault;

/// The scenario that is played when none is named.
pub const BUILT_IN: &str = include_str!("scenarios/seed.toml");
const PHASES_MAX: usize = 1000;

/// Packets sent by users during a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sends {
    /// Packets a second over all machines.
    pub rate: u32,
    /// Money in a packet.
    pub fen: u64,
    /// Shares of a packet.
    pub shares: u8,
    /// Listed recipients, drawn from all users; 0: every user of a SET.
    pub recipients: u8,
    /// As on the wire.
    pub split: u8,
}

/// A load made by a kernel program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blast {
    /// Shakes a second of this machine.
    pub rate: u32,
    /// Shakes that are due together.
    pub burst: u32,
    /// Only so many of the sessions shake; all when absent.
    pub sessions: Option<u32>,
    /// Nine shakes of ten are of a tenth of the sessions.
    pub skewed: bool,
    /// Hostile datagrams beside each shake: spoofed HELLOs and false tags in turn.
    pub hostile: u32,
    /// Of the interfaces of --blast-through only the first so many are used; all when absent.
    pub links: Option<u32>,
}

/// What a phase does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Log in all users.
    Login,
    /// Keep sessions alive.
    Hold,
    /// Shake, from one rate to another, per second over all machines.
    Shake {
        /// The rate of the first second.
        rate: u32,
        /// The rate of the last second.
        rate_to: u32,
    },
    /// The same rate made by a kernel program: for loads that no socket can make.
    Blast(Blast),
    /// Log out all users.
    Logout,
}

/// One phase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phase {
    /// Shown in reports.
    pub name: String,
    /// What it does.
    pub action: Action,
    /// How long; 0 for those that last as long as they take.
    pub seconds: u32,
    /// Packets sent meanwhile.
    pub sends: Option<Sends>,
}

impl Phase {
    /// Shakes of second `second` of the phase, over all machines.
    pub fn rate(&self, second: u32) -> u32 {
        let (rate, rate_to) = match self.action {
            Action::Shake { rate, rate_to } => (rate, rate_to),
            Action::Blast(blast) => (blast.rate, blast.rate),
            _ => return 0,
        };
        let last = i64::from(self.seconds.max(2) - 1);
        (i64::from(rate) + (i64::from(rate_to) - i64::from(rate)) * i64::from(second).min(last) / last) as u32
    }
}

/// The name and the text of a scenario: built in, or of a file. A file that is called like a built-in one is meant by `./demo`.
///
/// # Errors
/// The file cannot be read; names the built-in scenarios, and the nearest.
pub fn read(named: Option<&Path>) -> Result<(String, String)> {
    let Some(path) = named else { return Ok(("seed".to_string(), BUILT_IN.to_string())) };
    let name = path.display().to_string();
    if let Some(text) = built_in::text(&name) {
        return Ok((name, text.to_string()));
    }
    let text = std::fs::read_to_string(path).map_err(|error| anyhow!("{error}; {}", built_in::advice(&name)));
    Ok((name.clone(), text.with_context(|| format!("cannot read the scenario {name}"))?))
}

/// The phases of the scenario of this name, with durations multiplied by `time_scale`.
///
/// # Errors
/// The file cannot be read, or is no scenario: the message names file, line, phase and key.
pub fn load(named: Option<&Path>, time_scale: f64) -> Result<Vec<Phase>> {
    ensure!(time_scale.is_finite() && time_scale > 0.0, "--time-scale must be above 0");
    let (name, text) = read(named)?;
    parse(&text, time_scale).map_err(|fault| anyhow!("the scenario {name} cannot be played: {name}:{fault}"))
}

/// The phases in a text, with durations multiplied by `time_scale` and at least a second.
///
/// # Errors
/// The first fault, with the line that it is in.
pub fn parse(text: &str, time_scale: f64) -> Result<Vec<Phase>, Fault> {
    place::check_keys(text)?;
    let file: rules::File = toml::from_str(text).map_err(|error| place::of_error(text, &error))?;
    let count = file.phase.len();
    if count == 0 || count > PHASES_MAX {
        return Err(Fault::at(1, format!("it must have 1 to {PHASES_MAX} [[phase]]s")));
    }
    let phase = |(i, row): (usize, rules::Row)| {
        let name = row.name.clone().unwrap_or_else(|| row.kind.clone());
        let fault = |(key, sentence): rules::Broken| {
            Fault::at(place::line_of(text, i, key), format!("phase {} ({name}): {sentence}", i + 1))
        };
        rules::phase(row, time_scale).map_err(fault)
    };
    file.phase.into_iter().enumerate().map(phase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_scenario_has_the_three_phases() {
        let phases = load(None, 0.5).expect("it is ours");
        let rates: Vec<(u32, u32)> = phases.iter().map(|p| (p.seconds, p.rate(0))).collect();
        assert_eq!(rates, [(0, 0), (30, 30_000), (30, 60_000)]);
        assert!(phases[1..].iter().all(|p| p.sends.is_some_and(|s| (s.rate, s.shares, s.recipients) == (200, 3, 3))));
    }

    #[test]
    fn a_ramp_reaches_both_of_its_rates() {
        let phases = parse("[[phase]]\nkind='ramp'\nseconds=11\nrate=100\nrate_to=0", 1.0).expect("a scenario");
        let rates: Vec<u32> = (0..11).map(|s| phases[0].rate(s)).collect();
        assert_eq!((rates[0], rates[5], rates[10]), (100, 50, 0));
    }

    #[test]
    fn an_error_names_the_phase_and_the_key() {
        let storm = "[[phase]]\nkind='storm'\nseconds=1\nsend={rate=1,fen=100,shares=10";
        for (text, words) in [
            ("", "phase"),
            ("[[phase]]\nkind='dance'", "`kind`"),
            ("[[phase]]\nkind='shake'\nseconds=1", "`rate`"),
            ("[[phase]]\nkind='shake'\nrate=1", "`seconds`"),
            ("[[phase]]\nkind='login'\nseconds=1", "`seconds`"),
            ("[[phase]]\nkind='shake'\nrate=1\nseconds=0", "`seconds`"),
            ("[[phase]]\nkind='shake'\nrate=1\nsecond=5", "second"),
            ("[[phase]]\nkind='hold'\nseconds=1\nrate=5", "`rate`"),
            ("[[phase]]\nkind='storm'\nseconds=1", "`send`"),
            ("[[phase]]\nkind='hold'\nseconds=1\nblast={burst=64}", "`blast`"),
            ("[[phase]]\nkind='blast'\nseconds=1\nrate=9\nblast={burst=0}", "`blast.burst`"),
            ("[[phase]]\nkind='blast'\nseconds=1\nrate=9\nblast={sessions=0}", "`blast.sessions`"),
            (&format!("{storm},recipients=3}}"), "`send.recipients`"),
            (&format!("{storm},split='fair'}}"), "`send.split`"),
            ("[[phase]]\nkind='hold'\nseconds=1\nsend={rate=1,fen=2,shares=3}", "`send.fen`"),
        ] {
            let error = format!("{:#}", parse(text, 1.0).expect_err(text));
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn an_error_names_the_line_and_the_nearest_key() {
        for (text, words) in [
            ("[[phase]]\nkind='login'\n[[phase]]\nname='two'\nkind='shak'", "5: phase 2 (two): `kind` is \"shak\""),
            ("[[phase]]\nkind='shak'\n", "did you mean `shake`?"),
            ("# one\n\n[[phase]]\nkind='shake'\nrate=1\nsecond=5", "6: `second` is no key; did you mean `seconds`?"),
            (
                "[[phase]]\nkind='hold'\nseconds=1\nsend={rate=1,\n fem=3,shares=3}",
                "5: `send.fem` is no key; did you mean `send.fen`?",
            ),
            (
                "[[phase]]\nkind='hold'\nseconds=1\nsend={rate=1,fen=2,\n shares=200}",
                "5: phase 1 (hold): `send.shares` must be",
            ),
            ("[[phases]]\nkind='hold'", "1: `phases` is no key; did you mean `phase`?"),
            ("[[phase]]\nkind='shake'\nseconds=1", "1: phase 1 (shake): `rate` is missing"),
            ("[[phase]]\nkind='shake'\nseconds='x'", "3: invalid type: string \"x\", expected u32 in `seconds='x'`"),
            ("[[phase]]\nkind=", "2: "),
        ] {
            let error = parse(text, 1.0).expect_err(text).to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
        let error = format!("{:#}", load(Some("strom".as_ref()), 1.0).expect_err("no such file"));
        assert!(error.contains("did you mean `storm`?"), "{error}");
    }
}
