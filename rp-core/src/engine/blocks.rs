//! Small blocks in one arena per SET: recipients, shares, answers and notices, without an allocation per datagram.
//!
//! A chain is a list of blocks by index. The arena reserves its limit as address space at start and touches a page only
//! when its blocks are first used.

use alloc::vec::Vec;

use crate::limits::BLOCKS_PER_SET_MAX;

/// Bytes of a block that its owner may use.
pub const BODY_LEN: usize = 60;
/// The end of a chain.
pub const NIL: u32 = u32::MAX;

struct Block {
    next: u32,
    body: [u8; BODY_LEN],
}
const _: () = assert!(size_of::<Block>() == 64);

/// The arena.
pub struct Blocks {
    blocks: Vec<Block>,
    free: u32,
    free_count: usize,
}

impl Default for Blocks {
    fn default() -> Self {
        Self { blocks: Vec::with_capacity(BLOCKS_PER_SET_MAX), free: NIL, free_count: 0 }
    }
}

impl Blocks {
    /// An arena for a few blocks, which nobody keeps.
    pub fn unreserved() -> Blocks {
        Self { blocks: Vec::new(), free: NIL, free_count: 0 }
    }

    /// Blocks that can still be taken.
    pub fn room(&self) -> usize {
        BLOCKS_PER_SET_MAX - self.blocks.len() + self.free_count
    }

    /// Takes a zeroed block and links it before `next`; `None` at the limit.
    pub fn take(&mut self, next: u32) -> Option<u32> {
        let block = Block { next, body: [0; BODY_LEN] };
        if self.free != NIL {
            let at = self.free;
            self.free = self.blocks[at as usize].next;
            self.free_count -= 1;
            self.blocks[at as usize] = block;
            return Some(at);
        }
        if self.blocks.len() == BLOCKS_PER_SET_MAX {
            return None;
        }
        self.blocks.push(block);
        Some(self.blocks.len() as u32 - 1)
    }

    /// Gives one block back.
    pub fn give(&mut self, at: u32) {
        self.blocks[at as usize].next = self.free;
        self.free = at;
        self.free_count += 1;
    }

    /// Gives a whole chain back.
    pub fn give_chain(&mut self, mut at: u32) {
        while at != NIL {
            let next = self.next(at);
            self.give(at);
            at = next;
        }
    }

    /// The block after `at`.
    #[inline]
    pub fn next(&self, at: u32) -> u32 {
        self.blocks[at as usize].next
    }

    /// Makes `next` follow `at`.
    pub fn link(&mut self, at: u32, next: u32) {
        self.blocks[at as usize].next = next;
    }

    /// A block's bytes.
    #[inline]
    pub fn body(&self, at: u32) -> &[u8; BODY_LEN] {
        &self.blocks[at as usize].body
    }

    /// A block's bytes.
    #[inline]
    pub fn body_mut(&mut self, at: u32) -> &mut [u8; BODY_LEN] {
        &mut self.blocks[at as usize].body
    }

    /// The indices of a chain.
    pub fn chain(&self, head: u32) -> impl Iterator<Item = u32> + '_ {
        core::iter::successors((head != NIL).then_some(head), move |at| {
            let next = self.next(*at);
            (next != NIL).then_some(next)
        })
    }
}

/// A list of rows of `N` bytes in a chain, in the order they were pushed.
#[derive(Clone, Copy)]
pub struct Rows<const N: usize> {
    head: u32,
    tail: u32,
    len: u16,
}

impl<const N: usize> Default for Rows<N> {
    fn default() -> Self {
        Self { head: NIL, tail: NIL, len: 0 }
    }
}

impl<const N: usize> Rows<N> {
    const PER_BLOCK: usize = BODY_LEN / N;

    /// Blocks that `rows` rows need.
    pub const fn blocks_for(rows: usize) -> usize {
        rows.div_ceil(Self::PER_BLOCK)
    }

    /// Rows in the list.
    pub fn count(&self) -> usize {
        usize::from(self.len)
    }

    /// Takes the blocks for `rows` rows ahead, on an empty list; `false` when the arena is at its limit.
    pub fn reserve(&mut self, blocks: &mut Blocks, rows: usize) -> bool {
        for _ in 0..Self::blocks_for(rows) {
            let Some(at) = blocks.take(self.head) else { return false };
            self.head = at;
        }
        true
    }

    /// Appends a row; `false` when the arena is at its limit.
    pub fn push(&mut self, blocks: &mut Blocks, row: &[u8; N]) -> bool {
        let slot = self.count() % Self::PER_BLOCK;
        if slot == 0 {
            let reserved = if self.len == 0 { self.head } else { blocks.next(self.tail) };
            self.tail = match (reserved, self.len) {
                (NIL, len) => {
                    let Some(at) = blocks.take(NIL) else { return false };
                    if len == 0 {
                        self.head = at;
                    } else {
                        blocks.link(self.tail, at);
                    }
                    at
                }
                (at, _) => at,
            };
        }
        blocks.body_mut(self.tail)[slot * N..][..N].copy_from_slice(row);
        self.len += 1;
        true
    }

    /// The rows, oldest first.
    pub fn iter<'a>(&self, blocks: &'a Blocks) -> impl Iterator<Item = &'a [u8; N]> + 'a {
        blocks
            .chain(self.head)
            .flat_map(move |at| blocks.body(at).as_chunks::<N>().0.iter().take(Self::PER_BLOCK))
            .take(self.count())
    }

    /// Empties the list.
    pub fn clear(&mut self, blocks: &mut Blocks) {
        blocks.give_chain(self.head);
        *self = Self::default();
    }
}
