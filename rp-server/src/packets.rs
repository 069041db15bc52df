//! `rp-server packets`: what became of all packets, and `rp-server packets show`: who took what of one, and when.
//!
//! Both read the ledger's postings, beside a running server or without one, so they tell what is on disk and nothing else. That
//! it is right is for `rp-server audit` to say.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::{Args, Subcommand};
use rp_core::posting::{Act, Posting, Terms};
use rp_core::wire::{AUDIENCE_SET, Field, SPLIT_EQUAL};
use rp_net::say;
use serde::Serialize;

use crate::audit::figures::Sum;
use crate::audit::open;
use crate::ledger::Reader as _;

/// Flags of `rp-server packets`.
#[derive(Args)]
pub struct PacketsArgs {
    #[command(subcommand)]
    order: Option<PacketsOrder>,
    /// Folder of the ledger, whether a server runs on it or not
    #[arg(long, env = "RP_DATA", value_name = "DIR", default_value = "data", global = true)]
    data: PathBuf,
    /// Folder that holds files which were archived; repeatable
    #[arg(long, value_name = "FOLDER", global = true)]
    archive: Vec<PathBuf>,
    /// Print one object of JSON
    #[arg(long, global = true)]
    json: bool,
}

/// `rp-server packets`.
#[derive(Subcommand)]
enum PacketsOrder {
    /// Show one: its terms, who took how much and when, and whose luck was best
    Show(ShowArgs),
}

/// Flags of `rp-server packets show`.
#[derive(Args)]
struct ShowArgs {
    /// The packet, as its sender was told and as `ledger export` has it
    #[arg(value_name = "ID")]
    id: u64,
}

/// What became of all packets.
#[derive(Default, Debug, Serialize)]
struct Totals {
    /// Packets and what was put in.
    made: Sum,
    /// Shares taken, of all packets.
    shares: Sum,
    /// Packets whose rest went back, and that rest.
    refunded: Sum,
    /// Packets with money left, and that money.
    open: Sum,
    /// The same by the SET that owns them.
    open_by_set: BTreeMap<u16, Sum>,
}

/// One packet.
#[derive(Debug, Serialize)]
struct Packet {
    id: u64,
    sender: u64,
    set: u16,
    fen: u64,
    made_ms: u64,
    expires_ms: u64,
    split: &'static str,
    /// How many may take one.
    shares: u8,
    /// The SET that it is for, or nobody's when it is for users by name.
    for_set: Option<u16>,
    for_users: Vec<u64>,
    greeting: String,
    taken: Vec<Share>,
    /// What went back, and when.
    refunded_fen: u64,
    refunded_ms: u64,
}

/// One share.
#[derive(Debug, Serialize)]
struct Share {
    user: u64,
    fen: u64,
    at_ms: u64,
    /// The largest of a packet of which all is taken, and the first of that size.
    best_luck: bool,
}

impl PacketsArgs {
    /// Reads the ledger and prints what it says.
    ///
    /// # Errors
    /// There is no ledger, it cannot be read, or it has no such packet.
    pub fn run(&self) -> Result<()> {
        let mut reader = open(&self.data, &self.archive)?;
        if let Some(PacketsOrder::Show(ShowArgs { id })) = self.order {
            let mut packet = None;
            reader.read(1, &mut |_, posting| {
                follow(id, &mut packet, posting);
                Ok(())
            })?;
            ensure!(packet.is_some(), "the ledger in {} has no packet {id}", self.data.display());
            let packet = packet.map(Packet::judged).expect("it was looked at above");
            if self.json {
                return print(&packet);
            }
            packet.say();
            return Ok(());
        }
        let (mut totals, mut open) = (Totals::default(), HashMap::new());
        reader.read(1, &mut |_, posting| {
            totals.add(posting, &mut open);
            Ok(())
        })?;
        totals.count_open(&open);
        if self.json {
            return print(&totals);
        }
        totals.say();
        Ok(())
    }
}

fn print(value: &impl Serialize) -> Result<()> {
    say!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}

impl Totals {
    /// `open` is what each packet holds.
    fn add(&mut self, posting: &Posting<'_>, open: &mut HashMap<u64, u64>) {
        let Posting { act, debit, credit, fen, .. } = *posting;
        let packet = match act {
            Act::Sent => {
                self.made.add(fen);
                open.insert(credit, fen);
                return;
            }
            Act::Taken | Act::Handed => &mut self.shares,
            Act::Refunded => &mut self.refunded,
            _ => return,
        };
        packet.add(fen);
        let left = open.get(&debit).copied().unwrap_or(0).saturating_sub(fen);
        match left {
            0 => open.remove(&debit),
            left => open.insert(debit, left),
        };
    }

    fn count_open(&mut self, open: &HashMap<u64, u64>) {
        for (id, left) in open {
            self.open.add(*left);
            self.open_by_set.entry(set_of(*id)).or_default().add(*left);
        }
    }

    fn say(&self) {
        let row = |what: &str, sum: &Sum| say!("{what:<18} {:>12} {:>18} fen", sum.count, sum.fen);
        row("packets made", &self.made);
        row("shares taken", &self.shares);
        row("packets refunded", &self.refunded);
        row("packets open", &self.open);
        for (set, sum) in &self.open_by_set {
            row(&format!("  of SET {set}"), sum);
        }
    }
}

/// The SET that owns a packet.
fn set_of(id: u64) -> u16 {
    (id >> 48) as u16
}

/// Notes what a posting says of this packet.
fn follow(id: u64, packet: &mut Option<Packet>, posting: &Posting<'_>) {
    let Posting { act, debit, credit, fen, at_ms, .. } = *posting;
    match (act, packet) {
        (Act::Sent, packet) if credit == id => *packet = Packet::read(posting),
        (Act::Taken | Act::Handed, Some(packet)) if debit == id => {
            packet.taken.push(Share { user: credit, fen, at_ms, best_luck: false });
        }
        (Act::Refunded, Some(packet)) if debit == id => (packet.refunded_fen, packet.refunded_ms) = (fen, at_ms),
        _ => {}
    }
}

impl Packet {
    /// As it was sent; nothing when its terms cannot be read, which the audit names.
    fn read(posting: &Posting<'_>) -> Option<Packet> {
        let terms = Terms::take(posting.tail)?;
        let (users, greeting) = posting.tail[Terms::LEN..].split_at_checked(8 * usize::from(terms.recipients))?;
        let is_for_set = terms.audience == AUDIENCE_SET;
        Some(Packet {
            id: posting.credit,
            sender: posting.debit,
            set: set_of(posting.credit),
            fen: posting.fen,
            made_ms: posting.at_ms,
            expires_ms: terms.expires_ms,
            split: if terms.split == SPLIT_EQUAL { "equal" } else { "random" },
            shares: terms.shares,
            for_set: is_for_set.then_some(terms.set),
            for_users: users.chunks_exact(8).map(<u64 as Field>::take).collect(),
            greeting: String::from_utf8_lossy(greeting).into_owned(),
            taken: Vec::new(),
            refunded_fen: 0,
            refunded_ms: 0,
        })
    }

    /// The same, with the best luck found.
    fn judged(mut self) -> Packet {
        let most = self.taken.iter().map(|share| share.fen).max();
        if self.taken.len() == usize::from(self.shares)
            && let Some(best) = self.taken.iter_mut().find(|share| Some(share.fen) == most)
        {
            best.best_luck = true;
        }
        self
    }

    fn say(&self) {
        let Packet { id, sender, set, fen, shares, split, .. } = self;
        let seconds = |ms: u64| ms.saturating_sub(self.made_ms) as f64 / 1e3;
        say!("packet {id} of SET {set}: {fen} fen by user {sender} in {shares} shares, {split}");
        match self.for_set {
            Some(set) => say!("  for         all of SET {set}"),
            None => say!("  for         {}", self.for_users.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")),
        }
        say!("  made        {} ms of the ledger's clock; open for {:.0} s", self.made_ms, seconds(self.expires_ms));
        if !self.greeting.is_empty() {
            // A sender may write what he likes, and a terminal obeys some of it.
            say!("  greeting    {}", self.greeting.escape_debug());
        }
        for Share { user, fen, at_ms, best_luck } in &self.taken {
            let luck = if *best_luck { ", best luck" } else { "" };
            say!("  taken       {fen} fen by user {user} after {:.3} s{luck}", seconds(*at_ms));
        }
        match (self.left(), self.refunded_fen) {
            (None, _) => say!("  faulty      it does not add up: run `rp-server audit`"),
            (Some((0, _)), 0) => say!("  finished    all is taken"),
            (Some((0, _)), back) => say!("  refunded    {back} fen after {:.3} s", seconds(self.refunded_ms)),
            (Some((left, shares)), _) => say!("  open        {left} fen in {shares} shares"),
        }
    }

    /// Fen and shares that nobody has yet; none when more was given away than was there.
    fn left(&self) -> Option<(u64, usize)> {
        let gone = self.taken.iter().try_fold(self.refunded_fen, |sum, share| sum.checked_add(share.fen))?;
        Some((self.fen.checked_sub(gone)?, usize::from(self.shares).checked_sub(self.taken.len())?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_that_gave_more_than_it_had_does_not_add_up() {
        let mut packet = Packet {
            id: 1,
            sender: 2,
            set: 0,
            fen: 10,
            made_ms: 0,
            expires_ms: 0,
            split: "equal",
            shares: 2,
            for_set: None,
            for_users: vec![3, 4],
            greeting: String::new(),
            taken: Vec::new(),
            refunded_fen: 0,
            refunded_ms: 0,
        };
        for (taken, refunded_fen, left) in [
            (&[][..], 0, Some((10, 2))),
            (&[4], 0, Some((6, 1))),
            (&[4], 6, Some((0, 1))),
            (&[5, 5], 0, Some((0, 0))),
            (&[5, 6], 0, None),
            (&[4], 7, None),
            (&[u64::MAX], 1, None),
            (&[1, 1, 1], 0, None),
        ] {
            let share = |fen: &u64| Share { user: 3, fen: *fen, at_ms: 0, best_luck: false };
            (packet.taken, packet.refunded_fen) = (taken.iter().map(share).collect(), refunded_fen);
            assert_eq!(packet.left(), left, "{taken:?} {refunded_fen}");
        }
    }
}
