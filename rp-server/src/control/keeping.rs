//! The bank's postings on their way to the disk, and its projection when it is time for one.

use std::sync::atomic::Ordering;
use std::time::Duration;

use rp_core::posting::BANK;

use super::Control;
use crate::worker::WORTH;

impl Control {
    /// Hands postings to the scribe, and hears how far they are.
    pub(super) fn keep(&mut self) {
        let durable = self.desk.carry(self.bank.journal());
        self.bank.journal().durable_to(durable);
    }

    /// Hands in the bank's projection, when it is time for one.
    pub(super) fn fold(&mut self) {
        let checkpoint = self.desk.scribe().checkpoint.load(Ordering::Relaxed);
        if self.folded != checkpoint && self.hand_in() {
            self.folded = checkpoint;
        }
    }

    pub(super) fn hand_in(&mut self) -> bool {
        let (sequence, bytes) = self.bank.fold();
        self.archive.keep(BANK, sequence, bytes, self.bank.journal().written(), &self.desk)
    }

    /// Waits for the bank's last postings. The disk may take its time; this thread is not stuck meanwhile.
    pub(super) fn end(&mut self) {
        while !self.bank.journal().is_durable() && !self.desk.scribe().gone.load(Ordering::Relaxed) {
            self.publisher.beat(self.clock.now().mono_us);
            self.keep();
            std::thread::sleep(Duration::from_micros(200));
        }
        let scribe = self.desk.scribe().clone();
        while scribe.unprojected() >= WORTH && !scribe.gone.load(Ordering::Relaxed) && !self.hand_in() {
            self.publisher.beat(self.clock.now().mono_us);
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
