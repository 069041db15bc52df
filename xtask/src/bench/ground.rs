//! The ground of the bench: server and echo behind a cable each, and the generators at the other ends.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::answers::Report;
use crate::fleet::{Fleet, Seat, common_start};
use crate::lab::{Lab, NapiThread, Place, Program, pass, quiet};
use crate::machine;
use crate::programs::Programs;
use crate::server::Server;
use crate::signal;

const SERVER_PORT: u16 = 2015;
const ECHO_PORT: u16 = 2016;
/// What one worker and one generator, each on a CPU of its own, do at least.
const LOGINS_PER_S: u64 = 12_000;
/// CPU of server, echo and their receive work; and of the generators and theirs.
const SUBJECT_CPU: usize = 0;
const GENERATOR_CPU: usize = 1;

/// Who is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Subject {
    /// rp-server behind its gate.
    Server,
    /// The bare echo behind a program that passes everything.
    Echo,
}

impl Subject {
    /// Both, in the order of their cables.
    pub const ALL: [Subject; 2] = [Subject::Server, Subject::Echo];
}

/// Everything that runs; gone when dropped, generators first.
pub struct Ground {
    server: Server,
    echo: Program,
    napi: [NapiThread; 2],
    _pass: Program,
    programs: Programs,
    lab: Lab,
}

impl Ground {
    /// Starts both subjects and quiets the cables.
    ///
    /// # Errors
    /// What could not be started.
    pub fn prepare(programs: &Programs, echo: &Path) -> Result<Ground> {
        let lab = Lab::build(2, programs)?;
        // The worker path: the gate would answer the shakes itself.
        let flags = ["--workers", "1", "--interface", "s1", "--steer-only", "--session-rate", "0"];
        let server = Server::start(programs, Place::inside(lab.server()).on_cpu(SUBJECT_CPU), lab.room(), &flags)?;
        let mut command = Place::inside(lab.server()).on_cpu(SUBJECT_CPU).command(echo);
        command.arg(format!("{}:{ECHO_PORT}", lab.clients()[1].1.server_v4()));
        let echo = Program::start("echo", command, &lab.room().file("echo.log"))?;
        let pass = pass(programs, lab.room(), Place::inside(lab.server()), "s2")?;
        let napi = [quiet(lab.server(), "s1", SUBJECT_CPU)?, quiet(lab.server(), "s2", SUBJECT_CPU)?];
        for (client, link) in lab.clients() {
            quiet(client, link.client_interface(), GENERATOR_CPU)?;
        }
        Ok(Ground { server, echo, napi, _pass: pass, programs: programs.clone(), lab })
    }

    /// CPU time of a subject so far, its receive work included, in nanoseconds.
    pub fn cpu_ns(&self, subject: Subject) -> u64 {
        match subject {
            Subject::Server => machine::cpu_ns_of(self.server.pid()) + machine::cpu_ns_of_thread(self.napi[0].tid),
            Subject::Echo => machine::cpu_ns_of(self.echo.pid()) + machine::cpu_ns_of_thread(self.napi[1].tid),
        }
    }

    /// Idle time of the subjects' CPU so far, in nanoseconds.
    pub fn idle_ns(&self) -> u64 {
        machine::idle_ns_of(SUBJECT_CPU)
    }

    /// Starts a generator of `users` sessions for each subject with its scenario.
    ///
    /// # Errors
    /// When one cannot be started.
    pub fn generate(&self, users: u64, scenarios: &[(Subject, String)]) -> Result<Vec<Fleet>> {
        let mut fleets = Vec::new();
        let start_s = common_start(users, LOGINS_PER_S).to_string();
        for (subject, scenario) in scenarios {
            let index = *subject as usize;
            let file = self.lab.room().file(&format!("scenario-{index}.toml"));
            std::fs::write(&file, scenario)?;
            let (client, link) = &self.lab.clients()[index];
            let port = if *subject == Subject::Server { SERVER_PORT } else { ECHO_PORT };
            let seat = Seat {
                name: format!("{subject:?}").to_lowercase(),
                place: Place::inside(client).on_cpu(GENERATOR_CPU),
                server: format!("{}:{port}", link.server_v4()),
                sources: Vec::new(),
            };
            let file = file.display().to_string();
            // One socket each: nothing is steered by content, so joined datagrams need no parting.
            let mut flags = vec!["--scenario", file.as_str(), "--start-at", &start_s, "--segment"];
            if *subject == Subject::Echo {
                flags.push("--echo");
            }
            fleets.push(Fleet::start(&self.programs, self.lab.room(), &[seat], users, &flags)?);
        }
        Ok(fleets)
    }

    /// Calls `at_second` at the beginning of every unix second until the generators have ended; returns their reports.
    ///
    /// # Errors
    /// When they do not end within `limit`, or this process is asked to end.
    pub fn watch(
        &self,
        fleets: &mut [Fleet],
        limit: Duration,
        mut at_second: impl FnMut(&Ground, u64),
    ) -> Result<Vec<Report>> {
        let since = Instant::now();
        while fleets.iter_mut().any(|fleet| fleet.is_running().unwrap_or(false)) {
            machine::sleep_to_the_next_second();
            signal::check()?;
            at_second(self, machine::unix_us() / 1_000_000);
            if since.elapsed() > limit {
                let tails: Vec<String> = fleets.iter().map(Fleet::log_tails).collect();
                bail!("the generators have not ended within {limit:?}:\n{}", tails.join("\n"));
            }
        }
        let mut reports = Vec::new();
        for fleet in fleets {
            reports.extend(fleet.reports(Duration::from_secs(60))?);
        }
        Ok(reports)
    }
}
