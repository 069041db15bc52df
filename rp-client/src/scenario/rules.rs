//! The rules of a phase: which keys its kind has, and what they may say.

use rp_core::limits::{RECIPIENTS_MAX, SHARE_MAX_FEN, SHARES_MAX};
use rp_core::wire::{SPLIT_EQUAL, SPLIT_RANDOM};
use serde::Deserialize;

use super::{Action, Blast, Phase, Sends};
use crate::nearest;

/// Kinds of phases.
const KINDS: [&str; 7] = ["login", "hold", "shake", "ramp", "blast", "storm", "logout"];
/// Keys of a phase, and of the tables in it.
pub const PHASE_KEYS: &[&str] = &["kind", "name", "seconds", "rate", "rate_to", "send", "blast"];
/// Keys of `send`.
pub const SEND_KEYS: &[&str] = &["rate", "fen", "shares", "recipients", "split"];
/// Keys of `blast`.
pub const BLAST_KEYS: &[&str] = &["burst", "sessions", "skewed", "hostile", "links"];
/// Requests a second over all machines; more is a slip of the keyboard.
const RATE_MAX: u32 = 50_000_000;
/// A millisecond at four million a second; more is no burst.
const BURST_MAX: u32 = 4096;
const HOSTILE_MAX: u32 = 1000;

/// A key that breaks a rule, and the sentence that says so.
pub type Broken = (&'static str, String);

/// The file as it is read.
#[derive(Deserialize)]
pub struct File {
    /// In the order they are played.
    #[serde(default)]
    pub phase: Vec<Row>,
}

/// A phase as it is read.
#[derive(Deserialize)]
#[allow(missing_docs)]
pub struct Row {
    pub kind: String,
    pub name: Option<String>,
    seconds: Option<u32>,
    rate: Option<u32>,
    rate_to: Option<u32>,
    send: Option<SendRow>,
    blast: Option<BlastRow>,
}

#[derive(Default, Deserialize)]
struct BlastRow {
    burst: Option<u32>,
    sessions: Option<u32>,
    skewed: Option<bool>,
    hostile: Option<u32>,
    links: Option<u32>,
}

#[derive(Deserialize)]
struct SendRow {
    rate: u32,
    fen: u64,
    shares: u8,
    recipients: Option<u8>,
    split: Option<String>,
}

fn hold(holds: bool, key: &'static str, rule: impl std::fmt::Display) -> Result<(), Broken> {
    if holds { Ok(()) } else { Err((key, format!("`{key}` {rule}"))) }
}

/// The phase of a row, if it breaks no rule.
///
/// # Errors
/// The key that breaks one, and the rule.
pub fn phase(row: Row, time_scale: f64) -> Result<Phase, Broken> {
    let kind = row.kind.as_str();
    let missing = |key: &'static str| (key, format!("`{key}` is missing in a {kind} phase"));
    let needs = |key: &'static str, value: Option<u32>| value.ok_or_else(|| missing(key));
    let advice = nearest::advice(kind, KINDS);
    hold(KINDS.contains(&kind), "kind", format_args!("is \"{kind}\"; it must be {}{advice}", KINDS.join(", ")))?;
    let timed = !matches!(kind, "login" | "logout");
    for (key, is_alien) in [
        ("seconds", row.seconds.is_some() && !timed),
        ("rate", row.rate.is_some() && !matches!(kind, "shake" | "ramp" | "blast")),
        ("rate_to", row.rate_to.is_some() && kind != "ramp"),
        ("send", row.send.is_some() && (!timed || kind == "blast")),
        ("blast", row.blast.is_some() && kind != "blast"),
    ] {
        hold(!is_alien, key, format_args!("has no meaning in a {kind} phase"))?;
    }
    for (key, value) in [("rate", row.rate), ("rate_to", row.rate_to)] {
        hold(value.is_none_or(|rate| rate <= RATE_MAX), key, format_args!("must be at most {RATE_MAX}"))?;
    }
    let action = match kind {
        "login" => Action::Login,
        "logout" => Action::Logout,
        "shake" => needs("rate", row.rate).map(|rate| Action::Shake { rate, rate_to: rate })?,
        "ramp" => Action::Shake { rate: needs("rate", row.rate)?, rate_to: needs("rate_to", row.rate_to)? },
        "blast" => Action::Blast(blast(needs("rate", row.rate)?, row.blast.as_ref())?),
        _ => Action::Hold,
    };
    if kind == "storm" && row.send.is_none() {
        return Err(missing("send"));
    }
    let seconds = if timed {
        let seconds = needs("seconds", row.seconds)?;
        hold(seconds > 0, "seconds", "must be at least 1")?;
        (f64::from(seconds) * time_scale).round().clamp(1.0, f64::from(u32::MAX / 2)) as u32
    } else {
        0
    };
    let sends = row.send.as_ref().map(|send| sends(send, kind == "storm")).transpose()?;
    Ok(Phase { name: row.name.unwrap_or(row.kind), action, seconds, sends })
}

fn blast(rate: u32, row: Option<&BlastRow>) -> Result<Blast, Broken> {
    let none = BlastRow::default();
    let row = row.unwrap_or(&none);
    let (burst, hostile) = (row.burst.unwrap_or(1), row.hostile.unwrap_or(0));
    hold((1..=BURST_MAX).contains(&burst), "blast.burst", format_args!("must be 1 to {BURST_MAX}"))?;
    hold(hostile <= HOSTILE_MAX, "blast.hostile", format_args!("must be at most {HOSTILE_MAX}"))?;
    for (key, value) in [("blast.sessions", row.sessions), ("blast.links", row.links)] {
        hold(value != Some(0), key, "must be at least 1")?;
    }
    let (sessions, links, skewed) = (row.sessions, row.links, row.skewed.unwrap_or(false));
    Ok(Blast { rate, burst, sessions, skewed, hostile, links })
}

fn sends(row: &SendRow, to_set: bool) -> Result<Sends, Broken> {
    let split = match row.split.as_deref() {
        None | Some("random") => SPLIT_RANDOM,
        Some("equal") => SPLIT_EQUAL,
        Some(other) => return Err(("send.split", format!("`send.split` is \"{other}\"; it must be random or equal"))),
    };
    let shares = u64::from(row.shares);
    let is_shares = (1..=SHARES_MAX as u64).contains(&shares);
    hold(is_shares, "send.shares", format_args!("must be 1 to {SHARES_MAX}"))?;
    let is_fen = (shares..=shares * SHARE_MAX_FEN).contains(&row.fen);
    hold(is_fen, "send.fen", format_args!("must give each share 1 to {SHARE_MAX_FEN} fen"))?;
    hold(row.rate <= RATE_MAX, "send.rate", format_args!("must be at most {RATE_MAX}"))?;
    let is_alien = to_set && row.recipients.is_some();
    hold(!is_alien, "send.recipients", "has no meaning in a storm: its packets are for whole SETs")?;
    let recipients = if to_set { 0 } else { row.recipients.unwrap_or(row.shares) };
    let is_list = to_set || (1..=RECIPIENTS_MAX).contains(&usize::from(recipients));
    hold(is_list, "send.recipients", format_args!("must be 1 to {RECIPIENTS_MAX}"))?;
    Ok(Sends { rate: row.rate, fen: row.fen, shares: row.shares, recipients, split })
}
