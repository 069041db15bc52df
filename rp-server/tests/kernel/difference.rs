//! Host against kernel: mutated frames get the same verdict and move the same counters on both.

use std::time::SystemTime;

use rp_core::gate_counters::{Counts, Place};
use rp_core::reason::Reason;

use crate::named_frames::rows;
use crate::{Bench, expected};

const FRAMES: usize = 30_000;
/// The kernel's test run takes no frame shorter than an Ethernet header.
const SHORTEST: usize = 14;

/// SplitMix64: few lines, and the same everywhere.
pub struct Draw(pub u64);

impl Draw {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

/// A new seed, or the one that is to be repeated.
pub fn seed() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64);
    std::env::var("RP_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(now)
}

fn mutate(draw: &mut Draw, bytes: &mut Vec<u8>) {
    // Half of the changes fall on headers and the payload's head, where decisions are.
    let headers = bytes.len().min(80);
    match draw.below(7) {
        0 | 1 => bytes[draw.below(headers)] ^= 1 << draw.below(8),
        2 => {
            let at = draw.below(headers);
            bytes[at] = draw.next() as u8;
        }
        3 => bytes.truncate(SHORTEST + draw.below(bytes.len() - SHORTEST + 1)),
        4 => bytes.extend(std::iter::repeat_n(draw.next() as u8, draw.below(64))),
        5 => {
            let tag = [[0x81, 0x00, 0, 7], [0x88, 0xa8, 0, 9]][draw.below(2)];
            bytes.splice(12..12, tag);
        }
        _ => {
            let at = draw.below(headers - 1);
            let word =
                ((bytes[at] as u16) << 8 | bytes[at + 1] as u16).wrapping_add(draw.below(5) as u16).wrapping_sub(2);
            bytes[at..at + 2].copy_from_slice(&word.to_be_bytes());
        }
    }
}

#[test]
#[ignore = "needs root"]
fn host_and_kernel_decide_alike_over_mutated_frames() {
    let seed = seed();
    println!("again: RP_SEED={seed} cargo test -p rp-server --test kernel difference -- --ignored");
    let (bench, mut draw, rows) = (Bench::new(false), Draw(seed), rows());
    let mut on_host = Counts::default();
    for number in 0..FRAMES {
        let row = &rows[draw.below(rows.len())];
        let mut bytes = row.bytes.clone();
        (0..draw.below(4)).for_each(|_| mutate(&mut draw, &mut bytes));
        let (action, counts) = expected(&bytes);
        on_host = on_host.plus(&counts);
        assert_eq!(bench.run(&bytes), action, "frame {number}, from '{}': {bytes:02x?}", row.name);
        assert_eq!(bench.counts(), on_host, "frame {number}, from '{}': {bytes:02x?}", row.name);
    }
    // The frames were worth it: every verdict came up often.
    let often = |what: &str, datagrams: u64| assert!(datagrams > 200, "only {datagrams} frames were {what}");
    often("not ours", on_host.place(Place::NotOurs).datagrams);
    often("requests", on_host.place(Place::PassedHere).datagrams);
    for reason in [Reason::Fragment, Reason::BadHeader, Reason::BadLength, Reason::BadVersion, Reason::UnknownKind] {
        often(reason.name(), on_host.reason(reason).datagrams);
    }
}
