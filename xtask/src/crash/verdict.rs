//! What a crash test ends with: the audit's word, the clients' word, and where they may not differ.

use serde::Deserialize;

use crate::answers::{Report, Sum};

/// `rp-server audit --acknowledged FILE --json`, of a ledger that is right.
#[derive(Clone, Debug, Deserialize)]
pub struct Audit {
    /// What the ledger holds.
    pub figures: Ledger,
    /// What clients were told, all of which it holds.
    pub acknowledged: Acknowledged,
}

/// What a ledger holds, as far as clients hear of it.
#[derive(Clone, Debug, Deserialize)]
pub struct Ledger {
    /// Its length.
    pub postings: u64,
    /// Packets made.
    pub made: Sum,
    /// Shares taken.
    pub shares: u64,
    /// Prizes won.
    pub prizes: Sum,
    /// Packets that went back to their senders.
    pub refunded: Sum,
    /// Notes on their way.
    pub transit: Sum,
}

/// What clients were told of money, each thing once.
#[derive(Clone, Debug, Deserialize)]
pub struct Acknowledged {
    /// Lines of all files.
    pub lines: u64,
    /// Packets made.
    pub sent: Sum,
    /// Shares taken.
    pub grabbed: Sum,
    /// Requests refused for good.
    pub refused: Sum,
    /// Prizes won.
    pub prizes: Sum,
    /// Packets that came back.
    pub refunds: Sum,
}

impl Audit {
    /// Where the ledger holds more than all users together heard of, or less. It keeps no word of refusals that used up no
    /// number, so those are not compared.
    pub fn differences(&self) -> Vec<String> {
        let Audit { figures, acknowledged: told } = self;
        let shares = Sum { count: figures.shares, ..told.grabbed };
        let rows = [
            ("packets made", figures.made, told.sent),
            ("shares taken", shares, told.grabbed),
            ("prizes won", figures.prizes, told.prizes),
            ("packets refunded", figures.refunded, told.refunds),
            ("notes on their way", figures.transit, Sum::default()),
        ];
        let differ = rows.into_iter().filter(|(_, held, heard)| held != heard);
        differ.map(|(name, held, heard)| format!("{name}: the ledger holds {held}, users heard of {heard}")).collect()
    }
}

/// What is wrong with the clients' own books: nobody may have been given up, and no number was used twice.
pub fn complaints(report: &Report) -> Vec<String> {
    let mut found = [report.failures.as_slice(), &report.reconciled.differences].concat();
    for phase in &report.phases {
        let lost = phase.sends.lost + phase.grabs.lost + phase.histories.lost;
        if lost > 0 {
            found.push(format!("{}: {lost} requests about money were given up", phase.name));
        }
        for name in ["conflict", "stale"] {
            let count = phase.refusals.get(name).copied().unwrap_or(0);
            if count > 0 {
                found.push(format!("{}: {count} requests were refused as {name}", phase.name));
            }
        }
    }
    found
}
