//! Log-ins and log-outs in turn: does the server's memory stay flat?
//!
//! The original leaked with each log-in and hung after 1.8 million.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use crate::answers::by_kind;
use crate::demo::stage::Stage;
use crate::fleet::Fleet;
use crate::machine;
use crate::programs::Programs;
use crate::signal;

/// Sessions of a SET that are sure to find room, as in a server of a million: the mean, eleven sigma below the limit.
const SESSIONS_PER_SET: u64 = 3906;
/// Growth of memory that counts as flat, in percent: the allocator's own rounding.
pub const GROWTH_MAX_PERCENT: f64 = 1.0;

/// What the churn showed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Churn {
    /// Sessions of a round.
    pub sessions: u64,
    /// Time of each round's log-in, in seconds: server and clients on all CPUs.
    pub login_s: Vec<f64>,
    /// Datagrams that the workers took.
    pub received: u64,
    /// Those of them that were on the wrong worker.
    pub mis_steered: u64,
    /// Log-ins the server counted.
    pub logins: u64,
    /// Log-outs the server counted.
    pub logouts: u64,
    /// Memory of the server after each round, in bytes.
    pub bytes: Vec<u64>,
    /// Growth from the second round's end to the last's, in percent: slots are used in turn, so two rounds touch them all.
    pub growth_percent: f64,
}

/// Logs all of `sessions` in and out, `rounds` times, at a server with no more SETs than they need.
///
/// # Errors
/// Fewer than three rounds, or what stopped the run.
pub fn run(programs: &Programs, sessions: u64, rounds: u64) -> Result<Churn> {
    ensure!(rounds > 2, "a churn of {rounds} rounds shows nothing: two touch every slot");
    let stage = Stage::set(1, programs)?;
    let sets = sessions.div_ceil(SESSIONS_PER_SET).max(2).to_string();
    let server = stage.start_server(programs, &["--workers", "2", "--sets", &sets])?;
    let file = stage.room().file("churn.toml");
    std::fs::write(&file, "[[phase]]\nkind = \"login\"\n\n[[phase]]\nkind = \"logout\"\n")?;
    let (mut bytes, mut login_s) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let mut fleet = stage.start_fleet_of(programs, &server, sessions, &file, &[])?;
        login_s.push(wait(&mut fleet)?);
        let status = server.status()?;
        println!("{:>9} log-ins, server memory {} bytes", status.logins, status.memory.bytes());
        bytes.push(status.memory.bytes());
    }
    let status = server.status()?;
    let mis_steered = |counts: &crate::answers::Counts| counts.get("mis_steered").copied().unwrap_or(0);
    let in_kernel = by_kind(&server.kernel_counts()?.reasons);
    server.end()?;
    let (second, last) = (bytes[1] as f64, bytes[bytes.len() - 1] as f64);
    Ok(Churn {
        sessions,
        login_s,
        received: status.workers.iter().map(|worker| worker.received).sum(),
        mis_steered: mis_steered(&status.dropped) + mis_steered(&in_kernel),
        logins: status.logins,
        logouts: status.logouts,
        growth_percent: (last / second - 1.0) * 100.0,
        bytes,
    })
}

/// Until it has ended: how long its log-in took.
fn wait(fleet: &mut Fleet) -> Result<f64> {
    while fleet.is_running()? {
        signal::check()?;
        machine::sleep_to_the_next_second();
    }
    Ok(fleet.reports(Duration::from_secs(60))?.iter().map(|report| report.login.seconds).fold(0.0, f64::max))
}
