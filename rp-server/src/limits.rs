//! How fast clients may ask: set at start, changed live by `rp-server limits`.

use rp_core::bucket::Rate;
use rp_core::engine::board::Board;
use rp_core::rules::Limit;
use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::gate::object;

/// Bursts of what many share, in milliseconds of its rate.
const BURST_MS: u64 = 100;

/// Limits, in datagrams a second; 0 is none.
#[derive(clap::Args, Clone, Copy, Debug, Serialize, Deserialize)]
pub struct LimitArgs {
    /// Shakes, pings and other requests of one session, a second; 0: no limit
    #[arg(long, env = "RP_SESSION_RATE", value_name = "PER_S", default_value_t = 20,
          value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub session_rate: u32,
    /// How many of them may come at once
    #[arg(long, env = "RP_SESSION_BURST", value_name = "COUNT", default_value_t = 40,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub session_burst: u32,
    /// Datagrams of all sessions together, a second; 0: no limit
    #[arg(long, env = "RP_SESSIONS_RATE", value_name = "PER_S", default_value_t = 0)]
    pub sessions_rate: u64,
    /// Datagrams of all who have no session yet, a second; 0: no limit
    #[arg(long, env = "RP_STRANGERS_RATE", value_name = "PER_S", default_value_t = 400_000)]
    pub strangers_rate: u64,
    /// Log-ins from one part of the network (IPv4 /24, IPv6 /64), a second; 0: no limit
    #[arg(long, env = "RP_PREFIX_RATE", value_name = "PER_S", default_value_t = 100_000)]
    pub prefix_rate: u64,
}

impl LimitArgs {
    /// Puts them, and the clock, where the gate and the workers read them.
    pub fn set(&self, board: &Board, clock: Clock) {
        // Each CPU has an equal part of what is shared, and counts by itself.
        let parts = object::cpus() as u64;
        let interval = 1000u32.checked_div(self.session_rate).unwrap_or(0);
        let rules = board.rules();
        rules.set_session(Rate { interval, burst: interval * (self.session_burst - 1) });
        rules.set_sessions(Limit::per_second(self.sessions_rate, parts, BURST_MS));
        rules.set_strangers(Limit::per_second(self.strangers_rate, parts, BURST_MS));
        rules.set_prefix(Limit::per_second(self.prefix_rate, 1, BURST_MS));
        set_clock(board, clock);
    }
}

/// Tells the gate how far the wall clock is from the monotonic one.
pub fn set_clock(board: &Board, clock: Clock) {
    let now = clock.now();
    board.rules().set_unix_less_mono_us(now.unix_us.wrapping_sub(now.mono_us));
}
