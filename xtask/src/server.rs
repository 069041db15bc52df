//! A running rp-server: started, asked over its admin socket, ended.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;

use crate::answers::{KernelCounts, Status, TimelineSecond};
use crate::command;
use crate::lab::{Place, Program, Room};
use crate::programs::Programs;
use crate::signal;

/// Loading the gate, filling the tables of a million sessions and binding take a second or two; a machine that compiles
/// something beside takes longer.
const START_LIMIT: Duration = Duration::from_secs(300);
const END_LIMIT: Duration = Duration::from_secs(120);

/// A server with its key, socket, pins and log in a lab's room.
#[derive(Debug)]
pub struct Server {
    program: Program,
    tool: PathBuf,
    admin: PathBuf,
    pins: PathBuf,
    key: PathBuf,
}

impl Server {
    /// Starts it in `place` with `flags` beside its files, and waits until it serves.
    ///
    /// # Errors
    /// When it ends or does not serve in time; carries the end of its log.
    pub fn start(programs: &Programs, place: Place<'_>, room: &Room, flags: &[&str]) -> Result<Server> {
        Server::start_as("server", programs, place, room, flags)
    }

    /// The same for one of several servers in a room, which share a realm.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_as(name: &str, programs: &Programs, place: Place<'_>, room: &Room, flags: &[&str]) -> Result<Server> {
        let mut server = Server::launch(name, programs, place, room, flags)?;
        server.wait_until_it_serves()?;
        Ok(server)
    }

    /// The same, without waiting.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn launch(name: &str, programs: &Programs, place: Place<'_>, room: &Room, flags: &[&str]) -> Result<Server> {
        let (admin, pins, key) = (room.file(&format!("{name}.sock")), room.pins(name), room.file("realm.key"));
        let mut command = place.command(&programs.server);
        // Several stand side by side; who wants HTTP gives a flag.
        command.env("RP_HTTP", "off");
        command.arg("run").args(flags).arg("--admin").arg(&admin).arg("--realm-key").arg(&key);
        command.arg("--pin").arg(&pins).arg("--gate-object").arg(&programs.gate).arg("--data").arg(room.ledger(name));
        let program = Program::start("rp-server", command, &room.file(&format!("{name}.log")))?;
        Ok(Server { program, tool: programs.server.clone(), admin, pins, key })
    }

    /// Has it said that it serves?
    pub fn serves(&self) -> bool {
        self.program.log().contains("\nserving;")
    }

    fn wait_until_it_serves(&mut self) -> Result<()> {
        let since = Instant::now();
        loop {
            signal::check()?;
            if let Some(status) = self.program.ended()? {
                bail!("rp-server ended at its start ({status}):\n{}", self.program.log_tail());
            }
            match self.status() {
                Ok(_) => return Ok(()),
                Err(error) if since.elapsed() > START_LIMIT => {
                    return Err(error.context(format!("rp-server does not serve:\n{}", self.program.log_tail())));
                }
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    /// The process.
    pub fn program(&mut self) -> &mut Program {
        &mut self.program
    }

    /// Its admin socket.
    pub fn admin(&self) -> &Path {
        &self.admin
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.program.pid()
    }

    /// The realm key that tickets are sealed under.
    pub fn key(&self) -> &std::path::Path {
        &self.key
    }

    /// A command of rp-server that speaks to this one over its admin socket.
    pub fn tool(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.tool);
        command.args(words).arg("--admin").arg(&self.admin);
        command
    }

    /// What a command of rp-server prints.
    ///
    /// # Errors
    /// What it said.
    pub fn ask(&self, words: &[&str]) -> Result<String> {
        command::read(&mut self.tool(words))
    }

    fn ask_json<T: DeserializeOwned>(&self, words: &[&str]) -> Result<T> {
        let text = self.ask(words)?;
        serde_json::from_str(&text).with_context(|| format!("`rp-server {}` printed {text}", words.join(" ")))
    }

    /// `rp-server status --json`.
    ///
    /// # Errors
    /// When it does not answer or answers something else.
    pub fn status(&self) -> Result<Status> {
        self.ask_json(&["status", "--json"])
    }

    /// `rp-server timeline --json`.
    ///
    /// # Errors
    /// When it does not answer or answers something else.
    pub fn timeline(&self) -> Result<Vec<TimelineSecond>> {
        self.ask_json(&["timeline", "--json"])
    }

    /// The kernel's counters: `rp-server pps --once --json`, which reads the pinned maps and asks no server.
    ///
    /// # Errors
    /// When there are no pins or it answers something else.
    pub fn kernel_counts(&self) -> Result<KernelCounts> {
        let mut command = Command::new(&self.tool);
        command.args(["pps", "--once", "--json", "--pin"]).arg(&self.pins);
        let text = command::read(&mut command)?;
        serde_json::from_str(&text).with_context(|| format!("`rp-server pps` printed {text}"))
    }

    /// Ends it by SIGTERM.
    ///
    /// # Errors
    /// When it does not end, or not cleanly.
    pub fn end(mut self) -> Result<()> {
        self.program.end(END_LIMIT)
    }
}
