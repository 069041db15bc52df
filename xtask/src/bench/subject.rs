//! Who is measured: what stands at the server's end of a cable, how it is started, and whose CPU time is its own.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::lab::{Lab, Link, Namespace, NapiThread, Place, Program, mirror, pass, quiet};
use crate::machine;
use crate::programs::Programs;
use crate::server::Server;
use crate::setup::{self, target_dir};
use crate::{command, signal};

/// CPU of all subjects and their receive work; generators have the other.
pub const SUBJECT_CPU: usize = 0;
/// Less than a card waits by default; alike for all subjects.
pub(super) const COALESCE: Duration = Duration::from_micros(50);
const START_LIMIT: Duration = Duration::from_secs(20);
/// What memcached is asked for, as in rp-client's `bare.rs`.
const KEY: &str = "the-prize-of-today";

/// Who answers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// An XDP program that sends everything back: the floor.
    Mirror,
    /// recvfrom and sendto, one datagram each.
    Plain,
    /// recvmmsg and sendmmsg behind an XDP program that passes everything.
    Batched,
    /// tokio's UdpSocket.
    Tokio,
    /// Knot DNS in XDP mode.
    Knot,
    /// memcached over UDP.
    Memcached,
    /// rp-server whose gate only steers: every shake goes to a worker's socket.
    Worker,
    /// The same by AF_XDP, past the network stack.
    Xsk,
    /// rp-server: the gate answers; what goes up, goes by AF_XDP.
    Gate,
}

impl Subject {
    /// All, in the order of their cables.
    pub const ALL: [Subject; 9] = [
        Subject::Mirror,
        Subject::Plain,
        Subject::Batched,
        Subject::Tokio,
        Subject::Knot,
        Subject::Memcached,
        Subject::Worker,
        Subject::Xsk,
        Subject::Gate,
    ];

    /// For tables.
    pub fn name(self) -> &'static str {
        match self {
            Subject::Mirror => "bare XDP_TX echo",
            Subject::Plain => "recvfrom/sendto echo",
            Subject::Batched => "recvmmsg/sendmmsg echo",
            Subject::Tokio => "tokio UdpSocket echo",
            Subject::Knot => "knotd, XDP mode",
            Subject::Memcached => "memcached, UDP get",
            Subject::Worker => "rp-server, worker by sockets",
            Subject::Xsk => "rp-server, worker by AF_XDP",
            Subject::Gate => "rp-server, answered in the gate",
        }
    }

    /// Is it ours, so that sessions log in first?
    pub fn is_ours(self) -> bool {
        matches!(self, Subject::Worker | Subject::Xsk | Subject::Gate)
    }

    /// What rp-client is told of a server that is none of ours.
    pub fn bare(self) -> Option<&'static str> {
        match self {
            Subject::Mirror | Subject::Plain | Subject::Batched | Subject::Tokio => Some("echo"),
            Subject::Knot => Some("dns"),
            Subject::Memcached => Some("memcached"),
            Subject::Worker | Subject::Xsk | Subject::Gate => None,
        }
    }

    /// A rate at which it is well laden but loses nothing: waking up costs the least there.
    pub fn laden_rate(self) -> u64 {
        match self {
            Subject::Mirror => 1_000_000,
            Subject::Plain | Subject::Tokio | Subject::Batched | Subject::Worker => 125_000,
            Subject::Knot | Subject::Xsk => 200_000,
            Subject::Memcached => 75_000,
            Subject::Gate => 750_000,
        }
    }

    fn port(self) -> u16 {
        2015 + self as u16
    }
}

/// One that runs; ended when dropped.
pub struct Running {
    /// Who it is.
    pub subject: Subject,
    /// Its number among those that run, which is that of its cable.
    pub cable: usize,
    /// For rp-client: address and port.
    pub address: String,
    what: What,
    napi: Vec<NapiThread>,
    /// Lets frames in where the subject has no XDP program of its own.
    _pass: Option<Program>,
}

enum What {
    Program(Program),
    Server(Server),
}

/// CPU time so far, in nanoseconds.
#[derive(Clone, Copy, Default, Debug)]
pub struct CpuTime {
    /// Of the subject's threads.
    pub process_ns: u64,
    /// Of its cable's receive work, where its XDP programs run.
    pub receive_ns: u64,
}

/// Where the baselines are: examples of ours are built, servers of Debian's unpacked.
#[derive(Clone, Debug)]
pub struct Baselines {
    echo: PathBuf,
    tokio: PathBuf,
    knotd: PathBuf,
    memcached: PathBuf,
}

impl Baselines {
    /// Builds and finds all of them.
    ///
    /// # Errors
    /// What does not compile or cannot be fetched.
    pub fn prepare() -> Result<Baselines> {
        for (package, example) in [("rp-net", "echo"), ("rp-server", "tokio_echo")] {
            let mut cargo = command::cargo();
            command::show(cargo.args(["build", "--quiet", "--release", "--package", package, "--example", example]))?;
        }
        let examples = target_dir().join("release/examples");
        Ok(Baselines {
            echo: examples.join("echo"),
            tokio: examples.join("tokio_echo"),
            knotd: setup::find_or_unpack("knotd", "knot")?,
            memcached: setup::find_or_unpack("memcached", "memcached")?,
        })
    }
}

impl Running {
    /// Starts it behind a cable of the lab and moves the cable's receive work to the subjects' CPU.
    ///
    /// # Errors
    /// When it does not start; carries the end of its log.
    pub fn start(
        subject: Subject,
        cable: usize,
        lab: &Lab,
        programs: &Programs,
        baselines: &Baselines,
    ) -> Result<Running> {
        let (client, link) = &lab.clients()[cable];
        let (room, interfaces) = (lab.room(), link.server_interfaces());
        let place = Place::inside(lab.server()).on_cpu(SUBJECT_CPU);
        let address = format!("{}:{}", link.server_v4(), subject.port());
        let start = |command: Command| {
            Program::start(subject.name(), command, &room.file(&format!("{}.log", subject.port()))).map(What::Program)
        };
        let (what, passes) = match subject {
            Subject::Mirror => (What::Program(mirror(programs, room, place, &interfaces)?), false),
            Subject::Plain | Subject::Batched => {
                let batch = if subject == Subject::Plain { "1" } else { "64" };
                let mut command = place.command(&baselines.echo);
                command.args([&address, "--batch", batch]);
                (start(command)?, true)
            }
            Subject::Tokio => {
                let mut command = place.command(&baselines.tokio);
                command.arg(&address);
                (start(command)?, true)
            }
            Subject::Knot => (start(knot(subject, place, link, lab, &baselines.knotd)?)?, false),
            Subject::Memcached => {
                let mut command = place.command(&baselines.memcached);
                let port = subject.port().to_string();
                command.args(["-u", "root", "-t", "1", "-l", &link.server_v4().to_string(), "-U", &port, "-p", &port]);
                (start(command)?, true)
            }
            Subject::Worker | Subject::Xsk | Subject::Gate => {
                // One address, as the echoes have; on all of them each datagram costs the kernel half a microsecond more.
                let listed = interfaces.join(",");
                let mut flags = vec!["--workers", "1", "--interface", &listed, "--listen", &address];
                // No limits, and no pings that keep sessions alive: only what is measured.
                flags.extend(["--session-rate", "0", "--strangers-rate", "0", "--prefix-rate", "0", "--idle", "86400"]);
                flags.extend(["--durability", "none"]);
                if subject != Subject::Gate {
                    flags.push("--steer-only");
                }
                if subject != Subject::Worker {
                    flags.extend(["--transport", "af-xdp"]);
                }
                let name = format!("server-{}", subject.port());
                (What::Server(Server::start_as(&name, programs, place, room, &flags)?), false)
            }
        };
        let pass = if passes { Some(pass(programs, room, place, &interfaces)?) } else { None };
        if subject == Subject::Knot {
            interfaces.iter().try_for_each(|interface| wait_for_xdp(lab.server(), interface))?;
        }
        if subject == Subject::Memcached {
            remember(&address, Place::inside(client))?;
        }
        let napi = interfaces.iter().map(|interface| quiet(lab.server(), interface, SUBJECT_CPU, COALESCE));
        let napi = napi.collect::<Result<_>>()?;
        Ok(Running { subject, cable, address, what, napi, _pass: pass })
    }

    /// CPU time so far.
    pub fn cpu(&self) -> CpuTime {
        let pid = match &self.what {
            What::Program(program) => program.pid(),
            What::Server(server) => server.pid(),
        };
        CpuTime {
            process_ns: machine::cpu_ns_of(pid),
            receive_ns: self.napi.iter().map(|napi| machine::cpu_ns_of_thread(napi.tid)).sum(),
        }
    }

    /// The server, when it is ours.
    pub fn server(&self) -> Option<&Server> {
        match &self.what {
            What::Server(server) => Some(server),
            What::Program(_) => None,
        }
    }
}

/// Knot with one zone that has the name which is asked for.
fn knot(subject: Subject, place: Place<'_>, link: &Link, lab: &Lab, knotd: &std::path::Path) -> Result<Command> {
    let room = lab.room();
    let (zone, conf) = (room.file("example.zone"), room.file("knot.conf"));
    std::fs::write(
        &zone,
        "$ORIGIN example.\n@ 60 SOA ns hostmaster 1 60 60 60 60\n@ 60 NS ns\nns 60 A 192.0.2.1\nshakes 60 A 192.0.2.2\n",
    )?;
    let (port, address) = (subject.port(), link.server_v4());
    let xdp: Vec<String> = link.server_interfaces().iter().map(|interface| format!("{interface}@{port}")).collect();
    let text = format!(
        "server:\n  rundir: {room}\n  listen: {address}@{port}\n  udp-workers: 1\n  tcp-workers: 1\n  background-workers: 1\n\
         xdp:\n  listen: [{xdp}]\ndatabase:\n  storage: {room}\n\
         zone:\n  - domain: example\n    file: {zone}\n    journal-content: none\nlog:\n  - target: stderr\n    any: warning\n",
        xdp = xdp.join(", "),
        room = room.path().display(),
        zone = zone.display(),
    );
    std::fs::write(&conf, text)?;
    let mut command = place.command(knotd);
    command.arg("-c").arg(&conf);
    Ok(command)
}

/// Waits until a program is attached to an interface.
///
/// # Errors
/// When none is in time.
pub(super) fn wait_for_xdp(namespace: &Namespace, interface: &str) -> Result<()> {
    let since = Instant::now();
    while !namespace.ip(["link", "show", "dev", interface])?.contains("xdp") {
        signal::check()?;
        if since.elapsed() > START_LIMIT {
            bail!("nobody attaches an XDP program to {interface}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Gives memcached the value that it will be asked for.
fn remember(address: &str, place: Place<'_>) -> Result<()> {
    let (host, port) = address.rsplit_once(':').context("an address has a port")?;
    // A datagram: number 1, part 0 of 1, then the command and its eight bytes.
    let set = format!("printf '\\0\\1\\0\\0\\0\\1\\0\\0set {KEY} 0 0 8\\r\\nnothing.\\r\\n' > /dev/udp/{host}/{port}");
    std::thread::sleep(Duration::from_millis(300));
    let mut bash = place.command("bash");
    command::read(bash.args(["-c", &set])).map(drop)
}
