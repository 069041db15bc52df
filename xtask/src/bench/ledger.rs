//! The ledger: its commits beside a bare SQLite loop of the same rows, and users who send and grab until they are answered,
//! which is when the disk has it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::ground::GENERATOR_CPU;
use super::subject::SUBJECT_CPU;
use crate::fleet::{Fleet, Seat};
use crate::lab::{Lab, Place};
use crate::programs::Programs;
use crate::server::Server;
use crate::setup::target_dir;
use crate::{command, machine};

/// Until a fleet has ended: many times what it takes.
const LIMIT: Duration = Duration::from_secs(180);
/// Users of the durable load.
const USERS: u64 = 100_000;
/// Seconds of it.
const SECONDS: u64 = 6;
/// Requests of one packet: it is sent once and grabbed thrice.
const REQUESTS_PER_PACKET: u64 = 4;

/// Commits of one group size, from `ledger_speed`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Commits {
    /// Postings of a group.
    pub group: u64,
    /// Postings a second, ours and the bare loop's.
    pub per_s: [f64; 2],
    /// 99 of a hundred commits take less, in microseconds; likewise.
    pub p99_us: [f64; 2],
    /// The longest of ours, files closed and checkpointed beside it.
    pub longest_us: f64,
}

/// Sends and grabs at one rate.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Durable {
    /// Sends and grabs asked for, a second.
    pub rate: u64,
    /// Packets that were asked for and made, in all.
    pub packets: [u64; 2],
    /// Shares that were taken.
    pub shares: u64,
    /// Requests that were sent again.
    pub again: u64,
    /// CPU time of the server a request, all its threads, in microseconds.
    pub server_us: f64,
    /// The clients' books and the server's agree.
    pub agrees: bool,
}

/// What this chapter measures.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Ledger {
    /// By group size.
    pub commits: Vec<Commits>,
    /// By rate.
    pub durable: Vec<Durable>,
}

/// Measures both.
///
/// # Errors
/// What could not be started, or said something else than expected.
pub fn run(programs: &Programs, packet_rates: &[u64]) -> Result<Ledger> {
    let commits = commits()?;
    let durable = packet_rates.iter().map(|rate| durable(programs, *rate)).collect::<Result<_>>()?;
    Ok(Ledger { commits, durable })
}

fn commits() -> Result<Vec<Commits>> {
    println!("commits beside a bare SQLite loop ...");
    command::show(
        command::cargo()
            .args(["build", "--quiet", "--release", "--package", "rp-server", "--example"])
            .arg("ledger_speed"),
    )?;
    let mut speed = std::process::Command::new(target_dir().join("release/examples/ledger_speed"));
    speed.args(["--seconds", "1", "--rounds", "3", "--dir"]).arg(target_dir().join("ledgers/speed"));
    command::read(&mut speed)?.lines().map(commits_of).collect()
}

/// One line of `ledger_speed`.
fn commits_of(line: &str) -> Result<Commits> {
    let word = |name: &str| -> Result<f64> {
        let found = line.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        found.and_then(|value| value.parse().ok()).with_context(|| format!("no {name} in: {line}"))
    };
    Ok(Commits {
        group: word("group")? as u64,
        per_s: [word("ours_per_s")?, word("bare_per_s")?],
        p99_us: [word("ours_p99_us")?, word("bare_p99_us")?],
        longest_us: word("ours_max_us")?,
    })
}

fn durable(programs: &Programs, packet_rate: u64) -> Result<Durable> {
    let lab = Lab::build(1, programs)?;
    let (client, link) = &lab.clients()[0];
    let mut flags = vec!["--workers", "1", "--idle", "86400"];
    flags.extend(["--session-rate", "0", "--strangers-rate", "0", "--prefix-rate", "0"]);
    let server = Server::start(programs, Place::inside(lab.server()).on_cpu(SUBJECT_CPU), lab.room(), &flags)?;
    server.ask(&["mint", "--users", &format!("1..={USERS}"), "--fen", "1000000"])?;
    let file = lab.room().file("durable.toml");
    let sends = format!("send = {{ rate = {packet_rate}, fen = 300, shares = 3, recipients = 3 }}");
    let phases = format!("[[phase]]\nkind = \"login\"\n[[phase]]\nkind = \"hold\"\nseconds = {SECONDS}\n{sends}\n");
    std::fs::write(&file, phases)?;
    let file = file.display().to_string();
    let seat = Seat {
        name: "1".into(),
        place: Place::inside(client).on_cpu(GENERATOR_CPU),
        server: format!("{}:2015", link.server_v4()),
        sources: Vec::new(),
    };
    let mut fleet = Fleet::start(programs, lab.room(), &[seat], USERS, &["--scenario", &file])?;
    let before_ns = machine::cpu_ns_of(server.pid());
    let report = fleet.reports(LIMIT)?.remove(0);
    let spent_ns = machine::cpu_ns_of(server.pid()) - before_ns;
    let hold = report.phases.last().context("the report has no phases")?;
    let money = server.status()?.money;
    ensure!(money.balanced, "the server's books are not balanced after a load of packets");
    let asked = packet_rate * SECONDS;
    let again = hold.sends.retries + hold.grabs.retries;
    server.end()?;
    let rate = packet_rate * REQUESTS_PER_PACKET;
    println!(
        "{rate} sends and grabs a second: {} of {asked} packets, {} shares, {again} asked again",
        money.made.count, money.taken.count
    );
    let server_us = spent_ns as f64 / 1e3 / (asked * REQUESTS_PER_PACKET) as f64;
    let packets = [asked, money.made.count];
    Ok(Durable { rate, packets, shares: money.taken.count, again, server_us, agrees: report.reconciled.ok })
}
