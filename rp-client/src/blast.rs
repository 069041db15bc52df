//! Loads that no socket can make: shakes made by a kernel program, one after another from the fleet's table, and answers taken
//! in by another, before the network stack. Needs root, IPv4, and a server on the same Ethernet link.
//!
//! The sockets stay open beside it: prizes and notices reach them as ever.

mod kernel;

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use aya::Ebpf;
use aya::programs::{ProgramError, TestRun as _, TestRunAttrs, TestRunOptions, Xdp};
use rp_core::entry::{ENTRY_WORDS, Words as _};
use rp_core::key::Key;
use rp_core::kind::Kind;
use rp_core::limits::SLOT_BITS;
use rp_core::line::Line;
use rp_core::load::*;
use rp_core::wire::words_of;
use rp_net::{link, proc, stop};

use self::kernel::Counted;
use crate::bare::Bare;
use crate::scenario::Blast;

/// Frames of one run that are in the kernel's hands together.
const BATCH: u32 = 256;
/// Runs of one system call: no end. Between two calls the kernel waits for all CPUs, for many milliseconds.
const RUNS: u32 = u32::MAX;
/// Bytes of a frame.
const FRAME: usize = 60;
/// Shakes that are due together on one interface, at most: half of a veth's ring.
const BURST_OF_A_LINK: u32 = 128;
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
    /// It is none of ours.
    pub bare: Option<Bare>,
    /// The first shake is due then, or as soon as may be.
    pub start_in: Duration,
    /// For so long.
    pub seconds: u32,
    /// What is sent.
    pub load: Blast,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Harvest {
    /// Index in the fleet and last sequence of each session.
    pub sequences: Vec<(u32, u32)>,
    /// By [`Tally`].
    pub tally: [u64; TALLY_WORDS],
    /// CPU time of the generator.
    pub cpu: Duration,
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
    /// The interfaces that shakes leave by, in turn.
    through: Vec<link::Link>,
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
    Blasting {
        thread: JoinHandle<Result<(Ebpf, Duration)>>,
        /// The kernel's number of the thread, once it has begun.
        thread_id: Arc<AtomicI32>,
    },
    /// Only while it changes.
    Changing,
}

impl Blaster {
    /// Loads the programs for a fleet of so many sessions and puts the sink in place at the interfaces named, or at that of our
    /// address when none is; it lets everything in until a blast begins.
    ///
    /// # Errors
    /// What is missing, what the kernel said, and what to do.
    pub fn prepare(local: IpAddr, through: &[String], sessions: u32) -> Result<Blaster> {
        let IpAddr::V4(local) = local else { bail!("a blast needs IPv4: --server with an IPv4 address") };
        let slots = 1usize << SLOT_BITS;
        let mut ebpf = kernel::open(sessions)?;
        stop::allow_nudges().context("handling signals")?;
        let ours = link::of_address(local).with_context(|| format!("finding the interface of {local}"))?;
        let through = match through {
            [] => vec![ours.clone()],
            names => names.iter().map(|name| link::named(name)).collect::<Result<_, _>>().context("--blast-through")?,
        };
        ensure!(through.len() <= LINKS_MAX, "a blast leaves by {LINKS_MAX} interfaces at most");
        for (at, link) in through.iter().enumerate() {
            ensure!(!through[..at].contains(link), "--blast-through names {} twice", link.name);
            ensure!(
                link.mac == ours.mac,
                "{} has another Ethernet address than {}, and what the network stack of the server sends would not reach it: \
                 `ip link set {} address` gives it the same",
                link.name,
                ours.name,
                link.name
            );
        }
        kernel::attach(&mut ebpf, &through)?;
        let fleet = kernel::lines(&ebpf, "fleet", sessions as usize)?;
        let by_slot = kernel::lines(&ebpf, "by_slot", slots / ENTRY_WORDS)?;
        let plan = kernel::lines(&ebpf, "plan", PLAN_WORDS / ENTRY_WORDS)?;
        let before = Counted { tally: [0; TALLY_WORDS], latencies: vec![0; BUCKETS] };
        Ok(Blaster { ours, through, local, fleet, by_slot, plan, shooters: Vec::new(), work: Work::Idle(ebpf), before })
    }

    /// Is a blast under way?
    pub fn is_at_work(&self) -> bool {
        matches!(self.work, Work::Blasting { .. })
    }

    /// Begins a blast.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn begin(&mut self, order: &Order, shooters: &[Shooter]) -> Result<()> {
        let most = BURST_OF_A_LINK * self.links_of(order);
        ensure!(
            order.load.burst <= most,
            "`blast.burst` is {}, and a veth's ring would overflow beyond {most}: name more interfaces by --blast-through",
            order.load.burst
        );
        ensure!(
            !shooters.is_empty(),
            "a blast needs sessions that are logged in: begin the scenario with a login phase"
        );
        // Who shook the last time and does not now: answers are the sockets' again.
        (0..1 << SLOT_BITS).for_each(|slot| store(self.by_slot, slot, 0));
        let turns: Vec<&Shooter> = scattered(shooters).collect();
        for ((shooter, line), number) in turns.iter().zip(self.fleet).zip(1u64..) {
            fill(line, shooter);
            store(self.by_slot, shooter.slot(), number);
        }
        self.write_plan(order, &sessions_of(order, shooters.len()))?;
        self.shooters = turns.iter().map(|shooter| shooter.index).collect();
        let cpus = rp_net::affinity::allowed_cpus().context("asking which CPUs this process may use")?;
        let cpu = *cpus.last().context("this process may use no CPU")?;
        let Work::Idle(ebpf) = &mut self.work else { bail!("a blast is under way already") };
        self.before = kernel::counted(ebpf)?;
        let end_ns = kernel::set_clock(ebpf, order.start_in)? + u64::from(order.seconds) * 1_000_000_000;
        // The program ends by itself; that it is told to stop is for its thread to see.
        store(self.plan, PLAN_END_NS, end_ns);
        let (interface, plan) = (self.through[0].index, self.plan);
        let thread_id = Arc::new(AtomicI32::new(0));
        let id = thread_id.clone();
        let Work::Idle(ebpf) = std::mem::replace(&mut self.work, Work::Changing) else {
            unreachable!("it was idle a moment ago")
        };
        let thread = std::thread::Builder::new()
            .name("blast".into())
            .spawn(move || {
                id.store(proc::thread_id(), Ordering::Relaxed);
                run(ebpf, interface, cpu, plan)
            })
            .context("starting the generator's thread")?;
        self.work = Work::Blasting { thread, thread_id };
        Ok(())
    }

    /// What came of a blast that has just ended, once. Ends one that is over, so it must be called again and again.
    ///
    /// # Errors
    /// What the kernel said when it was asked to send.
    pub fn harvest(&mut self) -> Result<Option<Harvest>> {
        let thread = match std::mem::replace(&mut self.work, Work::Changing) {
            Work::Blasting { thread, .. } if thread.is_finished() => thread,
            other => {
                if let Work::Blasting { thread_id, .. } = &other
                    && (proc::monotonic_time().as_nanos() as u64 >= load(self.plan, PLAN_END_NS) || stop::requested())
                {
                    store(self.plan, PLAN_END_NS, 0);
                    stop::nudge(thread_id.load(Ordering::Relaxed));
                }
                self.work = other;
                return Ok(None);
            }
        };
        let (mut ebpf, cpu) =
            thread.join().map_err(|_| anyhow!("the generator's thread panicked: see its message above"))??;
        // From here on answers are the sockets' again.
        store(self.plan, PLAN_PORT, 0);
        let now = kernel::counted(&mut ebpf)?;
        self.work = Work::Idle(ebpf);
        let sequence = |(index, line): (&u32, &Line)| (*index, (&line).load(SEQUENCE) as u32);
        let sequences = self.shooters.iter().zip(self.fleet).map(sequence).collect();
        let since = now.latencies.iter().zip(&self.before.latencies).map(|(now, before)| now - before).enumerate();
        Ok(Some(Harvest {
            sequences,
            cpu,
            tally: std::array::from_fn(|at| now.tally[at] - self.before.tally[at]),
            latencies_us: since
                .filter(|(_, count)| *count > 0)
                .map(|(at, count)| (bucket_ns(at) / 1000, count))
                .collect(),
        }))
    }

    /// How many interfaces its shakes leave by.
    fn links_of(&self, order: &Order) -> u32 {
        let all = self.through.len() as u32;
        order.load.links.map_or(all, |links| links.min(all))
    }

    fn write_plan(&self, order: &Order, sessions: &Sessions) -> Result<()> {
        let IpAddr::V4(server) = order.server.ip() else { bail!("a blast needs IPv4: --server with an IPv4 address") };
        let theirs = link::neighbour(server.into(), &self.ours).context("finding the server's Ethernet address")?;
        let mut ethernet = [0; 16];
        ethernet[..6].copy_from_slice(&theirs);
        ethernet[6..12].copy_from_slice(&self.ours.mac);
        ethernet[12..14].copy_from_slice(&[0x08, 0x00]);
        let addresses = [self.local.octets(), server.octets()].concat();
        let kind = if order.bare.is_some() { Kind::Shake } else { Kind::Nothing };
        let word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
        let question = order.bare.and_then(Bare::question).unwrap_or_default();
        for (chunk, at) in question.chunks(8).zip(PLAN_BARE..) {
            store(self.plan, at, word(chunk));
        }
        let load = &order.load;
        for (at, value) in [
            (PLAN_SESSIONS, sessions.all),
            (PLAN_HOT, sessions.hot),
            (PLAN_BURST, load.burst.into()),
            (PLAN_INTERVAL_NS, (u64::from(load.burst) * 1_000_000_000 / u64::from(load.rate.max(1))).max(1)),
            (PLAN_HOSTILE, load.hostile.into()),
            (PLAN_ETHERNET, word(&ethernet[..8])),
            (PLAN_ETHERNET + 1, word(&ethernet[8..])),
            (PLAN_ADDRESSES, word(&addresses)),
            (PLAN_PORT, order.server.port().to_be().into()),
            (PLAN_EXPECTS, kind.first_byte().into()),
            (PLAN_LINKS, self.links_of(order).into()),
        ] {
            store(self.plan, at, value);
        }
        self.through.iter().zip(PLAN_LINK..).for_each(|(link, at)| store(self.plan, at, link.index.into()));
        Ok(())
    }
}

/// How many sessions shake, and how many of them often; none when all shake alike.
struct Sessions {
    all: u64,
    hot: u64,
}

fn sessions_of(order: &Order, up: usize) -> Sessions {
    let all = order.load.sessions.map_or(up as u64, |wanted| u64::from(wanted).min(up as u64));
    Sessions { all, hot: if order.load.skewed { all / 10 } else { 0 } }
}

/// Reads a word, counted over all lines.
fn load(lines: &[Line], at: usize) -> u64 {
    (&lines[at / ENTRY_WORDS]).load(at % ENTRY_WORDS)
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

/// All of them in an order in which neighbours are far apart at the server, so that each shake costs it what a shake out of
/// the blue costs: by steps of about a golden section.
fn scattered(shooters: &[Shooter]) -> impl Iterator<Item = &Shooter> {
    let count = shooters.len() as u64;
    let from = (count as f64 * 0.618) as u64;
    // Without a common divisor each has its turn once.
    let step = (from.max(1)..=count).find(|step| gcd(*step, count) == 1).unwrap_or(1);
    (0..count).map(move |turn| &shooters[(turn * step % count) as usize])
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Sends until the end, then waits for the last answers; the CPU time that it took.
fn run(ebpf: Ebpf, interface: u32, cpu: usize, plan: &[Line]) -> Result<(Ebpf, Duration)> {
    rp_net::affinity::pin(cpu).with_context(|| format!("pinning the generator to CPU {cpu}"))?;
    let blast: &Xdp = ebpf.program("blast").context("no program blast")?.try_into()?;
    let frame = [0u8; FRAME];
    // struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
    let context: Vec<u8> = [0, FRAME as u32, 0, interface, 0, 0].iter().flat_map(|word| word.to_ne_bytes()).collect();
    while load(plan, PLAN_END_NS) != 0 {
        let mut options = TestRunOptions::new();
        options.data_in = Some(&frame);
        options.ctx_in = Some(&context);
        options.repeat = RUNS;
        options.attrs = TestRunAttrs::new().xdp_live_frames(BATCH);
        match blast.test_run(options) {
            Ok(_) => {}
            // Nudged.
            Err(ProgramError::SyscallError(call)) if call.io_error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error).context("running the generator (BPF live frames: Linux 5.18 or newer)"),
        }
    }
    std::thread::sleep(ECHO_TIME);
    Ok((ebpf, proc::thread_cpu_time()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_session_has_its_turn_once_and_far_from_its_neighbours() {
        for sessions in [1, 2, 3, 10, 1000, 4608, 99_991] {
            let shooter = |index| Shooter { index, id: index, key: Key::default(), sequence: 0, port: 0 };
            let shooters: Vec<Shooter> = (0..sessions).map(shooter).collect();
            let mut turns: Vec<u32> = scattered(&shooters).map(|shooter| shooter.index).collect();
            assert!(sessions < 10 || turns.windows(2).all(|pair| pair[0].abs_diff(pair[1]) > 1), "of {sessions}");
            turns.sort_unstable();
            assert_eq!(turns, (0..sessions).collect::<Vec<_>>());
        }
    }
}
