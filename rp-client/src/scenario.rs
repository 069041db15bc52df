//! A scenario: the phases of a run, from a TOML file.
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

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use rp_core::limits::{RECIPIENTS_MAX, SHARE_MAX_FEN, SHARES_MAX};
use rp_core::wire::{SPLIT_EQUAL, SPLIT_RANDOM};
use serde::Deserialize;

/// The scenario that is played when none is named.
pub const BUILT_IN: &str = include_str!("scenario.toml");
/// Requests a second over all machines; more is a slip of the keyboard.
const RATE_MAX: u32 = 50_000_000;
const PHASES_MAX: usize = 1000;
/// A millisecond at four million a second; more is no burst.
const BURST_MAX: u32 = 4096;
const HOSTILE_MAX: u32 = 1000;

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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    phase: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    kind: String,
    name: Option<String>,
    seconds: Option<u32>,
    rate: Option<u32>,
    rate_to: Option<u32>,
    send: Option<SendRow>,
    blast: Option<BlastRow>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct BlastRow {
    burst: Option<u32>,
    sessions: Option<u32>,
    skewed: Option<bool>,
    hostile: Option<u32>,
    links: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SendRow {
    rate: u32,
    fen: u64,
    shares: u8,
    recipients: Option<u8>,
    split: Option<String>,
}

/// The built-in scenario, or that of a file, with durations multiplied by `time_scale`.
///
/// # Errors
/// The file cannot be read, or is no scenario: the message names the phase and the key.
pub fn load(path: Option<&Path>, time_scale: f64) -> Result<Vec<Phase>> {
    ensure!(time_scale.is_finite() && time_scale > 0.0, "--time-scale must be above 0");
    let Some(path) = path else { return parse(BUILT_IN, time_scale) };
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the scenario {}; see --scenario", path.display()))?;
    parse(&text, time_scale).with_context(|| format!("the scenario {} cannot be played", path.display()))
}

/// The phases in a text, with durations multiplied by `time_scale` and at least a second.
///
/// # Errors
/// As [`load`].
pub fn parse(text: &str, time_scale: f64) -> Result<Vec<Phase>> {
    let file: File = toml::from_str(text)?;
    ensure!(!file.phase.is_empty() && file.phase.len() <= PHASES_MAX, "it must have 1 to {PHASES_MAX} [[phase]]s");
    let phase = |(i, row): (usize, Row)| {
        let name = row.name.clone().unwrap_or_else(|| row.kind.clone());
        phase(row, time_scale).with_context(|| format!("phase {} ({name})", i + 1))
    };
    file.phase.into_iter().enumerate().map(phase).collect()
}

fn phase(row: Row, time_scale: f64) -> Result<Phase> {
    let kind = row.kind.as_str();
    let needs = |key: &str, value: Option<u32>| value.with_context(|| format!("`{key}` is missing in a {kind} phase"));
    let (action, timed) = match kind {
        "login" => (Action::Login, false),
        "logout" => (Action::Logout, false),
        "hold" | "storm" => (Action::Hold, true),
        "shake" => {
            let rate = needs("rate", row.rate)?;
            (Action::Shake { rate, rate_to: rate }, true)
        }
        "blast" => (Action::Blast(blast(needs("rate", row.rate)?, row.blast.as_ref())?), true),
        "ramp" => (Action::Shake { rate: needs("rate", row.rate)?, rate_to: needs("rate_to", row.rate_to)? }, true),
        other => bail!("`kind` is \"{other}\"; it must be login, hold, shake, ramp, blast, storm or logout"),
    };
    let alien = [
        ("seconds", row.seconds.is_some() && !timed),
        ("rate", row.rate.is_some() && !matches!(kind, "shake" | "ramp" | "blast")),
        ("rate_to", row.rate_to.is_some() && kind != "ramp"),
        ("send", row.send.is_some() && (!timed || kind == "blast")),
        ("blast", row.blast.is_some() && kind != "blast"),
    ];
    if let Some((key, _)) = alien.iter().find(|(_, present)| *present) {
        bail!("`{key}` has no meaning in a {kind} phase");
    }
    for (key, value) in [("rate", row.rate), ("rate_to", row.rate_to)] {
        ensure!(value.is_none_or(|rate| rate <= RATE_MAX), "`{key}` must be at most {RATE_MAX}");
    }
    ensure!(kind != "storm" || row.send.is_some(), "`send` is missing in a storm phase");
    let seconds = if timed {
        let seconds = needs("seconds", row.seconds)?;
        ensure!(seconds > 0, "`seconds` must be at least 1");
        (f64::from(seconds) * time_scale).round().clamp(1.0, f64::from(u32::MAX / 2)) as u32
    } else {
        0
    };
    let sends = row.send.as_ref().map(|send| sends(send, kind == "storm")).transpose()?;
    Ok(Phase { name: row.name.unwrap_or(row.kind), action, seconds, sends })
}

fn blast(rate: u32, row: Option<&BlastRow>) -> Result<Blast> {
    let none = BlastRow::default();
    let row = row.unwrap_or(&none);
    let (burst, hostile) = (row.burst.unwrap_or(1), row.hostile.unwrap_or(0));
    ensure!((1..=BURST_MAX).contains(&burst), "`blast.burst` must be 1 to {BURST_MAX}");
    ensure!(hostile <= HOSTILE_MAX, "`blast.hostile` must be at most {HOSTILE_MAX}");
    for (key, value) in [("sessions", row.sessions), ("links", row.links)] {
        ensure!(value != Some(0), "`blast.{key}` must be at least 1");
    }
    let (sessions, links, skewed) = (row.sessions, row.links, row.skewed.unwrap_or(false));
    Ok(Blast { rate, burst, sessions, skewed, hostile, links })
}

fn sends(row: &SendRow, to_set: bool) -> Result<Sends> {
    let split = match row.split.as_deref() {
        None | Some("random") => SPLIT_RANDOM,
        Some("equal") => SPLIT_EQUAL,
        Some(other) => bail!("`send.split` is \"{other}\"; it must be random or equal"),
    };
    let shares = u64::from(row.shares);
    ensure!((1..=SHARES_MAX as u64).contains(&shares), "`send.shares` must be 1 to {SHARES_MAX}");
    ensure!(
        (shares..=shares * SHARE_MAX_FEN).contains(&row.fen),
        "`send.fen` must give each share 1 to {SHARE_MAX_FEN} fen"
    );
    ensure!(row.rate <= RATE_MAX, "`send.rate` must be at most {RATE_MAX}");
    let recipients = match (row.recipients, to_set) {
        (Some(_), true) => bail!("`send.recipients` has no meaning in a storm: its packets are for whole SETs"),
        (None, true) => 0,
        (given, false) => given.unwrap_or(row.shares),
    };
    ensure!(
        to_set || (1..=RECIPIENTS_MAX).contains(&usize::from(recipients)),
        "`send.recipients` must be 1 to {RECIPIENTS_MAX}"
    );
    Ok(Sends { rate: row.rate, fen: row.fen, shares: row.shares, recipients, split })
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
        let error =
            format!("{:#}", parse("[[phase]]\nkind='login'\n[[phase]]\nkind='x'\nname='two'", 1.0).expect_err("x"));
        assert!(error.contains("phase 2 (two)"), "{error}");
    }
}
