//! The rows of the ledger.

use super::Row;
use crate::bench::ledger::{Commits, Durable, Ledger};
use crate::demo::table::Target;

/// Groups of this size are held against the targets of commits: what a server in full swing makes.
const COMMON_GROUP: u64 = 1000;

/// Commits beside their baseline, then what users got durably.
pub(super) fn rows(ledger: &Ledger, rows: &mut Vec<Row>) {
    for commits in &ledger.commits {
        let Commits { group, per_s: [ours, bare], p99_us: [p99, bare_p99], longest_us } = *commits;
        let is_common = group == COMMON_GROUP;
        let aimed = |row: Row, target| if is_common { row.target(target) } else { row };
        let name = format!("ledger, groups of {group}");
        let per_s = Row::new(format!("{name}: postings a second"), "1/s", ours).beside("bare SQLite loop", bare);
        rows.push(aimed(per_s, Target::AtLeast(0.6)));
        let p99 = Row::new(format!("{name}: p99 of a commit"), "us", p99).beside("bare SQLite loop", bare_p99);
        rows.push(aimed(p99, Target::AtMost(3.0)));
        let longest = Row::new(format!("{name}: the longest commit, files closed beside it"), "ms", longest_us / 1e3);
        rows.push(aimed(longest, Target::AtMost(50.0)));
    }
    let best = ledger.durable.iter().filter(|load| load.is_answered()).max_by_key(|load| load.rate);
    for load in &ledger.durable {
        let Durable { rate, server_us, again, agrees, .. } = *load;
        let note = format!("{again} asked again, books {}", if agrees { "agree" } else { "differ by what was lost" });
        rows.push(
            Row::new(format!("{rate} durable sends and grabs a second: server CPU each"), "us", server_us).note(note),
        );
    }
    if !ledger.durable.is_empty() {
        let most = best.map_or(0, |load| load.rate) as f64;
        let row = Row::new("durable sends and grabs, all of the server on one core", "1/s", most);
        rows.push(
            row.target(Target::AtLeast(100_000.0))
                .note("the highest rate asked at which nothing was asked twice".into()),
        );
    }
}

impl Durable {
    /// Everything was answered, and nothing had to be asked twice.
    fn is_answered(&self) -> bool {
        let [asked, made] = self.packets;
        made == asked && self.shares == 3 * asked && self.again == 0
    }
}
