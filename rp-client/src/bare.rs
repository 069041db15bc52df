//! Servers of other kinds, for benchmarks: what they are asked in the place of a shake. They know no sessions and keep no
//! books of ours.

use clap::ValueEnum;
use rp_core::load::BARE_LEN;

/// What stands at the other end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Bare {
    /// Sends back what comes: a shake.
    Echo,
    /// A name server; only in a blast.
    Dns,
    /// memcached over UDP; only in a blast.
    Memcached,
}

/// The name that is asked for, as DNS writes it: `shakes.example`.
const NAME: &[u8; 16] = b"\x06shakes\x07example\0";
/// The key that memcached is asked for: 18 bytes.
const KEY: &[u8; 18] = b"the-prize-of-today";

impl Bare {
    /// The question of [`BARE_LEN`] bytes, whose first two are left for its number; none for shakes.
    pub fn question(self) -> Option<[u8; BARE_LEN]> {
        let mut question = [0; BARE_LEN];
        match self {
            Bare::Echo => return None,
            Bare::Dns => {
                // One question, of type A and class IN; no flags.
                question[4..6].copy_from_slice(&[0, 1]);
                question[12..28].copy_from_slice(NAME);
                question[28..].copy_from_slice(&[0, 1, 0, 1]);
            }
            Bare::Memcached => {
                // Datagram 0 of 1.
                question[4..6].copy_from_slice(&[0, 1]);
                question[8..12].copy_from_slice(b"get ");
                question[12..30].copy_from_slice(KEY);
                question[30..].copy_from_slice(b"\r\n");
            }
        }
        Some(question)
    }
}
