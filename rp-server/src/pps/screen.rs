//! The counters as a table: one row for each thing that was ever counted, one column for each CPU that counted.

use rp_core::gate_counters::{ANSWERS, Counts, Place, Row, RowIndex};
use rp_core::kind::Kind;
use rp_core::reason::Reason;

use super::Interval;

/// CPUs with a column of their own; those with the most traffic.
const COLUMNS_MAX: usize = 8;

/// The table as text.
pub fn draw(interval: &Interval) -> String {
    let total = interval.later.total();
    let since = total.since(&interval.earlier.total());
    let cpus = busiest(interval);
    let unit = if interval.length.is_some() { "/s" } else { "" };
    let mut head = format!("{:<16}{:>12}{:>12}", "", format!("all{unit}"), format!("kB{unit}"));
    for &(cpu, _) in &cpus {
        head.push_str(&format!("{:>11}", format!("cpu{cpu}{unit}")));
    }
    head.push_str(&format!("{:>16}", "total"));
    let mut lines = vec![head];
    for (name, index) in rows() {
        if total.row(index).datagrams > 0 || index == RowIndex::of_place(Place::Seen) {
            let per_cpu: Vec<Row> = cpus.iter().map(|(_, counts)| counts.row(index)).collect();
            lines.push(line(&name, since.row(index), &per_cpu, total.row(index), interval));
        }
    }
    let (sent, arrived) = (total.place(Place::SentToCpu), total.place(Place::CpuPassed));
    let lost = sent.datagrams.saturating_sub(arrived.datagrams);
    lines.push(format!("between CPUs: {lost} lost or under way"));
    for (worker, row) in interval.later.workers.iter().enumerate().filter(|(_, row)| row.datagrams > 0) {
        lines.push(format!("worker {worker}: {} datagrams selected", row.datagrams));
    }
    lines.join("\n")
}

fn rows() -> impl Iterator<Item = (String, RowIndex)> {
    let places = Place::ALL.iter().map(|place| (place.name().to_string(), RowIndex::of_place(*place)));
    let kinds = Kind::ALL.iter().filter(|kind| kind.is_request());
    let kinds = kinds.map(|kind| (format!("  {}", kind.name()), RowIndex::of_kind(*kind)));
    let reasons = Reason::ALL.iter().map(|reason| (format!("! {}", reason.name()), RowIndex::of_reason(*reason)));
    let answers = ANSWERS.iter().map(|kind| (format!("  answered: {}", kind.name()), RowIndex::of_answer(*kind)));
    places.chain(kinds).chain(answers).chain(reasons)
}

/// The CPUs that counted most, in their own order, each with what it counted in the interval.
fn busiest(interval: &Interval) -> Vec<(usize, Counts)> {
    let weight = |counts: &Counts| counts.0.iter().step_by(2).fold(0u64, |sum, datagrams| sum.wrapping_add(*datagrams));
    let mut cpus: Vec<(usize, u64)> = interval.later.cpus.iter().map(weight).enumerate().collect();
    cpus.retain(|(_, weight)| *weight > 0);
    cpus.sort_by_key(|(_, weight)| std::cmp::Reverse(*weight));
    cpus.truncate(COLUMNS_MAX);
    cpus.sort_unstable();
    let since = |cpu: usize| {
        let earlier = interval.earlier.cpus.get(cpu).copied().unwrap_or_default();
        (cpu, interval.later.cpus[cpu].since(&earlier))
    };
    cpus.into_iter().map(|(cpu, _)| since(cpu)).collect()
}

fn line(name: &str, all: Row, per_cpu: &[Row], total: Row, interval: &Interval) -> String {
    let seconds = interval.length.map_or(1.0, |length| length.as_secs_f64());
    let rate = |amount: u64| (amount as f64 / seconds).round();
    let mut line = format!("{name:<16}{:>12}{:>12}", rate(all.datagrams), rate(all.bytes / 1000));
    for row in per_cpu {
        line.push_str(&format!("{:>11}", rate(row.datagrams)));
    }
    line.push_str(&format!("{:>16}", total.datagrams));
    line
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::gate::counters::Reading;

    #[test]
    fn a_row_shows_the_rate_of_all_of_each_cpu_and_the_total() {
        let mut counts = Counts::default();
        (0..4000).for_each(|_| counts.count(RowIndex::of_kind(Kind::Shake), 60));
        let later = Reading { cpus: vec![Counts::default(), counts], workers: vec![Row { datagrams: 7, bytes: 1 }] };
        let interval = Interval { earlier: Reading::default(), later, length: Some(Duration::from_secs(2)) };
        let text = draw(&interval);
        let row: Vec<&str> =
            text.lines().find(|line| line.contains("shake")).unwrap_or("").split_whitespace().collect();
        assert_eq!(row, ["shake", "2000", "120", "2000", "4000"], "{text}");
        assert!(text.contains("cpu1/s") && !text.contains("cpu0"), "{text}");
        assert!(text.contains("worker 0: 7"), "{text}");
        assert!(!text.contains("bad_tag"), "{text}");
    }
}
