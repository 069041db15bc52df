//! The page of a report: one HTML file that needs no other, with nothing in it that runs.
//!
//! It opens from a disk years later, by day and by night, on a phone and on paper. What is drawn is there as figures, too.

mod canvas;
mod chart;
mod curves;
mod heat;
mod original;
mod tables;
mod words;

use std::fmt::Write;

use anyhow::Result;

use super::Report;
use crate::summary;
use curves::Curves;
use words::{count, escaped, figure, moment, time};

const STYLE: &str = include_str!("html/style.css");

/// The page.
///
/// # Errors
/// A histogram is damaged, or a chart cannot be drawn.
pub fn page(report: &Report) -> Result<String> {
    let curves = Curves::of(report);
    let title = format!("Red packet: {}", report.play.scenario);
    let mut text = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>{}</title>\n<style>{STYLE}</style></head>\n<body>",
        escaped(&title)
    );
    text += &head(report);
    text += "<main>";
    text += &worries(report);
    section(&mut text, "original", "Beside the original", &original::table(report));
    section(&mut text, "rates", "Requests", &(phase_key(report, &curves) + &curves.rates()? + &tables::phases(report)));
    section(&mut text, "latencies", "Latency", &(tables::percentiles(report) + &curves.latencies()?));
    section(&mut text, "money", "Prizes and packets", &curves.money()?);
    section(&mut text, "datagrams", "Sessions and datagrams", &(curves.datagrams()? + &no_snapshots(report)));
    section(&mut text, "books", "Books", &books(report));
    section(&mut text, "how", "How it was run", &how(report));
    let _ = writeln!(
        text,
        "</main><footer>rp-client {}, report schema {}</footer></body></html>",
        escaped(&report.program.version),
        report.schema
    );
    Ok(text)
}

fn section(text: &mut String, id: &str, title: &str, body: &str) {
    let _ = writeln!(text, "<section id=\"{id}\"><h2>{title}</h2>{body}</section>");
}

fn head(report: &Report) -> String {
    let verdict = match (report.ok, report.interrupted) {
        (false, _) => "<strong class=\"badge bad\">\u{2717} failed</strong>",
        (true, true) => "<strong class=\"badge warn\">! ended early, all well</strong>",
        (true, false) => "<strong class=\"badge good\">\u{2713} all well</strong>",
    };
    let machines = match report.machines.as_slice() {
        [one] => format!("from {}", one.host),
        all => format!("from {} client machines", all.len()),
    };
    let mut text = format!(
        "<header><h1>Red packet: a run against {}</h1><p>{verdict} {} \u{b7} {} \u{b7} scenario {}</p><ul class=\"tiles\">",
        escaped(&report.play.server),
        moment(report.started_us),
        escaped(&machines),
        escaped(&report.play.scenario)
    );
    let measured = report.measured();
    let all = |of: fn(&super::Phase) -> u64| report.phases.iter().map(of).sum::<u64>();
    let books = match report.reconciled.checked {
        true => format!("{} / {}", report.reconciled.differences.len(), report.reconciled.equations.len()),
        false => "not compared".to_string(),
    };
    for (name, value) in [
        ("sessions", count(report.sessions)),
        ("log-in of all", format!("{} s", figure(report.login.seconds))),
        ("shakes answered", count(all(|phase| phase.answered))),
        ("lost or refused", count(all(|phase| phase.lost + phase.refused))),
        ("worst p50", time(measured.p50)),
        ("worst p99.9", time(measured.p999)),
        ("prizes won", count(report.money.prizes.count)),
        ("differences / equations", books),
    ] {
        let _ = write!(text, "<li><b>{value}</b> <span>{name}</span>");
    }
    text + "</ul></header>\n"
}

/// What failed, what to beware of, and what else is to be known.
fn worries(report: &Report) -> String {
    let mut text = String::new();
    for (class, title, sentences) in [
        ("bad", "Failed", report.failures.iter().chain(&report.reconciled.differences).cloned().collect::<Vec<_>>()),
        ("warn", "Beware", summary::warnings(report)),
        ("note", "To know", report.remarks.clone()),
    ] {
        if !sentences.is_empty() {
            let rows: String = sentences.iter().map(|sentence| format!("<li>{}", escaped(sentence))).collect();
            let _ = writeln!(text, "<div class=\"card {class}\" role=\"note\"><h2>{title}</h2><ul>{rows}</ul></div>");
        }
    }
    text
}

/// What the upright lines of all charts are.
fn phase_key(report: &Report, curves: &Curves<'_>) -> String {
    let timed = report.phases.iter().filter(|phase| phase.timed);
    let words: Vec<String> = timed
        .map(|phase| {
            let from = phase.start_s.saturating_sub(curves.start_s);
            format!("<b>{}</b> from {from} s to {} s", escaped(&phase.name), from + u64::from(phase.seconds))
        })
        .collect();
    if words.is_empty() {
        return String::new();
    }
    format!(
        "<p>All charts share their time, in seconds since {}. Upright lines: {}.</p>",
        moment(curves.start_s * 1_000_000),
        words.join("; ")
    )
}

fn no_snapshots(report: &Report) -> String {
    if report.server.snapshots.is_empty() {
        "<p class=\"note\">What the kernel's gate counted, and its reasons, only the server knows: \
         <code>rp-client run --server-http ADDR:PORT</code> takes it along.</p>"
            .to_string()
    } else {
        String::new()
    }
}

fn books(report: &Report) -> String {
    let books = &report.reconciled;
    let words = match (books.checked, books.ok) {
        (true, true) => "The clients' books agree with the server's, to the datagram and to the fen.",
        (true, false) => "The books do not agree.",
        (false, _) if books.restarted => {
            "Not compared: the server was started anew meanwhile and counts from zero. Its ledger does not: \
             rp-server audit --acknowledged FILE holds it to what users were told."
        }
        (false, _) => "Not compared with the server's.",
    };
    let mut text = format!("<p>{words}</p>");
    let money = &report.money;
    text += "<div class=\"scroll\" tabindex=\"0\"><table><thead><tr><th scope=\"col\">users were told of<th scope=\"col\">count\
             <th scope=\"col\">fen<tbody>";
    for (name, sum) in [
        ("prizes won", money.prizes),
        ("packets made", money.sent),
        ("shares taken", money.taken),
        ("packets that came back", money.refunded),
    ] {
        let _ = write!(text, "<tr><th scope=\"row\">{name}<td>{}<td>{}", count(sum.count), count(sum.fen));
    }
    text += "</table></div>";
    if !books.equations.is_empty() {
        let open = if books.ok { "" } else { " open" };
        let _ = write!(
            text,
            "<details{open}><summary>All {} equations</summary>{}</details>",
            books.equations.len(),
            tables::books(report)
        );
    }
    text
}

fn how(report: &Report) -> String {
    let play = &report.play;
    let mut text = tables::machines(report);
    text += "<dl>";
    let mut say = |name: &str, words: String| {
        let _ = write!(text, "<dt>{name}<dd>{}", escaped(&words));
    };
    say("server", play.server.clone());
    say("users", format!("{} to {} of {}", count(report.users[0]), count(report.users[1]), count(report.total)));
    say("pace, transport", format!("{}, {}", play.pace, play.transport));
    say("began, ended", format!("{}, {}", moment(report.started_us), moment(report.ended_us)));
    say(
        "sealing",
        match report.sealing {
            Some(true) => "on: what bears money was encrypted".to_string(),
            Some(false) => "OFF: money and user ids travelled readable".to_string(),
            None => "the server did not say".to_string(),
        },
    );
    if !report.expected.is_empty() {
        say("expected", report.expected.clone());
    }
    text += "</dl><h3>As it was given</h3>";
    for machine in &report.machines {
        let _ = write!(text, "<pre tabindex=\"0\">{}</pre>", escaped(&machine.command_line()));
    }
    text += "<h3>The same again</h3>";
    for machine in &report.machines {
        let _ = write!(text, "<pre tabindex=\"0\">{}</pre>", escaped(&machine.again()));
    }
    if report.machines.len() > 1 {
        text += "<p>All at once, with one <code>--start-at</code> a little ahead; then <code>rp-client report merge</code>.</p>";
    }
    let _ = write!(
        text,
        "<details><summary>The scenario, {}</summary><pre tabindex=\"0\">{}</pre></details>",
        escaped(&play.scenario),
        escaped(&play.scenario_text)
    );
    text
}

#[cfg(test)]
mod tests {
    use super::super::sample::report;
    use super::*;

    #[test]
    fn every_curve_has_its_figures_and_nothing_comes_from_outside() {
        let page = page(&report(1, 100)).expect("it is drawn");
        for id in [
            "client-qps",
            "server-qps",
            "both-qps",
            "prizes",
            "packets",
            "heat",
            "latency",
            "sessions",
            "pps",
            "gate",
            "reasons",
        ] {
            let figure = page.split_once(&format!("<figure id=\"{id}\"")).expect(id).1;
            let figure = figure.split_once("</figure>").expect("it ends").0;
            assert_eq!(figure.matches("<svg").count(), 2, "{id} is drawn wide and narrow");
            assert_eq!(figure.matches("<desc").count(), 2, "{id} is told to who does not see it");
            assert!(figure.contains("<polyline") || figure.contains("class=\"h8\""), "{id} shows something");
            assert!(figure.matches("<tr>").count() >= 2, "{id} has its figures as a table");
        }
        for (id, cells) in [
            ("client-qps", "<th scope=\"row\">6<td>1\u{202f}000<td>1\u{202f}000"),
            ("server-qps", "<th scope=\"row\">6<td>1\u{202f}000<td>1\u{202f}000"),
            ("prizes", "<th scope=\"row\">6<td>5<td>2<td>2"),
            ("packets", "<th scope=\"row\">6<td>3<td>4<td>3<td>4"),
            ("gate", "<th scope=\"row\">6<td>2\u{202f}200<td>2\u{202f}000"),
            ("reasons", "<th scope=\"row\">6<td>5"),
        ] {
            let figure = page.split_once(&format!("<figure id=\"{id}\"")).expect(id).1;
            assert!(figure.split_once("</figure>").expect("it ends").0.contains(cells), "{id}: {cells}");
        }
        for foreign in ["http", "<script", "src=", "href=", "url(", "@import", "<link", "<iframe"] {
            assert!(!page.replace("--server-http", "").contains(foreign), "{foreign}");
        }
        // What was drawn by a stand-in for a colour has its name.
        assert!(!page.contains("\"#01"), "a colour has no name");
    }

    #[test]
    fn what_has_no_colour_is_in_the_table_and_what_was_not_seen_is_zero() {
        let mut report = report(1, 100);
        for (second, snapshot) in report.server.snapshots.iter_mut().enumerate() {
            snapshot.dropped_per_s = (1..=8).map(|n| (format!("reason_{n}"), f64::from(n))).collect();
            if second == 0 {
                snapshot.gate_per_s.remove("answered");
            }
        }
        let page = page(&report).expect("it is drawn");
        let figure = |id: &str| {
            let figure = page.split_once(&format!("<figure id=\"{id}\"")).expect(id).1;
            figure.split_once("</figure>").expect("it ends").0
        };
        let reasons = figure("reasons");
        assert!(reasons.contains("<td>8<td>7<td>6<td>5<td>4<td>3<td>2<td>1"), "{reasons}");
        assert!(reasons.contains("2 more in the table"), "{reasons}");
        assert!(figure("gate").contains("<th scope=\"row\">6<td>2\u{202f}200<td>0"), "{}", figure("gate"));
    }

    #[test]
    fn words_of_others_are_no_markup() {
        let mut report = report(1, 100);
        report.fail("<script>alert(1)</script>".to_string());
        report.play.scenario = "</title><b>".to_string();
        report.phases[1].name = "<img onerror=x>".to_string();
        report.machines[0].command.push("<svg/onload=x>".to_string());
        let page = page(&report).expect("it is drawn");
        for markup in ["<script", "</title><b>", "<img", "<svg/"] {
            assert!(!page.contains(markup), "{markup}");
        }
        assert!(page.contains("&lt;script&gt;") && page.contains("failed"));
    }

    #[test]
    fn a_report_of_next_to_nothing_has_a_page() {
        let mut report = report(1, 100);
        report.phases.truncate(1);
        report.server = super::super::ServerSide::default();
        (report.reconciled.checked, report.clock_offset_us) = (false, None);
        let page = page(&report).expect("it is drawn");
        assert!(page.contains("not compared") && page.contains("--server-http"));
    }
}
