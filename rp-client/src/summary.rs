//! The report for people: a block at the start, a block at the end.

use std::fmt::Write;

use crate::cli::{Flags, clock_face};
use crate::report::{Latency, Phase, Report};

/// Clocks that differ by more than this, in microseconds, are warned of.
const OFFSET_WARN_US: i64 = 10_000;
/// The generator was the bottleneck when it fired a larger share of shakes late.
const LATE_SHARE_WARN: f64 = 0.01;
const LACK_MONEY: &str = "users lack money to send: give them some by `rp-server mint --users A..=B --fen N`";

/// What was asked and what was resolved.
pub fn opening(flags: &Flags, total: u64, network: &str) -> String {
    let users = &flags.users;
    let mut text = format!("rp-client: users {}..={} of {total}, server {}", users.start(), users.end(), flags.server);
    let _ = write!(text, ", {} sockets", flags.sockets);
    if !flags.source.is_empty() {
        let _ = write!(text, " from {:?}", flags.source);
    }
    let _ = write!(text, " {network}");
    if let Some(start_s) = flags.start_at {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |now| now.as_secs());
        let wait_s = start_s.saturating_sub(now);
        let _ = write!(text, "\nfirst timed phase at {}, in {wait_s} s, on all machines", clock_face(start_s));
    }
    text
}

/// What came of it.
pub fn closing(report: &Report) -> String {
    let mut text = String::new();
    let login = &report.login;
    if report.interrupted {
        text.push_str(
            "\nENDED BEFORE ITS TIME: what was under way was waited for, the rest of the scenario was not played",
        );
    }
    let _ = writeln!(
        text,
        "\nsessions {} in {:.2} s ({} again, {} refused, {} failed)",
        report.sessions, login.seconds, login.retries, login.refused, login.failed
    );
    match report.sealing {
        Some(true) => text.push_str("sealing        on: what bears money was encrypted\n"),
        Some(false) => text.push_str("sealing        OFF at this server: money and user ids travelled readable\n"),
        None => {}
    }
    let has_news =
        |phase: &&Phase| phase.due > 0 || phase.sends.due > 0 || phase.grabs.due > 0 || phase.backed_off.times > 0;
    for phase in report.phases.iter().filter(has_news) {
        text.push_str(&line(phase));
    }
    let money = &report.money;
    for (name, sum) in [("prizes", money.prizes), ("packets made", money.sent), ("shares taken", money.taken)] {
        let _ = writeln!(text, "{name:<14} {:>8}  worth {:>12} fen", sum.count, sum.fen);
    }
    let (sent, received): (u64, u64) = (report.datagrams.sent.values().sum(), report.datagrams.received.values().sum());
    let discarded: u64 = report.datagrams.discarded.values().sum();
    let _ = writeln!(
        text,
        "datagrams      {sent} sent, {received} received, {discarded} thrown away, {} damaged, {} lost in our own sockets, {} not sent",
        report.datagrams.damaged, report.datagrams.overflow, report.datagrams.unsent
    );
    conditions(&mut text, report);
    let books = match (report.reconciled.checked, report.reconciled.ok) {
        (false, true) if report.reconciled.restarted => {
            "not compared: the server was started anew meanwhile, and counts from zero. Its ledger does not: `rp-server \
             audit --acknowledged FILE` holds it to what users were told"
                .to_string()
        }
        (false, true) => "not compared with the server's".to_string(),
        (true, true) => "agree with the server's, to the datagram and to the fen".to_string(),
        (_, false) => format!("do not agree with the server's:\n  {}", report.reconciled.differences.join("\n  ")),
    };
    let _ = writeln!(text, "books          {books}");
    for remark in &report.remarks {
        let _ = writeln!(text, "note           {remark}");
    }
    for failure in &report.failures {
        let _ = writeln!(text, "FAILED: {failure}");
    }
    text
}

fn line(phase: &Phase) -> String {
    let latency = &phase.latency_us;
    let mut text = format!(
        "{:<14} due {} sent {} answered {} refused {} lost {} again {}; p50 {} p99 {} p99.9 {} max {} us\n",
        phase.name,
        phase.due,
        phase.sent,
        phase.answered,
        phase.refused,
        phase.lost,
        phase.retries,
        latency.p50,
        latency.p99,
        latency.p999,
        latency.max
    );
    for (name, requests) in [("packets", &phase.sends), ("grabs", &phase.grabs), ("histories", &phase.histories)] {
        if requests.due > 0 {
            let _ = writeln!(
                text,
                "{:<14} {name}: due {} answered {} refused {} lost {} again {}",
                "", requests.due, requests.answered, requests.refused, requests.lost, requests.retries
            );
        }
    }
    if phase.sends.answered + phase.grabs.answered > 0 {
        let Latency { p50, p99, p999, max, .. } = phase.money_latency_us;
        let _ = writeln!(text, "{:<14} packets and grabs: p50 {p50} p99 {p99} p99.9 {p999} max {max} us", "");
    }
    if !phase.refusals.is_empty() {
        let _ = writeln!(text, "{:<14} refusals: {:?}", "", phase.refusals);
    }
    let backed_off = &phase.backed_off;
    if backed_off.times > 0 {
        let (times, seconds) = (backed_off.times, backed_off.seconds);
        let _ = writeln!(text, "{:<14} told to wait, and waited, {times} times, {seconds:.1} s in all", "");
    }
    text
}

fn conditions(text: &mut String, report: &Report) {
    if let Some(offset_us) = report.clock_offset_us {
        let warn = if is_off(offset_us) { " (WARNING: above 10 ms; use NTP)" } else { "" };
        let _ = writeln!(text, "clock          the server's is {:+.3} ms off ours{warn}", offset_us as f64 / 1e3);
    }
    let late = &report.generator_late;
    let warn = if late.share > LATE_SHARE_WARN { " (WARNING: this client was the bottleneck)" } else { "" };
    let share = 100.0 * late.share;
    let _ = writeln!(text, "generator      {share:.3} % of shakes fired late, {:.1} ms at most{warn}", late.ms_max);
    if report.stolen_ms > 0 {
        let _ = writeln!(text, "stolen         {} ms of CPU time went to other machines", report.stolen_ms);
    }
    if lack_money(report) {
        let _ = writeln!(text, "{LACK_MONEY}");
    }
}

fn is_off(offset_us: i64) -> bool {
    offset_us.abs() > OFFSET_WARN_US
}

fn lack_money(report: &Report) -> bool {
    report.phases.iter().any(|phase| phase.refusals.contains_key("insufficient"))
}

/// What makes a report's figures worth less than they seem, a sentence each.
pub fn warnings(report: &Report) -> Vec<String> {
    let mut found = Vec::new();
    let late = &report.generator_late;
    if report.interrupted {
        found.push("the run was ended before its scenario was over".to_string());
    }
    if late.share > LATE_SHARE_WARN {
        let (share, ms) = (100.0 * late.share, late.ms_max);
        found.push(format!(
            "the load was short of what was asked: {share:.2} % of shakes were fired late, {ms:.1} ms at most; the client was the bottleneck"
        ));
    }
    if let Some(us) = report.clock_offset_us.filter(|us| is_off(*us)) {
        found.push(format!("the server's clock is {:+.3} ms off the client's: use NTP", us as f64 / 1e3));
    }
    if report.stolen_ms > 0 {
        found.push(format!("the hypervisor gave {} ms of the clients' CPU time to others", report.stolen_ms));
    }
    if report.sealing == Some(false) {
        found.push("this server does not seal: money and user ids travelled readable".to_string());
    }
    if lack_money(report) {
        found.push(LACK_MONEY.to_string());
    }
    found
}
