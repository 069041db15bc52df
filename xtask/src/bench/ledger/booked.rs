//! Prizes at the rate of the gala's peak, each in the ledger before its winner hears of it.

use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::{LIMIT, scenario, seat, start_server, wait_until};
use crate::answers::Sum;
use crate::bench::ground::{COALESCE as CLIENT_COALESCE, GENERATOR_CPU, STRANDS};
use crate::bench::subject::{COALESCE, SUBJECT_CPU};
use crate::fleet::{Fleet, common_start};
use crate::lab::{Lab, quiet};
use crate::programs::Programs;
use crate::{command, machine};

const SESSIONS: u64 = 500_000;
const LOGINS_PER_S: u64 = 15_000;
/// Prizes a second, for how long, and shakes a second: what is asked of a machine, and less. The fleet and the generator share a
/// CPU; where the fleet takes more than half of it, the generator gives shakes up, and sends about half of what it is asked for.
const LOADS: [(u64, u64, u64); 2] = [(50_000, 60, 400_000), (12_500, 20, 250_000)];

/// Some time of prizes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Booked {
    /// Prizes released a second.
    pub released: u64,
    /// For so long.
    pub seconds: u64,
    /// Shakes sent a second.
    pub shakes: f64,
    /// Prizes that the ledger has, a second.
    pub booked: f64,
    /// Those that the server counted and the ledger lacks, or the other way round.
    pub differ: u64,
    /// CPU time of the server's threads, seconds a second.
    pub server_share: f64,
    /// Shakes and acknowledgements that were lost at the worker's AF_XDP sockets, because it had no time for them.
    pub lost: u64,
    /// The generator gave up shakes.
    pub late: u64,
}

/// `rp-server audit --json`, as far as it is read.
#[derive(Deserialize)]
struct Audit {
    figures: Figures,
}

#[derive(Deserialize)]
struct Figures {
    prizes: Sum,
}

pub(super) fn run(programs: &Programs) -> Result<Vec<Booked>> {
    LOADS.into_iter().map(|load| book(programs, load)).collect()
}

fn book(programs: &Programs, (released, seconds, shakes): (u64, u64, u64)) -> Result<Booked> {
    let mut lab = Lab::build_with(1, STRANDS, programs)?;
    lab.free_client_end(0);
    let interfaces = lab.clients()[0].1.server_interfaces();
    let server = start_server(&lab, programs, &["--transport", "af-xdp", "--interface", &interfaces.join(",")])?;
    for interface in &interfaces {
        quiet(lab.server(), interface, SUBJECT_CPU, COALESCE)?;
    }
    let links = lab.clients()[0].1.client_interfaces();
    let phases = format!(
        "[[phase]]\nkind = \"hold\"\nseconds = 1\n\
         [[phase]]\nkind = \"blast\"\nseconds = {seconds}\nrate = {shakes}\n\
         blast = {{ burst = 64, links = {} }}\n\
         [[phase]]\nkind = \"hold\"\nseconds = 4\n",
        links.len()
    );
    let (file, start_s) = (scenario(&lab, 0, &phases)?, common_start(SESSIONS, LOGINS_PER_S));
    let (start, links) = (start_s.to_string(), links.join(","));
    let flags =
        ["--scenario", &file, "--start-at", &start, "--no-reconcile", "--sockets", "1", "--blast-through", &links];
    let mut fleet = Fleet::start(programs, lab.room(), &[seat(&lab, 0)], SESSIONS, &flags)?;
    std::thread::sleep(Duration::from_secs(2));
    let (client, link) = &lab.clients()[0];
    for interface in link.client_interfaces() {
        quiet(client, &interface, GENERATOR_CPU, CLIENT_COALESCE)?;
    }
    wait_until(start_s + 1, &mut fleet)?;
    let (rate, budget) = (released.to_string(), (released * seconds * 100).to_string());
    let plan = ["--rate", &rate, "--budget-fen", &budget, "--to-fen", "100", "--prizes-per-user", "255"];
    server.ask(&[&["campaign", "start"][..], &plan].concat())?;
    let before_ns = machine::cpu_ns_of(server.pid());
    let report = fleet.reports(LIMIT)?.remove(0);
    let spent_ns = machine::cpu_ns_of(server.pid()) - before_ns;
    let status = server.status()?;
    let (counted, lost) = (status.money.prizes.count, status.xsk_lost);
    server.end()?;
    let mut audit = std::process::Command::new(&programs.server);
    let text = command::read(audit.args(["audit", "--json", "--data"]).arg(lab.room().ledger("server")))?;
    let audit: Audit = serde_json::from_str(&text).with_context(|| format!("`rp-server audit` printed {text}"))?;
    let prizes = audit.figures.prizes.count;
    let blast = report.phases.iter().find(|phase| phase.sent > 0).context("nobody shook")?;
    let per_s = |count: u64| count as f64 / seconds as f64;
    let booked = Booked {
        released,
        seconds,
        shakes: per_s(blast.sent),
        booked: per_s(prizes),
        differ: counted.abs_diff(prizes),
        server_share: spent_ns as f64 / 1e9 / seconds as f64,
        lost,
        late: blast.generator_late,
    };
    println!("{booked:?}");
    Ok(booked)
}
