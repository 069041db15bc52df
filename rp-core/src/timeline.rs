//! When shakes came: a ring of bins of 20 ms, each a word of its time and its count, so that a bin that comes round again
//! begins at one by itself.

/// Microseconds of a bin.
pub const BIN_US: u64 = 20_000;
/// Bins of the ring: 1024 seconds.
pub const BINS: usize = 1024 * 50;
const COUNT_BITS: u32 = 24;

/// Where in the ring a time is.
#[inline(always)]
pub const fn bin_of(unix_us: u64) -> usize {
    ((unix_us / BIN_US) % BINS as u64) as usize
}

/// The bin's word after one more at `unix_us`.
#[inline(always)]
pub const fn count_up(word: u64, unix_us: u64) -> u64 {
    let stamp = (unix_us / BIN_US) << COUNT_BITS;
    if word >> COUNT_BITS << COUNT_BITS == stamp { word + 1 } else { stamp + 1 }
}

/// When a bin began, in microseconds since 1970, and its count; none when it was never used.
pub const fn read(word: u64) -> Option<(u64, u64)> {
    if word == 0 { None } else { Some(((word >> COUNT_BITS) * BIN_US, word & ((1 << COUNT_BITS) - 1))) }
}
