//! Log-ins and log-outs in turn: does the server's memory stay flat?
//!
//! The original leaked with each log-in and hung after 1.8 million.

use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use super::Extent;
use crate::answers::Memory;
use crate::demo::stage::Stage;
use crate::fleet::Fleet;
use crate::machine;
use crate::programs::Programs;
use crate::signal;

/// What the churn showed.
#[derive(Clone, Debug, Serialize)]
pub struct Churn {
    /// Log-ins the server counted.
    pub logins: u64,
    /// Log-outs the server counted.
    pub logouts: u64,
    /// Memory of the server after each round, in bytes.
    pub bytes: Vec<u64>,
    /// Growth from the first round's end to the last's, in percent: all structures are touched once by then.
    pub growth_percent: f64,
}

/// Logs all sessions in and out, round by round.
///
/// # Errors
/// What stopped the run.
pub fn run(programs: &Programs, extent: &Extent) -> Result<Churn> {
    let (sessions, rounds) = extent.churn;
    let stage = Stage::set(1)?;
    let server = stage.start_server(programs, 2)?;
    let once = "[[phase]]\nkind = \"login\"\n\n[[phase]]\nkind = \"logout\"\n\n";
    let file = stage.room().file("churn.toml");
    std::fs::write(&file, once)?;
    let mut bytes = Vec::new();
    for _ in 0..rounds {
        let mut fleet = stage.start_fleet_of(programs, sessions, &file, &[])?;
        wait(&mut fleet)?;
        bytes.push(bytes_of(server.status()?.memory));
        println!("{:>9} log-ins, server memory {} bytes", server.status()?.logins, bytes[bytes.len() - 1]);
    }
    let status = server.status()?;
    server.end()?;
    let (first, last) = (bytes[0] as f64, bytes[bytes.len() - 1] as f64);
    Ok(Churn { logins: status.logins, logouts: status.logouts, growth_percent: (last / first - 1.0) * 100.0, bytes })
}

fn wait(fleet: &mut Fleet) -> Result<()> {
    while fleet.is_running()? {
        signal::check()?;
        machine::sleep_to_the_next_second();
    }
    fleet.reports(Duration::from_secs(60)).map(drop)
}

fn bytes_of(memory: Memory) -> u64 {
    memory.rss_anon_bytes + memory.maps_bytes
}
