//! The session slots of one SET: 64 bytes an entry that the gate may read, and what only the worker needs beside it.
//!
//! Slots are reused first-in-first-out after a rest, under the next generation. Idle sessions are found by a wheel of
//! lists: a session is looked at once per idle time, not once per datagram.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::board::{Board, Line};
use crate::entry::{Entry, GENERATIONS, State, Status};
use crate::key::{Key, SealingKey, sealing_key};
use crate::limits::{SLOT_BITS, SLOT_REST_MS, SLOTS_PER_SET};
use crate::now::{elapsed_ms, wrapping_ms};
use crate::wire::Peer;

/// No slot, no account.
pub const NONE: u16 = u16::MAX;
const WHEEL_SPOKES: usize = 64;

/// What only the worker needs of a session.
#[derive(Clone, Default)]
pub struct Cold {
    /// From the HELLO.
    pub client_nonce: u64,
    /// From the WELCOME.
    pub server_nonce: u64,
    /// Newest counter of the datagrams that bear money, server to client.
    pub(super) counter: u64,
    /// The newest sequence that the worker decided; the gate may be further.
    pub handled: u32,
    /// Account in the SET.
    pub account: u16,
    /// Row of the client's address in the books.
    pub client: u16,
    /// The address that was asked, as the worker numbers them.
    pub door: u16,
    pub(super) next: u16,
    pub(super) armed: bool,
    /// No valid datagram yet, and the first has work to do: the user's old session is still alive, or news wait.
    pub fresh: bool,
    /// The ticket's role.
    pub role: u8,
}

impl Cold {
    /// A counter that was never used in this session.
    pub fn next_counter(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }
}

/// The slots.
pub struct Slots {
    board: Arc<Board>,
    /// The board's first entry that is ours.
    first: usize,
    cold: Vec<Cold>,
    /// The tickets' secrets, half as long as the keys that follow from them, and apart from what every shake reads; none where
    /// nothing is sealed.
    secrets: Vec<Key>,
    /// Free slots with the millisecond, wrapping, in which they became so. No room is set aside: a ring of which a part is in use
    /// turns through all of it, and would touch every page in time.
    rested: VecDeque<(u16, u32)>,
    wheel: [u16; WHEEL_SPOKES],
    wheel_at: u64,
    spoke_us: u64,
    idle_us: u64,
}

impl Slots {
    /// The slots of a SET of the board, whose sessions end after `idle_us` without a datagram.
    pub fn new(board: Arc<Board>, set: u16, idle_us: u64, is_sealed: bool) -> Self {
        Self {
            board,
            first: usize::from(set) * SLOTS_PER_SET,
            cold: Vec::with_capacity(SLOTS_PER_SET),
            secrets: Vec::with_capacity(if is_sealed { SLOTS_PER_SET } else { 0 }),
            rested: VecDeque::new(),
            wheel: [NONE; WHEEL_SPOKES],
            wheel_at: 0,
            // Two spokes of the wheel stay free: a session is never put on the spoke that turns.
            spoke_us: (idle_us / (WHEEL_SPOKES as u64 - 2)).max(1),
            idle_us,
        }
    }

    /// The gate's halves are on this board.
    pub fn place_on(&mut self, board: &Arc<Board>) {
        self.board = board.clone();
    }

    /// The gate's half of a slot.
    #[inline(always)]
    pub fn entry(&self, slot: u16) -> Entry<&Line> {
        self.board.entry(self.first + usize::from(slot))
    }

    /// The worker's half of a slot that was opened before.
    #[inline(always)]
    pub fn cold(&mut self, slot: u16) -> &mut Cold {
        &mut self.cold[usize::from(slot)]
    }

    /// The session id of a slot.
    #[inline(always)]
    pub fn session_of(&self, slot: u16) -> u32 {
        let on_server = (self.first + usize::from(slot)) as u32;
        u32::from(self.entry(slot).status().generation()) << SLOT_BITS | on_server
    }

    /// The key that a session's money is sealed under, where it is; made anew each time.
    pub fn sealing(&self, slot: u16) -> Option<SealingKey> {
        let (secret, cold) = (self.secrets.get(usize::from(slot))?, &self.cold[usize::from(slot)]);
        Some(sealing_key(secret, cold.client_nonce, cold.server_nonce, self.session_of(slot)))
    }

    /// The money of the session in a slot that was just opened is sealed, by its ticket's secret.
    pub fn seal_by(&mut self, slot: u16, secret: &Key) {
        match self.secrets.get_mut(usize::from(slot)) {
            Some(old) => *old = *secret,
            // Slots are opened for the first time in their order.
            None => self.secrets.push(*secret),
        }
    }

    /// Reads a word of the gate's half, so that it is in the cache when the slot's datagram is handled.
    #[inline(always)]
    pub fn touch(&self, slot: u16) -> u32 {
        self.entry(slot).status().sequence()
    }

    /// The account of a session that has not spoken yet; reads the worker's half.
    #[inline(always)]
    pub fn fresh_account(&self, slot: u16) -> Option<u16> {
        self.cold.get(usize::from(slot)).filter(|cold| cold.fresh).map(|cold| cold.account)
    }

    /// Takes a slot that is free and has rested, under its next generation; `None` when there is none.
    /// `generation` is used for a slot that was never open.
    pub fn take(&mut self, now_us: u64, generation: u16) -> Option<u16> {
        if let Some((slot, free_ms)) = self.rested.front().copied()
            && wrapping_ms(now_us).wrapping_sub(free_ms) >= SLOT_REST_MS
        {
            self.rested.pop_front();
            let entry = self.entry(slot);
            entry.publish(Status::closed((entry.status().generation() + 1) % GENERATIONS as u16));
            return Some(slot);
        }
        if self.cold.len() == SLOTS_PER_SET {
            return None;
        }
        let slot = self.cold.len() as u16;
        self.cold.push(Cold::default());
        self.entry(slot).publish(Status::closed(generation % GENERATIONS as u16));
        Some(slot)
    }

    /// Slots that are not in use, rested or not.
    pub fn free(&self) -> usize {
        SLOTS_PER_SET - self.cold.len() + self.rested.len()
    }

    /// Fills a slot and starts its idle time. The slot was taken.
    pub fn open(&mut self, slot: u16, now_us: u64, key: &Key, peer: &Peer, cold: Cold) {
        let entry = self.entry(slot);
        let now_ms = wrapping_ms(now_us);
        entry.fill(key, peer, cold.client, now_ms);
        let state = if cold.fresh { State::Up } else { State::Nothing };
        entry.publish(Status::opened(entry.status().generation(), state, now_ms));
        let old = self.cold(slot);
        // The wheel may still hold the slot from an earlier session: it is looked at once and put where it belongs.
        let (next, armed) = (old.next, old.armed);
        *old = Cold { next, armed, ..cold };
        if !armed {
            self.arm(slot, now_us + self.idle_us);
        }
    }

    /// Ends the session in a slot; its rest begins.
    pub fn close(&mut self, slot: u16, now_us: u64) {
        let entry = self.entry(slot);
        entry.close();
        entry.forget_key();
        if let Some(secret) = self.secrets.get_mut(usize::from(slot)) {
            *secret = Key::default();
        }
        self.rested.push_back((slot, wrapping_ms(now_us)));
    }

    /// Turns the wheel to `now_us` and calls `idle` with each slot whose session was idle too long.
    pub fn turn(&mut self, now_us: u64, idle: &mut Vec<u16>) {
        let spoke_now = now_us / self.spoke_us;
        // After a long sleep one full turn sees every slot.
        self.wheel_at = self.wheel_at.max(spoke_now.saturating_sub(WHEEL_SPOKES as u64));
        while self.wheel_at < spoke_now {
            self.wheel_at += 1;
            let spoke = (self.wheel_at % WHEEL_SPOKES as u64) as usize;
            let mut slot = core::mem::replace(&mut self.wheel[spoke], NONE);
            while slot != NONE {
                let next = self.cold(slot).next;
                self.cold(slot).armed = false;
                self.look(slot, now_us, idle);
                slot = next;
            }
        }
    }

    fn look(&mut self, slot: u16, now_us: u64, idle: &mut Vec<u16>) {
        let entry = self.entry(slot);
        if entry.status().state() == State::Closed {
            return;
        }
        let quiet_us = u64::from(elapsed_ms(wrapping_ms(now_us), entry.seen_ms())) * 1000;
        if quiet_us >= self.idle_us {
            idle.push(slot);
        } else {
            self.arm(slot, now_us + self.idle_us - quiet_us);
        }
    }

    fn arm(&mut self, slot: u16, due_us: u64) {
        let spoke = ((due_us / self.spoke_us + 1).max(self.wheel_at + 1) % WHEEL_SPOKES as u64) as usize;
        let head = self.wheel[spoke];
        let cold = self.cold(slot);
        cold.next = head;
        cold.armed = true;
        self.wheel[spoke] = slot;
    }
}
