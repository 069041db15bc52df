//! The road between clients and server: it delays, loses, repeats and reorders, and counts what it did.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};
use rp_core::kind::{KINDS_MAX, Kind};
use rp_core::wire::FLAG_SEALED;

/// What can happen to a datagram, each with its probability.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Faults {
    pub loss: f64,
    pub repeat: f64,
    /// A way that is up to 50 ms longer, so that later ones arrive earlier.
    pub detour: f64,
    /// Not a probability: the clients' sockets get other ports so often; 0: never.
    pub move_every_us: u64,
    /// One byte changes; not the first, so that the auditor knows the kind.
    pub mangle: f64,
}

/// A datagram on its way.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub struct Parcel {
    pub at_us: u64,
    number: u64,
    pub to_server: bool,
    pub machine: usize,
    pub socket: usize,
    pub port: u16,
    pub bytes: Vec<u8>,
}

pub struct Road {
    pub faults: Faults,
    rng: ChaCha8Rng,
    parcels: BinaryHeap<Reverse<Parcel>>,
    number: u64,
    /// By kind: how many more arrived than were sent; negative for losses.
    pub surplus: [i64; KINDS_MAX],
    /// Of all bytes that were sent, with their times.
    pub digest: u64,
    /// What was sealed: direction, session and counter.
    pub sealed: HashSet<(bool, u32, u64)>,
}

impl Road {
    pub fn new(seed: u64, faults: Faults) -> Self {
        let rng = ChaCha8Rng::seed_from_u64(seed);
        let (parcels, sealed) = (BinaryHeap::new(), HashSet::new());
        Self { faults, rng, parcels, number: 0, surplus: [0; KINDS_MAX], digest: 0, sealed }
    }

    pub fn happens(&mut self, probability: f64) -> bool {
        (self.rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64 <= probability && probability > 0.0
    }

    pub fn send(&mut self, now_us: u64, mut parcel: Parcel) {
        let mut hasher = DefaultHasher::new();
        (self.digest, now_us, &parcel.bytes).hash(&mut hasher);
        self.digest = hasher.finish();
        let kind = usize::from(parcel.bytes[0] & 0x3f);
        if Kind::of_number(kind as u8).is_some_and(Kind::bears_money) {
            self.look(parcel.to_server, &parcel.bytes);
        }
        if self.happens(self.faults.loss) {
            self.surplus[kind] -= 1;
            return;
        }
        if self.happens(self.faults.repeat) {
            self.surplus[kind] += 1;
            let copy = Parcel { bytes: parcel.bytes.clone(), ..parcel };
            self.queue(now_us, copy);
        }
        if self.happens(self.faults.mangle) {
            let at = 1 + self.rng.next_u64() as usize % (parcel.bytes.len() - 1);
            parcel.bytes[at] ^= 1 << (self.rng.next_u32() % 8);
        }
        self.queue(now_us, parcel);
    }

    /// Each transmission of what bears money is sealed under a counter of its own: no nonce serves twice.
    fn look(&mut self, to_server: bool, bytes: &[u8]) {
        let session = u32::from_le_bytes(*bytes[2..].first_chunk().expect("a session"));
        let counter = u64::from_le_bytes(*bytes[6..].first_chunk().expect("a counter"));
        assert_eq!(bytes[1], FLAG_SEALED, "{bytes:02x?}");
        let is_new = self.sealed.insert((to_server, session, counter));
        assert!(is_new, "counter {counter} of session {session:#x} a second time, to the server: {to_server}");
    }

    fn queue(&mut self, now_us: u64, mut parcel: Parcel) {
        let detour = if self.happens(self.faults.detour) { 50_000 } else { 400 };
        parcel.at_us = now_us + 50 + self.rng.next_u64() % detour;
        parcel.number = self.number;
        self.number += 1;
        self.parcels.push(Reverse(parcel));
    }

    /// The next parcel that has arrived.
    pub fn arrived(&mut self, now_us: u64) -> Option<Parcel> {
        let Reverse(first) = self.parcels.peek()?;
        if first.at_us > now_us {
            return None;
        }
        self.parcels.pop().map(|Reverse(parcel)| parcel)
    }

    pub fn is_empty(&self) -> bool {
        self.parcels.is_empty()
    }
}

/// A parcel from a client, or back to it.
pub fn parcel(to_server: bool, machine: usize, socket: usize, port: u16, bytes: Vec<u8>) -> Parcel {
    Parcel { at_us: 0, number: 0, to_server, machine, socket, port, bytes }
}
