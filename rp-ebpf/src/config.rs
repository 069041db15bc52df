//! What the loader tells the programs: read-only globals, which the verifier folds into the code, and the maps it fills.

use aya_ebpf::Global;
use aya_ebpf::btf_maps::{Array, CpuMap, ReusePortSockArray, XskMap};
use aya_ebpf::macros::btf_map;
use rp_core::cookie::Baker;
use rp_core::frame::Ours;
use rp_core::gate_counters::LAYOUT;
use rp_core::limits::{CPUS_MAX, LISTENS_MAX, PORTS_MAX, WORKERS_MAX, XSKS_MAX};

/// The layout this object was built for; the loader reads it from the file and refuses another.
#[unsafe(no_mangle)]
static RP_LAYOUT: Global<u64> = Global::new(LAYOUT);
#[unsafe(no_mangle)]
static RP_PORTS: Global<[u16; PORTS_MAX]> = Global::new([0; PORTS_MAX]);
#[unsafe(no_mangle)]
static RP_SETS: Global<u32> = Global::new(1);
#[unsafe(no_mangle)]
static RP_WORKERS: Global<u32> = Global::new(1);
#[unsafe(no_mangle)]
static RP_LISTENS: Global<u32> = Global::new(1);

/// Do workers have AF_XDP sockets?
#[unsafe(no_mangle)]
static RP_XSKS: Global<u32> = Global::new(0);
/// Does the gate answer, or only steer?
#[unsafe(no_mangle)]
static RP_ANSWERS: Global<u32> = Global::new(0);
/// Cookies are made and checked under this key, for this server.
#[unsafe(no_mangle)]
static RP_COOKIE_KEY: Global<[u8; 16]> = Global::new([0; 16]);
#[unsafe(no_mangle)]
static RP_SERVER: Global<u32> = Global::new(0);
/// For tests: the time stands in a map.
#[unsafe(no_mangle)]
static RP_TIME_FROM_MAP: Global<u32> = Global::new(0);

/// The CPU of each worker.
#[btf_map(name = "worker_cpus")]
pub static WORKER_CPUS: Array<u32, WORKERS_MAX> = Array::new();
/// Queues between CPUs, by CPU; only those of workers exist.
#[btf_map(name = "cpus")]
pub static CPUS: CpuMap<CPUS_MAX> = CpuMap::new();
/// The workers' sockets: [`WORKERS_MAX`] places for each address listened on.
#[btf_map(name = "sockets")]
pub static SOCKETS: ReusePortSockArray<{ LISTENS_MAX * WORKERS_MAX }> = ReusePortSockArray::new();

/// AF_XDP sockets, by `steer::xsk_index`.
#[btf_map(name = "xsks")]
pub static XSKS: XskMap<XSKS_MAX> = XskMap::new();
/// The worker of each, plus one; zero where there is none.
#[btf_map(name = "xsk_workers")]
pub static XSK_WORKERS: Array<u32, XSKS_MAX> = Array::new();

#[inline(always)]
pub fn ours() -> Ours {
    Ours { ports: RP_PORTS.load(), sets: sets() }
}

#[inline(always)]
pub fn sets() -> u32 {
    RP_SETS.load()
}

/// Workers, at least one: the loader refuses zero, and a division by zero yields zero in BPF.
#[inline(always)]
pub fn workers() -> u32 {
    RP_WORKERS.load().max(1)
}

#[inline(always)]
pub fn has_xsks() -> bool {
    RP_XSKS.load() != 0
}

#[inline(always)]
pub fn answers() -> bool {
    RP_ANSWERS.load() != 0
}

#[inline(always)]
pub fn takes_time_from_map() -> bool {
    RP_TIME_FROM_MAP.load() != 0
}

#[inline(always)]
pub fn baker() -> Baker {
    Baker::new(RP_COOKIE_KEY.load(), RP_SERVER.load())
}

#[inline(always)]
pub fn listens() -> u32 {
    RP_LISTENS.load()
}

#[inline(always)]
pub fn socket_index(listen: u32, worker: u32) -> u32 {
    listen * WORKERS_MAX as u32 + worker
}
