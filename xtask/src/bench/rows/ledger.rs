//! The rows of the ledger.

use super::Row;
use crate::bench::ledger::{Beside, Booked, Commits, Durable, Killed, Ledger, Way};
use crate::bench::turn::median;
use crate::demo::table::Target;

/// Groups of this size are held against the targets of commits: what a server in full swing makes.
const COMMON_GROUP: u64 = 1000;

/// Commits beside their baseline, what users got durably, shakes beside it, prizes, and the way back.
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
    durable(ledger, rows);
    for Beside { who, rate, alone_us, beside_us, p50_us: [alone, beside], late, packets } in &ledger.beside {
        let of = |rounds: &[f64]| median(rounds.iter().copied()).unwrap_or(0.0);
        let name = format!("a shake at {rate}/s beside a busy ledger: {who}");
        let note = format!(
            "{packets} packets made meanwhile; p50 {beside:.0} us, alone {alone:.0} us; {late} sent late by the generator"
        );
        let row = Row::new(name, "us", of(beside_us)).beside("without packets", of(alone_us)).note(note);
        rows.push(row.target(Target::AtMost(1.05)));
    }
    for Booked { released, seconds, shakes, booked, differ, server_share, lost, late } in &ledger.booked {
        let note = format!(
            "{shakes:.0} shakes/s sent, {late} late; the server's threads took {server_share:.2} cores; {lost} datagrams lost for \
             want of them; {differ} counted otherwise than booked"
        );
        let row = Row::new(format!("prizes booked durably, for {seconds} s"), "1/s", *booked);
        let row = row.beside("released", *released as f64).note(note);
        rows.push(if *released == 50_000 { row.target(Target::AtLeast(0.99)) } else { row });
    }
    if let Some(Killed { sessions, postings, serves_s, back_s, most_logins }) = &ledger.killed {
        let name = format!("killed with {sessions} sessions and {postings} postings");
        rows.push(Row::new(format!("{name}: serves again"), "s", *serves_s));
        let row = Row::new(format!("{name}: all are back"), "s", *back_s).target(Target::AtMost(60.0));
        rows.push(row.note(format!("at most {most_logins} log-ins within a second")));
    }
}

fn durable(ledger: &Ledger, rows: &mut Vec<Row>) {
    let find = |way, rate| ledger.durable.iter().find(move |load: &&Durable| (load.way, load.rate) == (way, rate));
    let common = Way::COMMON;
    for (way, how) in [(common, "sockets"), (Way { past_the_stack: true, ..common }, "AF_XDP at both ends")] {
        let loads: Vec<_> = ledger.durable.iter().filter(|load| load.way == way).collect();
        for load in &loads {
            let Durable { rate, server_us, again, agrees, latency_us: [p50, p99, _], .. } = **load;
            let agree = if agrees { "agree" } else { "differ by what was lost" };
            let note = format!("p50 {p50:.0}, p99 {p99:.0} us; {again} asked again, books {agree}");
            let name = format!("{rate} durable sends and grabs a second, {how}: server CPU each");
            rows.push(Row::new(name, "us", server_us).note(note));
        }
        let answered = loads.iter().filter(|load| load.is_answered()).map(|load| load.rate).max().unwrap_or(0);
        if !loads.is_empty() {
            let row = Row::new(format!("durable sends and grabs, one worker, {how}"), "1/s", answered as f64);
            let note = "the highest rate asked at which nothing was asked twice".into();
            rows.push(row.target(Target::AtLeast(100_000.0)).note(note));
        }
    }
    let Some(kept) = ledger.durable.first() else { return };
    let rate = kept.rate;
    if let Some(open) = find(Way { sealed: false, ..common }, rate) {
        let row = Row::new(format!("{rate} sends and grabs a second, sealed: server CPU each"), "us", kept.server_us);
        rows.push(row.beside("not sealed", open.server_us));
    }
    // The smallest groups are what a server makes that is not in full swing.
    if let (Some(unkept), Some(commits)) = (find(Way { on_disk: false, ..common }, rate), ledger.commits.first()) {
        let [with, without] = [kept, unkept].map(|load| load.latency_us[1]);
        let name = format!("{rate} sends and grabs a second: what the disk adds to the p99 of an answer");
        let row = Row::new(name, "us", with - without);
        let row = row.beside(format!("p99 of a bare commit of {}", commits.group), commits.p99_us[1]);
        rows.push(row.target(Target::AtMost(3.0)).note(format!("{with:.0} us with, {without:.0} us without")));
    }
}
