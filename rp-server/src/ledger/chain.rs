//! The chain of checksums: each posting's covers itself and, by the one before, all that precedes it.

use rp_core::key::{Key, sip};
use rp_core::posting::{POSTING_MAX, Posting};

use super::End;

/// Bytes before the posting in what is hashed: the last checksum and the position.
const LINK: usize = 16;

/// How far the chain is.
pub struct Chain {
    key: Key,
    end: End,
    scratch: [u8; LINK + POSTING_MAX],
}

impl Chain {
    /// Under the ledger's id, on from `end`.
    pub fn new(key: Key, end: End) -> Chain {
        Chain { key, end, scratch: [0; LINK + POSTING_MAX] }
    }

    /// The last posting's position and checksum.
    pub fn end(&self) -> End {
        self.end
    }

    /// Forgets what was linked behind `end`.
    pub fn go_back(&mut self, end: End) {
        self.end = end;
    }

    /// The next posting's: SipHash-2-4 over the last checksum, the position and the posting's bytes.
    pub fn link(&mut self, posting: &Posting<'_>) -> End {
        let position = self.end.position + 1;
        self.scratch[..8].copy_from_slice(&self.end.chain.to_le_bytes());
        self.scratch[8..LINK].copy_from_slice(&position.to_le_bytes());
        let len = posting.put(&mut self.scratch[LINK..]);
        self.end = End { position, chain: sip(&self.key, &self.scratch[..LINK + len]) };
        self.end
    }
}
