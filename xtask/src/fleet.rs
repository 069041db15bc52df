//! The client machines: one rp-client each, with a range of the users, started together.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::answers::Report;
use crate::lab::{Place, Program, Room};
use crate::machine;
use crate::programs::Programs;
use crate::signal::Signal;

/// Seconds that programs have to start.
const START_S: u64 = 6;

/// One client machine.
#[derive(Clone, Debug)]
pub struct Seat<'a> {
    /// Names its log and its report.
    pub name: String,
    /// Where its program runs.
    pub place: Place<'a>,
    /// The server as it is reached from there.
    pub server: String,
    /// Addresses it sends from; none leaves the choice to the system.
    pub sources: Vec<String>,
}

/// Client programs that run side by side.
#[derive(Debug)]
pub struct Fleet {
    machines: Vec<(Program, PathBuf)>,
}

impl Fleet {
    /// Starts a client in each seat; together they hold the users 1 to `users`.
    ///
    /// # Errors
    /// When one cannot be started.
    pub fn start(programs: &Programs, room: &Room, seats: &[Seat<'_>], users: u64, flags: &[&str]) -> Result<Fleet> {
        let seats = seats.iter().zip(shares_of(users, seats.len() as u64));
        let machines = seats.map(|(seat, range)| start(programs, room, seat, (range, users), flags));
        Ok(Fleet { machines: machines.collect::<Result<_>>()? })
    }

    /// Starts one client with these users, the last of all.
    ///
    /// # Errors
    /// As [`Fleet::start`].
    pub fn start_last(
        programs: &Programs,
        room: &Room,
        seat: &Seat<'_>,
        users: RangeInclusive<u64>,
        flags: &[&str],
    ) -> Result<Fleet> {
        let total = *users.end();
        Ok(Fleet { machines: vec![start(programs, room, seat, (users, total), flags)?] })
    }

    /// Are all of them still at work?
    ///
    /// # Errors
    /// When the system cannot say.
    pub fn is_running(&mut self) -> Result<bool> {
        let mut running = true;
        for (program, _) in &mut self.machines {
            running &= program.ended()?.is_none();
        }
        Ok(running)
    }

    /// Waits for all of them and reads their reports, which say by `ok` whether their checks held.
    ///
    /// # Errors
    /// When one does not end within `limit`, or leaves no report.
    pub fn reports(&mut self, limit: Duration) -> Result<Vec<Report>> {
        let mut reports = Vec::new();
        for (program, path) in &mut self.machines {
            program.wait(limit)?;
            let text = std::fs::read_to_string(&path);
            let text =
                text.with_context(|| format!("rp-client left no report; its log ends:\n{}", program.log_tail()))?;
            let report = serde_json::from_str(&text).with_context(|| format!("{} is no report", path.display()))?;
            reports.push(report);
        }
        Ok(reports)
    }

    /// Where their reports are, or will be.
    pub fn report_paths(&self) -> impl Iterator<Item = &Path> {
        self.machines.iter().map(|(_, path)| path.as_path())
    }

    /// The ends of all logs, for an error message.
    pub fn log_tails(&self) -> String {
        self.machines.iter().map(|(program, _)| program.log_tail()).collect::<Vec<_>>().join("\n")
    }

    /// Signals all of them.
    pub fn signal(&mut self, signal: Signal) {
        for (program, _) in &mut self.machines {
            program.signal(signal);
        }
    }
}

/// Starts one client, and names its report.
fn start(
    programs: &Programs,
    room: &Room,
    seat: &Seat<'_>,
    (users, total): (RangeInclusive<u64>, u64),
    flags: &[&str],
) -> Result<(Program, PathBuf)> {
    let name = format!("rp-client-{}", seat.name);
    let report = room.file(&format!("{name}.json"));
    let mut command = seat.place.command(&programs.client);
    command.arg("run").args(["--server", &seat.server, "--total", &total.to_string()]);
    command.args(["--users", &format!("{}..={}", users.start(), users.end())]);
    command.arg("--realm-key").arg(room.file("realm.key")).arg("--json").arg(&report).args(flags);
    for source in &seat.sources {
        command.args(["--source", source]);
    }
    Ok((Program::start(&name, command, &room.file(&format!("{name}.log")))?, report))
}

/// The unix second from which all machines shake: when the slowest has logged in, at `logins_per_s` over all at least.
pub fn common_start(users: u64, logins_per_s: u64) -> u64 {
    machine::unix_us() / 1_000_000 + START_S + users / logins_per_s
}

/// The users 1 to `users` in `machines` neighbouring ranges, as even as whole numbers allow.
fn shares_of(users: u64, machines: u64) -> impl Iterator<Item = RangeInclusive<u64>> {
    (0..machines).map(move |n| users * n / machines + 1..=users * (n + 1) / machines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_user_has_one_machine() {
        for (users, machines) in [(1_000_000, 3), (10, 3), (7, 7), (1, 1)] {
            let shares: Vec<_> = shares_of(users, machines).collect();
            let seen: Vec<u64> = shares.iter().cloned().flatten().collect();
            assert_eq!(seen, (1..=users).collect::<Vec<_>>(), "{users} over {machines}: {shares:?}");
        }
    }
}
