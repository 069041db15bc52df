//! Loads that no socket can make: shakes made by a kernel program, one after another from the fleet's table, and answers taken
//! in by another, before the network stack. Needs root, IPv4, and a server on the same Ethernet link.
//!
//! The sockets stay open beside it: prizes and notices reach them as ever.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use aya::maps::{Map, PerCpuArray, PerCpuValues};
use aya::programs::{TestRun as _, TestRunAttrs, TestRunOptions, Xdp, XdpMode};
use aya::{Ebpf, EbpfLoader};
use rp_core::entry::{ENTRY_WORDS, Words as _};
use rp_core::key::Key;
use rp_core::kind::Kind;
use rp_core::limits::SLOT_BITS;
use rp_core::line::Line;
use rp_core::load::*;
use rp_core::wire::words_of;
use rp_net::{link, mapping, proc};

/// Frames of one run that are in the kernel's hands together.
const BATCH: u32 = 64;
/// Runs of one system call: a few milliseconds, so that an end is seen in time.
const RUNS: u32 = 1 << 15;
/// Bytes of a frame.
const FRAME: usize = 60;
/// The way from the plan to the first shake.
const HEAD_START: Duration = Duration::from_millis(50);
/// Answers that are still on their way when the last shake has left.
const ECHO_TIME: Duration = Duration::from_millis(500);

/// A session that shakes.
#[derive(Clone, Copy, Debug)]
pub struct Shooter {
    /// Its index in the fleet.
    pub index: u32,
    /// Its id at the server.
    pub id: u32,
    /// Its key.
    pub key: Key,
    /// The last sequence it used.
    pub sequence: u32,
    /// Our port that it speaks from.
    pub port: u16,
}

impl Shooter {
    fn slot(&self) -> usize {
        (self.id & ((1 << SLOT_BITS) - 1)) as usize
    }
}

/// What is to be done.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    /// The server.
    pub server: SocketAddr,
    /// Shakes a second.
    pub rate: u32,
    /// For so long.
    pub seconds: u32,
    /// The server is a bare echo.
    pub echo: bool,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Harvest {
    /// Index in the fleet and last sequence of each session.
    pub sequences: Vec<(u32, u32)>,
    /// By [`Tally`].
    pub tally: [u64; TALLY_WORDS],
    /// Answers by latency in microseconds, from the due time, and their number.
    pub latencies_us: Vec<(u64, u64)>,
}

impl Harvest {
    /// How many of something.
    pub fn of(&self, what: Tally) -> u64 {
        self.tally[what as usize]
    }
}

/// Both programs: the sink in place from the beginning, the generator at work during a blast.
pub struct Blaster {
    ours: link::Link,
    local: Ipv4Addr,
    fleet: &'static [Line],
    by_slot: &'static [Line],
    plan: &'static [Line],
    shooters: Vec<u32>,
    work: Work,
    /// What had been counted before the blast under way.
    before: Counted,
}

enum Work {
    Idle(Ebpf),
    Blasting(JoinHandle<Result<Ebpf>>),
    /// Only while it changes.
    Changing,
}

#[derive(Clone)]
struct Counted {
    tally: [u64; TALLY_WORDS],
    latencies: Vec<u64>,
}

/// Finds the object of the kernel programs: beside this executable's folder, or under ./target.
///
/// # Errors
/// When it is not built; names the command that builds it.
fn find_object() -> Result<PathBuf> {
    let executable = std::env::current_exe().context("cannot tell where this executable lies")?;
    let folders = executable.ancestors().skip(1).take(3).map(Path::to_path_buf).chain([PathBuf::from("target")]);
    let found = folders.map(|folder| folder.join("bpf/load.o")).find(|path| path.is_file());
    found.context("the load programs are not built: `cargo xtask build-ebpf` builds bpf/load.o")
}

impl Blaster {
    /// Loads the programs for a fleet of so many sessions and puts the sink in place at the interface of our address; it lets
    /// everything in until a blast begins.
    ///
    /// # Errors
    /// What is missing, what the kernel said, and what to do.
    pub fn prepare(local: IpAddr, sessions: u32) -> Result<Blaster> {
        let IpAddr::V4(local) = local else { bail!("a blast needs IPv4: --server with an IPv4 address") };
        let bytes = std::fs::read(find_object()?).context("reading the load programs")?;
        let slots = 1usize << SLOT_BITS;
        let mut ebpf = EbpfLoader::new()
            .map_max_entries("fleet", sessions)
            .map_max_entries("by_slot", slots as u32)
            .load(&bytes)
            .context("giving the load programs' maps to the kernel (run as root)")?;
        let ours = link::of_address(local).with_context(|| format!("finding the interface of {local}"))?;
        attach(&mut ebpf, &ours)?;
        let fleet = lines(&ebpf, "fleet", sessions as usize)?;
        let by_slot = lines(&ebpf, "by_slot", slots / ENTRY_WORDS)?;
        let plan = lines(&ebpf, "plan", PLAN_WORDS / ENTRY_WORDS)?;
        let before = Counted { tally: [0; TALLY_WORDS], latencies: vec![0; BUCKETS] };
        Ok(Blaster { ours, local, fleet, by_slot, plan, shooters: Vec::new(), work: Work::Idle(ebpf), before })
    }

    /// Is a blast under way?
    pub fn is_at_work(&self) -> bool {
        matches!(self.work, Work::Blasting(_))
    }

    /// Begins a blast.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn begin(&mut self, order: &Order, shooters: &[Shooter]) -> Result<()> {
        ensure!(
            !shooters.is_empty(),
            "a blast needs sessions that are logged in: begin the scenario with a login phase"
        );
        // Who shook the last time and does not now: answers are the sockets' again.
        (0..1 << SLOT_BITS).for_each(|slot| store(self.by_slot, slot, 0));
        for ((shooter, line), number) in shooters.iter().zip(self.fleet).zip(1u64..) {
            fill(line, shooter);
            store(self.by_slot, shooter.slot(), number);
        }
        self.write_plan(order, shooters.len() as u64)?;
        self.shooters = shooters.iter().map(|shooter| shooter.index).collect();
        let cpus = rp_net::affinity::allowed_cpus().context("asking which CPUs this process may use")?;
        let cpu = *cpus.last().context("this process may use no CPU")?;
        let Work::Idle(ebpf) = &mut self.work else { bail!("a blast is under way already") };
        self.before = counted(ebpf)?;
        let end_ns = set_clock(ebpf)? + u64::from(order.seconds) * 1_000_000_000;
        let (interface, plan) = (self.ours.index, self.plan);
        let Work::Idle(ebpf) = std::mem::replace(&mut self.work, Work::Changing) else {
            unreachable!("it was idle a moment ago")
        };
        let thread = std::thread::Builder::new()
            .name("blast".into())
            .spawn(move || run(ebpf, interface, cpu, end_ns, plan))
            .context("starting the generator's thread")?;
        self.work = Work::Blasting(thread);
        Ok(())
    }

    /// What came of a blast that has just ended, once.
    ///
    /// # Errors
    /// What the kernel said when it was asked to send.
    pub fn harvest(&mut self) -> Result<Option<Harvest>> {
        let thread = match std::mem::replace(&mut self.work, Work::Changing) {
            Work::Blasting(thread) if thread.is_finished() => thread,
            other => {
                self.work = other;
                return Ok(None);
            }
        };
        let mut ebpf =
            thread.join().map_err(|_| anyhow!("the generator's thread panicked: see its message above"))??;
        let now = counted(&mut ebpf)?;
        self.work = Work::Idle(ebpf);
        let sequence = |(index, line): (&u32, &Line)| (*index, (&line).load(SEQUENCE) as u32);
        let sequences = self.shooters.iter().zip(self.fleet).map(sequence).collect();
        let since = now.latencies.iter().zip(&self.before.latencies).map(|(now, before)| now - before).enumerate();
        Ok(Some(Harvest {
            sequences,
            tally: std::array::from_fn(|at| now.tally[at] - self.before.tally[at]),
            latencies_us: since
                .filter(|(_, count)| *count > 0)
                .map(|(at, count)| (bucket_ns(at) / 1000, count))
                .collect(),
        }))
    }

    fn write_plan(&self, order: &Order, sessions: u64) -> Result<()> {
        let IpAddr::V4(server) = order.server.ip() else { bail!("a blast needs IPv4: --server with an IPv4 address") };
        let theirs = link::neighbour(server.into()).context("finding the server's Ethernet address")?;
        let mut ethernet = [0; 16];
        ethernet[..6].copy_from_slice(&theirs);
        ethernet[6..12].copy_from_slice(&self.ours.mac);
        ethernet[12..14].copy_from_slice(&[0x08, 0x00]);
        let ipv4 = ipv4_header(self.local, server);
        let kind = if order.echo { Kind::Shake } else { Kind::Nothing };
        let word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
        for (at, value) in [
            (PLAN_SESSIONS, sessions),
            (PLAN_INTERVAL_NS, (1_000_000_000 / u64::from(order.rate.max(1))).max(1)),
            (PLAN_END_NS, u64::MAX),
            (PLAN_STEP, step(sessions)),
            (PLAN_ETHERNET, word(&ethernet[..8])),
            (PLAN_ETHERNET + 1, word(&ethernet[8..])),
            (PLAN_IPV4, word(&ipv4[..8])),
            (PLAN_IPV4 + 1, word(&ipv4[8..16])),
            (PLAN_IPV4 + 2, word(&ipv4[16..])),
            (PLAN_PORT, order.server.port().to_be().into()),
            (PLAN_EXPECTS, kind.first_byte().into()),
        ] {
            store(self.plan, at, value);
        }
        Ok(())
    }
}

/// An IPv4 header for a shake, and four bytes of nothing.
fn ipv4_header(from: Ipv4Addr, to: Ipv4Addr) -> [u8; 24] {
    let mut header = [0; 24];
    header[..12].copy_from_slice(&[0x45, 0, 0, 46, 0, 0, 0x40, 0, 64, 17, 0, 0]);
    header[12..16].copy_from_slice(&from.octets());
    header[16..20].copy_from_slice(&to.octets());
    let sum: u32 = header.chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]]))).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    header[10..12].copy_from_slice(&(!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes());
    header
}

fn counted(ebpf: &mut Ebpf) -> Result<Counted> {
    let map: PerCpuArray<_, [u64; TALLY_WORDS]> = ebpf.map_mut("tally").context("no map tally")?.try_into()?;
    let mut tally = [0; TALLY_WORDS];
    for words in map.get(&0, 0)?.iter() {
        tally.iter_mut().zip(words).for_each(|(sum, word)| *sum += word);
    }
    let map: PerCpuArray<_, u64> = ebpf.map_mut("latencies").context("no map latencies")?.try_into()?;
    let latencies = (0..BUCKETS as u32).map(|at| Ok(map.get(&at, 0)?.iter().sum())).collect::<Result<_>>()?;
    Ok(Counted { tally, latencies })
}

fn lines(ebpf: &Ebpf, name: &str, count: usize) -> Result<&'static [Line]> {
    let Some(Map::Array(data)) = ebpf.map(name) else { bail!("the load programs have no map {name}") };
    mapping::lines(data.fd().as_fd(), count).with_context(|| format!("mapping the map {name} into memory"))
}

/// Writes a word, counted over all lines.
fn store(lines: &[Line], at: usize, value: u64) {
    (&lines[at / ENTRY_WORDS]).store(at % ENTRY_WORDS, value);
}

fn fill(line: &Line, shooter: &Shooter) {
    let [low, high] = words_of(&shooter.key);
    (&line).store(KEY, low);
    (&line).store(KEY + 1, high);
    (&line).store(ID, u64::from(shooter.port) << 32 | u64::from(shooter.id));
    (&line).store(SEQUENCE, shooter.sequence.into());
    (&line).store(ANSWERED, shooter.sequence.into());
}

/// About a golden section of the sessions, and without a divisor in common with them: neighbours in time are far apart in
/// the table, and each has its turn.
fn step(sessions: u64) -> u64 {
    let from = (sessions as f64 * 0.618) as u64;
    (from.max(1)..=sessions).find(|step| gcd(*step, sessions) == 1).unwrap_or(1) % sessions.max(1)
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn attach(ebpf: &mut Ebpf, ours: &link::Link) -> Result<()> {
    let sink: &mut Xdp = ebpf.program_mut("sink").context("no program sink")?.try_into()?;
    sink.load().context("the kernel's verifier refused the program sink")?;
    sink.attach_to_if_index(ours.index, XdpMode::Driver).with_context(|| {
        format!("attaching the sink to {}: is another XDP program there, or has its driver none?", ours.name)
    })?;
    let blast: &mut Xdp = ebpf.program_mut("blast").context("no program blast")?.try_into()?;
    blast.load().context("the kernel's verifier refused the program blast")
}

/// Sets the clock of every CPU's turn; when the first shake is due, in nanoseconds.
fn set_clock(ebpf: &mut Ebpf) -> Result<u64> {
    let first_ns = (proc::monotonic_time() + HEAD_START).as_nanos() as u64;
    let mut state: PerCpuArray<_, [u64; STATE_WORDS]> = ebpf.map_mut("state").context("no map state")?.try_into()?;
    let cpus = aya::util::nr_cpus().map_err(|(_, error)| error).context("counting CPUs")?;
    state.set(0, PerCpuValues::try_from(vec![[first_ns, 0]; cpus])?, 0).context("setting the generator's clock")?;
    Ok(first_ns)
}

/// Sends until the end, then waits for the last answers.
fn run(ebpf: Ebpf, interface: u32, cpu: usize, end_ns: u64, plan: &[Line]) -> Result<Ebpf> {
    rp_net::affinity::pin(cpu).with_context(|| format!("pinning the generator to CPU {cpu}"))?;
    let blast: &Xdp = ebpf.program("blast").context("no program blast")?.try_into()?;
    let frame = [0u8; FRAME];
    // struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
    let context: Vec<u8> = [0, FRAME as u32, 0, interface, 0, 0].iter().flat_map(|word| word.to_ne_bytes()).collect();
    let mut ended = false;
    while !ended {
        if proc::monotonic_time().as_nanos() as u64 >= end_ns || rp_net::stop::requested() {
            store(plan, PLAN_END_NS, 0);
            ended = true;
        }
        let mut options = TestRunOptions::new();
        options.data_in = Some(&frame);
        options.ctx_in = Some(&context);
        options.repeat = RUNS;
        options.attrs = TestRunAttrs::new().xdp_live_frames(BATCH);
        blast.test_run(options).context("running the generator (BPF live frames: Linux 5.18 or newer)")?;
    }
    std::thread::sleep(ECHO_TIME);
    Ok(ebpf)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_session_has_its_turn_once_a_round() {
        for sessions in [1, 2, 3, 10, 1000, 4608, 99_991] {
            let (step, mut at) = (step(sessions), 0);
            let mut seen = vec![false; sessions as usize];
            for _ in 0..sessions {
                at = (at + step) % sessions;
                assert!(!std::mem::replace(&mut seen[at as usize], true), "{at} twice of {sessions}");
            }
        }
    }
}
