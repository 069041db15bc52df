//! The way back after SIGKILL: a million sessions, ten million postings.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use super::{LIMIT, scenario, seat, start_server};
use crate::fleet::Fleet;
use crate::lab::Lab;
use crate::programs::Programs;
use crate::server::Server;
use crate::signal::{self, Signal};

const SESSIONS: u64 = 1_000_000;
/// Each mint is two postings a user.
const MINTS: u64 = 5;
/// Whoever shakes finds out that the server was away.
const SHAKES: u64 = 60_000;
/// The longest that anything may take.
const PATIENCE: Duration = Duration::from_secs(180);
const LOOK: Duration = Duration::from_millis(100);

/// After a kill.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Killed {
    /// Sessions that were up.
    pub sessions: u64,
    /// Postings in the ledger.
    pub postings: u64,
    /// From the start of the new process until it serves, in seconds.
    pub serves_s: f64,
    /// From the kill until all sessions are up again, in seconds.
    pub back_s: f64,
    /// Most log-ins within a second on the way.
    pub most_logins: u64,
}

pub(super) fn run(programs: &Programs) -> Result<Killed> {
    let lab = Lab::build(1, programs)?;
    let mut server = start_server(&lab, programs, &[])?;
    let users = format!("1..={SESSIONS}");
    for mint in 1..=MINTS {
        println!("money for {SESSIONS} users, {mint} of {MINTS} ...");
        server.ask(&["mint", "--users", &users, "--fen", "1000"])?;
    }
    let phases = format!("[[phase]]\nkind = \"shake\"\nseconds = 600\nrate = {SHAKES}\n");
    let file = scenario(&lab, 0, &phases)?;
    let flags = ["--scenario", &file, "--no-reconcile", "--outlast"];
    let mut fleet = Fleet::start(programs, lab.room(), &[seat(&lab, 0)], SESSIONS, &flags)?;
    println!("{SESSIONS} sessions log in ...");
    wait_for_all(&server, &mut fleet)?;
    // They shake for a while.
    std::thread::sleep(Duration::from_secs(3));
    server.program().kill()?;
    let killed = Instant::now();
    server = start_server(&lab, programs, &[])?;
    let serves_s = killed.elapsed().as_secs_f64();
    let most_logins = wait_for_all(&server, &mut fleet)?;
    let back_s = killed.elapsed().as_secs_f64();
    fleet.signal(Signal::Terminate);
    fleet.reports(LIMIT)?;
    server.end()?;
    let killed = Killed { sessions: SESSIONS, postings: 2 * MINTS * SESSIONS, serves_s, back_s, most_logins };
    println!("{killed:?}");
    Ok(killed)
}

/// Until all sessions are up; the most log-ins of a second.
fn wait_for_all(server: &Server, fleet: &mut Fleet) -> Result<u64> {
    let since = Instant::now();
    let (mut second, mut before, mut most) = (Instant::now(), 0, 0);
    loop {
        signal::check()?;
        let status = server.status()?;
        if second.elapsed() >= Duration::from_secs(1) {
            most = most.max(status.logins - before);
            (second, before) = (Instant::now(), status.logins);
        }
        if status.sessions >= SESSIONS {
            return Ok(most);
        }
        ensure!(fleet.is_running()?, "the clients ended too early:\n{}", fleet.log_tails());
        ensure!(since.elapsed() < PATIENCE, "{} of {SESSIONS} sessions are up after {PATIENCE:?}", status.sessions);
        std::thread::sleep(LOOK);
    }
}
