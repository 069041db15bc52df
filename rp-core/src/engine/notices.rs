//! Notices: what a user must hear until he says that he has.
//!
//! A notice is a block in its user's chain, and at most one place in a queue of those to be sent again. Each time it is
//! sent it waits twice as long; while the user has no session it waits for the next.

use alloc::collections::VecDeque;

use super::accounts::{Account, Accounts};
use super::blocks::{Blocks, NIL};
use super::projection::{Folded, Unfolding};
use crate::limits::{
    NOTICES_PER_SET_MAX, NOTICES_PER_USER_MAX, PACKET_NOTICES_PER_SET_MAX, PACKET_NOTICES_PER_USER_MAX,
};
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
        self.sequence.put(&mut body[SEQUENCE..]);
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
            sequence: Field::take(&body[SEQUENCE..]),
            about_type: NoticeType::of_number(body[44]).expect("only types are written here"),
        }
    }
}

/// Bytes of a content.
const CONTENT_LEN: usize = 45;
// Where a content's sequence stands.
const SEQUENCE: usize = 40;
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
    /// Does the block still hold this notice? It may have been acknowledged, and the block used for something else.
    ///
    /// The account's chain decides, not the bytes: in a block of another use they may be a user's own words. An account
    /// that ever had a notice is never forgotten, so its index is still that of the same user.
    fn holds(&self, accounts: &Accounts, blocks: &Blocks) -> bool {
        let is_waiting = blocks.chain(accounts[self.account].notices).any(|at| at == self.block);
        is_waiting
            && blocks.body(self.block)[QUEUED] != 0
            && <u64 as Field>::take(blocks.body(self.block)) == self.number
    }
}

impl Account {
    /// Folds what the user has not seen; see [`projection`](super::projection).
    pub(super) fn fold_notices(&self, blocks: &Blocks, out: &mut Folded) {
        out.put(self.notice_highest);
        out.put(self.notice_count);
        let mut waiting = [NIL; NOTICES_PER_USER_MAX];
        for (room, at) in waiting.iter_mut().zip(blocks.chain(self.notices)) {
            *room = at;
        }
        // Oldest first, as they are put back.
        for at in waiting[..usize::from(self.notice_count)].iter().rev() {
            out.0.extend_from_slice(&blocks.body(*at)[..CONTENT_LEN]);
        }
    }
}

/// The queues of one SET.
#[derive(Default)]
pub struct Notices {
    /// One queue per wait: all in it wait equally long, so the first is the first to be due.
    queues: [VecDeque<Due>; WAITS_US.len()],
    /// Notices that wait, of all users.
    held: usize,
}

impl Notices {
    /// Adds a notice to the account at index `at`, to be sent [`AT_ONCE`] or [`AFTER_ANSWER`]; its number, or `None` when
    /// the user's list or the SET's is full.
    pub fn add(
        &mut self,
        accounts: &mut Accounts,
        at: u16,
        mut content: Content,
        (wait, now_us): (usize, u64),
        blocks: &mut Blocks,
    ) -> Option<u64> {
        let account = &mut accounts[at];
        let is_packet = content.about_type == NoticeType::Packet;
        let (user_max, set_max) = match is_packet {
            true => (PACKET_NOTICES_PER_USER_MAX, PACKET_NOTICES_PER_SET_MAX),
            false => (NOTICES_PER_USER_MAX, NOTICES_PER_SET_MAX),
        };
        if usize::from(account.notice_count) >= user_max || self.held >= set_max {
            return None;
        }
        let highest = account.notice_highest.checked_add(1)?;
        let block = blocks.take(account.notices)?;
        account.notices = block;
        account.notice_count += 1;
        account.notice_highest = highest;
        self.held += 1;
        content.number = u64::from(highest);
        content.write(blocks.body_mut(block));
        at.put(&mut blocks.body_mut(block)[ACCOUNT..]);
        self.queue(block, wait, now_us, accounts, blocks);
        Some(content.number)
    }

    /// Is there room for news of a packet to so many users?
    pub fn has_room_for(&self, users: usize) -> bool {
        self.held + users <= PACKET_NOTICES_PER_SET_MAX
    }

    /// Unfolds what the user of the account at index `at` has not seen.
    pub(super) fn unfold(
        &mut self,
        accounts: &mut Accounts,
        at: u16,
        now_us: u64,
        blocks: &mut Blocks,
        from: &mut Unfolding<'_>,
    ) -> Result<(), &'static str> {
        accounts[at].notice_highest = from.take()?;
        for _ in 0..from.take::<u8>()? {
            let bytes = from.bytes(CONTENT_LEN)?;
            let block = blocks.take(accounts[at].notices).ok_or("a notice that finds no room")?;
            let body = blocks.body_mut(block);
            body[..CONTENT_LEN].copy_from_slice(bytes);
            // The sequences of a session of then mean nothing.
            0u32.put(&mut body[SEQUENCE..]);
            at.put(&mut body[ACCOUNT..]);
            let account = &mut accounts[at];
            account.notices = block;
            account.notice_count += 1;
            self.held += 1;
            self.queue(block, AT_ONCE, now_us, accounts, blocks);
        }
        Ok(())
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
                // A queue that still names the block finds it in no chain of the account's, and lets it go.
                blocks.give(at);
                account.notice_count -= 1;
                self.held -= 1;
                return true;
            }
            (before, at) = (at, next);
        }
        false
    }

    /// Sends what waits for the account at index `at`: its user has another session. What the old session was not there to
    /// hear goes from the beginning, the rest when its wait is over.
    pub fn wake(&mut self, accounts: &Accounts, at: u16, now_us: u64, blocks: &mut Blocks) {
        let mut block = accounts[at].notices;
        while block != NIL {
            // The sequences of the old session mean nothing in this one.
            0u32.put(&mut blocks.body_mut(block)[SEQUENCE..]);
            if blocks.body(block)[QUEUED] == 0 {
                self.queue(block, AT_ONCE, now_us, accounts, blocks);
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
    pub fn due(&mut self, now_us: u64, accounts: &Accounts, blocks: &Blocks) -> Option<(u16, u32, Content)> {
        for queue in &mut self.queues {
            while queue.front().is_some_and(|due| due.at_us <= now_us) {
                let due = queue.pop_front().expect("it was looked at");
                if due.holds(accounts, blocks) {
                    return Some((due.account, due.block, Content::read(blocks.body(due.block))));
                }
            }
        }
        None
    }

    /// The notice in `block` was sent and waits for the next time.
    pub fn sent(&mut self, block: u32, now_us: u64, accounts: &Accounts, blocks: &mut Blocks) {
        let wait = usize::from(blocks.body(block)[WAIT]);
        self.queue(block, wait, now_us, accounts, blocks);
    }

    /// The notice in `block` has nobody to go to.
    pub fn dormant(&mut self, block: u32, blocks: &mut Blocks) {
        blocks.body_mut(block)[QUEUED] = 0;
    }

    fn queue(&mut self, block: u32, wait: usize, now_us: u64, accounts: &Accounts, blocks: &mut Blocks) {
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
        // Acknowledged notices leave their place in the queue behind; they never outnumber the waiting ones for long.
        if queue.len() >= 2 * NOTICES_PER_SET_MAX {
            queue.retain(|due| due.holds(accounts, blocks));
        }
        queue.push_back(due);
    }
}
