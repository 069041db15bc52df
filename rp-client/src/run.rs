//! The loop around the sans-I/O core: sockets, clock, live line, and the report at the end.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rand_core::{OsRng, TryRngCore};
use rp_net::say;
use rp_net::{proc, stop};

use crate::bare::Bare;
use crate::blast::{Blaster, Order};
use crate::breaking;
use crate::cli::Flags;
use crate::clock::Clock;
use crate::conductor::{Conductor, Plan};
use crate::expect;
use crate::fleet::{Config, Fleet};
use crate::live::Live;
use crate::network::{Network, Transport};
use crate::notebook::Notebook;
use crate::population::Population;
use crate::realm::Mint;
use crate::report::gather::Asked;
use crate::report::log::LatencyLog;
use crate::report::onlooker::Onlooker;
use crate::report::{self, Outside, Report};
use crate::scenario::{self, Action};
use crate::summary;

/// The longest sleep, so that a signal is seen in time, in microseconds.
const SLEEP_MAX_US: u64 = 50_000;
/// A clock tick of /proc/stat, in milliseconds.
const TICK_MS: u64 = 10;

/// Plays the scenario that the flags name, prints and writes the report; says whether all was well.
///
/// # Errors
/// Something is missing or the server cannot be reached; each message says what to do.
pub fn run(flags: &Flags) -> Result<bool> {
    if flags.list {
        say!("{}", scenario::built_in::list());
        return Ok(true);
    }
    let expectations = expect::parse(&flags.expect)?;
    let population = Population::new(flags.users.clone(), flags.total)?;
    let phases = scenario::load(flags.scenario.as_deref(), flags.time_scale)?;
    let mint = if flags.bare.is_some() { Mint::nobody() } else { Mint::read(&flags.realm_key)? };
    let seed = match flags.seed {
        Some(seed) => seed,
        None => OsRng.try_next_u64().map_err(|e| anyhow!("drawing a seed from the system: {e}; name one by --seed"))?,
    };
    let blasts = phases.iter().any(|phase| matches!(phase.action, Action::Blast(_)));
    if blasts && flags.transport == Transport::AfXdp {
        bail!("a blast has an XDP program of its own at the interface: play it with --transport sockets");
    }
    let mut network = Network::open(flags.server, &flags.source, flags.sockets.into(), flags.segment, flags.transport)?;
    let reconcile = !flags.no_reconcile && flags.bare.is_none();
    let config = Config {
        population,
        sockets: flags.sockets.into(),
        auditors: if reconcile { flags.source.len().max(1) } else { 0 },
        seed,
        bare: flags.bare.is_some(),
        outlasts: flags.outlast,
    };
    let mut fleet = Fleet::new(config, mint);
    let notebook = flags.acknowledged.as_deref().map(Notebook::open).transpose()?;
    fleet.told = notebook.is_some().then(Vec::new);
    let start_at_s = flags.start_at;
    let blaster = match blasts {
        true => Some(Blaster::prepare(network.ends(0).1.ip(), &flags.blast_through, fleet.count())?),
        false => None,
    };
    let asked = Asked::of(flags, population.total(), seed)?;
    let clock = Clock::start();
    let mut conductor = Conductor::new(Plan { population, phases, pace: flags.pace, start_at_s, seed, reconcile });
    let opening = summary::opening(flags, population.total(), &network.description()?);
    say!("{opening}");
    breaking::watch().context("handling signals")?;
    proc::exact_timers().context("asking for exact timers")?;
    let stolen = proc::stolen_ticks().unwrap_or(0);

    let onlooker = onlooker(flags)?;
    let mut logs = begin_logs(flags, clock.now_us())?;
    let json = flags.json.as_deref().map(|path| report::file::begin(path).map(|file| (file, path))).transpose()?;
    let start_us = clock.now_us();
    let live = Live::new(flags.live, &opening, start_us)?;
    lead(&clock, &mut conductor, &mut fleet, &mut network, (blaster, flags.bare), (notebook, &mut logs), live)
        .with_context(|| format!("playing against {}{}", flags.server, refusal(&network)))?;

    let stolen_ms = (proc::stolen_ticks().unwrap_or(stolen) - stolen) * TICK_MS;
    let (unsent, damaged) = (network.unsent(), network.damaged());
    let ran_us = (start_us, clock.now_us());
    let outside = Outside { unsent, overflow: network.overflow()?, damaged, stolen_ms, ran_us };
    let mut report = Report::gather(&fleet, conductor, asked, &outside);
    report.remarks.extend(remarks(&fleet, flags.start_at, report.reconciled.restarted));
    report.expect(&expectations);
    if let Some(onlooker) = onlooker {
        report.see(onlooker.end()?);
    }
    // First: should the disk be full by now, the run was not for nothing.
    say!("{}", summary::closing(&report).trim_end());
    if let Some((file, path)) = json {
        report::file::finish(file, path, &report)?;
    }
    if let Some(folder) = &flags.out {
        report::folder::fill(folder, &report)?;
    }
    Ok(report.ok)
}

/// Leads the fleet to the end of the run.
fn lead(
    clock: &Clock,
    conductor: &mut Conductor,
    fleet: &mut Fleet,
    network: &mut Network,
    (mut blaster, bare): (Option<Blaster>, Option<Bare>),
    (mut notebook, logs): (Option<Notebook>, &mut [LatencyLog]),
    mut live: Live,
) -> Result<()> {
    if bare.is_none() {
        // The account service's work, and over before a user's begins.
        fleet.keep_tickets((clock.now_us() / 1_000_000) as u32);
    }
    while !conductor.is_done() {
        let now_us = clock.now_us();
        network.receive(|bytes, post| fleet.receive(now_us, bytes, post))?;
        let now_us = clock.now_us();
        conductor.poll(now_us, fleet, &mut network.post)?;
        fleet.poll(now_us, &mut network.post);
        if let (Some(notebook), Some(told)) = (&mut notebook, &mut fleet.told) {
            notebook.write(told)?;
        }
        network.post.flush()?;
        if live.is_second(now_us) {
            live.turn_second(now_us, fleet, conductor);
            turn_second(fleet, logs, now_us)?;
        }
        live.glance(now_us, fleet, conductor);
        if let Some(blaster) = &mut blaster {
            follow(blaster, conductor, fleet, network, bare, clock.now_us())?;
        }
        if stop::requested() {
            conductor.stop();
        }
        let now_us = clock.now_us();
        let next_us = conductor.next_us(now_us).min(fleet.next_us()).min(live.next_us());
        network.wait(Duration::from_micros(next_us.saturating_sub(now_us).min(SLEEP_MAX_US)))?;
    }
    turn_second(fleet, logs, clock.now_us())
}

/// Begins a blast when its phase has begun, and takes its harvest in when it has ended.
fn follow(
    blaster: &mut Blaster,
    conductor: &mut Conductor,
    fleet: &mut Fleet,
    network: &Network,
    bare: Option<Bare>,
    now_us: u64,
) -> Result<()> {
    if let Some(blast) = conductor.blast() {
        if let Some(harvest) = blaster.harvest()? {
            fleet.reap(blast.phase, &harvest);
            conductor.end_blast(now_us, fleet);
        } else if !blaster.is_at_work() {
            let ports: Vec<u16> = (0..network.len()).map(|socket| network.ends(socket).1.port()).collect();
            let start_in = Duration::from_micros((blast.start_s * 1_000_000).saturating_sub(now_us));
            let order = Order { server: network.ends(0).0, bare, start_in, seconds: blast.seconds, load: blast.load };
            blaster.begin(&order, &fleet.shooters(&ports))?;
        }
    }
    Ok(())
}

/// The second before `now_us` is over.
fn turn_second(fleet: &mut Fleet, logs: &mut [LatencyLog], now_us: u64) -> Result<()> {
    logs.iter_mut().try_for_each(|log| log.write(now_us, fleet))?;
    fleet.turn_second((now_us / 1_000_000).saturating_sub(1));
    Ok(())
}

/// What went otherwise than it was meant, and what to do about it.
fn remarks(fleet: &Fleet, start_at_s: Option<u64>, restarted: bool) -> Vec<String> {
    let mut found = Vec::new();
    let late_us = start_at_s.map_or(0, |start_s| fleet.login.last_us.saturating_sub(start_s * 1_000_000));
    if late_us > 0 {
        let late_s = late_us as f64 / 1e6;
        found.push(format!(
            "the log-in ended {late_s:.1} s after --start-at: what was due meanwhile was fired late; name a later start"
        ));
    }
    if fleet.login.again > 0 && !restarted {
        found.push(format!(
            "{} sessions were lost and logged in again: does another client play the same users? (--users)",
            fleet.login.again
        ));
    }
    found
}

/// Takes the server's snapshots along, when it is said where they are.
fn onlooker(flags: &Flags) -> Result<Option<Onlooker>> {
    let token = flags.server_http_token.as_deref().map(report::onlooker::token).transpose()?;
    flags.server_http.clone().map(|door| Onlooker::begin(door, token)).transpose()
}

/// Logs of latencies: where `--hdr` says, and in the folder of the run.
fn begin_logs(flags: &Flags, now_us: u64) -> Result<Vec<LatencyLog>> {
    let mut paths = flags.hdr.clone().into_iter().collect::<Vec<_>>();
    if let Some(folder) = &flags.out {
        report::folder::make(folder)?;
        paths.push(folder.join(report::folder::LOG));
    }
    paths.iter().map(|path| LatencyLog::begin(path, now_us)).collect()
}

/// What the kernel said last of our datagrams, for an error message.
fn refusal(network: &Network) -> String {
    network.post.errno.map_or_else(String::new, |errno| format!(" ({})", std::io::Error::from_raw_os_error(errno)))
}
