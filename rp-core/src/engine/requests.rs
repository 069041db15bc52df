//! Exactly once: the request numbers of one user and the answers to the last of them.
//!
//! A number is new, pending, answered, in conflict or stale. What is answered is answered again alike; nothing is ever
//! done twice under one number.

use super::blocks::{Blocks, NIL};
use super::projection::{Folded, Unfolding};
use crate::limits::{ANSWERS_KEPT, REQUEST_WINDOW};
use crate::wire::{Field, Refusal};

/// What a request number is worth.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// Never seen.
    New,
    /// Seen, its answer waits for a note.
    Pending,
    /// Answered before, so.
    Answered(Answer),
    /// Used for a request with another body.
    Conflict,
    /// Below the window, or its answer is no longer kept.
    Stale,
}

/// An answer as it is kept: its content, to be sent afresh.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// A packet was made.
    Sent {
        /// Its id.
        packet: u64,
        /// The sender's balance then.
        balance_fen: u64,
    },
    /// A share was taken.
    Grabbed {
        /// The packet.
        packet: u64,
        /// The share.
        share_fen: u64,
        /// The taker's balance then.
        balance_fen: u64,
    },
    /// Refused; with *already yours*, the share.
    Refused {
        /// The number of the kind that was refused.
        kind: u8,
        /// Why.
        refusal: Refusal,
        /// The share, or 0.
        share_fen: u64,
    },
}

/// The request numbers of one user. Packed, since a million accounts would carry four bytes of nothing, and four more beside it.
#[repr(Rust, packed(4))]
pub struct Requests {
    /// The highest number seen.
    pub highest: u64,
    /// Bit n: `highest - n` was seen.
    window: u64,
    /// Chain of answers, newest first.
    answers: u32,
}

impl Default for Requests {
    fn default() -> Self {
        Self { highest: 0, window: 0, answers: NIL }
    }
}

const _: () = assert!(REQUEST_WINDOW == u64::BITS as u64);
/// Bytes of a kept answer: number, hash, what it is, and three words.
const ANSWER_LEN: usize = 48;
const PENDING: u8 = 0;
const SENT: u8 = 1;
const GRABBED: u8 = 2;
const REFUSED: u8 = 3;

impl Requests {
    /// No number was ever seen.
    pub fn unused(&self) -> bool {
        self.highest == 0 && self.answers == NIL
    }

    /// What is known of `number`, asked with a body that hashes to `hash`.
    pub fn standing(&self, blocks: &Blocks, number: u64, hash: u64) -> Standing {
        if number == 0 {
            return Standing::Stale;
        }
        if number > self.highest {
            return Standing::New;
        }
        if let Some(at) = self.find(blocks, number) {
            let body = blocks.body(at);
            if <u64 as Field>::take(&body[8..]) != hash {
                return Standing::Conflict;
            }
            return read(body).map_or(Standing::Pending, Standing::Answered);
        }
        let age = self.highest - number;
        if age >= REQUEST_WINDOW || self.window & (1 << age) != 0 { Standing::Stale } else { Standing::New }
    }

    /// Does `number` wait for its answer?
    pub fn is_pending(&self, blocks: &Blocks, number: u64) -> bool {
        self.find(blocks, number).is_some_and(|at| blocks.body(at)[16] == PENDING)
    }

    /// Notes a new number as pending; `false` when there is no block for its answer, or all kept answers are pending.
    pub fn begin(&mut self, blocks: &mut Blocks, number: u64, hash: u64) -> bool {
        if !self.make_room(blocks) {
            return false;
        }
        let Some(at) = blocks.take(self.answers) else { return false };
        self.answers = at;
        let body = blocks.body_mut(at);
        number.put(body);
        hash.put(&mut body[8..]);
        body[16] = PENDING;
        if number > self.highest {
            let leap = number - self.highest;
            self.window = if leap >= REQUEST_WINDOW { 0 } else { self.window << leap };
            self.highest = number;
        }
        // An answer from another SET may come, or be read back, long after its number has left the window.
        let age = self.highest - number;
        if age < REQUEST_WINDOW {
            self.window |= 1 << age;
        }
        true
    }

    /// Keeps the answer to a pending number; `false` when the number is not pending.
    pub fn finish(&self, blocks: &mut Blocks, number: u64, answer: Answer) -> bool {
        let Some(at) = self.find(blocks, number) else { return false };
        let body = blocks.body_mut(at);
        if body[16] != PENDING {
            return false;
        }
        write(body, answer);
        true
    }

    /// Keeps an answer that the ledger has.
    pub fn restore(&mut self, blocks: &mut Blocks, number: u64, hash: u64, answer: Answer) -> bool {
        self.begin(blocks, number, hash) && self.finish(blocks, number, answer)
    }

    /// Folds what is answered; see [`projection`](super::projection).
    pub(super) fn fold(&self, blocks: &Blocks, out: &mut Folded) {
        let (mut window, mut bodies) = (self.window, [NIL; ANSWERS_KEPT]);
        let mut count = 0;
        for at in blocks.chain(self.answers) {
            let age = self.highest - <u64 as Field>::take(blocks.body(at));
            if blocks.body(at)[16] != PENDING {
                bodies[count] = at;
                count += 1;
            } else if age < REQUEST_WINDOW {
                window &= !(1 << age);
            }
        }
        out.put(self.highest);
        out.put(window);
        out.put(count as u8);
        // Oldest first, as they are put back.
        for at in bodies[..count].iter().rev() {
            out.0.extend_from_slice(&blocks.body(*at)[..ANSWER_LEN]);
        }
    }

    /// Unfolds it.
    pub(super) fn unfold(&mut self, blocks: &mut Blocks, from: &mut Unfolding<'_>) -> Result<(), &'static str> {
        self.highest = from.take()?;
        self.window = from.take()?;
        let count = usize::from(from.take::<u8>()?).min(ANSWERS_KEPT);
        for _ in 0..count {
            let bytes = from.bytes(ANSWER_LEN)?;
            self.answers = blocks.take(self.answers).ok_or("an answer that finds no room")?;
            blocks.body_mut(self.answers)[..ANSWER_LEN].copy_from_slice(bytes);
        }
        Ok(())
    }

    fn find(&self, blocks: &Blocks, number: u64) -> Option<u32> {
        blocks.chain(self.answers).find(|at| <u64 as Field>::take(blocks.body(*at)) == number)
    }

    /// Drops the oldest answer when the limit is reached. What is pending is never dropped.
    fn make_room(&mut self, blocks: &mut Blocks) -> bool {
        if blocks.chain(self.answers).count() < ANSWERS_KEPT {
            return true;
        }
        let mut before = NIL;
        let mut last = None;
        for at in blocks.chain(self.answers) {
            if blocks.body(at)[16] != PENDING {
                last = Some((before, at));
            }
            before = at;
        }
        let Some((before, oldest)) = last else { return false };
        let after = blocks.next(oldest);
        if before == NIL {
            self.answers = after;
        } else {
            blocks.link(before, after);
        }
        blocks.give(oldest);
        true
    }
}

fn write(body: &mut [u8], answer: Answer) {
    let (tag, refused_kind, refusal, words) = match answer {
        Answer::Sent { packet, balance_fen } => (SENT, 0, 0, [packet, 0, balance_fen]),
        Answer::Grabbed { packet, share_fen, balance_fen } => (GRABBED, 0, 0, [packet, share_fen, balance_fen]),
        Answer::Refused { kind, refusal, share_fen } => (REFUSED, kind, refusal as u8, [0, share_fen, 0]),
    };
    body[16..19].copy_from_slice(&[tag, refused_kind, refusal]);
    for (i, word) in words.iter().enumerate() {
        word.put(&mut body[24 + 8 * i..]);
    }
}

fn read(body: &[u8]) -> Option<Answer> {
    let word = |i: usize| <u64 as Field>::take(&body[24 + 8 * i..]);
    match body[16] {
        SENT => Some(Answer::Sent { packet: word(0), balance_fen: word(2) }),
        GRABBED => Some(Answer::Grabbed { packet: word(0), share_fen: word(1), balance_fen: word(2) }),
        REFUSED => {
            let refusal = Refusal::of_number(body[18]).expect("only refusals are written here");
            Some(Answer::Refused { kind: body[17], refusal, share_fen: word(1) })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: Answer = Answer::Sent { packet: 9, balance_fen: 5 };

    fn check(name: &str, seen: &[u64], number: u64, hash: u64, expected: Standing) {
        let mut blocks = Blocks::default();
        let mut requests = Requests::default();
        for n in seen {
            assert!(requests.begin(&mut blocks, *n, 1), "{name}");
            assert!(requests.finish(&mut blocks, *n, ANSWER), "{name}");
        }
        assert_eq!(requests.standing(&blocks, number, hash), expected, "{name}");
    }

    #[test]
    fn a_number_stands_as_it_was_used() {
        let many: alloc::vec::Vec<u64> = (1..=100).collect();
        check("the first number", &[], 1, 1, Standing::New);
        check("zero is no number", &[], 0, 1, Standing::Stale);
        check("a leap", &[1], 1000, 1, Standing::New);
        check("the last again", &[1, 2], 2, 1, Standing::Answered(ANSWER));
        check("another body", &[1, 2], 2, 7, Standing::Conflict);
        check("a gap that is filled late", &[1, 3], 2, 1, Standing::New);
        check("the sixteenth last", &many, 85, 1, Standing::Answered(ANSWER));
        check("the seventeenth last is seen, its answer gone", &many, 84, 1, Standing::Stale);
        check("below the window", &many, 36, 1, Standing::Stale);
        check("below the window after a leap", &[1, 66], 2, 1, Standing::Stale);
        check("the window's last after a leap", &[1, 66], 3, 1, Standing::New);
        check("the highest number there is", &[u64::MAX], u64::MAX, 1, Standing::Answered(ANSWER));
    }

    #[test]
    fn what_is_pending_is_never_dropped() {
        let (mut blocks, mut requests) = (Blocks::default(), Requests::default());
        for n in 1..=ANSWERS_KEPT as u64 {
            assert!(requests.begin(&mut blocks, n, 1));
        }
        assert!(!requests.begin(&mut blocks, 17, 1));
        assert!(requests.finish(&mut blocks, 3, ANSWER));
        assert!(!requests.finish(&mut blocks, 3, ANSWER));
        assert!(requests.begin(&mut blocks, 17, 1));
        assert_eq!(requests.standing(&blocks, 1, 1), Standing::Pending);
        assert_eq!(requests.standing(&blocks, 3, 1), Standing::Stale);
    }
}
