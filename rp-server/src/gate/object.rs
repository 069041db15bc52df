//! The file with the compiled programs: found, checked and given to the kernel.

use std::error::Error;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use aya::programs::{ProgramError, SkReuseport, Xdp};
use aya::{Ebpf, EbpfError, EbpfLoader};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _};
use rp_core::clients::CLIENT_ROWS;
use rp_core::gate_counters::LAYOUT;
use rp_core::key::Key;
use rp_core::limits::{CPUS_MAX, PORTS_MAX, SLOTS_PER_SET};
use rp_core::timeline::BINS;

use super::privilege::REFUSED;

/// Bytes of the log's ring when nothing is traced: the smallest that the kernel makes.
const RING_UNUSED_BYTES: u32 = 4096;
/// Bytes of the log's ring when each datagram is traced.
const RING_BYTES: u32 = 1 << 20;
/// The server's number in a cluster, which cookies name.
pub const SERVER: u32 = 0;
const XDP_PROGRAMS: [&str; 3] = ["gate", "gate_cpu", "pass"];

/// What the programs are told before the verifier sees them.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// UDP ports of the service.
    pub ports: &'a [u16],
    /// SETs of the server.
    pub sets: u32,
    /// Workers of the server.
    pub workers: u32,
    /// Addresses listened on.
    pub listens: u32,
    /// Workers have AF_XDP sockets.
    pub has_xsks: bool,
    /// Log what is done with each datagram.
    pub trace: bool,
    /// Answer what needs no worker; without, the gate only counts, drops and steers.
    pub answers: Option<Answers>,
}

/// What a gate that answers is told besides.
#[derive(Clone, Copy, Debug)]
pub struct Answers {
    /// Cookies are made and checked under this key.
    pub cookie_key: Key,
    /// For tests: the time stands in a map.
    pub takes_time_from_map: bool,
}

/// CPUs that programs may run on.
pub fn cpus() -> usize {
    aya::util::nr_cpus().map_or(1, |cpus| cpus.min(CPUS_MAX))
}

/// Finds the object: the one given, or the one that was built beside this executable, was installed with it, or lies under
/// ./target.
///
/// # Errors
/// When there is none; names the command that builds it.
pub fn find(given: Option<&Path>) -> Result<PathBuf> {
    if let Some(path) = given {
        if path.is_file() {
            return Ok(path.to_path_buf());
        }
        bail!("there is no kernel object {}: `cargo xtask build-ebpf` builds one", path.display());
    }
    let executable = std::env::current_exe().context("cannot tell where this executable lies")?;
    // target/release/rp-server, or target/debug/deps/NAME for a test.
    let folders = executable.ancestors().skip(1).take(3).map(Path::to_path_buf).chain([PathBuf::from("target")]);
    let built = folders.map(|folder| folder.join("bpf/gate.o"));
    // PREFIX/bin/rp-server.
    let installed = executable.ancestors().nth(2).map(|prefix| prefix.join("lib/red-packet/gate.o"));
    let mut tried = Vec::new();
    for path in installed.into_iter().chain(built) {
        if path.is_file() {
            return Ok(path);
        }
        tried.push(path.display().to_string());
    }
    bail!("the kernel object is not built: `cargo xtask build-ebpf` builds it (looked for {})", tried.join(", "))
}

/// Reads the object and looks whether it was built for this server; the kernel sees nothing of it.
///
/// # Errors
/// When the file is unreadable, is none of ours, or was built for another layout; names the remedy.
pub fn check(path: &Path) -> Result<()> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    check_layout(path, &bytes)
}

/// Gives the programs to the kernel; nothing is attached yet.
///
/// # Errors
/// When the file is unreadable or was built for another layout, or the kernel refuses.
pub fn load(path: &Path, wanted: &Wanted<'_>) -> Result<Ebpf> {
    let mut ebpf = open(path, wanted)?;
    for name in XDP_PROGRAMS {
        let program: &mut Xdp = ebpf.program_mut(name).with_context(|| missing(path, name))?.try_into()?;
        program.load().map_err(|error| explain_program(name, error))?;
    }
    let select: &mut SkReuseport = ebpf.program_mut("select").with_context(|| missing(path, "select"))?.try_into()?;
    select.load().map_err(|error| explain_program("select", error))?;
    Ok(ebpf)
}

/// Makes the maps; no program is in the kernel yet.
///
/// # Errors
/// As [`load`].
pub fn open(path: &Path, wanted: &Wanted<'_>) -> Result<Ebpf> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    check_layout(path, &bytes)?;
    if wanted.ports.is_empty() || wanted.ports.len() > PORTS_MAX {
        bail!("{} UDP ports: the gate knows 1 ..= {PORTS_MAX}", wanted.ports.len());
    }
    let mut ports = [0; PORTS_MAX];
    ports[..wanted.ports.len()].copy_from_slice(wanted.ports);
    let (log_level, ring_bytes) = if wanted.trace { (u8::MAX, RING_BYTES) } else { (0, RING_UNUSED_BYTES) };
    // The kernel refuses a cpumap of more CPUs than it was built for.
    let cpus = cpus() as u32;
    let (answers, cookie_key, takes_time_from_map) = match wanted.answers {
        Some(told) => (1u32, told.cookie_key, u32::from(told.takes_time_from_map)),
        None => (0, Key::default(), 0),
    };
    EbpfLoader::new()
        .override_global("RP_PORTS", &ports, true)
        .override_global("RP_SETS", &wanted.sets, true)
        .override_global("RP_WORKERS", &wanted.workers, true)
        .override_global("RP_LISTENS", &wanted.listens, true)
        .override_global("RP_XSKS", &u32::from(wanted.has_xsks), true)
        .override_global("RP_ANSWERS", &answers, true)
        .override_global("RP_COOKIE_KEY", &cookie_key, true)
        .override_global("RP_SERVER", &SERVER, true)
        .override_global("RP_TIME_FROM_MAP", &takes_time_from_map, true)
        .override_global(aya_log::LEVEL, &log_level, true)
        .map_max_entries("AYA_LOGS", ring_bytes)
        .map_max_entries("cpus", cpus)
        .map_max_entries("sessions", wanted.sets * SLOTS_PER_SET as u32)
        .map_max_entries("pots", wanted.sets)
        .map_max_entries("client_rows", cpus * CLIENT_ROWS as u32)
        .map_max_entries("timeline", cpus * BINS as u32)
        .load(&bytes)
        .map_err(|error| explain_load(path, error))
}

/// Reads the layout that the object says it was built for, before the kernel sees any of it.
fn check_layout(path: &Path, bytes: &[u8]) -> Result<()> {
    let built_for = layout_of(bytes).with_context(|| format!("{} is no kernel object of ours", path.display()))?;
    if built_for != LAYOUT {
        bail!(
            "{} was built for layout {built_for:016x}, this server for {LAYOUT:016x}: `cargo xtask build-ebpf` builds it anew",
            path.display()
        );
    }
    Ok(())
}

/// Are these the gate's programs, for whatever layout they were built?
pub(super) fn is_of_gate(bytes: &[u8]) -> bool {
    layout_of(bytes).is_some()
}

fn layout_of(bytes: &[u8]) -> Option<u64> {
    let elf = object::File::parse(bytes).ok()?;
    let symbol = elf.symbols().find(|symbol| symbol.name() == Ok("RP_LAYOUT"))?;
    let section = elf.section_by_index(symbol.section_index()?).ok()?;
    let at = usize::try_from(symbol.address()).ok()?;
    let word = section.data().ok()?.get(at..)?.first_chunk::<8>()?;
    Some(u64::from_le_bytes(*word))
}

fn missing(path: &Path, name: &str) -> String {
    format!("{} has no program {name}: `cargo xtask build-ebpf` builds it anew", path.display())
}

fn explain_load(path: &Path, error: EbpfError) -> anyhow::Error {
    anyhow!("the kernel refused the maps of {}: {}; {REFUSED}", path.display(), reasons(&error))
}

fn explain_program(name: &str, error: ProgramError) -> anyhow::Error {
    anyhow!("the kernel's verifier refused the program {name}: {}; {REFUSED}", reasons(&error))
}

/// An error and its causes, each said once: some of them say their cause themselves.
fn reasons(error: &dyn Error) -> String {
    let mut said = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !said.contains(&text) {
            said = format!("{said}: {text}");
        }
        next = cause.source();
    }
    said
}
