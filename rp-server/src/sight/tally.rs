//! Counts that the kernel keeps for a socket, as totals that never fall.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The total of one such count, as it was told last.
#[derive(Default)]
pub struct Tally(AtomicU64);

impl Tally {
    /// The total after the kernel told a count that it keeps modulo 2^32; what it does not tell changes nothing. It must be asked
    /// before half of that has come, and the recorder asks every second.
    pub fn follow_word(&self, told: io::Result<u32>) -> u64 {
        let before = self.0.load(Relaxed);
        let more = told.map_or(0, |now| now.wrapping_sub(before as u32) as i32);
        self.follow(Ok(before.saturating_add_signed(more.into())))
    }

    /// The total after the kernel told it; what it does not tell changes nothing.
    pub fn follow(&self, told: io::Result<u64>) -> u64 {
        let now = told.unwrap_or(0);
        self.0.fetch_max(now, Relaxed).max(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_total_goes_on_where_the_kernels_word_begins_again_and_never_falls() {
        let tally = Tally::default();
        let error = || io::Error::from(io::ErrorKind::Interrupted);
        for (told, total) in [
            (Ok(0), 0),
            (Ok(7), 7),
            (Err(error()), 7),
            (Ok(0x7fff_ffff), 0x7fff_ffff),
            (Ok(0xffff_fff0), 0xffff_fff0),
            (Ok(5), 0x1_0000_0005),
            (Err(error()), 0x1_0000_0005),
            (Ok(3), 0x1_0000_0005),
            (Ok(0x7000_0000), 0x1_7000_0000),
            (Ok(0xe000_0000), 0x1_e000_0000),
            (Ok(0x2000_0000), 0x2_2000_0000),
        ] {
            let said = format!("{told:?}");
            assert_eq!(tally.follow_word(told), total, "{said}");
        }
        let tally = Tally::default();
        assert_eq!([Ok(9), Err(error()), Ok(8), Ok(1 << 40)].map(|told| tally.follow(told)), [9, 9, 9, 1 << 40]);
    }
}
