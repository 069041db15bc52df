//! What coalescing and busy polling are worth: one of our servers at little load, with each of its settings in turn.
//!
//! At such rates waking up is most of the cost, so it is measured apart from the datapaths: `cargo xtask bench --waking`.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

use super::ground::{COALESCE, GENERATOR_CPU};
use super::subject::SUBJECT_CPU;
use super::turn::REST_S;
use crate::answers::Phase;
use crate::fleet::{Fleet, Seat, common_start};
use crate::lab::{Lab, NapiThread, Place, quiet};
use crate::machine::{self, Machine};
use crate::programs::Programs;
use crate::server::Server;
use crate::signal;

const SESSIONS: u64 = 10_000;
const LOGINS_PER_S: u64 = 15_000;
const COALESCE_US: [u64; 4] = [0, 20, 50, 200];
const BUSY_POLL_US: [u64; 2] = [0, 50];
const RATES: [u64; 2] = [30_000, 60_000];
const BURSTS: [u64; 2] = [1, 64];
const TURN_S: u64 = 2;

/// Who is woken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Woken {
    /// The gate alone.
    Gate,
    /// A worker by sockets.
    Worker,
    /// A worker by AF_XDP.
    AfXdp,
}

impl Woken {
    fn flags(self) -> &'static [&'static str] {
        match self {
            Woken::Gate => &[],
            Woken::Worker => &["--steer-only"],
            Woken::AfXdp => &["--steer-only", "--transport", "af-xdp"],
        }
    }
}

/// Measures all settings and prints a line for each load of each.
///
/// # Errors
/// What could not be started, or an interrupt.
pub fn run(programs: &Programs, woken: Woken) -> Result<()> {
    println!("{}", Machine::here());
    println!("{woken:?}, one worker; live frames; CPU of server and receive work together; others: share of that CPU");
    println!(
        "{:>8} {:>6} {:>9} {:>10} {:>13} {:>8} {:>9} {:>7} {:>7}",
        "rate 1/s", "burst", "coalesce", "busy poll", "CPU us/answer", "p50 us", "p99.9 us", "lost %", "others"
    );
    for busy_poll_us in BUSY_POLL_US {
        for coalesce_us in COALESCE_US {
            measure(programs, woken, coalesce_us, busy_poll_us)?;
        }
    }
    Ok(())
}

fn measure(programs: &Programs, woken: Woken, coalesce_us: u64, busy_poll_us: u64) -> Result<()> {
    let mut lab = Lab::build(1, programs)?;
    // The sink takes its place.
    lab.free_client_end(0);
    let (coalesce, busy_poll) = (coalesce_us.to_string(), busy_poll_us.to_string());
    let mut flags = vec!["--workers", "1", "--session-rate", "0", "--strangers-rate", "0", "--prefix-rate", "0"];
    flags.extend(woken.flags());
    flags.extend(["--durability", "none"]);
    for (flag, value, us) in [("--coalesce-us", &coalesce, coalesce_us), ("--busy-poll-us", &busy_poll, busy_poll_us)] {
        if us > 0 {
            flags.extend([flag, value]);
        }
    }
    let server = Server::start(programs, Place::inside(lab.server()).on_cpu(SUBJECT_CPU), lab.room(), &flags)?;
    let (client, link) = &lab.clients()[0];
    // The same as the server has set.
    let napi = quiet(lab.server(), &link.server_interface(), SUBJECT_CPU, Duration::from_micros(coalesce_us))?;
    let loads: Vec<(u64, u64)> = RATES.iter().flat_map(|rate| BURSTS.map(|burst| (*rate, burst))).collect();
    let file = lab.room().file("waking.toml");
    std::fs::write(&file, scenario(&loads))?;
    let start_s = common_start(SESSIONS, LOGINS_PER_S).to_string();
    let seat = Seat {
        name: "waking".into(),
        place: Place::inside(client).on_cpu(GENERATOR_CPU),
        server: format!("{}:2015", link.server_v4()),
        sources: Vec::new(),
    };
    let file = file.display().to_string();
    let flags = ["--scenario", &file, "--start-at", &start_s, "--sockets", "1", "--no-reconcile"];
    let mut fleet = Fleet::start(programs, lab.room(), &[seat], SESSIONS, &flags)?;
    // Until the sink is attached.
    std::thread::sleep(Duration::from_secs(2));
    quiet(client, link.client_interface(), GENERATOR_CPU, COALESCE)?;
    let readings = watch(&mut fleet, &server, napi)?;
    let report = fleet.reports(Duration::from_secs(30))?.remove(0);
    for (number, (rate, burst)) in loads.iter().enumerate() {
        let phase = report.phases.iter().find(|phase| phase.name == number.to_string());
        let phase = phase.with_context(|| format!("load {number} was not played"))?;
        let (cpu_us, others) = cost(&readings, phase).context("a second was not read")?;
        let lost = 100.0 * phase.sent.saturating_sub(phase.answered) as f64 / phase.sent.max(1) as f64;
        ensure!(phase.answered > 0, "nothing was answered:\n{}", fleet.log_tails());
        println!(
            "{rate:>8} {burst:>6} {coalesce_us:>9} {busy_poll_us:>10} {cpu_us:>13.2} {:>8.0} {:>9.0} {lost:>7.3} {:>6.0}%",
            phase.latency_us.p50,
            phase.latency_us.p999,
            others * 100.0
        );
    }
    server.end()
}

fn scenario(loads: &[(u64, u64)]) -> String {
    let mut text = "[[phase]]\nkind = \"login\"\n[[phase]]\nkind = \"hold\"\nseconds = 1\n".to_string();
    for (number, (rate, burst)) in loads.iter().enumerate() {
        text += &format!(
            "[[phase]]\nkind = \"blast\"\nname = \"{number}\"\nseconds = {TURN_S}\nrate = {rate}\nblast = {{ burst = {burst} \
             }}\n[[phase]]\nkind = \"hold\"\nseconds = {REST_S}\n"
        );
    }
    text
}

/// Clocks at the beginning of a second, in nanoseconds: the server's work, and idling on its CPU.
type Reading = (u64, u64);

fn watch(fleet: &mut Fleet, server: &Server, napi: NapiThread) -> Result<BTreeMap<u64, Reading>> {
    let mut readings = BTreeMap::new();
    while fleet.is_running()? {
        machine::sleep_to_the_next_second();
        signal::check()?;
        let work_ns = machine::cpu_ns_of(server.pid()) + machine::cpu_ns_of_thread(napi.tid);
        readings.insert(machine::unix_us() / 1_000_000, (work_ns, machine::idle_ns_of(SUBJECT_CPU)));
    }
    Ok(readings)
}

/// CPU time per answer in microseconds, and the share of the CPU that others had.
fn cost(readings: &BTreeMap<u64, Reading>, phase: &Phase) -> Option<(f64, f64)> {
    let start_s = phase.per_second.first()?.second;
    let seconds = TURN_S + REST_S - 1;
    let (first, last) = (readings.get(&start_s)?, readings.get(&(start_s + seconds))?);
    let (work_ns, idle_ns) = (last.0 - first.0, last.1.saturating_sub(first.1));
    let others = (1.0 - (work_ns + idle_ns) as f64 / 1e9 / seconds as f64).max(0.0);
    Some((work_ns as f64 / 1e3 / phase.answered.max(1) as f64, others))
}
