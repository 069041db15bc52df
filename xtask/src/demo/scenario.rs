//! The phases of the demo and the campaign that goes with each.

use super::table::grouped;

/// Log in, then shake at the article's two rates.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Phases that shake, in order.
    pub shaking: Vec<Shaking>,
}

/// One phase that shakes.
#[derive(Clone, Copy, Debug)]
pub struct Shaking {
    /// Requests per second over all client machines.
    pub rate: u64,
    /// How long, in seconds.
    pub seconds: u64,
    /// Prizes per second of the campaign beside it.
    pub prizes_per_s: u64,
}

/// Packets that users send per second in every phase that shakes.
const PACKETS_PER_S: u64 = 200;
/// Fen that a prize holds, from and to, as in the original.
pub const PRIZE_FEN: (u64, u64) = (10, 309);
/// Fen that each user can put into packets.
pub const ALLOWANCE_FEN: u64 = 100_000;

impl Scenario {
    /// The article's phases: shortened, at full length, or each of `seconds`.
    pub fn new(full: bool, seconds: Option<u64>) -> Scenario {
        let (first, second) = match (seconds, full) {
            (Some(seconds), _) => (seconds, seconds),
            (None, true) => (600, 600),
            (None, false) => (30, 60),
        };
        Scenario {
            shaking: vec![
                Shaking { rate: 30_000, seconds: first, prizes_per_s: 83 },
                Shaking { rate: 60_000, seconds: second, prizes_per_s: 200 },
            ],
        }
    }

    /// The scenario as rp-client reads it.
    pub fn toml(&self) -> String {
        let mut text = String::from("[[phase]]\nkind = \"login\"\nname = \"connect\"\n");
        for Shaking { rate, seconds, .. } in &self.shaking {
            let name = format!("{} QPS", grouped(*rate as f64));
            text.push_str(&format!(
                "\n[[phase]]\nkind = \"shake\"\nname = \"{name}\"\nseconds = {seconds}\nrate = {rate}\n\
                 send = {{ rate = {PACKETS_PER_S}, fen = 300, shares = 3, recipients = 3 }}\n"
            ));
        }
        text
    }

    /// Seconds of all phases that shake.
    pub fn seconds(&self) -> u64 {
        self.shaking.iter().map(|phase| phase.seconds).sum()
    }
}
