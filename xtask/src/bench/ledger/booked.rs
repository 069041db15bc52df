//! Prizes at the rate of the gala's peak, each in the ledger before its winner hears of it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::{LIMIT, UNLIMITED, scenario, seat};
use crate::answers::Sum;
use crate::bench::ground::{COALESCE as CLIENT_COALESCE, GENERATOR_CPU, STRANDS};
use crate::bench::subject::{COALESCE, SUBJECT_CPU};
use crate::fleet::{Fleet, common_start};
use crate::lab::{Lab, Place, quiet};
use crate::programs::Programs;
use crate::server::Server;
use crate::{command, machine, signal};

const SESSIONS: u64 = 500_000;
const LOGINS_PER_S: u64 = 15_000;
const SHAKES: u64 = 250_000;
const PRIZES: u64 = 50_000;
const SECONDS: u64 = 60;

/// A minute of prizes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Booked {
    /// Prizes released a second.
    pub released: u64,
    /// Shakes sent a second.
    pub shakes: f64,
    /// Prizes that the ledger has, a second.
    pub booked: f64,
    /// Those that the server counted and the ledger lacks, or the other way round.
    pub differ: u64,
    /// CPU time of the server's threads, seconds a second.
    pub server_share: f64,
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

pub(super) fn run(programs: &Programs) -> Result<Booked> {
    let mut lab = Lab::build_with(1, STRANDS, programs)?;
    lab.free_client_end(0);
    let interfaces = lab.clients()[0].1.server_interfaces();
    let listed = interfaces.join(",");
    let flags = [&UNLIMITED[..], &["--transport", "af-xdp", "--interface", &listed]].concat();
    // All of it on one CPU: generator, sink and the fleet that hears of its prizes fill the other.
    let place = Place::inside(lab.server()).on_cpu(SUBJECT_CPU);
    let server = Server::start(programs, place, lab.room(), &flags)?;
    for interface in &interfaces {
        quiet(lab.server(), interface, SUBJECT_CPU, COALESCE)?;
    }
    let links = lab.clients()[0].1.client_interfaces();
    let phases = format!(
        "[[phase]]\nkind = \"hold\"\nseconds = 1\n\
         [[phase]]\nkind = \"blast\"\nseconds = {SECONDS}\nrate = {SHAKES}\n\
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
    while machine::unix_us() / 1_000_000 < start_s + 1 {
        signal::check()?;
        ensure!(fleet.is_running()?, "the clients ended too early:\n{}", fleet.log_tails());
        machine::sleep_to_the_next_second();
    }
    let (rate, budget) = (PRIZES.to_string(), (PRIZES * SECONDS * 100).to_string());
    let plan = ["--rate", &rate, "--budget-fen", &budget, "--to-fen", "100", "--prizes-per-user", "255"];
    server.ask(&[&["campaign", "start"][..], &plan].concat())?;
    let before_ns = machine::cpu_ns_of(server.pid());
    let report = fleet.reports(LIMIT)?.remove(0);
    let spent_ns = machine::cpu_ns_of(server.pid()) - before_ns;
    let counted = server.status()?.money.prizes.count;
    server.end()?;
    let mut audit = std::process::Command::new(&programs.server);
    let text = command::read(audit.args(["audit", "--json", "--data"]).arg(lab.room().ledger("server")))?;
    let audit: Audit = serde_json::from_str(&text).with_context(|| format!("`rp-server audit` printed {text}"))?;
    let prizes = audit.figures.prizes.count;
    let blast = report.phases.iter().find(|phase| phase.sent > 0).context("nobody shook")?;
    let per_s = |count: u64| count as f64 / SECONDS as f64;
    let booked = Booked {
        released: PRIZES,
        shakes: per_s(blast.sent),
        booked: per_s(prizes),
        differ: counted.abs_diff(prizes),
        server_share: spent_ns as f64 / 1e9 / SECONDS as f64,
        late: blast.generator_late,
    };
    println!("{booked:?}");
    Ok(booked)
}
