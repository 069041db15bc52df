//! The comparison table: what the original published, beside what this run measured.
//!
//! The original's figures are its article's. What only the server's machine can know (its CPU, the spread inside a second)
//! a client's report does not claim to know; `cargo xtask demo` measures it.

use super::words::{count, escaped, figure, time};
use crate::report::{Phase, Report};

/// What the article published of a phase.
struct Published {
    rate: u32,
    lowest: &'static str,
    highest: &'static str,
    packets_in: &'static str,
    machines: &'static str,
}

const PUBLISHED: [Published; 2] = [
    Published { rate: 30_000, lowest: "1 700", highest: "71 000", packets_in: "65 600", machines: "7 of 17" },
    Published { rate: 60_000, lowest: "49 500", highest: "67 000", packets_in: "119 000", machines: "\u{2013}" },
];

/// Without the other two it is a heading.
struct Row {
    name: String,
    original: String,
    here: String,
}

/// The table, as HTML.
pub fn table(report: &Report) -> String {
    let mut text = "<div class=\"scroll\" tabindex=\"0\"><table class=\"compare\"><thead><tr><th scope=\"col\">\
                    <th scope=\"col\">original<th scope=\"col\">this run<tbody>"
        .to_string();
    for row in rows(report) {
        let name = escaped(&row.name);
        if row.original.is_empty() {
            text += &format!("<tr class=\"group\"><th scope=\"rowgroup\" colspan=\"3\">{name}");
            continue;
        }
        text += &format!("<tr><th scope=\"row\">{name}<td>{}<td>{}", grouped(&row.original), escaped(&row.here));
    }
    text + "</table></div>"
}

/// Thousands do not part at a line's end.
fn grouped(text: &str) -> String {
    let is_number = text.chars().all(|c| c.is_ascii_digit() || c == ' ');
    if is_number { text.replace(' ', "\u{202f}") } else { escaped(text) }
}

fn rows(report: &Report) -> Vec<Row> {
    let row =
        |name: &str, original: &str, here: String| Row { name: name.to_string(), original: original.to_string(), here };
    let mut rows = vec![
        row("sessions", "1 000 000", count(report.sessions)),
        row("log-in of all", "540 s", format!("{} s", figure(report.login.seconds))),
    ];
    if let Some(bytes) = report.server.snapshots.iter().map(|row| row.memory_bytes).max().filter(|bytes| *bytes > 0) {
        rows.push(row(
            "server memory, at its fullest",
            "5 350 MB",
            format!("{} MB", figure((bytes as f64 / 1e6).round())),
        ));
    }
    for phase in report.phases.iter().filter(|phase| phase.timed && phase.due > 0) {
        rows.push(row(&phase.name, "", String::new()));
        rows.extend(rate_rows(report, phase));
    }
    rows.push(row("money", "", String::new()));
    let (prizes, sent) = (&report.money.prizes, &report.money.sent);
    rows.push(row("prizes won", "80 000", count(prizes.count)));
    rows.push(row("prizes won, in fen", "12 745 002", count(prizes.fen)));
    rows.push(row("packets made, in fen", "\u{2013}", count(sent.fen)));
    let books = &report.reconciled;
    let proof = match books.checked {
        true => format!("{} differences in {} equations", books.differences.len(), books.equations.len()),
        false => "not compared".to_string(),
    };
    rows.push(row("books", "the client's, with themselves", proof));
    rows
}

fn rate_rows(report: &Report, phase: &Phase) -> Vec<Row> {
    let none = "\u{2013}";
    let published = PUBLISHED.iter().find(|published| published.rate == phase.rate);
    let original = |of: fn(&Published) -> &'static str| published.map_or(none, of);
    let mut rows = Vec::new();
    let mut add = |name: &str, original: &str, here: String| {
        rows.push(Row { name: name.to_string(), original: original.to_string(), here });
    };
    let served = report.served(phase);
    let close = served.iter().filter(|(rate, due)| (rate - due).abs() * 100.0 <= *due).count();
    add(&format!("seconds of {} within 1 %", phase.seconds), none, close.to_string());
    let rates = || served.iter().map(|(rate, _)| *rate);
    if let (Some(lowest), Some(highest)) = (rates().reduce(f64::min), rates().reduce(f64::max)) {
        add("lowest second, QPS", original(|p| p.lowest), figure(lowest.round()));
        add("highest second, QPS", original(|p| p.highest), figure(highest.round()));
    }
    let active = phase.per_second.iter().map(|second| second.active).min().unwrap_or_default();
    let active = format!("{active} of {}", report.machines.len());
    add("client machines active, worst second", original(|p| p.machines), active);
    let server = report.server.whole().filter(|row| phase.has(row.second));
    let (packets, span_us) = server.fold((0, 0), |(n, us), row| (n + row.received, us + row.span_us));
    if span_us > 0 {
        let rate = packets as f64 * 1e6 / span_us as f64;
        add("packets in, 1/s", original(|p| p.packets_in), figure(rate.round()));
    }
    add("lost", none, count(phase.lost));
    let latency = &phase.latency_us;
    if phase.answered > 0 {
        add("latency p50, p99.9", none, format!("{}, {}", time(latency.p50 as f64), time(latency.p999 as f64)));
    }
    rows
}
