//! What it costs to be looked at: a laden worker, in turn with nobody looking and with /metrics scraped each second and a page
//! that listens to /events.
//!
//! Snapshots are taken each second whether somebody looks or not, so the share without lookers has them, and the bank's beat, too.
//! All of the server's threads are on the worker's CPU: what they take is taken from it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::ground::{COALESCE as CLIENT_COALESCE, GENERATOR_CPU};
use super::subject::{COALESCE, SUBJECT_CPU, Subject};
use super::turn::REST_S;
use crate::answers::{Phase, Status};
use crate::fleet::{Fleet, Seat, common_start};
use crate::lab::{Lab, Place, quiet};
use crate::port::{Port, next_event};
use crate::programs::Programs;
use crate::server::Server;
use crate::{machine, signal};

/// Log-ins a second that server and generator do at least.
const LOGINS_PER_S: u64 = 15_000;
/// Until the generator has ended: many times what it takes.
const LIMIT: Duration = Duration::from_secs(60);

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// Sessions that shake.
    pub sessions: u64,
    /// Shakes a second.
    pub rate: u64,
    /// Turns without lookers, and as many with.
    pub rounds: u64,
    /// Seconds of a turn.
    pub turn_s: u64,
}

impl Extent {
    /// What the bench asks.
    pub fn new(is_quick: bool) -> Extent {
        Extent { sessions: 50_000, rate: Subject::Worker.laden_rate(), rounds: if is_quick { 2 } else { 6 }, turn_s: 4 }
    }

    fn turns(self) -> u64 {
        2 * self.rounds
    }

    fn begins(self, start_s: u64, turn: u64) -> u64 {
        start_s + 1 + turn * (self.turn_s + REST_S)
    }
}

/// One turn.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Looked {
    /// Did somebody look?
    pub is_looked_at: bool,
    /// Shakes answered per second.
    pub answered_per_s: f64,
    /// CPU time of control plane and HTTP, in percent of the worker's.
    pub share_percent: f64,
    /// The part of it that HTTP had.
    pub http_percent: f64,
    /// CPU time of the worker per answer, in microseconds.
    pub worker_us: f64,
    /// Share of the CPU that was left over.
    pub idle: f64,
    /// Scrapes and events in the turn.
    pub looks: u64,
}

/// CPU time so far, in nanoseconds: the worker, the control plane, HTTP; and what idled on their CPU.
type Reading = ([u64; 3], u64);

/// Measures, turn by turn.
///
/// # Errors
/// What could not be started, or an interrupt.
pub fn run(programs: &Programs, extent: Extent) -> Result<Vec<Looked>> {
    let Extent { sessions, turn_s, .. } = extent;
    let mut lab = Lab::build(1, programs)?;
    lab.free_client_end(0);
    let (client, link) = &lab.clients()[0];
    let interface = link.server_interface();
    let port = Port::at(lab.room().file("http.sock"));
    let http = port.flag();
    let mut flags = vec!["--workers", "1", "--interface", &interface, "--steer-only", "--durability", "none"];
    flags.extend(["--session-rate", "0", "--strangers-rate", "0", "--prefix-rate", "0", "--idle", "86400"]);
    flags.extend(["--http", &http]);
    let server = Server::start(programs, Place::inside(lab.server()).on_cpu(SUBJECT_CPU), lab.room(), &flags)?;
    quiet(lab.server(), &interface, SUBJECT_CPU, COALESCE)?;
    let file = lab.room().file("admin.toml");
    std::fs::write(&file, scenario(extent))?;
    let start_s = common_start(sessions, LOGINS_PER_S);
    let (file, start) = (file.display().to_string(), start_s.to_string());
    let seat = Seat {
        name: "admin".into(),
        place: Place::inside(client).on_cpu(GENERATOR_CPU),
        server: format!("{}:2015", link.server_v4()),
        sources: Vec::new(),
    };
    let flags = ["--scenario", &file, "--start-at", &start, "--sockets", "1", "--no-reconcile"];
    let mut fleet = Fleet::start(programs, lab.room(), &[seat], sessions, &flags)?;
    // Until the sink is attached.
    std::thread::sleep(Duration::from_secs(2));
    quiet(client, link.client_interface(), GENERATOR_CPU, CLIENT_COALESCE)?;
    let (readings, looks) = watch(&mut fleet, &server, &port, start_s, extent)?;
    let report = fleet.reports(LIMIT)?.remove(0);
    let mut measured = Vec::new();
    for turn in 0..extent.turns() {
        let phase = report.phases.iter().find(|phase| phase.name == turn.to_string());
        let phase = phase.with_context(|| format!("turn {turn} was not played:\n{}", fleet.log_tails()))?;
        let began_s = extent.begins(start_s, turn);
        ensure!(
            phase.per_second.first().is_none_or(|second| second.second == began_s),
            "the clients were not logged in in time for turn {turn}"
        );
        let count = |second: u64| looks.get(&second).copied().unwrap_or(0);
        let looks = count(began_s + turn_s) - count(began_s);
        let looked =
            judge(turn, phase, &readings, began_s..began_s + turn_s, looks).context("a second was not read")?;
        println!("{looked:?}");
        ensure!(!looked.is_looked_at || looked.looks >= turn_s, "nobody looked in turn {turn}");
        measured.push(looked);
    }
    server.end()?;
    Ok(measured)
}

/// In the order A B B A, so that what changes from turn to turn falls on both alike.
fn is_looked_at(turn: u64) -> bool {
    matches!(turn % 4, 1 | 2)
}

fn scenario(extent: Extent) -> String {
    let Extent { rate, turn_s, .. } = extent;
    let mut text = "[[phase]]\nkind = \"login\"\n[[phase]]\nkind = \"hold\"\nseconds = 1\n".to_string();
    for turn in 0..extent.turns() {
        text += &format!(
            "[[phase]]\nkind = \"blast\"\nname = \"{turn}\"\nseconds = {turn_s}\nrate = {rate}\nblast = {{ burst = 64 \
             }}\n[[phase]]\nkind = \"hold\"\nseconds = {REST_S}\n"
        );
    }
    text
}

/// Reads the clocks at each second, and has somebody look in every other turn; what was read, and the looks until then.
fn watch(
    fleet: &mut Fleet,
    server: &Server,
    port: &Port,
    start_s: u64,
    extent: Extent,
) -> Result<(BTreeMap<u64, Reading>, BTreeMap<u64, u64>)> {
    let threads = threads_of(server.pid(), &server.status()?)?;
    let (mut readings, mut looks) = (BTreeMap::new(), BTreeMap::new());
    let (mut lookers, mut before): (Option<Lookers>, u64) = (None, 0);
    while fleet.is_running()? {
        machine::sleep_to_the_next_second();
        signal::check()?;
        let second = machine::unix_us() / 1_000_000;
        readings.insert(second, (threads.map(machine::cpu_ns_of_thread), machine::idle_ns_of(SUBJECT_CPU)));
        looks.insert(second, before + lookers.as_ref().map_or(0, Lookers::count));
        // From a second before a turn to its end.
        let is_time = |turn: u64| {
            let began_s = extent.begins(start_s, turn);
            (began_s - 1..began_s + extent.turn_s).contains(&second)
        };
        match ((0..extent.turns()).any(|turn| is_looked_at(turn) && is_time(turn)), lookers.take()) {
            (true, None) => lookers = Some(Lookers::begin(port)?),
            (false, Some(some)) => before += some.end(),
            (_, some) => lookers = some,
        }
    }
    Ok((readings, looks))
}

/// The kernel's numbers of the worker, the control plane and HTTP.
fn threads_of(pid: u32, status: &Status) -> Result<[u32; 3]> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/task")).context("reading the server's threads")?;
    let tids = entries.flatten().filter_map(|entry| entry.file_name().to_string_lossy().parse().ok());
    let is_http = |tid: &u32| {
        std::fs::read_to_string(format!("/proc/{pid}/task/{tid}/comm")).is_ok_and(|name| name.trim() == "http")
    };
    let http = tids.into_iter().find(is_http).context("the server has no thread for HTTP")?;
    Ok([status.workers.first().context("the server has no worker")?.tid, pid, http])
}

fn judge(
    turn: u64,
    phase: &Phase,
    readings: &BTreeMap<u64, Reading>,
    seconds: Range<u64>,
    looks: u64,
) -> Option<Looked> {
    let (first, last) = (readings.get(&seconds.start)?, readings.get(&seconds.end)?);
    let long_s = (seconds.end - seconds.start) as f64;
    let [worker, control, http] = std::array::from_fn(|at| last.0[at].saturating_sub(first.0[at]) as f64);
    let answered = phase.answered.max(1) as f64;
    Some(Looked {
        is_looked_at: is_looked_at(turn),
        answered_per_s: answered / long_s,
        share_percent: 100.0 * (control + http) / worker,
        http_percent: 100.0 * http / worker,
        worker_us: worker / 1e3 / answered,
        idle: last.1.saturating_sub(first.1) as f64 / 1e9 / long_s,
        looks,
    })
}

/// One who scrapes each second and one who listens.
struct Lookers {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
    threads: [JoinHandle<Result<()>>; 2],
}

impl Lookers {
    fn begin(port: &Port) -> Result<Lookers> {
        let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let mut events = port.events("")?;
        let listen = looking(&stop, &count, move || next_event(&mut events).map(drop));
        let port = port.clone();
        let scrape = looking(&stop, &count, move || {
            machine::sleep_to_the_next_second();
            port.get("/metrics").map(drop)
        });
        Ok(Lookers { stop, count, threads: [listen, scrape] })
    }

    fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// How often they looked.
    fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            match thread.join() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => eprintln!("somebody who looked could not: {error:#}"),
                Err(_) => eprintln!("somebody who looked panicked"),
            }
        }
        self.count.load(Ordering::Relaxed)
    }
}

fn looking(
    stop: &Arc<AtomicBool>,
    count: &Arc<AtomicU64>,
    mut look: impl FnMut() -> Result<()> + Send + 'static,
) -> JoinHandle<Result<()>> {
    let (stop, count) = (stop.clone(), count.clone());
    std::thread::spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            look()?;
            count.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    })
}
