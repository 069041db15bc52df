//! The gate's size: what the verifier follows has a limit of a million instructions, and so has the patience of who waits for a
//! server to start.

use rp_core::engine::Config;

use crate::alike::{Gated, SETS};

/// Instructions that the verifier may follow: it gives up at a million.
const FOLLOWED_MAX: u32 = 400_000;
/// Bytes of machine code: what is used of it must stay in a core's cache.
const CODE_MAX: u32 = 48 << 10;

#[test]
#[ignore = "needs root"]
fn the_gate_stays_within_its_budget() {
    let (idle_us, packet_life_us) = (300_000_000, 60_000_000);
    let gated = Gated::new(Config { sets: SETS, workers: 1, idle_us, packet_life_us, ..Config::default() });
    let (followed, code) = gated.size();
    println!("the verifier followed {followed} instructions; {code} bytes of machine code");
    assert!((1..=FOLLOWED_MAX).contains(&followed), "{followed} instructions");
    assert!((1..=CODE_MAX).contains(&code), "{code} bytes");
}
