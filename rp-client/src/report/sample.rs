//! Reports for tests of what is made of reports.

use hdrhistogram::Histogram;

use super::*;
use crate::audit::Equation;
use crate::record::latencies;
use crate::report::server::{ServerSecond, Snapshot};

/// Second at which the shakes begin.
pub const START_S: u64 = 1_800_000_000;

fn histogram(values: impl IntoIterator<Item = u64>) -> Histogram<u64> {
    let mut histogram = latencies();
    values.into_iter().for_each(|value| histogram.saturating_record(value));
    histogram
}

fn phase(name: &str, seconds: u32, timed: bool) -> Phase {
    let none = latencies();
    Phase {
        name: name.to_string(),
        start_s: START_S,
        seconds,
        timed,
        rate: 0,
        due: 0,
        sent: 0,
        answered: 0,
        refused: 0,
        lost: 0,
        duplicate: 0,
        late: 0,
        retries: 0,
        generator_late: 0,
        generator_cpu_us: 0,
        hostile: 0,
        sends: Requests::default(),
        grabs: Requests::default(),
        histories: Requests::default(),
        refusals: Counts::new(),
        backed_off: BackedOff { times: 0, seconds: 0.0 },
        latency_us: Latency::of(&none),
        latency_histogram: Packed::of(&none),
        money_latency_us: Latency::of(&none),
        money_latency_histogram: Packed::of(&none),
        per_second: Vec::new(),
        latency_per_second: Vec::new(),
    }
}

/// A phase of `seconds` in which `rate` shakes a second were answered, the n-th after `first_us + n` microseconds.
fn shaken(name: &str, start_s: u64, rate: u64, seconds: u32, first_us: u64) -> Phase {
    let all = rate * u64::from(seconds);
    let latencies = histogram((0..all).map(|n| first_us + n));
    let rows = 0..u64::from(seconds);
    Phase {
        rate: rate as u32,
        due: all,
        sent: all,
        answered: all,
        sends: Requests { due: 10, answered: 9, refused: 1, lost: 0, retries: 2 },
        refusals: Counts::from([("empty".to_string(), 1)]),
        latency_us: Latency::of(&latencies),
        latency_histogram: Packed::of(&latencies),
        per_second: rows
            .clone()
            .map(|n| Second {
                second: start_s + n,
                due: rate,
                sent: rate,
                answered: rate,
                prizes: 2,
                packets_sent: 3,
                shares_taken: 4,
                active: 1,
                ..Second::default()
            })
            .collect(),
        latency_per_second: rows
            .map(|n| {
                let part = histogram((n * rate..(n + 1) * rate).map(|n| first_us + n));
                let (second, latency_us) = (start_s + n, Latency::of(&part));
                LatencySecond { second, answers: part.len(), latency_us, histogram: Packed::of(&part) }
            })
            .collect(),
        start_s,
        ..phase(name, seconds, true)
    }
}

/// A report of users `first` and 99 more, who waited `first_us` at least.
pub fn report(first: u64, first_us: u64) -> Report {
    let users = [first, first + 99];
    let equation = |what: &str, count, of_all| Equation {
        what: what.to_string(),
        ours: count,
        beside: "the server".to_string(),
        theirs: count,
        of_all,
    };
    let row = |second| ServerSecond {
        second,
        span_us: 1_000_000,
        machines: 1,
        received: 1100,
        sent: 1050,
        shakes: 1000,
        answered: 1000,
        prizes: 2,
        packets_made: 3,
        shares_taken: 4,
        sessions: 100,
        ..ServerSecond::default()
    };
    let snapshot = |second| Snapshot {
        unix_s: second + 1,
        asked_per_s: 2200.0,
        prizes_released_per_s: 5.0,
        gate_per_s: BTreeMap::from([("seen".to_string(), 2200.0), ("answered".to_string(), 2000.0)]),
        dropped_per_s: BTreeMap::from([("bad_tag".to_string(), 5.0)]),
        ..Snapshot::default()
    };
    let seconds = START_S..START_S + 5;
    let mut login = phase("connect", 1, false);
    login.start_s = START_S - 5;
    Report {
        schema: SCHEMA,
        program: Program { name: "rp-client".to_string(), version: "0.1.0".to_string() },
        started_us: (START_S - 6) * 1_000_000 + first,
        ended_us: (START_S + 6) * 1_000_000 + first,
        users,
        total: 200,
        play: Play {
            server: "10.0.0.1:2015".to_string(),
            scenario: "built in".to_string(),
            scenario_text: "[[phase]]".to_string(),
            time_scale: 1.0,
            pace: "even".to_string(),
            transport: "sockets".to_string(),
            bare: None,
        },
        machines: vec![Machine {
            host: format!("host-{first}"),
            users,
            stolen_ms: 10,
            command: vec!["rp-client".to_string(), "run".to_string()],
            ok: true,
            ..Machine::default()
        }],
        sessions: 100,
        sealing: Some(true),
        interrupted: false,
        login: Login {
            first_us: START_S * 1_000_000 - 2_000_000 - first,
            last_us: START_S * 1_000_000 - 1_000_000,
            seconds: 1.0,
            refused: 0,
            retries: 1,
            again: 0,
            failed: 0,
        },
        phases: vec![
            login,
            shaken("30 000 QPS", START_S, 1000, 3, first_us),
            shaken("60 000 QPS", START_S + 3, 500, 2, first_us),
        ],
        datagrams: Datagrams { sent: Counts::from([("shake".to_string(), 4000)]), unsent: 1, ..Datagrams::default() },
        money: Money {
            prizes: Sum { count: 10, fen: 1000 },
            sent: Sum { count: 15, fen: 4500 },
            taken: Sum { count: 20, fen: 2000 },
            refunded: Sum::default(),
        },
        reconciled: Reconciled {
            ok: true,
            checked: true,
            equations: vec![equation("we sent shake", 4000, false), equation("fen that the server issued", 9, true)],
            ..Reconciled::default()
        },
        clock_offset_us: Some(-(first as i64)),
        generator_late: GeneratorLate::default(),
        stolen_ms: 10,
        server: ServerSide {
            per_second: seconds.clone().map(row).collect(),
            snapshots: seconds.map(snapshot).collect(),
        },
        expected: String::new(),
        remarks: Vec::new(),
        failures: Vec::new(),
        ok: true,
    }
}
