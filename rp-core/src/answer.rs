//! What a session's datagram gets when nothing needs a worker: the decisions that gate and worker share.
//!
//! A datagram is opened first (is the session up, is the tag right, does it come from the session's address), then it
//! moves the session's word by one swap, and only who wins that swap acts. The gate writes what comes out as an answer in
//! place; the worker, without a gate or before a decision that needs it, through its transmit batch.

use crate::bucket::{Fill, Rate};
use crate::entry::{Entry, State, Status, Words};
use crate::pot::Pot;
use crate::reason::Reason;

/// Tries to win the swap: each failure means that another CPU handled a datagram of this session meanwhile.
const SWAPS_MAX: usize = 4;

/// What comes out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Answer it here: a shake that won nothing, a ping.
    Answer,
    /// The same, for a sequence that is new.
    AnswerNew,
    /// The worker decides.
    Up,
    /// Too fast: come back after so many milliseconds.
    Busy(u32),
    /// It ends here.
    Drop(Reason),
}

/// A session's word as a shake or a ping finds it, and its bucket after that; or what it is refused with.
#[inline(always)]
fn look<E: Words>(
    entry: &Entry<E>,
    (session, sequence): (u32, u32),
    rate: Rate,
    now_ms: u32,
) -> Result<(Status, Fill), Step> {
    let status = entry.status();
    if !status.is_of(session) {
        return Err(Step::Up);
    }
    if sequence < status.sequence() || sequence == 0 {
        return Err(Step::Drop(Reason::StaleSequence));
    }
    match status.fill().take(rate, now_ms) {
        Ok(fill) => Ok((status, fill)),
        Err(wait_ms) => Err(Step::Busy(wait_ms)),
    }
}

/// What a shake or a ping gets that is refused whatever else holds; nothing is changed.
#[inline(always)]
pub fn refusal<E: Words>(entry: &Entry<E>, asks: (u32, u32), rate: Rate, now_ms: u32) -> Option<Step> {
    look(entry, asks, rate, now_ms).err()
}

/// A shake of `session` at `sequence`.
#[inline(always)]
pub fn shake<E: Words, P: Words>(
    entry: &Entry<E>,
    pot: &Pot<P>,
    (session, sequence): (u32, u32),
    rate: Rate,
    now_ms: u32,
) -> Step {
    // A claim comes before the swap, so that nobody sees a shake that has won nothing in *won*; one whose swap was lost four
    // times is written off like one whose datagram was.
    let mut has_claimed = false;
    for _ in 0..SWAPS_MAX {
        let (old, fill) = match look(entry, (session, sequence), rate, now_ms) {
            Ok(found) => found,
            Err(step) => return step,
        };
        let is_new = sequence > old.sequence();
        if old.state() != State::Nothing {
            // The worker may not have decided the newest yet: it keeps its claim, and what follows goes up behind it.
            if entry.swap(old, old.with_fill(fill)) {
                return Step::Up;
            }
            continue;
        }
        if is_new && !has_claimed && !is_capped(entry, pot) {
            has_claimed = pot.claim();
        }
        let state = if is_new && has_claimed { State::Won } else { State::Nothing };
        if entry.swap(old, old.with_sequence(sequence).with_fill(fill).with_state(state)) {
            return match state {
                State::Nothing if is_new => Step::AnswerNew,
                State::Nothing => Step::Answer,
                _ => Step::Up,
            };
        }
    }
    Step::Up
}

/// A ping of `session` at `sequence`.
#[inline(always)]
pub fn ping<E: Words>(entry: &Entry<E>, (session, sequence): (u32, u32), rate: Rate, now_ms: u32) -> Step {
    for _ in 0..SWAPS_MAX {
        let (old, fill) = match look(entry, (session, sequence), rate, now_ms) {
            Ok(found) => found,
            Err(step) => return step,
        };
        let is_up = old.state() != State::Nothing;
        let sequence = if is_up { old.sequence() } else { sequence };
        if entry.swap(old, old.with_sequence(sequence).with_fill(fill)) {
            return if is_up { Step::Up } else { Step::Answer };
        }
    }
    Step::Up
}

/// Any other datagram of `session`: only the bucket is asked.
#[inline(always)]
pub fn other<E: Words>(entry: &Entry<E>, session: u32, rate: Rate, now_ms: u32) -> Step {
    for _ in 0..SWAPS_MAX {
        let old = entry.status();
        if !old.is_of(session) {
            return Step::Up;
        }
        match old.fill().take(rate, now_ms) {
            Ok(fill) if entry.swap(old, old.with_fill(fill)) => return Step::Up,
            Ok(_) => {}
            Err(wait_ms) => return Step::Busy(wait_ms),
        }
    }
    Step::Up
}

/// Tenths of a second to wait, as a BUSY carries them.
#[inline(always)]
pub const fn tenths(wait_ms: u32) -> u8 {
    let tenths = wait_ms / 100 + 1;
    if tenths > 255 { 255 } else { tenths as u8 }
}

#[inline(always)]
fn is_capped<E: Words, P: Words>(entry: &Entry<E>, pot: &Pot<P>) -> bool {
    let capped = entry.capped();
    capped != 0 && capped == pot.campaign()
}
