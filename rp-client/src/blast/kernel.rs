//! The kernel programs of a blast: found, given to the kernel, and their maps.

use std::os::fd::AsFd as _;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use aya::maps::{Map, PerCpuArray, PerCpuValues};
use aya::programs::{Xdp, XdpMode};
use aya::{Ebpf, EbpfLoader};
use rp_core::limits::SLOT_BITS;
use rp_core::line::Line;
use rp_core::load::*;
use rp_net::{link::Link, mapping, proc};

use crate::objects;

/// The way from the plan to the first shake.
const HEAD_START: Duration = Duration::from_millis(50);

/// What the programs have counted.
#[derive(Clone)]
pub(super) struct Counted {
    pub tally: [u64; TALLY_WORDS],
    pub latencies: Vec<u64>,
}

/// Makes the maps for so many sessions; the programs are not in the kernel yet.
///
/// # Errors
/// There is no object, or the kernel refuses.
pub(super) fn open(sessions: u32) -> Result<Ebpf> {
    let bytes = objects::read("load.o")?;
    EbpfLoader::new()
        .map_max_entries("fleet", sessions)
        .map_max_entries("by_slot", 1 << SLOT_BITS)
        .load(&bytes)
        .context("giving the load programs' maps to the kernel (run as root)")
}

/// What has been counted so far.
pub(super) fn counted(ebpf: &mut Ebpf) -> Result<Counted> {
    let map: PerCpuArray<_, [u64; TALLY_WORDS]> = ebpf.map_mut("tally").context("no map tally")?.try_into()?;
    let mut tally = [0; TALLY_WORDS];
    for words in map.get(&0, 0)?.iter() {
        tally.iter_mut().zip(words).for_each(|(sum, word)| *sum += word);
    }
    let map: PerCpuArray<_, u64> = ebpf.map_mut("latencies").context("no map latencies")?.try_into()?;
    let latencies = (0..BUCKETS as u32).map(|at| Ok(map.get(&at, 0)?.iter().sum())).collect::<Result<_>>()?;
    Ok(Counted { tally, latencies })
}

/// A map as memory.
pub(super) fn lines(ebpf: &Ebpf, name: &str, count: usize) -> Result<&'static [Line]> {
    let Some(Map::Array(data)) = ebpf.map(name) else { bail!("the load programs have no map {name}") };
    mapping::lines(data.fd().as_fd(), count).with_context(|| format!("mapping the map {name} into memory"))
}

/// Puts the sink at the interfaces; the generator into the kernel.
pub(super) fn attach(ebpf: &mut Ebpf, interfaces: &[Link]) -> Result<()> {
    let sink: &mut Xdp = ebpf.program_mut("sink").context("no program sink")?.try_into()?;
    sink.load().context("the kernel's verifier refused the program sink")?;
    for Link { name, index, .. } in interfaces {
        sink.attach_to_if_index(*index, XdpMode::Driver).with_context(|| {
            format!("attaching the sink to {name}: is another XDP program there, or has its driver none?")
        })?;
    }
    let blast: &mut Xdp = ebpf.program_mut("blast").context("no program blast")?.try_into()?;
    blast.load().context("the kernel's verifier refused the program blast")
}

/// Sets the clock of every CPU's turn; when the first shake is due, in nanoseconds.
pub(super) fn set_clock(ebpf: &mut Ebpf, start_in: Duration) -> Result<u64> {
    let first_ns = (proc::monotonic_time() + start_in.max(HEAD_START)).as_nanos() as u64;
    let mut state: PerCpuArray<_, [u64; STATE_WORDS]> = ebpf.map_mut("state").context("no map state")?.try_into()?;
    let cpus = aya::util::nr_cpus().map_err(|(_, error)| error).context("counting CPUs")?;
    let mut first = [0; STATE_WORDS];
    first[DUE_NS] = first_ns;
    state.set(0, PerCpuValues::try_from(vec![first; cpus])?, 0).context("setting the generator's clock")?;
    Ok(first_ns)
}
