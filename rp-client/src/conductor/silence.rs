//! A server that says nothing: how long that may last at the beginning, and what it may mean.

use anyhow::{Result, bail};
use rp_core::kind::Kind;

use crate::fleet::Fleet;

/// How long the server may be silent at the beginning.
pub const SILENCE_US: u64 = 10_000_000;

/// Fails when the server has been silent since the beginning, or does not take our tickets.
///
/// # Errors
/// What was tried, for how long, and what to look at.
pub fn heard(fleet: &Fleet, now_us: u64, since_us: u64) -> Result<()> {
    if now_us < since_us + SILENCE_US || fleet.books.received_of(Kind::Welcome) > 0 {
        return Ok(());
    }
    if fleet.books.received_of(Kind::LoginRefused) > 0 {
        bail!(
            "the server refuses every log-in: its tables are full or the clocks differ by a day (`rp-server status`)"
        );
    }
    if fleet.books.received_of(Kind::Challenge) > 0 {
        bail!(
            "the server answers HELLO but not LOGIN: is the realm key the same on both sides? (--realm-key; \
             `rp-server status` then counts bad_ticket)"
        );
    }
    let (times, seconds) = (fleet.books.sent_of(Kind::Hello), (now_us - since_us) / 1_000_000);
    bail!(
        "no answer from the server to {times} HELLOs in {seconds} s: is rp-server running there, and does a firewall let UDP \
         through? (--server; `rp-server doctor` there)"
    )
}
