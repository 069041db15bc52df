//! The gate's loader: puts the kernel programs in place, says what it could and could not do, and takes them away again.
//!
//! The server also serves without: then [`start`] answers [`Started::Off`] with the reason, unless a mode was asked for by
//! name. The XDP links and the maps live as long as this process holds them, so a killed server leaves only its pins, and
//! the next start removes those.

pub mod coalescing;
pub mod counters;
pub mod interface;
pub mod interrupts;
pub mod memory;
pub mod object;
pub mod passing;
pub mod pins;
pub mod privilege;
pub mod steering;
pub mod trace;
pub mod verifying;
pub mod xsks;

use std::fmt;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use aya::Ebpf;
use aya::maps::{Array, CpuMap, MapData, ReusePortSockArray, XskMap};
use aya::programs::{SkReuseport, Xdp, XdpMode};
use clap::ValueEnum;
use rp_core::engine::board::Board;
use rp_core::key::Key;
use rp_core::limits::{LISTENS_MAX, WORKERS_MAX};
use tracing::info;

use crate::clock::Clock;
use crate::limits::{self, GateList, LimitArgs};
use coalescing::Coalescing;
use counters::Pinned;
use interface::Interface;
use object::{Answers, Wanted};
use pins::PinDir;
use xsks::{Plugged, Transport};

/// Frames that wait between two CPUs, as many as the kernel allows: with 4096 a rush of log-ins lost 1 in 1000, because the
/// queue's thread shares its CPU with a worker and may wait for a whole time slice.
const CPU_QUEUE_SLOTS: u32 = 16_384;

/// How XDP is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum XdpChoice {
    /// Driver mode, else skb mode, else none; says which.
    #[default]
    Auto,
    /// Driver mode or an error.
    Driver,
    /// Skb mode or an error.
    Skb,
    /// No XDP.
    Off,
}

/// What the gate is told.
#[derive(Clone, Debug)]
pub struct GateConfig {
    /// The compiled programs; none looks beside the executable.
    pub object: Option<PathBuf>,
    /// Interfaces by name; none are all that are up, loopback excepted.
    pub interfaces: Vec<String>,
    /// How XDP is asked for.
    pub xdp: XdpChoice,
    /// How the workers get what goes up.
    pub transport: Transport,
    /// How long an interrupt of the interfaces rests after a batch; none leaves it as it is.
    pub coalesce_us: Option<u32>,
    /// UDP ports of the service.
    pub ports: Vec<u16>,
    /// SETs of the server.
    pub sets: u32,
    /// The CPU of each worker.
    pub worker_cpus: Vec<u32>,
    /// Where the counters are pinned; none is the usual place.
    pub pin: Option<PathBuf>,
    /// Print what the gate does with each datagram.
    pub trace: bool,
    /// What it needs to answer; without, it only counts, drops and steers.
    pub answers: Option<Answering>,
}

/// What a gate needs that answers.
#[derive(Clone, Debug)]
pub struct Answering {
    /// Cookies are made under this key.
    pub cookie_key: Key,
    /// How fast clients may ask.
    pub limits: LimitArgs,
    /// The server's clock.
    pub clock: Clock,
}

/// What became of it.
pub enum Started {
    /// The programs are in place.
    On(Box<Gate>),
    /// They are not, and why.
    Off(String),
}

/// The mode an interface has, or the weakest of several.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Mode {
    /// Not attached.
    Off,
    /// In the stack, after the kernel made an skb of the frame.
    Skb,
    /// In the driver.
    Driver,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mode::Off => "off",
            Mode::Skb => "skb",
            Mode::Driver => "driver",
        })
    }
}

/// One interface and what it got.
#[derive(Debug)]
pub struct Attached {
    /// Its name.
    pub name: String,
    /// Its mode.
    pub mode: Mode,
    /// Why not a better one.
    pub why: Option<String>,
}

/// The kernel programs, in place until this is dropped.
pub struct Gate {
    // Dropped in this order: programs off, then the trace's end, then the pins and their folder.
    ebpf: Ebpf,
    attached: Vec<Attached>,
    plugged: Vec<Plugged>,
    coalescing: Option<Coalescing>,
    board: Option<Arc<Board>>,
    _trace: Option<trace::Follower>,
    counters: Pinned,
}

/// Puts the programs in place: `sockets[listen][worker]`, each listen one reuseport group, already bound.
///
/// # Errors
/// A wrong flag (no such interface, too many workers); and, when a mode was asked for by name, whatever keeps it from
/// being.
pub fn start(config: &GateConfig, sockets: &[Vec<BorrowedFd<'_>>]) -> Result<Started> {
    let by_xsk = config.transport == Transport::AfXdp;
    if config.xdp == XdpChoice::Off {
        if by_xsk {
            bail!("--transport af-xdp needs the gate: leave out --xdp off, or serve by --transport sockets");
        }
        if config.coalesce_us.is_some() {
            bail!(
                "--coalesce-us is for the gate's interfaces: leave out --xdp off, or set your card's by `ethtool -C`"
            );
        }
        return Ok(Started::Off("asked by --xdp off".to_string()));
    }
    check_sizes(config, sockets)?;
    let interfaces = interface::choose(&config.interfaces)?;
    match Gate::attach(config, &interfaces, sockets) {
        Ok(gate) => Ok(Started::On(Box::new(gate))),
        Err(error) if by_xsk => Err(error.context("no AF_XDP; --transport sockets serves without")),
        Err(error) if config.xdp == XdpChoice::Auto => Ok(Started::Off(format!("{error:#}"))),
        Err(error) => Err(error),
    }
}

fn check_sizes(config: &GateConfig, sockets: &[Vec<BorrowedFd<'_>>]) -> Result<()> {
    let workers = config.worker_cpus.len();
    if workers == 0 || workers > WORKERS_MAX {
        bail!("{workers} workers: the gate steers to 1 ..= {WORKERS_MAX}");
    }
    if sockets.len() > LISTENS_MAX {
        bail!("{} addresses to listen on: the gate knows at most {LISTENS_MAX}; give fewer --listen", sockets.len());
    }
    assert!(sockets.iter().all(|group| group.len() == workers), "each address has a socket per worker");
    Ok(())
}

impl Gate {
    fn attach(config: &GateConfig, interfaces: &[Interface], sockets: &[Vec<BorrowedFd<'_>>]) -> Result<Gate> {
        if interfaces.is_empty() {
            bail!("no interface is up besides loopback: name one by --interface");
        }
        privilege::check(config.transport)?;
        let wanted = Wanted {
            ports: &config.ports,
            sets: config.sets,
            workers: config.worker_cpus.len() as u32,
            listens: sockets.len() as u32,
            has_xsks: config.transport == Transport::AfXdp,
            trace: config.trace,
            answers: config
                .answers
                .as_ref()
                .map(|told| Answers { cookie_key: told.cookie_key, takes_time_from_map: false }),
        };
        let mut ebpf = object::load(&object::find(config.object.as_deref())?, &wanted)?;
        steer_to_cpus(&mut ebpf, &config.worker_cpus)?;
        steer_to_sockets(&mut ebpf, sockets)?;
        let board = match &config.answers {
            Some(told) => {
                let board = memory::map(&ebpf, config.sets)?;
                told.limits.set(&board, told.clock, limits::parts(true, config.worker_cpus.len()));
                Some(Arc::new(board))
            }
            None => None,
        };
        let trace =
            if config.trace { Some(trace::follow(&mut ebpf, |line| info!(target: "gate", "{line}"))?) } else { None };
        let counters = Pinned::create(PinDir::claim(config.pin.as_deref())?, &mut ebpf)?;
        let attached = attach_all(&mut ebpf, interfaces, config.xdp)?;
        let is_on = |pair: &(&Interface, &Attached)| pair.1.mode != Mode::Off;
        let on: Vec<&Interface> = interfaces.iter().zip(&attached).filter(is_on).map(|(on, _)| on).collect();
        let plugged = match config.transport {
            Transport::Sockets => Vec::new(),
            Transport::AfXdp => xsks::plug(&mut ebpf, &on, config.worker_cpus.len())?,
        };
        let names = on.iter().map(|interface| interface.name.as_str());
        let coalescing = config.coalesce_us.map(|rest_us| Coalescing::set(names, rest_us));
        Ok(Gate { ebpf, attached, plugged, coalescing, board, _trace: trace, counters })
    }

    /// The weakest mode of the interfaces that have one.
    pub fn mode(&self) -> Mode {
        let modes = self.attached.iter().map(|attached| attached.mode).filter(|mode| *mode != Mode::Off);
        modes.min().unwrap_or(Mode::Off)
    }

    /// The interfaces and their modes.
    pub fn attached(&self) -> &[Attached] {
        &self.attached
    }

    /// The memory that a gate which answers shares with the workers.
    pub fn board(&self) -> Option<&Arc<Board>> {
        self.board.as_ref()
    }

    /// The deny list that the gate looks at; once.
    ///
    /// # Errors
    /// The object has no such map.
    pub fn take_deny_list(&mut self) -> Result<GateList> {
        Ok(self.ebpf.take_map("denied").context("no map denied")?.try_into()?)
    }

    /// The table of AF_XDP sockets and the places that it has, if there are any: who empties it has the gate send all
    /// requests up the stack.
    ///
    /// # Errors
    /// The object has no such map.
    pub fn take_xsks(&mut self) -> Result<Option<(XskMap<MapData>, Vec<u32>)>> {
        if self.plugged.is_empty() {
            return Ok(None);
        }
        let places = self.plugged.iter().map(Plugged::place).collect();
        Ok(Some((self.ebpf.take_map("xsks").context("no map xsks")?.try_into()?, places)))
    }

    /// The AF_XDP sockets, for the workers; once.
    pub fn unplug(&mut self) -> Vec<Plugged> {
        std::mem::take(&mut self.plugged)
    }

    /// The counters.
    pub fn counters(&self) -> &Pinned {
        &self.counters
    }

    /// The loaded programs and maps.
    pub fn ebpf(&self) -> &Ebpf {
        &self.ebpf
    }

    /// For the start-up block: one line per interface, and where the counters are.
    pub fn describe(&self) -> Vec<String> {
        let line = |attached: &Attached| match &attached.why {
            Some(why) => format!("{}: {} ({why})", attached.name, attached.mode),
            None => format!("{}: {}", attached.name, attached.mode),
        };
        let pinned = format!("counters: {}", self.counters.dir().display());
        self.attached.iter().map(line).chain([pinned]).collect()
    }

    /// For the start-up block: how requests come to the workers, a line per interface.
    pub fn describe_steering(&self, worker_cpus: &[u32]) -> Vec<String> {
        let attached = self.attached.iter().filter(|attached| attached.mode != Mode::Off);
        // A driver that does not say has one queue to the gate's knowledge.
        let queues = |name: &str| rp_net::card::queues(name).unwrap_or(1);
        let plan = |attached: &Attached| {
            let commands = interrupts::pinning(&interrupts::of(&attached.name), worker_cpus);
            steering::plan(&attached.name, queues(&attached.name), worker_cpus, &commands)
        };
        attached.map(plan).collect()
    }

    /// For the start-up block: what became of the interrupts' rest, if it was asked for.
    pub fn describe_coalescing(&self) -> &[String] {
        self.coalescing.as_ref().map_or(&[], Coalescing::said)
    }
}

fn steer_to_cpus(ebpf: &mut Ebpf, worker_cpus: &[u32]) -> Result<()> {
    let on_cpu: &Xdp = ebpf.program("gate_cpu").context("no program gate_cpu")?.try_into()?;
    let on_cpu = on_cpu.fd()?.try_clone()?;
    let mut queues: CpuMap<_> = ebpf.map_mut("cpus").context("no map cpus")?.try_into()?;
    for &cpu in worker_cpus {
        let set = queues.set(cpu, CPU_QUEUE_SLOTS, Some(&on_cpu), 0);
        set.with_context(|| format!("the kernel makes no queue to CPU {cpu} (cpumap, Linux 5.9 or newer)"))?;
    }
    let mut table: Array<_, u32> = ebpf.map_mut("worker_cpus").context("no map worker_cpus")?.try_into()?;
    for (worker, &cpu) in worker_cpus.iter().enumerate() {
        table.set(worker as u32, cpu, 0)?;
    }
    Ok(())
}

fn steer_to_sockets(ebpf: &mut Ebpf, sockets: &[Vec<BorrowedFd<'_>>]) -> Result<()> {
    let mut table: ReusePortSockArray<_> = ebpf.map_mut("sockets").context("no map sockets")?.try_into()?;
    for (listen, group) in sockets.iter().enumerate() {
        for (worker, socket) in group.iter().enumerate() {
            let index = listen * WORKERS_MAX + worker;
            table.set(index as u32, &socket.as_raw_fd(), 0).context("a socket does not fit the table of `select`")?;
        }
    }
    let select: &SkReuseport = ebpf.program("select").context("no program select")?.try_into()?;
    for group in sockets {
        // One socket stands for its group.
        if let Some(socket) = group.first() {
            select.attach(socket).context("`select` cannot be attached to the sockets")?;
        }
    }
    Ok(())
}

fn attach_all(ebpf: &mut Ebpf, interfaces: &[Interface], choice: XdpChoice) -> Result<Vec<Attached>> {
    let gate: &mut Xdp = ebpf.program_mut("gate").context("no program gate")?.try_into()?;
    let attached = interfaces.iter().map(|interface| attach_one(gate, interface, choice));
    let attached = attached.collect::<Result<Vec<_>>>()?;
    if attached.iter().all(|attached| attached.mode == Mode::Off) {
        let whys = attached.iter().map(|a| format!("{}: {}", a.name, a.why.as_deref().unwrap_or_default()));
        bail!("XDP attaches to no interface: {}", whys.collect::<Vec<_>>().join("; "));
    }
    Ok(attached)
}

fn attach_one(gate: &mut Xdp, interface: &Interface, choice: XdpChoice) -> Result<Attached> {
    let name = interface.name.clone();
    let modes: &[(XdpMode, Mode)] = match choice {
        XdpChoice::Auto => &[(XdpMode::Driver, Mode::Driver), (XdpMode::Skb, Mode::Skb)],
        XdpChoice::Driver => &[(XdpMode::Driver, Mode::Driver)],
        XdpChoice::Skb => &[(XdpMode::Skb, Mode::Skb)],
        XdpChoice::Off => &[],
    };
    let mut why = Vec::new();
    for &(xdp_mode, mode) in modes {
        match gate.attach_to_if_index(interface.index, xdp_mode) {
            Ok(_) => return Ok(Attached { name, mode, why: (!why.is_empty()).then(|| why.join("; ")) }),
            Err(error) => why.push(format!("{mode} mode refused: {}", interface::explain(&error))),
        }
    }
    if choice != XdpChoice::Auto {
        bail!("XDP does not attach to {name}: {}; try --xdp auto", why.join("; "));
    }
    Ok(Attached { name, mode: Mode::Off, why: Some(why.join("; ")) })
}
