//! Counting: the one file that writes to the counters' maps.

use aya_ebpf::btf_maps::PerCpuArray;
use aya_ebpf::macros::btf_map;
use rp_core::gate_counters::{GateCounters, ROWS, Row, RowIndex};
use rp_core::limits::WORKERS_MAX;

#[btf_map(name = "gate_counters")]
static GATE_COUNTERS: PerCpuArray<GateCounters, 1> = PerCpuArray::new();
/// Datagrams put on each worker's socket.
#[btf_map(name = "select_workers")]
static SELECT_WORKERS: PerCpuArray<Row, WORKERS_MAX> = PerCpuArray::new();

/// The counters of the CPU that runs the program.
pub struct Counters {
    rows: *mut Row,
}

impl Counters {
    /// None only before the verifier's eyes: the map has one entry per CPU.
    #[inline(always)]
    pub fn of_this_cpu() -> Option<Counters> {
        GATE_COUNTERS.get_ptr_mut(0).map(|block| Counters { rows: block.cast() })
    }

    /// Counts one datagram of so many bytes.
    #[inline(always)]
    pub fn count(&self, index: RowIndex, bytes: u64) {
        let index = index.index();
        if index < ROWS {
            // SAFETY: `rows` is the start of a GateCounters, which is ROWS rows and nothing else (repr(C), asserted where it
            // is defined), and the index was checked.
            add(unsafe { self.rows.add(index) }, bytes);
        }
    }
}

/// Counts one datagram put on a worker's socket.
#[inline(always)]
pub fn count_worker(worker: u32, bytes: u64) {
    if let Some(row) = SELECT_WORKERS.get_ptr_mut(worker) {
        add(row, bytes);
    }
}

#[inline(always)]
fn add(row: *mut Row, bytes: u64) {
    // SAFETY: both callers pass a row inside a map's value, which lives as long as the program runs. Only this CPU writes
    // to it, and the programs that count run with bottom halves off, one at a time: no update is torn or lost.
    unsafe {
        (*row).datagrams += 1;
        (*row).bytes += bytes;
    }
}
