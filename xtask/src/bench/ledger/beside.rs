//! Shakes that win nothing, alone and while the same server writes packets to its ledger.
//!
//! Shakes come as live frames over one cable, packets from socket clients over another, whose CPU time is measured alone first
//! and taken away. What the gate answers is done in the receive work of its cable, and is read there.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::{LIMIT, scenario, seat, start_server};
use crate::answers::Report;
use crate::bench::ground::{COALESCE as CLIENT_COALESCE, GENERATOR_CPU};
use crate::bench::subject::{COALESCE, SUBJECT_CPU};
use crate::bench::turn::median;
use crate::fleet::{Fleet, common_start};
use crate::lab::{Lab, quiet};
use crate::programs::Programs;
use crate::server::Server;
use crate::{machine, signal};

/// Sessions that shake, and as many others who have money.
const SESSIONS: u64 = 100_000;
/// Log-ins a second of both.
const LOGINS_PER_S: u64 = 10_000;
const ROUNDS: u64 = 5;
/// Of a turn, and of the rest behind it.
const TURN_S: u64 = 3;
const REST_S: u64 = 2;
/// Packets a second beside the shakes; each is 13 postings and fifteen datagrams.
const PACKETS: u64 = 1_000;

/// Shakes beside a busy ledger.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Beside {
    /// Who answers them.
    pub who: String,
    /// Shakes a second.
    pub rate: u64,
    /// CPU time a shake, in microseconds, each round.
    pub alone_us: Vec<f64>,
    /// The same beside packets.
    pub beside_us: Vec<f64>,
    /// Half of the shakes are answered within this, in microseconds: alone and beside packets, medians of the rounds.
    pub p50_us: [f64; 2],
    /// Shakes that the generator sent late, in all, beside packets.
    pub late: u64,
    /// Packets that were made in all.
    pub packets: u64,
}

pub(super) fn run(programs: &Programs) -> Result<Vec<Beside>> {
    let gate = beside(programs, "gate", 400_000, &["--transport", "af-xdp"])?;
    let worker = beside(programs, "worker, sockets", 50_000, &["--steer-only"])?;
    Ok(vec![gate, worker])
}

/// CPU time so far, in nanoseconds: of the worker, and of the receive work of the shakes' cable.
#[derive(Clone, Copy)]
struct Spent {
    worker_ns: u64,
    receive_ns: u64,
}

fn beside(programs: &Programs, who: &str, rate: u64, flags: &[&str]) -> Result<Beside> {
    let mut lab = Lab::build(2, programs)?;
    lab.free_client_end(0);
    let interfaces: Vec<String> = lab.clients().iter().map(|(_, link)| link.server_interface()).collect();
    let server = start_server(&lab, programs, &[flags, &["--interface", &interfaces.join(",")]].concat())?;
    server.ask(&["mint", "--users", &format!("1..={SESSIONS}"), "--fen", "1000000"])?;
    let receiving = quiet(lab.server(), &interfaces[0], SUBJECT_CPU, COALESCE)?;
    quiet(lab.server(), &interfaces[1], SUBJECT_CPU, COALESCE)?;
    let worker = server.status()?.workers.first().context("the server has no worker")?.tid;

    let start_s = common_start(2 * SESSIONS, LOGINS_PER_S);
    let (mut shaking, mut sending) = fleets(&lab, programs, rate, start_s)?;
    let mut readings = BTreeMap::new();
    let turns_s = ROUNDS * 3 * (TURN_S + REST_S);
    while machine::unix_us() / 1_000_000 <= start_s + 1 + turns_s {
        machine::sleep_to_the_next_second();
        signal::check()?;
        ensure!(
            shaking.is_running()? && sending.is_running()? || machine::unix_us() / 1_000_000 > start_s + turns_s,
            "clients ended too early:\n{}\n{}",
            shaking.log_tails(),
            sending.log_tails()
        );
        let worker_ns = machine::cpu_ns_of_thread(worker);
        let spent = Spent { worker_ns, receive_ns: machine::cpu_ns_of_thread(receiving.tid) };
        readings.insert(machine::unix_us() / 1_000_000, spent);
    }
    let report = shaking.reports(LIMIT)?.remove(0);
    sending.reports(LIMIT)?;
    judge(&server, who, rate, start_s, &readings, &report)
}

/// Those who shake and those who send. Each round: shakes alone, packets alone, both.
fn fleets(lab: &Lab, programs: &Programs, rate: u64, start_s: u64) -> Result<(Fleet, Fleet)> {
    let (mut shakes, mut packets) = (hold(1, ""), hold(1, ""));
    let send = format!("send = {{ rate = {PACKETS}, fen = 300, shares = 3, recipients = 3 }}\n");
    for round in 0..ROUNDS {
        for (name, does_shake, does_send) in [("alone", true, false), ("packets", false, true), ("beside", true, true)]
        {
            shakes += &if does_shake { blast(&format!("{name} {round}"), rate) } else { hold(TURN_S, "") };
            packets += &hold(TURN_S, if does_send { &send } else { "" });
            shakes += &hold(REST_S, "");
            packets += &hold(REST_S, "");
        }
    }
    let (shakes, packets) = (scenario(lab, 0, &shakes)?, scenario(lab, 1, &packets)?);
    let start = start_s.to_string();
    let link = lab.clients()[0].1.client_interface();
    let flags = ["--no-reconcile", "--start-at", &start, "--scenario"];
    let blasting = [&flags[..], &[&shakes, "--sockets", "1", "--blast-through", link]].concat();
    let shaking = Fleet::start_last(programs, lab.room(), &seat(lab, 0), SESSIONS + 1..=2 * SESSIONS, &blasting)?;
    let sending = Fleet::start(programs, lab.room(), &[seat(lab, 1)], SESSIONS, &[&flags[..], &[&packets]].concat())?;
    std::thread::sleep(Duration::from_secs(2));
    quiet(&lab.clients()[0].0, link, GENERATOR_CPU, CLIENT_COALESCE)?;
    Ok((shaking, sending))
}

fn hold(seconds: u64, send: &str) -> String {
    format!("[[phase]]\nkind = \"hold\"\nseconds = {seconds}\n{send}")
}

fn blast(name: &str, rate: u64) -> String {
    let burst = (rate / 4000).clamp(16, 128);
    format!(
        "[[phase]]\nkind = \"blast\"\nname = \"{name}\"\nseconds = {TURN_S}\nrate = {rate}\nblast = {{ burst = {burst} }}\n"
    )
}

fn judge(
    server: &Server,
    who: &str,
    rate: u64,
    start_s: u64,
    readings: &BTreeMap<u64, Spent>,
    report: &Report,
) -> Result<Beside> {
    // A turn begins every so many seconds; its last answers come in the rest behind it.
    let spent = |turn: u64| -> Result<[f64; 2]> {
        let begin_s = start_s + 1 + turn * (TURN_S + REST_S);
        let read = |second| readings.get(&second).with_context(|| format!("second {second} was not read"));
        let (before, after) = (read(begin_s)?, read(begin_s + TURN_S + REST_S - 1)?);
        let of = |part: fn(&Spent) -> u64| (part(after) - part(before)) as f64 / 1e3;
        Ok([of(|spent| spent.worker_ns), of(|spent| spent.receive_ns)])
    };
    let (mut alone_us, mut beside_us) = (Vec::new(), Vec::new());
    let (mut p50_us, mut late) = ([Vec::new(), Vec::new()], 0);
    for round in 0..ROUNDS {
        let phase = |name: &str| {
            let name = format!("{name} {round}");
            report.phases.iter().find(|phase| phase.name == name).with_context(|| format!("no phase {name}"))
        };
        let [alone, packets, both] = [0, 1, 2].map(|turn| spent(3 * round + turn));
        let ([alone, packets, both], shakes) = ([alone?, packets?, both?], [phase("alone")?, phase("beside")?]);
        let [alone_shakes, beside_shakes] = shakes.map(|phase| phase.answered.max(1) as f64);
        alone_us.push((alone[0] + alone[1]) / alone_shakes);
        beside_us.push((both[0] - packets[0] + both[1] - packets[1]) / beside_shakes);
        shakes.iter().zip(&mut p50_us).for_each(|(phase, all)| all.push(phase.latency_us.p50));
        late += shakes[1].generator_late;
    }
    let packets = server.status()?.money.made.count;
    ensure!(packets > 0, "no packet was made beside the shakes");
    let p50_us = p50_us.map(|all| median(all).unwrap_or(0.0));
    println!("{who}: {alone_us:.3?} us a shake alone, {beside_us:.3?} beside {packets} packets");
    Ok(Beside { who: who.into(), rate, alone_us, beside_us, p50_us, late, packets })
}
