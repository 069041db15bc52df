//! The counters as JSON: totals since the server's start, rates over the last interval, and both by CPU.

use std::time::SystemTime;

use rp_core::gate_counters::{ANSWERS, Counts, Place, Row};
use rp_core::kind::Kind;
use rp_core::reason::Reason;
use serde_json::{Map, Value, json};

use super::Interval;

/// One object: `places`, `kinds`, `reasons`, `answers` and `ups` (kinds that went up to a worker) are totals. `rates` is null when only totals were asked for.
pub fn object(interval: &Interval) -> Value {
    let total = interval.later.total();
    let since = total.since(&interval.earlier.total());
    let seconds = interval.length.map(|length| length.as_secs_f64());
    let unix_s = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let mut object = block(&total, &count);
    object["unix_s"] = json!(unix_s);
    object["interval_s"] = json!(seconds);
    object["rates"] = json!(seconds.map(|seconds| block(&since, &|row| rate(row, seconds))));
    object["workers"] = json!(workers(interval));
    object["cpus"] = json!(
        interval
            .later
            .cpus
            .iter()
            .enumerate()
            .map(|(cpu, counts)| {
                let earlier = interval.earlier.cpus.get(cpu).copied().unwrap_or_default();
                let rates = seconds.map(|seconds| block(&counts.since(&earlier), &|row| rate(row, seconds)));
                json!({"cpu": cpu, "totals": block(counts, &count), "rates": rates})
            })
            .collect::<Vec<_>>()
    );
    object
}

fn workers(interval: &Interval) -> Vec<Value> {
    let rows = &interval.later.workers;
    let used = rows.iter().rposition(|row| row.datagrams > 0).map_or(0, |last| last + 1);
    rows[..used].iter().enumerate().map(|(worker, row)| json!({"worker": worker, "selected": count(*row)})).collect()
}

/// `places`, `kinds`, `reasons`, `answers` and `ups` of a block, each row as `show` has it.
pub fn block(counts: &Counts, show: &dyn Fn(Row) -> Value) -> Value {
    let mut places = Map::new();
    for &place in Place::ALL {
        places.insert(place.name().to_string(), show(counts.place(place)));
    }
    let (mut kinds, mut ups, mut answers) = (Map::new(), Map::new(), Map::new());
    for &kind in Kind::ALL.iter().filter(|kind| kind.is_request()) {
        kinds.insert(kind.name().to_string(), show(counts.kind(kind)));
        ups.insert(kind.name().to_string(), show(counts.up(kind)));
    }
    for kind in ANSWERS {
        answers.insert(kind.name().to_string(), show(counts.answer(kind)));
    }
    let mut reasons = Map::new();
    for &reason in Reason::ALL {
        reasons.insert(reason.name().to_string(), show(counts.reason(reason)));
    }
    json!({"places": places, "kinds": kinds, "reasons": reasons, "answers": answers, "ups": ups})
}

/// A row as it is.
pub fn count(row: Row) -> Value {
    json!({"datagrams": row.datagrams, "bytes": row.bytes})
}

/// What a row counted in so many seconds, per second.
pub fn rate(row: Row, seconds: f64) -> Value {
    // Whole datagrams: a tenth of one says nothing.
    let per_second = |amount: u64| (amount as f64 / seconds).round() as u64;
    json!({"datagrams": per_second(row.datagrams), "bytes": per_second(row.bytes)})
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rp_core::gate_counters::RowIndex;

    use super::*;
    use crate::gate::counters::Reading;

    #[test]
    fn rates_are_what_came_in_the_interval_and_totals_all() {
        let shake = RowIndex::of_kind(Kind::Shake);
        let mut earlier = Counts::default();
        earlier.count(shake, 60);
        let mut later = earlier;
        (0..10).for_each(|_| later.count(shake, 60));
        let reading = |counts| Reading { cpus: vec![Counts::default(), counts], workers: vec![Row::default(); 2] };
        let length = Some(Duration::from_secs(2));
        let object = object(&Interval { earlier: reading(earlier), later: reading(later), length });
        assert_eq!(object["kinds"]["shake"], json!({"datagrams": 11, "bytes": 660}));
        assert_eq!(object["rates"]["kinds"]["shake"], json!({"datagrams": 5, "bytes": 300}));
        assert_eq!(object["cpus"][0]["totals"]["kinds"]["shake"]["datagrams"], 0);
        assert_eq!(object["cpus"][1]["totals"]["kinds"]["shake"]["datagrams"], 11);
        assert_eq!(object["workers"], json!([]));
    }
}
