//! What the fleet lends to a blast, and what it takes back: its sessions and its books.

use rp_core::kind::Kind;
use rp_core::load::Tally;
use rp_core::wire::Refusal;

use super::{Fleet, State};
use crate::blast::{Harvest, Shooter};
use crate::books::Discard;

impl Fleet {
    /// Does the server know no sessions?
    pub fn is_bare(&self) -> bool {
        self.config.bare
    }

    /// The sessions that are up, as a kernel program needs them; `ports` are those of our sockets.
    pub fn shooters(&self, ports: &[u16]) -> Vec<Shooter> {
        let is_up = |index: &u32| self.config.bare || self.sessions[*index as usize].state == State::Up;
        let shooter = |index: u32| {
            let session = &self.sessions[index as usize];
            let port = ports[self.socket(index)];
            // Any number will do.
            let id = if self.config.bare { index } else { session.id };
            Shooter { index, id, key: session.key, sequence: session.sequence, port }
        };
        (0..self.count()).filter(is_up).map(shooter).collect()
    }

    /// Books what a blast has sent and taken in, in the phase that it was.
    pub fn reap(&mut self, phase: usize, harvest: &Harvest) {
        for (index, sequence) in &harvest.sequences {
            self.sessions[*index as usize].sequence = *sequence;
        }
        let (sent, late) = (harvest.of(Tally::Sent), harvest.of(Tally::Late));
        let (nothing, busy) = (harvest.of(Tally::Nothing), harvest.of(Tally::Busy));
        // What is hostile is in nobody's name, so it is in nobody's books.
        self.books.sent[Kind::Shake.index()] += sent;
        self.books.received[Kind::Nothing.index()] += nothing + harvest.of(Tally::Stray);
        self.books.received[Kind::Busy.index()] += busy;
        self.books.discarded[Discard::BadTag as usize] += harvest.of(Tally::BadTag);
        let record = &mut self.records[phase];
        let shakes = &mut record.shakes;
        shakes.due += sent + late;
        shakes.sent += sent;
        // A shake that won is answered through the sockets.
        let won = record.per_second.iter().map(|second| second.prizes).sum::<u64>();
        shakes.answered += nothing + won;
        shakes.refused += busy;
        shakes.lost += (sent + late).saturating_sub(nothing + won + busy);
        record.refusals[Refusal::Busy as usize] += busy;
        record.duplicate += harvest.of(Tally::Stray);
        record.generator_late += late;
        record.generator_cpu_us += harvest.cpu.as_micros() as u64;
        record.hostile += harvest.of(Tally::Spoofed) + harvest.of(Tally::Forged);
        for (us, count) in &harvest.latencies_us {
            record.latency_us.saturating_record_n((*us).max(1), *count);
        }
    }
}
