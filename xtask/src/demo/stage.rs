//! Where the demo plays: the laboratory as root, the loopback interface without.

use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::Result;

use super::scenario::{ALLOWANCE_FEN, Scenario};
use crate::fleet::{Fleet, Seat, common_start};
use crate::lab::{BySockets, Lab, Place, Room, Transmitted, by_sockets, next_name, transmitted};
use crate::programs::Programs;
use crate::server::Server;
use crate::signal;

const PORT: u16 = 2015;
/// Half of the log-ins per second that are aimed at.
const LOGINS_PER_S: u64 = 25_000;

/// Where the demo plays.
#[derive(Debug)]
pub enum Stage {
    /// Namespaces and real XDP.
    Lab(Lab),
    /// The loopback interface, the gate off.
    Loopback {
        /// For keys, logs and reports.
        room: Room,
        /// Client machines.
        clients: usize,
        /// Where the server is.
        server: Ipv4Addr,
    },
}

impl Stage {
    /// A lab with `clients` client machines, or what comes nearest without root.
    ///
    /// # Errors
    /// What the system refused.
    pub fn set(clients: usize, programs: &Programs) -> Result<Stage> {
        if signal::is_root() { Lab::build(clients, programs).map(Stage::Lab) } else { Stage::loopback(clients) }
    }

    /// The loopback interface, whoever asks.
    ///
    /// # Errors
    /// When the folder for logs cannot be made.
    pub fn loopback(clients: usize) -> Result<Stage> {
        Stage::loopback_at(Ipv4Addr::LOCALHOST, clients)
    }

    /// The same, with the server at an address of its own, so that others may run beside it.
    ///
    /// # Errors
    /// As [`Stage::loopback`].
    pub fn loopback_at(server: Ipv4Addr, clients: usize) -> Result<Stage> {
        Ok(Stage::Loopback { room: Room::create(&next_name())?, clients, server })
    }

    /// Where a server shows its snapshots here, as its flag has it.
    pub fn http(&self) -> String {
        format!("unix:{}", self.room().file("http.sock").display())
    }

    /// What it is, and what it cannot show.
    pub fn description(&self) -> String {
        match self {
            Stage::Lab(lab) => format!(
                "laboratory: namespace {} and {} client machines on veth pairs of their own, native XDP",
                lab.server().name(),
                lab.clients().len()
            ),
            Stage::Loopback { .. } => "loopback (no root, or asked for): no namespaces, no XDP, no kernel counters; classic BPF steers instead, and \
                                    the books of server and clients are compared over 127.0.0.1.\nFor the whole demo: sudo \
                                    env \"PATH=$PATH\" \"HOME=$HOME\" cargo xtask demo"
                .into(),
        }
    }

    /// Are the kernel's counters to be read?
    pub fn has_gate(&self) -> bool {
        matches!(self, Stage::Lab(_))
    }

    /// What the drivers of the server's interfaces did with the gate's answers; none without a gate.
    ///
    /// # Errors
    /// When a driver does not count them.
    pub fn transmitted(&self, interfaces: &[String]) -> Result<Option<Transmitted>> {
        let Stage::Lab(lab) = self else { return Ok(None) };
        let of_each = interfaces.iter().map(|interface| transmitted(lab.server(), interface));
        of_each.reduce(|a, b| Ok(a? + b?)).transpose()
    }

    /// What the sockets of the server's machine read and sent; none where they are not alone.
    ///
    /// # Errors
    /// As [`by_sockets`].
    pub fn by_sockets(&self) -> Result<Option<BySockets>> {
        let Stage::Lab(lab) = self else { return Ok(None) };
        by_sockets(lab.server()).map(Some)
    }

    /// The folder for keys, logs and reports.
    pub fn room(&self) -> &Room {
        match self {
            Stage::Lab(lab) => lab.room(),
            Stage::Loopback { room, .. } => room,
        }
    }

    /// Starts the server, with further flags, gives the users money and starts the client machines.
    ///
    /// # Errors
    /// As [`Server::start`] and [`Fleet::start`], or when the server refuses the mint.
    pub fn raise_curtain(
        &self,
        programs: &Programs,
        users: u64,
        workers: usize,
        flags: &[&str],
        scenario: &Scenario,
    ) -> Result<(Server, Fleet)> {
        let workers = workers.to_string();
        let server = self.start_server(programs, &[&["--workers", &workers], flags].concat())?;
        let (range, fen) = (format!("1..={users}"), ALLOWANCE_FEN.to_string());
        server.ask(&["mint", "--users", &range, "--fen", &fen])?;
        // A unix socket is reached from every namespace.
        let http = flags.iter().find(|flag| flag.starts_with("unix:")).copied();
        let fleet = self.start_fleet(programs, &server, users, scenario, http)?;
        Ok((server, fleet))
    }

    /// Starts the server, with further flags.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn start_server(&self, programs: &Programs, flags: &[&str]) -> Result<Server> {
        let own = self.server_flags();
        let own: Vec<&str> = own.iter().map(String::as_str).collect();
        Server::start(programs, self.server_place(), self.room(), &[flags, &own].concat())
    }

    /// Starts the server again, over the ledger and at the address that it had, and does not wait for it.
    ///
    /// # Errors
    /// As [`Server::launch`].
    pub fn launch_server(&self, programs: &Programs, flags: &[&str]) -> Result<Server> {
        let own = self.server_flags();
        let own: Vec<&str> = own.iter().map(String::as_str).collect();
        Server::launch("server", programs, self.server_place(), self.room(), &[flags, &own].concat())
    }

    fn server_place(&self) -> Place<'_> {
        match self {
            Stage::Lab(lab) => Place::inside(lab.server()),
            Stage::Loopback { .. } => Place::HERE,
        }
    }

    /// What a server needs to be told here.
    fn server_flags(&self) -> Vec<String> {
        match self {
            Stage::Lab(_) => Vec::new(),
            Stage::Loopback { server, .. } => {
                ["--xdp", "off", "--listen"].into_iter().map(String::from).chain([format!("{server}:{PORT}")]).collect()
            }
        }
    }

    /// Starts the client machines.
    ///
    /// # Errors
    /// As [`Fleet::start`].
    fn start_fleet(
        &self,
        programs: &Programs,
        server: &Server,
        users: u64,
        scenario: &Scenario,
        http: Option<&str>,
    ) -> Result<Fleet> {
        let file = self.room().file("scenario.toml");
        std::fs::write(&file, scenario.toml())?;
        let start_s = common_start(users, LOGINS_PER_S).to_string();
        let mut flags = vec!["--start-at", start_s.as_str()];
        flags.extend(http.iter().flat_map(|http| ["--server-http", http]));
        self.start_fleet_of(programs, server, users, &file, &flags)
    }

    /// The same for the scenario in `file`, with further flags.
    ///
    /// # Errors
    /// As [`Fleet::start`].
    pub fn start_fleet_of(
        &self,
        programs: &Programs,
        server: &Server,
        users: u64,
        file: &Path,
        flags: &[&str],
    ) -> Result<Fleet> {
        let file = file.display().to_string();
        let mut flags = [&["--scenario", file.as_str()], flags].concat();
        if server.status()?.parts_joined() {
            flags.push("--segment");
        }
        Fleet::start(programs, self.room(), &self.seats(), users, &flags)
    }

    /// The client machines: in the lab every second one speaks IPv6.
    fn seats(&self) -> Vec<Seat<'_>> {
        match self {
            Stage::Lab(lab) => (0..)
                .zip(lab.clients())
                .map(|(index, (namespace, link))| Seat {
                    name: (index + 1).to_string(),
                    place: Place::inside(namespace),
                    server: if index % 2 == 1 {
                        format!("[{}]:{PORT}", link.server_v6())
                    } else {
                        format!("{}:{PORT}", link.server_v4())
                    },
                    sources: Vec::new(),
                })
                .collect(),
            Stage::Loopback { clients, server, .. } => (1..=*clients)
                .map(|number| Seat {
                    name: number.to_string(),
                    place: Place::HERE,
                    server: format!("{server}:{PORT}"),
                    sources: vec![format!("127.0.{number}.1")],
                })
                .collect(),
        }
    }
}
