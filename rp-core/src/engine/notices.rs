//! Notices: what a user must hear until he says that he has.
//!
//! A notice is a block in its user's chain, and at most one place in a queue of those to be sent again. Each time it is
//! sent it waits twice as long; while the user has no session it waits for the next.

use alloc::collections::VecDeque;

use super::accounts::Account;
use super::blocks::{Blocks, NIL};
use crate::limits::{BLOCKS_PER_SET_MAX, NOTICES_PER_USER_MAX};
use crate::wire::{Field, NoticeType};

/// Waits before a notice is sent for the first time, the second, and so on, in microseconds.
const WAITS_US: [u64; 8] = [0, 500_000, 1_000_000, 2_000_000, 4_000_000, 8_000_000, 16_000_000, 32_000_000];

/// What a notice says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Content {
    /// Its number among the user's notices.
    pub number: u64,
    /// Prize, packet or refund.
    pub about_type: NoticeType,
    /// See [`NoticeType`].
    pub about: u64,
    /// The user behind it.
    pub from: u64,
    /// Money.
    pub fen: u64,
    /// Milliseconds since 1970.
    pub at_ms: u64,
    /// The shake that won a prize, by sequence; 0 otherwise.
    pub sequence: u32,
}

impl Content {
    fn write(&self, body: &mut [u8]) {
        for (i, word) in [self.number, self.about, self.from, self.fen, self.at_ms].iter().enumerate() {
            word.put(&mut body[8 * i..]);
        }
        self.sequence.put(&mut body[40..]);
        body[44] = self.about_type as u8;
    }

    fn read(body: &[u8]) -> Self {
        let word = |i: usize| <u64 as Field>::take(&body[8 * i..]);
        Self {
            number: word(0),
            about: word(1),
            from: word(2),
            fen: word(3),
            at_ms: word(4),
            sequence: Field::take(&body[40..]),
            about_type: NoticeType::of_number(body[44]).expect("only types are written here"),
        }
    }
}

// Bytes of the block beside the content: is it in a queue, which wait comes next, and whose it is.
const QUEUED: usize = 45;
const WAIT: usize = 46;
const ACCOUNT: usize = 48;

/// The first time at once.
pub const AT_ONCE: usize = 0;
/// The first time after half a second: the news went out already, as an answer.
pub const AFTER_ANSWER: usize = 1;

struct Due {
    at_us: u64,
    account: u16,
    block: u32,
    number: u64,
}

impl Due {
    /// Does the block still hold this notice? It may have been acknowledged, and the block used for another.
    fn holds(&self, blocks: &Blocks) -> bool {
        let body = blocks.body(self.block);
        body[QUEUED] != 0
            && <u64 as Field>::take(body) == self.number
            && <u16 as Field>::take(&body[ACCOUNT..]) == self.account
    }
}

/// The queues of one SET.
#[derive(Default)]
pub struct Notices {
    /// One queue per wait: all in it wait equally long, so the first is the first to be due.
    queues: [VecDeque<Due>; WAITS_US.len()],
}

impl Notices {
    /// Adds a notice to the account at index `at`, to be sent [`AT_ONCE`] or [`AFTER_ANSWER`]; its number, or `None` when
    /// the user's list or the SET's blocks are full.
    pub fn add(
        &mut self,
        account: &mut Account,
        at: u16,
        mut content: Content,
        (wait, now_us): (usize, u64),
        blocks: &mut Blocks,
    ) -> Option<u64> {
        if usize::from(account.notice_count) >= NOTICES_PER_USER_MAX {
            return None;
        }
        let block = blocks.take(account.notices)?;
        account.notices = block;
        account.notice_count += 1;
        account.notice_highest += 1;
        content.number = u64::from(account.notice_highest);
        content.write(blocks.body_mut(block));
        at.put(&mut blocks.body_mut(block)[ACCOUNT..]);
        self.queue(block, wait, now_us, blocks);
        Some(content.number)
    }

    /// Removes an acknowledged notice; `false` when it was not waiting.
    pub fn acknowledge(&mut self, account: &mut Account, number: u64, blocks: &mut Blocks) -> bool {
        let mut before = NIL;
        let mut at = account.notices;
        while at != NIL {
            let next = blocks.next(at);
            if Content::read(blocks.body(at)).number == number {
                if before == NIL {
                    account.notices = next;
                } else {
                    blocks.link(before, next);
                }
                // A queue that still names the block finds another number in it, or none, and lets it go.
                blocks.body_mut(at).fill(0);
                blocks.give(at);
                account.notice_count -= 1;
                return true;
            }
            (before, at) = (at, next);
        }
        false
    }

    /// Sends what waits for an account again from the beginning: its user has a session again.
    pub fn wake(&mut self, account: &Account, now_us: u64, blocks: &mut Blocks) {
        let mut block = account.notices;
        while block != NIL {
            if blocks.body(block)[QUEUED] == 0 {
                self.queue(block, AT_ONCE, now_us, blocks);
            }
            block = blocks.next(block);
        }
    }

    /// The prize that the shake `sequence` won, if it still waits.
    pub fn prize_of(&self, account: &Account, sequence: u32, blocks: &Blocks) -> Option<Content> {
        blocks
            .chain(account.notices)
            .map(|at| Content::read(blocks.body(at)))
            .find(|content| content.about_type == NoticeType::Prize && content.sequence == sequence)
    }

    /// The next notice that is due: its account and content. It must be given to [`Self::sent`] or [`Self::dormant`].
    pub fn due(&mut self, now_us: u64, blocks: &Blocks) -> Option<(u16, u32, Content)> {
        for queue in &mut self.queues {
            while queue.front().is_some_and(|due| due.at_us <= now_us) {
                let due = queue.pop_front().expect("it was looked at");
                if due.holds(blocks) {
                    return Some((due.account, due.block, Content::read(blocks.body(due.block))));
                }
            }
        }
        None
    }

    /// The notice in `block` was sent and waits for the next time.
    pub fn sent(&mut self, block: u32, now_us: u64, blocks: &mut Blocks) {
        let wait = usize::from(blocks.body(block)[WAIT]);
        self.queue(block, wait, now_us, blocks);
    }

    /// The notice in `block` has nobody to go to.
    pub fn dormant(&mut self, block: u32, blocks: &mut Blocks) {
        blocks.body_mut(block)[QUEUED] = 0;
    }

    fn queue(&mut self, block: u32, wait: usize, now_us: u64, blocks: &mut Blocks) {
        let body = blocks.body_mut(block);
        body[QUEUED] = 1;
        body[WAIT] = (wait + 1).min(WAITS_US.len() - 1) as u8;
        let due = Due {
            at_us: now_us + WAITS_US[wait],
            account: Field::take(&body[ACCOUNT..]),
            block,
            number: Field::take(body),
        };
        let queue = &mut self.queues[wait];
        // Acknowledged notices leave their place in the queue behind; they never outnumber the blocks.
        if queue.len() >= 2 * BLOCKS_PER_SET_MAX {
            queue.retain(|due| due.holds(blocks));
        }
        queue.push_back(due);
    }
}
