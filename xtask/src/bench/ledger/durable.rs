//! Users who send and grab until they are answered, which is when the disk has it; and the same without disk, and without
//! sealing.

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::{LIMIT, scenario, seat, start_server};
use crate::fleet::Fleet;
use crate::lab::Lab;
use crate::machine;
use crate::programs::Programs;

/// Packets a second; each is sent once and grabbed thrice.
const PACKETS: [u64; 3] = [2_500, 5_000, 10_000];
const REQUESTS_PER_PACKET: u64 = 4;
/// Users who have money to send.
const USERS: u64 = 100_000;
const SECONDS: u64 = 6;

/// Sends and grabs at one rate.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Durable {
    /// Sends and grabs asked for, a second.
    pub rate: u64,
    /// Is each answer on disk before it is given?
    pub on_disk: bool,
    /// Are requests and answers sealed?
    pub sealed: bool,
    /// Packets that were asked for and made, in all.
    pub packets: [u64; 2],
    /// Shares that were taken.
    pub shares: u64,
    /// Requests that were sent again.
    pub again: u64,
    /// CPU time of the server a request, all its threads, in microseconds.
    pub server_us: f64,
    /// From the due time to the answer: median, 99 % and 99.9 %, in microseconds.
    pub latency_us: [f64; 3],
    /// The clients' books and the server's agree.
    pub agrees: bool,
}

pub(super) fn run(programs: &Programs, is_quick: bool) -> Result<Vec<Durable>> {
    let rates = if is_quick { &PACKETS[..1] } else { &PACKETS[..] };
    let mut loads: Vec<_> = rates.iter().map(|rate| (*rate, true, true)).collect();
    // What it costs to wait, and what it costs to seal.
    loads.extend([(PACKETS[0], false, true), (PACKETS[0], true, false)]);
    loads.into_iter().map(|(packets, on_disk, sealed)| durable(programs, packets, on_disk, sealed)).collect()
}

impl Durable {
    /// Everything was answered, and nothing had to be asked twice.
    pub fn is_answered(&self) -> bool {
        let [asked, made] = self.packets;
        made == asked && self.shares == 3 * asked && self.again == 0
    }
}

fn durable(programs: &Programs, packet_rate: u64, on_disk: bool, sealed: bool) -> Result<Durable> {
    let lab = Lab::build(1, programs)?;
    let durability = if on_disk { "disk" } else { "none" };
    let sealing = if sealed { "on" } else { "off" };
    let server = start_server(&lab, programs, &["--durability", durability, "--sealing", sealing])?;
    server.ask(&["mint", "--users", &format!("1..={USERS}"), "--fen", "1000000"])?;
    let sends = format!("send = {{ rate = {packet_rate}, fen = 300, shares = 3, recipients = 3 }}");
    let file = scenario(&lab, 0, &format!("[[phase]]\nkind = \"hold\"\nseconds = {SECONDS}\n{sends}\n"))?;
    let mut fleet = Fleet::start(programs, lab.room(), &[seat(&lab, 0)], USERS, &["--scenario", &file])?;
    let before_ns = machine::cpu_ns_of(server.pid());
    let report = fleet.reports(LIMIT)?.remove(0);
    let spent_ns = machine::cpu_ns_of(server.pid()) - before_ns;
    let hold = report.phases.last().context("the report has no phases")?;
    let money = server.status()?.money;
    ensure!(money.balanced, "the server's books are not balanced after a load of packets");
    let asked = packet_rate * SECONDS;
    server.end()?;
    let latency = hold.money_latency_us;
    let durable = Durable {
        rate: packet_rate * REQUESTS_PER_PACKET,
        on_disk,
        sealed,
        packets: [asked, money.made.count],
        shares: money.taken.count,
        again: hold.sends.retries + hold.grabs.retries,
        server_us: spent_ns as f64 / 1e3 / (asked * REQUESTS_PER_PACKET) as f64,
        latency_us: [latency.p50, latency.p99, latency.p999],
        agrees: report.reconciled.ok,
    };
    println!(
        "{} sends and grabs a second (durability {durability}, sealing {sealing}): {} of {asked} packets, {} shares, {} asked \
         again, {:.1} us each, p99 {:.0} us",
        durable.rate, money.made.count, money.taken.count, durable.again, durable.server_us, latency.p99
    );
    Ok(durable)
}
