//! How fast clients may ask, and who may not ask at all: set at start, changed live by `rp-server limits` and `rp-server deny`.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use aya::maps::lpm_trie::Key;
use aya::maps::{LpmTrie, MapData};
use rp_core::bucket::Rate;
use rp_core::engine::board::Board;
use rp_core::limits::DENIED_MAX;
use rp_core::prefix::Prefix;
use rp_core::rules::Limit;
use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::gate::object;
use crate::network::Net;

/// Bursts of what many share, in milliseconds of its rate.
const BURST_MS: u64 = 100;

/// Limits, in datagrams a second; 0 is none.
#[derive(clap::Args, Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[command(next_help_heading = "Limits, a second")]
pub struct LimitArgs {
    /// Requests of one session; 0: no limit
    #[arg(long, env = "RP_SESSION_RATE", value_name = "PER_S", default_value_t = 20,
          value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub session_rate: u32,
    /// How many of them at once
    #[arg(long, env = "RP_SESSION_BURST", value_name = "COUNT", default_value_t = 40,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub session_burst: u32,
    /// Datagrams of all sessions; 0: no limit
    #[arg(long, env = "RP_SESSIONS_RATE", value_name = "PER_S", default_value_t = 0)]
    pub sessions_rate: u64,
    /// Datagrams of all who have no session; 0: no limit
    #[arg(long, env = "RP_STRANGERS_RATE", value_name = "PER_S", default_value_t = 400_000)]
    pub strangers_rate: u64,
    /// Log-ins of one IPv4 /24 or IPv6 /64; 0: no limit
    #[arg(long, env = "RP_PREFIX_RATE", value_name = "PER_S", default_value_t = 100_000)]
    pub prefix_rate: u64,
}

/// Those that are to be changed.
#[derive(clap::Args, Clone, Copy, Default, Debug, Serialize, Deserialize)]
pub struct LimitChange {
    /// Requests of one session, a second; 0: no limit
    #[arg(long, value_name = "PER_S", value_parser = clap::value_parser!(u32).range(0..=1000))]
    session_rate: Option<u32>,
    /// How many of them may come at once
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1000))]
    session_burst: Option<u32>,
    /// Datagrams of all sessions together, a second; 0: no limit
    #[arg(long, value_name = "PER_S")]
    sessions_rate: Option<u64>,
    /// Datagrams of all who have no session yet, a second; 0: no limit
    #[arg(long, value_name = "PER_S")]
    strangers_rate: Option<u64>,
    /// Log-ins from one part of the network (IPv4 /24, IPv6 /64), a second; 0: no limit
    #[arg(long, value_name = "PER_S")]
    prefix_rate: Option<u64>,
}

impl LimitArgs {
    /// The limits after a change.
    pub fn changed(self, change: &LimitChange) -> LimitArgs {
        LimitArgs {
            session_rate: change.session_rate.unwrap_or(self.session_rate),
            session_burst: change.session_burst.unwrap_or(self.session_burst),
            sessions_rate: change.sessions_rate.unwrap_or(self.sessions_rate),
            strangers_rate: change.strangers_rate.unwrap_or(self.strangers_rate),
            prefix_rate: change.prefix_rate.unwrap_or(self.prefix_rate),
        }
    }

    /// Each by its flag.
    pub fn rows(&self) -> [(&'static str, u64); 5] {
        [
            ("session-rate", self.session_rate.into()),
            ("session-burst", self.session_burst.into()),
            ("sessions-rate", self.sessions_rate),
            ("strangers-rate", self.strangers_rate),
            ("prefix-rate", self.prefix_rate),
        ]
    }

    /// Puts them, and the clock, where the gate and the workers read them. What many share is shared out equally: to the
    /// CPUs at a gate, which each count by themselves, else to the workers.
    pub fn set(&self, board: &Board, clock: Clock, parts: u64) {
        let rules = board.rules();
        rules.set_session(Rate::per_second(self.session_rate, self.session_burst));
        rules.set_sessions(Limit::per_second(self.sessions_rate, parts, BURST_MS));
        rules.set_strangers(Limit::per_second(self.strangers_rate, parts, BURST_MS));
        rules.set_prefix(Limit::per_second(self.prefix_rate, 1, BURST_MS));
        set_clock(board, clock);
    }
}

/// Tells the gate how far the wall clock is from the monotonic one.
fn set_clock(board: &Board, clock: Clock) {
    let now = clock.now();
    board.rules().set_unix_less_mono_us(now.unix_us.wrapping_sub(now.mono_us));
}

/// Parts that what many share is cut into.
pub fn parts(is_gated: bool, workers: usize) -> u64 {
    if is_gated { object::cpus() as u64 } else { workers as u64 }
}

/// Who may not ask, as the gate looks it up.
pub type GateList = LpmTrie<MapData, [u8; 16], u8>;

/// Keeps the limits of a running server.
pub struct Keeper {
    limits: LimitArgs,
    denied: BTreeSet<Prefix>,
    board: Arc<Board>,
    gate: Option<GateList>,
    clock: Clock,
    parts: u64,
}

impl Keeper {
    /// A keeper of these limits, which hold already, and of this deny list, which holds from now on.
    ///
    /// # Errors
    /// When the list is too long.
    pub fn new(
        limits: LimitArgs,
        denied: &[Net],
        board: Arc<Board>,
        gate: Option<GateList>,
        clock: Clock,
        parts: u64,
    ) -> Result<Keeper> {
        let mut keeper = Keeper { limits, denied: BTreeSet::new(), board, gate, clock, parts };
        keeper.deny(denied, &[])?;
        Ok(keeper)
    }

    /// The clock goes on.
    pub fn beat(&self) {
        set_clock(&self.board, self.clock);
    }

    /// Changes limits; those that hold then.
    pub fn change(&mut self, change: &LimitChange) -> LimitArgs {
        self.set(self.limits.changed(change));
        self.limits
    }

    /// These hold from here on.
    pub fn set(&mut self, limits: LimitArgs) {
        self.limits = limits;
        self.limits.set(&self.board, self.clock, self.parts);
    }

    /// Those that hold.
    pub fn limits(&self) -> LimitArgs {
        self.limits
    }

    /// The deny list.
    pub fn denied(&self) -> Vec<Net> {
        self.denied.iter().map(|prefix| Net(*prefix)).collect()
    }

    /// Changes the deny list; the list that holds then.
    ///
    /// # Errors
    /// When it would be too long, and nothing has changed; or what the kernel says.
    pub fn deny(&mut self, add: &[Net], remove: &[Net]) -> Result<Vec<Net>> {
        let mut denied = self.denied.clone();
        denied.extend(add.iter().map(|net| net.0));
        denied.retain(|prefix| !remove.contains(&Net(*prefix)));
        ensure!(denied.len() <= DENIED_MAX, "{} prefixes: the deny list holds {DENIED_MAX}", denied.len());
        if let Some(gate) = &mut self.gate {
            for net in self.denied.difference(&denied) {
                gate.remove(&Key::new(net.len.into(), net.ip)).context("taking a prefix off the gate's deny list")?;
            }
            for net in denied.difference(&self.denied) {
                let key = Key::new(net.len.into(), net.ip);
                gate.insert(&key, 1, 0).context("putting a prefix on the gate's deny list")?;
            }
        }
        self.denied = denied;
        self.board.deny(&self.denied.iter().copied().collect::<Vec<_>>());
        Ok(self.denied())
    }
}
