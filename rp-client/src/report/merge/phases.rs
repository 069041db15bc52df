//! Phases of several machines added up.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use super::add;
use crate::report::histogram::{self, Latency, Packed};
use crate::report::{BackedOff, Counts, LatencySecond, Phase, Report, Requests, Second};

/// Each phase, over all reports that have it.
///
/// # Errors
/// A histogram is damaged.
pub fn sum(reports: &[Report]) -> Result<Vec<Phase>> {
    let most = reports.iter().map(|report| report.phases.len()).max().unwrap_or_default();
    (0..most).map(|at| phase(&reports.iter().filter_map(|report| report.phases.get(at)).collect::<Vec<_>>())).collect()
}

fn phase(parts: &[&Phase]) -> Result<Phase> {
    let first = *parts.first().context("a phase of nobody")?;
    let count = |of: fn(&Phase) -> u64| parts.iter().map(|part| of(part)).sum::<u64>();
    let of_sort = |of: fn(&Phase) -> Requests| parts.iter().map(|part| of(part)).fold(Requests::default(), both);
    let latencies = histogram::sum(parts.iter().map(|part| &part.latency_histogram))?;
    let money_latencies = histogram::sum(parts.iter().map(|part| &part.money_latency_histogram))?;
    let mut refusals = Counts::new();
    parts.iter().for_each(|part| add(&mut refusals, &part.refusals));
    // Log-in and log-out begin and end when they do, at each machine.
    let start_s = parts.iter().map(|part| part.start_s).min().unwrap_or(first.start_s);
    let end_s = parts.iter().map(|part| part.start_s + u64::from(part.seconds)).max().unwrap_or_default();
    Ok(Phase {
        name: first.name.clone(),
        start_s,
        seconds: u32::try_from(end_s - start_s).unwrap_or(first.seconds),
        timed: first.timed,
        rate: first.rate,
        due: count(|part| part.due),
        sent: count(|part| part.sent),
        answered: count(|part| part.answered),
        refused: count(|part| part.refused),
        lost: count(|part| part.lost),
        duplicate: count(|part| part.duplicate),
        late: count(|part| part.late),
        retries: count(|part| part.retries),
        generator_late: count(|part| part.generator_late),
        generator_cpu_us: count(|part| part.generator_cpu_us),
        hostile: count(|part| part.hostile),
        sends: of_sort(|part| part.sends),
        grabs: of_sort(|part| part.grabs),
        histories: of_sort(|part| part.histories),
        refusals,
        backed_off: BackedOff {
            times: count(|part| part.backed_off.times),
            seconds: parts.iter().map(|part| part.backed_off.seconds).sum(),
        },
        latency_us: Latency::of(&latencies),
        latency_histogram: Packed::of(&latencies),
        money_latency_us: Latency::of(&money_latencies),
        money_latency_histogram: Packed::of(&money_latencies),
        per_second: seconds(parts),
        latency_per_second: latency_seconds(parts)?,
    })
}

fn both(sum: Requests, part: Requests) -> Requests {
    Requests {
        due: sum.due + part.due,
        answered: sum.answered + part.answered,
        refused: sum.refused + part.refused,
        lost: sum.lost + part.lost,
        retries: sum.retries + part.retries,
    }
}

fn seconds(parts: &[&Phase]) -> Vec<Second> {
    let mut rows = BTreeMap::<u64, Second>::new();
    for part in parts.iter().flat_map(|part| &part.per_second) {
        let row = rows.entry(part.second).or_insert(Second { second: part.second, ..Second::default() });
        row.due += part.due;
        row.sent += part.sent;
        row.answered += part.answered;
        row.refused += part.refused;
        row.lost += part.lost;
        row.retries += part.retries;
        row.prizes += part.prizes;
        row.packets_sent += part.packets_sent;
        row.shares_taken += part.shares_taken;
        row.active += part.active;
    }
    rows.into_values().collect()
}

/// Latencies by the second, over rows that may share seconds.
///
/// # Errors
/// A histogram is damaged.
pub fn latency_seconds(parts: &[&Phase]) -> Result<Vec<LatencySecond>> {
    let mut rows = BTreeMap::<u64, Vec<&LatencySecond>>::new();
    for part in parts.iter().flat_map(|part| &part.latency_per_second) {
        rows.entry(part.second).or_default().push(part);
    }
    let row = |(second, parts): (u64, Vec<&LatencySecond>)| {
        let [one] = parts.as_slice() else {
            let sum = histogram::sum(parts.iter().map(|part| &part.histogram))?;
            let (answers, latency_us) = (sum.len(), Latency::of(&sum));
            return Ok(LatencySecond { second, answers, latency_us, histogram: Packed::of(&sum) });
        };
        Ok((*one).clone())
    };
    rows.into_iter().map(row).collect()
}
