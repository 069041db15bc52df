//! The page's tables: phases with all their ends, the books equation by equation, the client machines.

use std::fmt::Write;

use super::words::{count, escaped, figure, time};
use crate::report::{Latency, Phase, Report};

/// A table in a frame that scrolls.
fn framed(heads: &[&str], rows: impl Iterator<Item = String>) -> String {
    let mut text = "<div class=\"scroll\" tabindex=\"0\"><table><thead><tr>".to_string();
    for head in heads {
        let _ = write!(text, "<th scope=\"col\">{head}");
    }
    text += "<tbody>";
    rows.for_each(|row| text += &row);
    text + "</table></div>"
}

fn cells(name: &str, values: impl IntoIterator<Item = String>) -> String {
    let values: String = values.into_iter().map(|value| format!("<td>{value}")).collect();
    format!("<tr><th scope=\"row\">{}{values}", escaped(name))
}

/// Every phase with what was due in it, and how it ended.
pub fn phases(report: &Report) -> String {
    let row = |(name, r): (String, [u64; 6])| cells(&name, r.map(count));
    let rows = report.phases.iter().flat_map(|p| {
        let shakes = (format!("{}: shakes", p.name), [p.due, p.sent, p.answered, p.refused, p.lost, p.retries]);
        let of = [("packets", &p.sends), ("grabs", &p.grabs), ("histories", &p.histories)];
        let others = of.map(|(what, r)| {
            (
                format!("{}: {what}", p.name),
                [r.due, r.due - r.lost.min(r.due), r.answered, r.refused, r.lost, r.retries],
            )
        });
        std::iter::once(shakes).chain(others).filter(|(_, r)| r[0] > 0).map(row).collect::<Vec<_>>()
    });
    framed(&["", "due", "sent", "answered", "refused", "lost", "sent again"], rows)
}

/// The percentiles of every phase.
pub fn percentiles(report: &Report) -> String {
    let row = |name: String, answers: u64, l: &Latency| {
        let times = [l.p50, l.p90, l.p99, l.p999, l.max].map(|us| time(us as f64));
        cells(&name, std::iter::once(count(answers)).chain(times))
    };
    let of = |phase: &Phase| {
        let money = phase.sends.answered + phase.grabs.answered;
        let mut rows = String::new();
        if phase.answered > 0 {
            rows += &row(format!("{}: shakes", phase.name), phase.answered, &phase.latency_us);
        }
        if money > 0 {
            rows += &row(format!("{}: packets and grabs", phase.name), money, &phase.money_latency_us);
        }
        rows
    };
    framed(&["", "answers", "p50", "p90", "p99", "p99.9", "max"], report.phases.iter().map(of))
}

/// Every equation, and whether it holds.
pub fn books(report: &Report) -> String {
    let row = |e: &crate::audit::Equation| {
        let verdict =
            if e.holds() { "<b class=\"good\">\u{2713} holds</b>" } else { "<b class=\"bad\">\u{2717} differs</b>" };
        cells(&e.what, [count(e.ours), escaped(&e.beside), count(e.theirs), verdict.to_string()])
    };
    framed(&["", "count", "beside", "count", ""], report.reconciled.equations.iter().map(row))
}

/// Whose report it is.
pub fn machines(report: &Report) -> String {
    let rows = report.machines.iter().map(|m| {
        let offset = m.clock_offset_us.map_or_else(String::new, |us| format!("{:+.3} ms", us as f64 / 1e3));
        cells(
            &m.host,
            [
                format!("{} to {}", count(m.users[0]), count(m.users[1])),
                format!("{} \u{d7} {}", m.cpus, escaped(&m.processor)),
                escaped(&m.kernel),
                m.sockets.to_string(),
                count(m.answered),
                offset,
                format!("{} ms", figure(m.generator_late.ms_max)),
                format!("{} ms", count(m.stolen_ms)),
                m.seed.to_string(),
            ],
        )
    });
    let heads = [
        "machine",
        "users",
        "CPUs",
        "kernel",
        "sockets",
        "answers",
        "server's clock",
        "latest shake",
        "stolen",
        "seed",
    ];
    framed(&heads, rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn every_row_has_a_cell_below_each_head() {
        let mut report = sample::report(1, 100);
        (report.machines[0].sockets, report.machines[0].seed) = (7, 18_446_744_073_709_551_615);
        for table in [phases, percentiles, books, machines].map(|table| table(&report)) {
            let (heads, rows) = table.split_once("<tbody>").expect("a table has a body");
            let heads = heads.matches("<th scope=\"col\">").count();
            let cells = rows.split("<tr>").skip(1).map(|row| 1 + row.matches("<td>").count());
            assert_eq!(cells.filter(|cells| *cells != heads).count(), 0, "{table}");
        }
        let machines = machines(&report);
        assert!(machines.contains("<td>7<td>") && machines.contains("<td>18446744073709551615"), "{machines}");
    }
}
