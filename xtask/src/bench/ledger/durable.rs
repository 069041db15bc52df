//! Users who send and grab until they are answered, which is when the disk has it; and the same without disk, without sealing
//! and past the network stack.

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::{LIMIT, scenario, seat, start_server, wait_until};
use crate::bench::ground::{COALESCE as CLIENT_COALESCE, GENERATOR_CPU};
use crate::bench::subject::{COALESCE, SUBJECT_CPU, wait_for_xdp};
use crate::fleet::{Fleet, common_start};
use crate::lab::{Lab, quiet};
use crate::machine;
use crate::programs::Programs;

/// Packets a second; each is sent once and grabbed thrice.
const PACKETS: [u64; 3] = [2_500, 5_000, 7_500];
/// The same where neither side goes through the network stack.
const PACKETS_PAST_THE_STACK: [u64; 4] = [5_000, 10_000, 12_500, 15_000];
const REQUESTS_PER_PACKET: u64 = 4;
/// Users who have money to send.
const USERS: u64 = 100_000;
const LOGINS_PER_S: u64 = 20_000;
const SECONDS: u64 = 6;

/// How a server keeps, says and hears.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Way {
    /// Is each answer on disk before it is given?
    pub on_disk: bool,
    /// Are requests and answers sealed?
    pub sealed: bool,
    /// AF_XDP at both ends?
    pub past_the_stack: bool,
}

impl Way {
    /// As servers do by default.
    pub const COMMON: Way = Way { on_disk: true, sealed: true, past_the_stack: false };

    fn flags(self) -> [&'static str; 6] {
        let durability = if self.on_disk { "disk" } else { "none" };
        let sealing = if self.sealed { "on" } else { "off" };
        let transport = if self.past_the_stack { "af-xdp" } else { "sockets" };
        ["--durability", durability, "--sealing", sealing, "--transport", transport]
    }
}

/// Sends and grabs at one rate.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Durable {
    /// Sends and grabs asked for, a second.
    pub rate: u64,
    /// How.
    pub way: Way,
    /// Packets that were asked for and made, in all.
    pub packets: [u64; 2],
    /// Shares that were taken.
    pub shares: u64,
    /// Requests that were sent again.
    pub again: u64,
    /// CPU time of the server's threads a request, in microseconds.
    pub server_us: f64,
    /// From the due time to the answer: median, 99 % and 99.9 %, in microseconds.
    pub latency_us: [f64; 3],
    /// The clients' books and the server's agree.
    pub agrees: bool,
}

pub(super) fn run(programs: &Programs, is_quick: bool) -> Result<Vec<Durable>> {
    let common = Way::COMMON;
    // What it costs to wait for the disk, and what it costs to seal.
    let (unkept, open) = (Way { on_disk: false, ..common }, Way { sealed: false, ..common });
    let mut loads = vec![(PACKETS[0], common), (PACKETS[0], unkept), (PACKETS[0], open)];
    if !is_quick {
        loads.extend(PACKETS[1..].iter().map(|packets| (*packets, common)));
        let past_the_stack = Way { past_the_stack: true, ..common };
        loads.extend(PACKETS_PAST_THE_STACK.map(|packets| (packets, past_the_stack)));
    }
    loads.into_iter().map(|(packets, way)| durable(programs, packets, way)).collect()
}

impl Durable {
    /// Everything was answered, and nothing had to be asked twice.
    pub fn is_answered(&self) -> bool {
        let [asked, made] = self.packets;
        made == asked && self.shares == 3 * asked && self.again == 0
    }
}

fn durable(programs: &Programs, packet_rate: u64, way: Way) -> Result<Durable> {
    let mut lab = Lab::build(1, programs)?;
    if way.past_the_stack {
        lab.free_client_end(0);
    }
    let (client, link) = &lab.clients()[0];
    let (interface, client_interface) = (link.server_interface(), link.client_interface());
    let server = start_server(&lab, programs, &[&way.flags()[..], &["--interface", &interface]].concat())?;
    server.ask(&["mint", "--users", &format!("1..={USERS}"), "--fen", "1000000"])?;
    quiet(lab.server(), &interface, SUBJECT_CPU, COALESCE)?;
    let start_s = common_start(USERS, LOGINS_PER_S);
    let sends = format!("send = {{ rate = {packet_rate}, fen = 300, shares = 3, recipients = 3 }}");
    let file = scenario(&lab, 0, &format!("[[phase]]\nkind = \"hold\"\nseconds = {SECONDS}\n{sends}\n"))?;
    let start = start_s.to_string();
    let mut flags = vec!["--scenario", &file, "--start-at", &start];
    if way.past_the_stack {
        flags.extend(["--transport", "af-xdp", "--sockets", "1"]);
    }
    let mut fleet = Fleet::start(programs, lab.room(), &[seat(&lab, 0)], USERS, &flags)?;
    wait_for_xdp(client, client_interface)?;
    quiet(client, client_interface, GENERATOR_CPU, CLIENT_COALESCE)?;
    wait_until(start_s, &mut fleet)?;
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
        way,
        packets: [asked, money.made.count],
        shares: money.taken.count,
        again: hold.sends.retries + hold.grabs.retries,
        server_us: spent_ns as f64 / 1e3 / (asked * REQUESTS_PER_PACKET) as f64,
        latency_us: [latency.p50, latency.p99, latency.p999],
        agrees: report.reconciled.ok,
    };
    println!(
        "{} sends and grabs a second ({}): {} of {asked} packets, {} shares, {} asked again, {:.1} us each, p50 {:.0}, p99 {:.0} us",
        durable.rate,
        way.flags().join(" "),
        money.made.count,
        money.taken.count,
        durable.again,
        durable.server_us,
        latency.p50,
        latency.p99
    );
    Ok(durable)
}
