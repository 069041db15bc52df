//! The watch: reads the server's totals at each whole second of a phase, so that a report shows the server's side of it.
//!
//! It asks as the books' auditors do, one datagram a second for each of our addresses. A reading that was lost on the way
//! comes late, and its row says how long it is of.

use crate::audit::Reading;
use crate::fleet::{Fleet, Outbox};
use crate::report::server::ServerSecond;

/// Looks on.
#[derive(Default)]
pub struct Watch {
    asked_s: u64,
    asking: bool,
    last: Option<(u64, Reading)>,
    /// What it saw, by the second.
    pub seconds: Vec<ServerSecond>,
}

impl Watch {
    /// Asks when a second has begun, and takes down what was answered.
    pub fn look(&mut self, now_us: u64, fleet: &mut Fleet, out: &mut impl Outbox) {
        if self.asking
            && let Some(reading) = Reading::join(&fleet.readings, &fleet.books)
        {
            self.asking = false;
            self.take(now_us, reading);
        }
        let now_s = now_us / 1_000_000;
        if now_s > self.asked_s && (!self.asking || now_s > self.asked_s + 1) {
            if !self.asking {
                fleet.readings.fill(None);
            }
            (self.asked_s, self.asking) = (now_s, true);
            for auditor in 0..fleet.readings.len() {
                if fleet.readings[auditor].is_none() {
                    fleet.ask_totals(auditor, now_us, out);
                }
            }
        }
    }

    /// Takes a reading down.
    pub fn take(&mut self, now_us: u64, reading: Reading) {
        // A server that was started anew counts from zero.
        if let Some((then_us, before)) = self.last.take().filter(|(_, before)| !reading.is_of_another_start(before)) {
            let second = (now_us / 1_000_000).saturating_sub(1);
            self.seconds.push(reading.second_since(&before, second, now_us - then_us));
        }
        self.last = Some((now_us, reading));
    }
}
