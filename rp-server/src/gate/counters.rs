//! The gate's counters in user space: pinned by the server, read by it and by `rp-server pps` while it runs.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use aya::Ebpf;
use aya::maps::{Map, MapData, PerCpuArray};
use rp_core::gate_counters::{Counts, Row, WORDS};

use super::pins::PinDir;

const GATE_COUNTERS: &str = "gate_counters";
const SELECT_WORKERS: &str = "select_workers";
/// Names of the pinned maps.
pub const PINS: [&str; 2] = [GATE_COUNTERS, SELECT_WORKERS];

/// The maps that hold the counters.
pub struct CounterMaps {
    gate: PerCpuArray<MapData, [u64; WORDS]>,
    workers: PerCpuArray<MapData, [u64; 2]>,
}

/// The counters at one moment. CPUs are read one after the other, so sums may be off by what was under way.
#[derive(Clone, Default, Debug)]
pub struct Reading {
    /// By the CPU that counted.
    pub cpus: Vec<Counts>,
    /// Datagrams put on each worker's socket.
    pub workers: Vec<Row>,
}

impl Reading {
    /// The sum over CPUs.
    pub fn total(&self) -> Counts {
        self.cpus.iter().fold(Counts::default(), |sum, counts| sum.plus(counts))
    }
}

impl CounterMaps {
    /// Takes the maps out of loaded programs, which keep counting.
    ///
    /// # Errors
    /// When the object has no such maps.
    pub fn take(ebpf: &mut Ebpf) -> Result<CounterMaps> {
        let mut take = |name: &str| ebpf.take_map(name).with_context(|| format!("no map {name}"));
        CounterMaps::of(take(GATE_COUNTERS)?, take(SELECT_WORKERS)?)
    }

    /// Opens the maps that a server pinned.
    ///
    /// # Errors
    /// When they cannot be opened, or have another layout.
    pub fn open(dir: &Path) -> Result<CounterMaps> {
        let open = |name: &str| {
            let pin = dir.join(name);
            let data = MapData::from_pin(&pin);
            data.with_context(|| format!("cannot open the counters {} (run as root)", pin.display()))
        };
        CounterMaps::of(Map::PerCpuArray(open(GATE_COUNTERS)?), Map::PerCpuArray(open(SELECT_WORKERS)?))
    }

    fn of(gate: Map, workers: Map) -> Result<CounterMaps> {
        let explain = "the counters have another layout: rp-server pps and the running server are of different builds";
        Ok(CounterMaps { gate: gate.try_into().context(explain)?, workers: workers.try_into().context(explain)? })
    }

    /// Reads the gate's alone, by the CPU that counted.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn read_gate(&self) -> Result<Vec<Counts>> {
        let blocks = self.gate.get(&0, 0).context("cannot read the gate's counters")?;
        Ok(blocks.iter().map(|words| Counts(*words)).collect())
    }

    /// Reads all of them.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn read(&self) -> Result<Reading> {
        let cpus = self.read_gate()?;
        let mut workers = Vec::new();
        for values in self.workers.iter() {
            let values = values.context("cannot read the workers' counters")?;
            let sum = |word: usize| values.iter().map(|row| row[word]).sum();
            workers.push(Row { datagrams: sum(0), bytes: sum(1) });
        }
        Ok(Reading { cpus, workers })
    }
}

/// Counters that are pinned while this lives.
pub struct Pinned {
    // The maps go before the folder that pins them.
    maps: Arc<CounterMaps>,
    dir: PinDir,
}

impl Pinned {
    /// Pins the counters of loaded programs.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(super) fn create(dir: PinDir, ebpf: &mut Ebpf) -> Result<Pinned> {
        for name in PINS {
            let pin = dir.path().join(name);
            let map = ebpf.map(name).with_context(|| format!("no map {name}"))?;
            map.pin(&pin).with_context(|| format!("cannot pin {}", pin.display()))?;
        }
        Ok(Pinned { maps: Arc::new(CounterMaps::take(ebpf)?), dir })
    }

    /// Where they are pinned.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The maps, to be read beside.
    pub fn maps(&self) -> &Arc<CounterMaps> {
        &self.maps
    }

    /// Reads all of them.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn read(&self) -> Result<Reading> {
        self.maps.read()
    }
}

/// Bytes of kernel memory in the maps that this process holds, each counted once.
///
/// # Errors
/// When /proc cannot be read.
pub fn maps_bytes() -> Result<u64> {
    let mut maps: Vec<(u64, u64)> = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fdinfo").context("cannot read /proc/self/fdinfo")? {
        // A file that was closed meanwhile is no map of ours.
        let Ok(text) = std::fs::read_to_string(entry?.path()) else { continue };
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
        if let (Some(id), Some(bytes)) = (field("map_id:"), field("memlock:")) {
            maps.push((id, bytes));
        }
    }
    maps.sort_unstable();
    maps.dedup();
    Ok(maps.iter().map(|(_, bytes)| bytes).sum())
}
