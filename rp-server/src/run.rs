//! `rp-server run`: puts everything in its place, says what it became, and serves until told to stop.

mod asked;
mod listening;
mod polling;
mod queues;
mod running;
mod said;
mod vault;

use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args};
use rand_core::{OsRng, TryRngCore};
use rp_core::cookie::Baker;
use rp_core::engine::Config;
use rp_core::engine::bank::BankBooks;
use rp_core::engine::board::Board;
use rp_core::engine::books::Books;
use rp_core::key::Key;
use rp_core::limits::{SETS_DEFAULT, SETS_MAX, SLOTS_PER_SET, WORKERS_MAX};
use rp_core::ticket::Realm;
use rp_net::socket::UdpSocket;
use rp_net::wait::{Sleeper, Waker};
use tracing::info;

use crate::admin::AdminArgs;
use crate::admin::serve::AdminSocket;
use crate::clock::Clock;
use crate::config::{self, live::Wish};
use crate::control::{Call, Control, Hangups, Signals};
use crate::gate::xsks::Transport;
use crate::gate::{self, Answering, Gate, GateConfig, Started, XdpChoice};
use crate::http::HttpArgs;
use crate::intake::Intake;
use crate::life::Life;
use crate::limits::{self, Keeper, LimitArgs};
use crate::logs::LogArgs;
use crate::network::Net;
use crate::realm;
use crate::recovery;
use crate::sight::{Sight, Tally, WorkerSight};
use crate::snapshot::{self, Publisher};
use crate::worker::{Doors, Face, Homes, Worker, connect};
pub use asked::Asked;
use listening::by_worker;
use running::{Running, spawn};
pub use vault::Durability;
use vault::{DataArgs, Kept, Parts};

/// Questions from the admin socket that wait for the control plane.
const CALLS_MAX: usize = 64;

/// Flags of `rp-server run`.
#[derive(Args)]
pub struct RunArgs {
    /// Address to serve on; repeatable
    #[arg(
        long,
        env = "RP_LISTEN",
        help_heading = "Clients",
        value_name = "ADDR:PORT",
        value_delimiter = ',',
        default_value = "[::]:2015"
    )]
    listen: Vec<SocketAddr>,
    /// Where the gate is; repeatable [default: all that are up but loopback]
    #[arg(long, env = "RP_INTERFACE", help_heading = "Machine", value_name = "NAME", value_delimiter = ',')]
    interface: Vec<String>,
    /// How to attach the gate
    #[arg(long, env = "RP_XDP", help_heading = "Machine", value_name = "MODE", default_value = "auto")]
    xdp: XdpChoice,
    /// How the workers get what goes up
    #[arg(long, env = "RP_TRANSPORT", help_heading = "Machine", value_name = "TRANSPORT", default_value = "sockets")]
    transport: Transport,
    /// Workers, one pinned to each CPU [default: the CPUs it may use]
    #[arg(long, env = "RP_WORKERS", help_heading = "Machine", value_name = "N")]
    workers: Option<usize>,
    /// SETs, of 4608 sessions each
    #[arg(long, env = "RP_SETS", help_heading = "Clients", value_name = "N", default_value_t = SETS_DEFAULT)]
    sets: usize,
    /// Key of tickets, made when absent; repeatable
    #[arg(
        long,
        env = "RP_REALM_KEY",
        help_heading = "Clients",
        value_name = "FILE",
        value_delimiter = ',',
        default_value = "realm.key"
    )]
    realm_key: Vec<PathBuf>,
    /// Directory of the pinned counters [default: in the bpf file system]
    #[arg(long, env = "RP_PIN", help_heading = "Machine", hide_short_help = true, value_name = "DIR")]
    pin: Option<PathBuf>,
    /// Kernel programs [default: where `cargo xtask build-ebpf` puts them]
    #[arg(long, env = "RP_GATE_OBJECT", hide_short_help = true, help_heading = "Machine", value_name = "FILE")]
    gate_object: Option<PathBuf>,
    /// Print what the gate does with each datagram
    #[arg(long, env = "RP_TRACE_GATE", help_heading = "Machine", hide_short_help = true)]
    trace_gate: bool,
    /// Let the workers answer everything: the gate only counts, drops and steers
    #[arg(long, env = "RP_STEER_ONLY", help_heading = "Machine", hide_short_help = true)]
    steer_only: bool,
    /// Seal what bears money, both ways; off is for load tests only
    #[arg(long, env = "RP_SEALING", help_heading = "Clients", hide_short_help = true, value_name = "on|off", default_value = "on",
          action = ArgAction::Set, value_parser = BoolishValueParser::new())]
    sealing: bool,
    #[command(flatten)]
    ledger: DataArgs,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    pub(crate) log: LogArgs,
    /// Part of the network that is not heard; repeatable
    #[arg(long, env = "RP_DENY", help_heading = "Limits, a second", value_name = "PREFIX", value_delimiter = ',')]
    deny: Vec<Net>,
    /// Quiet time after which a session ends
    #[arg(long, env = "RP_IDLE", help_heading = "Clients", value_name = "SECONDS", default_value_t = 300,
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    idle: u64,
    /// Time in which a packet may be taken
    #[arg(long, env = "RP_PACKET_LIFE", help_heading = "Clients", value_name = "SECONDS", default_value_t = 86_400,
          value_parser = clap::value_parser!(u64).range(1..=31_536_000))]
    packet_life: u64,
    /// At the end, wait so long at most for what is under way (a service manager is told)
    #[arg(long, env = "RP_DRAIN", help_heading = "Clients", hide_short_help = true, value_name = "SECONDS", default_value_t = 1,
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    drain: u64,
    /// Let an interrupt of the gate's interfaces rest so long after each batch; put back at the end
    #[arg(long, env = "RP_COALESCE_US", help_heading = "Machine", hide_short_help = true, value_name = "MICROSECONDS",
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    coalesce_us: Option<u32>,
    /// Let a worker look for the next datagram so long after the last, before it sleeps
    #[arg(long, env = "RP_BUSY_POLL_US", help_heading = "Machine", hide_short_help = true, value_name = "MICROSECONDS",
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    busy_poll_us: Option<u32>,
    /// Receive buffer of each worker's socket
    #[arg(long, env = "RP_RECEIVE_BUFFER", help_heading = "Machine", hide_short_help = true, value_name = "MIB", default_value_t = 64,
          value_parser = clap::value_parser!(u32).range(1..=1024))]
    receive_buffer: u32,
    #[command(flatten)]
    http: HttpArgs,
}

impl RunArgs {
    /// Serves until SIGTERM or SIGINT; then answers what has come by then.
    ///
    /// # Errors
    /// What was tried at start, what the system said and what to do next; or what ended a worker.
    pub fn run(&self, admin: &AdminArgs, start: config::Start) -> Result<()> {
        ensure!(
            (1..=SETS_MAX).contains(&self.sets),
            "--sets {}: a server has 1 ..= {SETS_MAX} SETs of {SLOTS_PER_SET} sessions",
            self.sets
        );
        let campaign = Wish::campaign_of(&start)?;
        let cpus = self.plan_cpus()?;
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting the control plane")?;
        let inside = runtime.enter();
        let hangups = Hangups::hear()?;
        let socket = AdminSocket::bind(admin.path())?;
        let life = Arc::new(Life::default());
        let (publisher, window) = snapshot::open(life.clone());
        // From here on it tells that the server starts, and it is the last to end.
        let http = self.http.serve(window)?;
        let (running, control, signals) = self.start(&cpus, hangups, life, publisher)?;
        drop(inside);
        // Loading the gate and reading the ledger back needed much for a moment.
        rp_net::proc::give_memory_back();
        info!(about = "admin", "{}", admin.path().display());
        info!(about = "http", "{}", http.said());
        let control = control.following(start, campaign, self.ledger.folder().map(PathBuf::from));
        let (calls, questions) = tokio::sync::mpsc::channel::<Call>(CALLS_MAX);
        tokio::task::LocalSet::new().block_on(&runtime, async {
            tokio::task::spawn_local(socket.serve(calls));
            control.run(questions, signals, Duration::from_secs(self.drain)).await;
        });
        running.stop()
    }

    /// What of them a running server can change to.
    pub fn live(&self) -> (LimitArgs, Vec<Net>, String) {
        (self.limits, self.deny.clone(), self.log.log_level.clone())
    }

    fn plan_cpus(&self) -> Result<Vec<usize>> {
        let allowed = rp_net::affinity::allowed_cpus().context("asking which CPUs this process may use")?;
        // A worker without a SET would have nothing to do.
        let most = self.sets.min(WORKERS_MAX);
        let workers = self.workers.unwrap_or(allowed.len().min(most));
        ensure!(
            (1..=most).contains(&workers),
            "--workers {workers}: {} SETs are served by 1 ..= {most} workers; give fewer, or more --sets",
            self.sets
        );
        Ok(allowed.into_iter().cycle().take(workers).collect())
    }

    fn start(
        &self,
        cpus: &[usize],
        hangups: Hangups,
        life: Arc<Life>,
        publisher: Publisher,
    ) -> Result<(Running, Control, Signals)> {
        let realms = self.realms()?;
        let (clock, cookie_key) = (Clock::default(), draw_key()?);
        let bank_books = Arc::new(BankBooks::default());
        let books: Vec<Arc<Books>> = cpus.iter().map(|_| Arc::default()).collect();
        let baker = Baker::new(cookie_key, gate::object::SERVER);
        let config = self.config(cpus.len());
        let parts = Parts { config, baker, realms: &realms, books: &books, bank_books: &bank_books };
        // Every sum is checked before a port is opened.
        let mut vault = self.ledger.open(&parts, clock)?;
        // Until here a signal may end the process as it stands; the gate's pins and the interfaces' settings must be put back.
        let signals = Signals::hear(hangups)?;
        let sockets = self.sockets(cpus.len())?;
        let started = self.gate(cpus, &sockets, cookie_key, clock)?;
        gate::privilege::settle();
        let (mut gate, steering) = match started {
            Started::On(gate) => (Some(gate), "xdp"),
            Started::Off(why) => (None, self.steer_without(&sockets, cpus.len(), &why)),
        };
        let sockets: Vec<Arc<[UdpSocket]>> = by_worker(sockets).into_iter().map(Arc::from).collect();
        let board = match gate.as_deref().and_then(Gate::board) {
            Some(board) => board.clone(),
            None => {
                let board = Arc::new(Board::own(self.sets as u32));
                self.limits.set(&board, clock, limits::parts(false, cpus.len()));
                board
            }
        };
        let is_gated = gate.as_deref().is_some_and(|gate| gate.board().is_some());
        let list = match gate.as_mut().filter(|_| is_gated) {
            Some(gate) => Some(gate.take_deny_list()?),
            None => None,
        };
        let parts = limits::parts(is_gated, cpus.len());
        let keeper = Keeper::new(self.limits, &self.deny, board.clone(), list, clock, parts)?;
        let doors = Arc::new(Doors::new(self.listen.len()));
        let mut sleepers = Vec::new();
        for group in &sockets {
            sleepers.push(Sleeper::new(group.iter()).context("making a worker's alarm")?);
        }
        let homes = Arc::new(Homes::new(sockets[0].iter()));
        let intake =
            Intake { sockets: sockets.clone(), xsks: gate.as_deref_mut().map(Gate::take_xsks).transpose()?.flatten() };
        let plugged = gate.as_deref_mut().map(Gate::unplug).unwrap_or_default();
        let (frames, mut xsks, xsk_sights) =
            queues::share(plugged, self.sets as u32, &sockets[0], &homes, &mut sleepers)?;
        let polling = self.busy_poll_us.map(|us| polling::arm(&sockets, &mut xsks, us));
        let wakers: Vec<Waker> = sleepers.iter().map(Sleeper::waker).collect();
        recovery::place(&mut vault.shards, &mut vault.bank, &board, is_gated);
        let ledger = vault.said().to_owned();
        let Kept { shards, bank, desks, archive, hatches, librarian, keeping } = vault.keep(&wakers)?;
        let (rings, bank_rings) = connect(&wakers);
        let sight = Arc::new(Sight {
            life,
            sets: self.sets as u32,
            gate: said::gate_status(gate.as_deref(), steering),
            transport: self.transport,
            sealing: self.sealing,
            xsks: xsk_sights,
            homes,
            workers: (0..cpus.len())
                .map(|n| WorkerSight {
                    cpu: cpus[n],
                    books: books[n].clone(),
                    face: Arc::new(Face::default()),
                    sockets: sockets[n].clone(),
                    overflows: sockets[n].iter().map(|_| Tally::default()).collect(),
                })
                .collect(),
            bank: bank_books.clone(),
            board: board.clone(),
            durability: self.ledger.durability,
            scribe: keeping.face.clone(),
            librarian,
            gate_counters: gate.as_deref().map(|gate| gate.counters().maps().clone()),
            maps_bytes: Default::default(),
            clock,
        });
        self.say(&sight, gate.as_deref(), &sockets, polling.as_deref(), &ledger);
        let mut threads = Vec::new();
        let (mut desks, mut hatches) = (desks.into_iter(), hatches.into_iter());
        let threefold = rings.into_iter().zip(sleepers).zip(xsks).zip(shards);
        for (number, (((rings, sleeper), xsks), shard)) in threefold.enumerate() {
            let worker = Worker {
                number,
                cpu: cpus[number],
                sockets: sockets[number].clone(),
                xsks,
                frames: frames.clone(),
                shard,
                rings,
                desk: desks.next().expect("a desk for each worker and the bank"),
                archive: archive.clone(),
                hatch: hatches.next(),
                sleeper,
                doors: doors.clone(),
                clock,
                busy_poll_us: self.busy_poll_us.unwrap_or(0).into(),
                face: sight.workers[number].face.clone(),
            };
            threads.push(spawn(worker)?);
        }
        let desk = desks.next().expect("a desk for each worker and the bank");
        let control = Control::new(sight.clone(), bank, bank_rings, (desk, archive), keeper, intake, publisher);
        Ok((Running { threads, wakers, sight, keeping, _gate: gate }, control, signals))
    }

    /// Of worker 0, without a gate.
    fn config(&self, workers: usize) -> Config {
        Config {
            sets: self.sets as u32,
            workers: workers as u32,
            worker: 0,
            idle_us: self.idle * 1_000_000,
            packet_life_us: self.packet_life * 1_000_000,
            is_gated: false,
            is_unsealed: !self.sealing,
            keeps_postings: self.ledger.durability == Durability::Disk,
        }
    }

    fn realms(&self) -> Result<Vec<Realm>> {
        let mut realms: Vec<Realm> = Vec::new();
        for file in &self.realm_key {
            let (key, made) = realm::read_or_make(file)?;
            if made {
                info!("made a realm key: {} (clients need it, or tickets sealed under it)", file.display());
            }
            if realms.iter().any(|realm| realm.id == key.id) {
                bail!("{}: two realm keys have the number {}; give one of them another", file.display(), key.id);
            }
            realms.push(key.realm());
        }
        Ok(realms)
    }

    fn gate(&self, cpus: &[usize], sockets: &[Vec<UdpSocket>], cookie_key: Key, clock: Clock) -> Result<Started> {
        let mut ports: Vec<u16> = sockets.iter().map(|group| group[0].local_address().port()).collect();
        ports.sort_unstable();
        ports.dedup();
        let config = GateConfig {
            object: self.gate_object.clone(),
            interfaces: self.interface.clone(),
            xdp: self.xdp,
            transport: self.transport,
            coalesce_us: self.coalesce_us,
            ports,
            sets: self.sets as u32,
            worker_cpus: cpus.iter().map(|cpu| *cpu as u32).collect(),
            pin: self.pin.clone(),
            trace: self.trace_gate,
            answers: (!self.steer_only).then_some(Answering { cookie_key, limits: self.limits, clock }),
        };
        let fds: Vec<Vec<BorrowedFd<'_>>> =
            sockets.iter().map(|group| group.iter().map(UdpSocket::as_fd).collect()).collect();
        gate::start(&config, &fds)
    }
}

fn draw() -> Result<[u8; 32]> {
    let mut seed = [0; 32];
    OsRng.try_fill_bytes(&mut seed).context("drawing from the system's random source")?;
    Ok(seed)
}

fn draw_key() -> Result<[u8; 16]> {
    let [key @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = draw()?;
    Ok(key)
}
