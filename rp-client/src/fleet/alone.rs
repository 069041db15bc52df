//! A fleet of one in tests, to whom nobody answers.

use rp_core::limits::DATAGRAM_MAX;
use rp_core::ticket::RealmKey;

use super::{Config, Fleet, Outbox};
use crate::population::Population;
use crate::realm::Mint;
use crate::record::PhaseRecord;

/// Nobody hears what is sent; the numbers of its kinds are kept.
pub struct Nobody([u8; DATAGRAM_MAX], pub Vec<u8>);

impl Outbox for Nobody {
    fn slot(&mut self, _socket: usize) -> &mut [u8; DATAGRAM_MAX] {
        &mut self.0
    }

    fn commit(&mut self, _socket: usize, _len: usize) {
        self.1.push(self.0[0] & 0x3f);
    }
}

/// It is logged in, and would outlast its server.
pub fn alone() -> (Fleet, Nobody) {
    let population = Population::new(1..=1, Some(1)).expect("one user");
    let config = Config { population, sockets: 1, auditors: 0, seed: 1, bare: true, outlasts: true };
    let mut fleet = Fleet::new(config, Mint::new(&RealmKey { id: 1, key: [1; 32] }));
    fleet.records.push(PhaseRecord::new("shake", 0, 1, 1));
    (fleet, Nobody([0; DATAGRAM_MAX], Vec::new()))
}
