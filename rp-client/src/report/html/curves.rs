//! The curves of the original, drawn of this run, and those that it had not: which figures, and whose.

use std::collections::BTreeMap;

use anyhow::Result;

use super::canvas::Axis;
use super::chart::{Chart, Line};
use super::heat;
use crate::report::server::{ServerSecond, Snapshot};
use crate::report::{LatencySecond, Report, Second, merge};

/// What is drawn, and where it begins.
pub struct Curves<'a> {
    report: &'a Report,
    /// Unix second of the axis' zero.
    pub start_s: u64,
    axis: Axis,
}

impl<'a> Curves<'a> {
    /// Those of a report.
    pub fn of(report: &'a Report) -> Self {
        let start_s = report.started_us / 1_000_000;
        let ends = report.phases.iter().map(|phase| phase.start_s + u64::from(phase.seconds));
        let end_s = ends.chain([report.ended_us / 1_000_000, start_s + 1]).max().unwrap_or(start_s + 1);
        let timed = report.phases.iter().filter(|phase| phase.timed);
        let marks = timed.map(|phase| phase.start_s.saturating_sub(start_s) as f64).collect();
        Self { report, start_s, axis: Axis { span: (0.0, (end_s - start_s) as f64), marks } }
    }

    fn at(&self, second: u64) -> f64 {
        second as f64 - self.start_s as f64 + 0.5
    }

    fn client(&self, name: &str, of: fn(&Second) -> u64) -> Line {
        let timed = self.report.phases.iter().filter(|phase| phase.timed);
        let rows = timed.flat_map(|phase| &phase.per_second);
        Line { name: name.to_string(), points: rows.map(|row| (self.at(row.second), of(row) as f64)).collect() }
    }

    /// Answers by the second in which they came; by the second in which they were due where that is not known.
    fn answers(&self, name: &str) -> Line {
        let mut by_second = BTreeMap::<u64, u64>::new();
        for phase in self.report.phases.iter().filter(|phase| phase.timed) {
            let rows: Vec<(u64, u64)> = match phase.latency_per_second.is_empty() {
                true => phase.per_second.iter().map(|row| (row.second, row.answered)).collect(),
                false => phase.latency_per_second.iter().map(|row| (row.second, row.answers)).collect(),
            };
            rows.into_iter().for_each(|(second, answers)| *by_second.entry(second).or_default() += answers);
        }
        let points = by_second.into_iter().map(|(second, answers)| (self.at(second), answers as f64)).collect();
        Line { name: name.to_string(), points }
    }

    fn server(&self, name: &str, of: fn(&ServerSecond) -> u64) -> Line {
        let rows = self.report.server.whole();
        Line { name: name.to_string(), points: rows.map(|row| (self.at(row.second), row.rate(of(row)))).collect() }
    }

    fn snapshot(&self, name: &str, of: impl Fn(&Snapshot) -> Option<f64>) -> Line {
        let rows = self.report.server.snapshots.iter();
        let point = |row: &Snapshot| Some((self.at(row.unix_s.saturating_sub(1)), of(row)?));
        Line { name: name.to_string(), points: rows.filter_map(point).collect() }
    }

    /// A line for each name with a rate above zero in some second, the largest first; of seconds in which it is not named, 0.
    fn snapshots(&self, of: fn(&Snapshot) -> &Rates) -> Vec<Line> {
        let line = |name: &String| self.snapshot(name, |row| Some(of(row).get(name).copied().unwrap_or_default()));
        names(&self.report.server.snapshots, of).iter().map(line).collect()
    }

    fn has_server(&self) -> bool {
        !self.report.server.per_second.is_empty()
    }

    fn chart(
        &self,
        id: &'static str,
        title: &'static str,
        unit: &'static str,
        about: &str,
        lines: Vec<Line>,
    ) -> Result<String> {
        let chart = Chart { id, title, about: about.to_string(), unit, is_log: unit == "us", lines };
        chart.figure(&self.axis)
    }

    /// Client and server: requests a second, each alone and both over each other.
    ///
    /// # Errors
    /// They cannot be drawn; so of all below.
    pub fn rates(&self) -> Result<String> {
        let about = "Shakes that were due in each second, and answers that came in it. Where answers fall behind, the server \
                     or the client did, and latencies rise.";
        let mut lines = vec![self.client("due", |row| row.due), self.answers("answered")];
        if self.report.phases.iter().any(|phase| phase.lost + phase.refused > 0) {
            lines.push(self.client("refused or lost", |row| row.refused + row.lost));
        }
        let mut text = self.chart("client-qps", "Client QPS", "1/s", about, lines)?;
        if !self.has_server() {
            return Ok(text);
        }
        let about = "Shakes that the server received of these clients, and those that it answered, in gate or worker, by \
                     its own totals, which the clients' auditors read each second.";
        let lines = vec![self.server("received", |row| row.shakes), self.server("answered", |row| row.answered)];
        text += &self.chart("server-qps", "Server QPS", "1/s", about, lines)?;
        let about = "Answers that came to the clients, over those that left the server: two counts of the same thing, kept \
                     by two programs.";
        let lines = vec![self.answers("client: answered"), self.server("server: answered", |row| row.answered)];
        text += &self.chart("both-qps", "Client and server QPS", "1/s", about, lines)?;
        Ok(text)
    }

    /// Prizes and packets.
    pub fn money(&self) -> Result<String> {
        let released = self.snapshot("server: released", |row| Some(row.prizes_released_per_s));
        let mut about = "Prizes that the campaign let out, and prizes that users were told of.".to_string();
        let mut lines = vec![self.client("client: got", |row| row.prizes)];
        if released.points.is_empty() {
            about =
                "Prizes that users were told of, and prizes that the server booked for them. How many its campaign \
                     let out is in its snapshots (--server-http)."
                    .to_string();
        } else {
            lines.insert(0, released);
        }
        if self.has_server() {
            lines.push(self.server("server: won", |row| row.prizes));
        }
        let mut text = self.chart("prizes", "Prizes released and got", "1/s", &about, lines)?;
        let about = "Packets that users made, and shares of packets that users took, by the clients' books and by the server's.";
        let mut lines = vec![
            self.client("client: packets made", |row| row.packets_sent),
            self.client("client: shares taken", |row| row.shares_taken),
        ];
        if self.has_server() {
            lines.push(self.server("server: packets made", |row| row.packets_made));
            lines.push(self.server("server: shares taken", |row| row.shares_taken));
        }
        text += &self.chart("packets", "Packets made and taken", "1/s", about, lines)?;
        Ok(text)
    }

    /// Latencies by the second.
    pub fn latencies(&self) -> Result<String> {
        let seconds = merge::latency_seconds(&self.report.phases.iter().collect::<Vec<_>>())?;
        if seconds.is_empty() {
            return Ok(String::new());
        }
        let line = |name: &str, of: fn(&LatencySecond) -> u64| Line {
            name: name.to_string(),
            points: seconds.iter().map(|row| (self.at(row.second), of(row) as f64)).collect(),
        };
        let lines = vec![
            line("p50", |row| row.latency_us.p50),
            line("p90", |row| row.latency_us.p90),
            line("p99", |row| row.latency_us.p99),
            line("p99.9", |row| row.latency_us.p999),
        ];
        let about =
            "Of the answers that came in each second, from the due time, so that a server that falls behind shows.";
        let percentiles = self.chart("latency", "Latency percentiles", "us", about, lines)?;
        Ok(heat::figure(&seconds, &self.axis, self.start_s)? + &percentiles)
    }

    /// Datagrams: at the server in all, at the gate by where they went, and dropped by reason.
    pub fn datagrams(&self) -> Result<String> {
        let mut text = String::new();
        if self.has_server() {
            let about = "Sessions of these clients that were open at the server.";
            // A state, not a count: it is not divided by the time between readings.
            let point = |row: &ServerSecond| (self.at(row.second), row.sessions as f64);
            let points = self.report.server.whole().map(point).collect();
            let line = Line { name: "open".to_string(), points };
            text += &self.chart("sessions", "Sessions", "", about, vec![line])?;
            let about = "Datagrams from and to these clients, as the server counted them: requests of all kinds that gate \
                         and workers received, and replies and notices that they sent.";
            let lines = vec![self.server("in", |row| row.received), self.server("out", |row| row.sent)];
            text += &self.chart("pps", "Packets per second", "1/s", about, lines)?;
        }
        let places = self.snapshots(|row| &row.gate_per_s);
        if !places.is_empty() {
            let about = "Frames at the gate, the kernel's program, by where they went; of everybody, not of these clients alone.";
            text += &self.chart("gate", "Kernel packets per second", "1/s", about, places)?;
        }
        let reasons = self.snapshots(|row| &row.dropped_per_s);
        if !reasons.is_empty() {
            let about = "Datagrams that gate or workers dropped, by reason; of everybody.";
            text += &self.chart("reasons", "Dropped, by reason", "1/s", about, reasons)?;
        }
        Ok(text)
    }
}

type Rates = BTreeMap<String, f64>;

/// Names with a rate above zero in some second, the largest first.
fn names(rows: &[Snapshot], of: fn(&Snapshot) -> &Rates) -> Vec<String> {
    let mut most = Rates::new();
    for (name, rate) in rows.iter().flat_map(of) {
        let highest = most.entry(name.clone()).or_default();
        *highest = rate.max(*highest);
    }
    let mut found: Vec<(String, f64)> = most.into_iter().filter(|(_, rate)| *rate > 0.0).collect();
    found.sort_by(|a, b| b.1.total_cmp(&a.1));
    found.into_iter().map(|(name, _)| name).collect()
}
