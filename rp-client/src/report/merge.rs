//! Several client machines played one scenario: their reports become one, as if one machine had.
//!
//! Counts are added, histograms too, exactly; seconds meet by their Unix time. What cannot be one run is refused; where the
//! machines merely differ, the sum says so.

mod phases;
mod sides;

pub use phases::latency_seconds;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};

use super::{Counts, Datagrams, GeneratorLate, Login, Machine, Money, Report};

/// The sum of reports.
///
/// # Errors
/// They are not of one run; the sentence says why.
pub fn merge(mut reports: Vec<Report>) -> Result<Report> {
    reports.sort_by_key(|report| report.users);
    let Some(first) = reports.first() else { bail!("no report was named") };
    let mut machines: Vec<Machine> = reports.iter().flat_map(|report| report.machines.iter().cloned()).collect();
    machines.sort_by_key(|machine| machine.users);
    for other in &reports[1..] {
        fits(first, other).with_context(|| not_one(first.users, other.users))?;
    }
    apart(&machines)?;
    let phases = phases::sum(&reports)?;
    let late_ms_max = reports.iter().map(|report| report.generator_late.ms_max).fold(0.0, f64::max);
    let all = |of: fn(&Report) -> u64| reports.iter().map(of).sum::<u64>();
    let sum = Report {
        started_us: reports.iter().map(|report| report.started_us).min().unwrap_or_default(),
        ended_us: reports.iter().map(|report| report.ended_us).max().unwrap_or_default(),
        users: [first.users[0], reports.iter().map(|report| report.users[1]).max().unwrap_or_default()],
        stolen_ms: stolen_ms(&reports),
        remarks: remarks(&reports, &machines),
        machines,
        sessions: all(|report| report.sessions),
        sealing: reports.iter().find_map(|report| report.sealing),
        interrupted: reports.iter().any(|report| report.interrupted),
        login: login(&reports),
        generator_late: GeneratorLate::of(&phases, late_ms_max),
        phases,
        datagrams: datagrams(&reports),
        money: reports[1..].iter().fold(first.money, |sum, report| Money {
            prizes: sum.prizes.and(report.money.prizes),
            sent: sum.sent.and(report.money.sent),
            taken: sum.taken.and(report.money.taken),
            refunded: sum.refunded.and(report.money.refunded),
        }),
        reconciled: sides::reconciled(&reports),
        clock_offset_us: reports.iter().filter_map(|report| report.clock_offset_us).max_by_key(|us| us.abs()),
        server: sides::server(&reports),
        expected: if alike(&reports, |r| r.expected.clone()) { first.expected.clone() } else { String::new() },
        failures: reports.iter().flat_map(|r| r.failures.iter().map(|failure| of_whom(r, failure))).collect(),
        ok: reports.iter().all(|report| report.ok),
        ..first.clone()
    };
    Ok(sum)
}

fn named([first, last]: [u64; 2]) -> String {
    format!("users {first}..={last}")
}

fn not_one(ours: [u64; 2], theirs: [u64; 2]) -> String {
    format!("{} and {} are not of one run", named(ours), named(theirs))
}

/// A sentence of a report, with the users that it is about; those of a sum have theirs.
fn of_whom(report: &Report, sentence: &str) -> String {
    match report.machines.as_slice() {
        [machine] => format!("{}: {sentence}", named(machine.users)),
        _ => sentence.to_string(),
    }
}

fn alike<T: PartialEq>(reports: &[Report], of: impl Fn(&Report) -> T) -> bool {
    reports.windows(2).all(|pair| of(&pair[0]) == of(&pair[1]))
}

/// What all machines of a run have in common.
fn fits(first: &Report, other: &Report) -> Result<()> {
    let (ours, theirs) = (&first.play, &other.play);
    ensure!(first.total == other.total, "--total was {} and {}", first.total, other.total);
    ensure!(ours.scenario_text == theirs.scenario_text, "they played other scenarios");
    ensure!(ours.time_scale == theirs.time_scale, "--time-scale was {} and {}", ours.time_scale, theirs.time_scale);
    ensure!(ours.pace == theirs.pace, "--pace was {} and {}", ours.pace, theirs.pace);
    ensure!(ours.bare == theirs.bare, "they measured other kinds of server");
    for (one, two) in first.phases.iter().zip(&other.phases).filter(|(one, _)| one.timed) {
        let same = (one.start_s, one.seconds, one.rate) == (two.start_s, two.seconds, two.rate);
        ensure!(
            same,
            "the phase \"{}\" began at second {} and {}; give all machines one --start-at",
            one.name,
            one.start_s,
            two.start_s
        );
    }
    Ok(())
}

/// The users of a sum may have gaps, which those of another report fill: each machine's are its own. They are sorted.
fn apart(machines: &[Machine]) -> Result<()> {
    for pair in machines.windows(2) {
        let (one, two) = (pair[0].users, pair[1].users);
        ensure!(one[1] < two[0], "{}: their users overlap: has a file been named twice?", not_one(one, two));
    }
    Ok(())
}

/// A remark's words, and what a report has to say of them.
type Shared = (&'static str, fn(&Report) -> String);

/// What one might think all machines share.
const SHARED: [Shared; 4] = [
    ("the machines reached the server by several addresses", |r| r.play.server.clone()),
    ("the machines sent by several transports", |r| r.play.transport.clone()),
    ("the programs have several versions", |r| r.program.version.clone()),
    ("the server sealed for some and not for others", |r| format!("{:?}", r.sealing)),
];
/// How the remark ends that a later sum may prove wrong.
const MISSING: &str = "users are in none of these reports";

/// What a report's remark lists, if it is the one about `what`.
fn listed<'a>(remark: &'a str, what: &str) -> Option<&'a str> {
    remark.strip_prefix(what)?.strip_prefix(": ")
}

/// Machines that differ in what one might think they share. What a sum among the reports said of this is said anew.
fn remarks(reports: &[Report], machines: &[Machine]) -> Vec<String> {
    let is_anew = |remark: &str| remark.ends_with(MISSING) || SHARED.iter().any(|(s, _)| listed(remark, s).is_some());
    let of_parts = reports.iter().flat_map(|report| report.remarks.iter().cloned());
    let mut remarks: BTreeSet<String> = of_parts.filter(|remark| !is_anew(remark)).collect();
    for (what, of) in SHARED {
        let values = |report: &Report| match report.remarks.iter().find_map(|remark| listed(remark, what)) {
            Some(list) => list.split(", ").map(ToString::to_string).collect(),
            None => vec![of(report)],
        };
        let values: BTreeSet<String> = reports.iter().flat_map(values).collect();
        if values.len() > 1 {
            remarks.insert(format!("{what}: {}", values.into_iter().collect::<Vec<_>>().join(", ")));
        }
    }
    let phases: BTreeSet<usize> = reports.iter().map(|report| report.phases.len()).collect();
    if phases.len() > 1 {
        remarks.insert("some machines ended before the others: their last phases lack them".to_string());
    }
    let missing = reports[0].total.saturating_sub(machines.iter().map(|m| m.users[1] - m.users[0] + 1).sum());
    if missing > 0 {
        remarks.insert(format!("{missing} of the {} {MISSING}", reports[0].total));
    }
    remarks.into_iter().collect()
}

/// Machines on one host lose the same time.
fn stolen_ms(reports: &[Report]) -> u64 {
    let mut hosts = BTreeMap::<&str, u64>::new();
    for machine in reports.iter().flat_map(|report| &report.machines) {
        let most = hosts.entry(&machine.host).or_default();
        *most = machine.stolen_ms.max(*most);
    }
    hosts.values().sum()
}

fn login(reports: &[Report]) -> Login {
    let logins = || reports.iter().map(|report| &report.login);
    let first_us = logins().map(|login| login.first_us).filter(|us| *us > 0).min().unwrap_or_default();
    let last_us = logins().map(|login| login.last_us).max().unwrap_or_default();
    Login {
        first_us,
        last_us,
        seconds: last_us.saturating_sub(first_us) as f64 / 1e6,
        refused: logins().map(|login| login.refused).sum(),
        retries: logins().map(|login| login.retries).sum(),
        again: logins().map(|login| login.again).sum(),
        failed: logins().map(|login| login.failed).sum(),
    }
}

fn datagrams(reports: &[Report]) -> Datagrams {
    let mut sum = Datagrams::default();
    for part in reports.iter().map(|report| &report.datagrams) {
        add(&mut sum.sent, &part.sent);
        add(&mut sum.received, &part.received);
        add(&mut sum.discarded, &part.discarded);
        sum.unsent += part.unsent;
        sum.overflow += part.overflow;
        sum.damaged += part.damaged;
    }
    sum
}

fn add(sum: &mut Counts, part: &Counts) {
    for (name, count) in part {
        *sum.entry(name.clone()).or_default() += count;
    }
}

#[cfg(test)]
mod tests {
    use super::super::histogram::{Latency, sum as sum_of};
    use super::super::sample::{START_S, report};
    use super::super::server::ServerSecond;
    use super::*;

    type Change = fn(&mut Report);

    #[test]
    fn a_sum_has_all_counts_and_all_latencies() {
        let parts = [report(101, 5000), report(1, 100)];
        let sum = merge(parts.to_vec()).expect("of one run");
        assert_eq!((sum.users, sum.sessions, sum.machines.len(), sum.ok), ([1, 200], 200, 2, true));
        let phase = &sum.phases[1];
        assert_eq!((phase.due, phase.answered, phase.sends.answered, phase.refusals["empty"]), (6000, 6000, 18, 2));
        let latencies = sum_of(parts.iter().map(|part| &part.phases[1].latency_histogram)).expect("whole");
        assert_eq!((latencies.len(), phase.latency_us), (6000, Latency::of(&latencies)));
        assert!(phase.latency_us.p50 > 3000 && phase.latency_us.p50 < 5100, "between the medians of both");
        let second = &phase.per_second[2];
        assert_eq!((second.second, second.answered, second.prizes, second.active), (START_S + 2, 2000, 4, 2));
        assert_eq!((phase.latency_per_second.len(), phase.latency_per_second[0].answers), (3, 2000));
        assert_eq!((sum.money.prizes.fen, sum.datagrams.sent["shake"], sum.datagrams.unsent), (2000, 8000, 2));
        let server = &sum.server.per_second[0];
        assert_eq!((server.machines, server.received, server.span_us), (2, 2200, 1_000_000));
        assert_eq!((sum.server.snapshots.len(), sum.server.snapshots[0].prizes_released_per_s), (5, 5.0));
        let books: Vec<(u64, bool)> = sum.reconciled.equations.iter().map(|e| (e.ours, e.of_all)).collect();
        assert_eq!(books, [(8000, false), (9, true)], "addresses are added, the server is not");
        assert_eq!((sum.login.seconds, sum.clock_offset_us, sum.stolen_ms), (1.000_101, Some(-101), 20));
        assert!(sum.remarks.is_empty(), "{:?}", sum.remarks);
    }

    #[test]
    fn the_order_of_reports_does_not_matter_and_a_sum_may_be_added_to() {
        let [one, two, three] = [1, 101, 201].map(|first| {
            let mut report = report(first, first);
            report.total = 300;
            report
        });
        let mut three = three;
        three.program.version = "0.2.0".to_string();
        three.fail("1 users could not log in".to_string());
        let all = merge(vec![three.clone(), one.clone(), two.clone()]).expect("of one run");
        assert_eq!(all.remarks, ["the programs have several versions: 0.1.0, 0.2.0"]);
        // The last pair has a gap, which the third fills.
        for [a, b, c] in [[&one, &two, &three], [&two, &three, &one], [&one, &three, &two]] {
            let pair = merge(vec![b.clone(), a.clone()]).expect("of one run");
            assert!(pair.remarks.iter().any(|remark| remark.contains("100 of the 300 users")), "{:?}", pair.remarks);
            assert_eq!(merge(vec![c.clone(), pair.clone()]).expect("of one run"), all);
            let error = format!("{:#}", merge(vec![pair, b.clone()]).expect_err("named twice"));
            assert!(error.contains("overlap"), "{error}");
        }
    }

    #[test]
    fn two_rows_of_one_second_are_of_one_machine() {
        let mut one = report(1, 100);
        let last = *one.server.per_second.last().expect("rows");
        one.server.per_second.push(ServerSecond { span_us: 500_000, shakes: 1, sessions: 7, ..last });
        let sum = merge(vec![one, report(101, 100)]).expect("of one run");
        assert_eq!(sum.server.whole().count(), 5);
        let row = sum.server.per_second.last().expect("rows");
        assert_eq!((row.machines, row.span_us, row.shakes, row.sessions), (2, 1_250_000, 2001, 107));
    }

    #[test]
    fn what_is_not_of_one_run_is_refused_with_a_reason() {
        let changes: [(&str, Change); 6] = [
            ("overlap", |r| r.machines[0].users[0] = 100),
            ("--total", |r| r.total = 7),
            ("scenarios", |r| r.play.scenario_text.clear()),
            ("--pace", |r| r.play.pace = "seed".to_string()),
            ("--start-at", |r| r.phases[1].start_s += 1),
            ("--time-scale", |r| r.play.time_scale = 2.0),
        ];
        for (word, change) in changes {
            let mut other = report(101, 100);
            change(&mut other);
            let error = format!("{:#}", merge(vec![report(1, 100), other]).expect_err(word));
            assert!(error.contains(word) && error.contains("users 1..=100"), "{error}");
        }
    }

    #[test]
    fn machines_that_differ_are_named_and_failures_have_their_users() {
        let mut other = report(101, 100);
        other.program.version = "0.2.0".to_string();
        other.phases.pop();
        other.fail("1 users could not log in".to_string());
        let sum = merge(vec![report(1, 100), other]).expect("of one run");
        assert_eq!(
            (sum.failures.as_slice(), sum.ok),
            (&["users 101..=200: 1 users could not log in".to_string()][..], false)
        );
        assert_eq!((sum.phases.len(), sum.phases[2].answered), (3, 1000));
        for words in ["several versions: 0.1.0, 0.2.0", "ended before the others"] {
            assert!(sum.remarks.iter().any(|remark| remark.contains(words)), "{:?}", sum.remarks);
        }
    }
}
