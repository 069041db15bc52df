//! The addresses of clients, numbered: a row for each in the books of gate and workers. Open addressing over a fixed table,
//! never more than half full; further addresses, and those from which nobody has logged in, share row zero.

use crate::entry::Words;
use crate::limits::CLIENTS_MAX;
use crate::wire::bytes_of;

/// Rows of the table, the shared one among them.
pub const CLIENT_ROWS: usize = 2 * CLIENTS_MAX;
const _: () = assert!(CLIENT_ROWS.is_power_of_two());

/// Words of a line: address, and whether it is taken.
const ADDRESS: usize = 0;
const TAKEN: usize = 2;
/// In the shared row: how many others are taken.
const COUNT: usize = 0;

/// States of a row.
const FREE: u64 = 0;
const BEING_TAKEN: u64 = 1;
const IN_USE: u64 = 2;

/// Rows looked at before an address counts as unknown; half empty, a table has no longer runs in practice.
const PROBES_MAX: usize = 16;

/// The table, wherever its lines lie.
pub trait Clients {
    /// A line of it.
    type Line: Words;
    /// The line of a row below [`CLIENT_ROWS`].
    fn line(&self, row: usize) -> Option<Self::Line>;

    /// The row of an address, in the words of an [`Origin`](crate::wire::Origin); zero when it has none of its own.
    #[inline(always)]
    fn find(&self, words: [u64; 2]) -> u16 {
        let mut row = first_row(words);
        for _ in 0..PROBES_MAX {
            let Some(line) = self.line(row) else { return 0 };
            if line.load(TAKEN) != IN_USE {
                return 0;
            }
            if line.load(ADDRESS) == words[0] && line.load(ADDRESS + 1) == words[1] {
                return row as u16;
            }
            row = next_row(row);
        }
        0
    }

    /// The same, and takes a row for an address that has none, while there are any.
    fn find_or_take(&self, words: [u64; 2]) -> u16 {
        let mut row = first_row(words);
        for _ in 0..PROBES_MAX {
            let (Some(line), Some(shared)) = (self.line(row), self.line(0)) else { return 0 };
            if line.load(TAKEN) == FREE
                && shared.load(COUNT) < CLIENTS_MAX as u64
                && line.swap(TAKEN, FREE, BEING_TAKEN)
            {
                line.store(ADDRESS, words[0]);
                line.store(ADDRESS + 1, words[1]);
                line.store(TAKEN, IN_USE);
                while !shared.swap(COUNT, shared.load(COUNT), shared.load(COUNT) + 1) {}
                return row as u16;
            }
            // Another worker is writing it, perhaps for the same address: two stores away.
            while line.load(TAKEN) == BEING_TAKEN {
                core::hint::spin_loop();
            }
            if line.load(TAKEN) == FREE {
                return 0;
            }
            if line.load(ADDRESS) == words[0] && line.load(ADDRESS + 1) == words[1] {
                return row as u16;
            }
            row = next_row(row);
        }
        0
    }

    /// The address of a row, if it is in use.
    fn address(&self, row: usize) -> Option<[u8; 16]> {
        let line = self.line(row).filter(|line| row > 0 && line.load(TAKEN) == IN_USE)?;
        Some(bytes_of([line.load(ADDRESS), line.load(ADDRESS + 1)]))
    }
}

/// Not zero, which is shared.
#[inline(always)]
fn first_row(words: [u64; 2]) -> usize {
    let hash = (words[0] ^ words[1]).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((hash >> 32) as usize % (CLIENT_ROWS - 1)) + 1
}

#[inline(always)]
fn next_row(row: usize) -> usize {
    if row + 1 == CLIENT_ROWS { 1 } else { row + 1 }
}
