//! The log-in of all users past the network stack at both ends: one server core, one core of clients.
//!
//! Clients by AF_XDP are a load of their own, as live frames are: never a row with clients by sockets. Tickets are sealed before
//! the first HELLO, as an account service has them ready.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use super::ground::GENERATOR_CPU;
use super::subject::{COALESCE, SUBJECT_CPU, wait_for_xdp};
use crate::fleet::{Fleet, Seat};
use crate::lab::{Lab, Place, quiet};
use crate::machine;
use crate::programs::Programs;
use crate::server::Server;

/// Until a fleet has ended: many times what it takes.
const LIMIT: Duration = Duration::from_secs(180);

/// One log-in of all users at a server that has just started.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Login {
    /// From the first HELLO to the last WELCOME.
    pub seconds: f64,
    /// HELLOs sent again.
    pub again: u64,
    /// CPU time of the server's threads and of the receive work at its end, in microseconds a log-in, log-outs not among it.
    pub server_us: f64,
}

/// Logs `sessions` in, `rounds` times, each at a fresh server.
///
/// # Errors
/// What could not be started, or sessions that could not log in.
pub fn run(programs: &Programs, sessions: u64, rounds: u64) -> Result<Vec<Login>> {
    (0..rounds).map(|_| log_in(programs, sessions)).collect()
}

fn log_in(programs: &Programs, sessions: u64) -> Result<Login> {
    let mut lab = Lab::build(1, programs)?;
    lab.free_client_end(0);
    let (client, link) = &lab.clients()[0];
    let interface = link.server_interface();
    let mut flags = vec!["--workers", "1", "--interface", &interface, "--transport", "af-xdp", "--idle", "86400"];
    flags.extend(["--session-rate", "0", "--strangers-rate", "0", "--prefix-rate", "0", "--durability", "none"]);
    let server = Server::start(programs, Place::inside(lab.server()).on_cpu(SUBJECT_CPU), lab.room(), &flags)?;
    let receiving = quiet(lab.server(), &interface, SUBJECT_CPU, COALESCE)?;
    let cpu_ns = || machine::cpu_ns_of(server.pid()) + machine::cpu_ns_of_thread(receiving.tid);
    let file = lab.room().file("login.toml");
    std::fs::write(&file, "[[phase]]\nkind = \"login\"\n")?;
    let file = file.display().to_string();
    let seat = Seat {
        name: "1".into(),
        place: Place::inside(client).on_cpu(GENERATOR_CPU),
        server: format!("{}:2015", link.server_v4()),
        sources: Vec::new(),
    };
    let flags = ["--scenario", &file, "--sockets", "1", "--transport", "af-xdp"];
    let before_ns = cpu_ns();
    let mut fleet = Fleet::start(programs, lab.room(), &[seat], sessions, &flags)?;
    // While it seals tickets.
    wait_for_xdp(client, link.client_interface())?;
    quiet(client, link.client_interface(), GENERATOR_CPU, super::ground::COALESCE)?;
    let report = fleet.reports(LIMIT)?.remove(0);
    let server_us = (cpu_ns() - before_ns) as f64 / 1e3 / sessions as f64;
    ensure!(report.sessions == sessions, "{} of {sessions} logged in:\n{}", report.sessions, fleet.log_tails());
    server.end()?;
    let login = Login { seconds: report.login.seconds, again: report.login.retries, server_us };
    println!("{sessions} log-ins past the stack: {:.2} s, {} asked again", login.seconds, login.again);
    Ok(login)
}
