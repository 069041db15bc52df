//! The gate's maps as memory of this process: sessions, prizes, clients' numbers, limits and the gate's own books.

use std::os::fd::AsFd as _;

use anyhow::{Context, Result};
use aya::Ebpf;
use aya::maps::Map;
use rp_core::clients::CLIENT_ROWS;
use rp_core::engine::board::{Board, GateBooks, Line, Maps};
use rp_core::entry::ENTRY_WORDS;
use rp_core::gate_counters::CLIENT_WORDS;
use rp_core::limits::SLOTS_PER_SET;
use rp_core::rules::RULES_WORDS;
use rp_core::timeline::BINS;

use super::object;

/// Maps all of them. They live as long as this process, whatever becomes of the programs.
///
/// # Errors
/// The object has no such maps, or the kernel maps none (Linux 5.5 or newer does).
pub fn map(ebpf: &Ebpf, sets: u32) -> Result<Board> {
    let (sets, cpus) = (sets as usize, object::cpus());
    Ok(Board::mapped(Maps {
        entries: lines(ebpf, "sessions", sets * SLOTS_PER_SET)?,
        pots: lines(ebpf, "pots", sets)?,
        clients: lines(ebpf, "clients", CLIENT_ROWS)?,
        rules: lines(ebpf, "rules", RULES_WORDS / ENTRY_WORDS)?,
        books: GateBooks {
            clients: lines(ebpf, "client_rows", cpus * CLIENT_ROWS * CLIENT_WORDS / ENTRY_WORDS)?,
            timeline: lines(ebpf, "timeline", cpus * BINS / ENTRY_WORDS)?,
        },
    }))
}

fn lines(ebpf: &Ebpf, name: &str, count: usize) -> Result<&'static [Line]> {
    let Some(Map::Array(data)) = ebpf.map(name) else { anyhow::bail!("the kernel object has no map {name}") };
    let mapped = rp_net::mapping::lines(data.fd().as_fd(), count);
    mapped.with_context(|| format!("mapping {count} lines of the kernel's map {name} into memory"))
}
