//! Logging in: HELLO, CHALLENGE, LOGIN, WELCOME, for as many sessions at once as the server keeps up with.
//!
//! The window of log-ins under way grows with each success and halves on a loss. A lost step starts over at HELLO with the
//! same nonce, which the server answers alike, so no cookie or ticket is kept. The nonce's low half is the session's
//! index: the answer finds its session without a table.

use rand_core::RngCore;
use rp_core::key::{seal, sealing_key, session_key, verifies};
use rp_core::limits::SLOT_BITS;
use rp_core::steer::set_hash;
use rp_core::ticket::{ROLE_AUDITOR, ROLE_USER, Sealed};
use rp_core::wire::{Challenge, FLAG_SEALED, HELLO_LEN, Hello, Login, LoginRefused, Welcome};

use super::pool::NONE;
use super::{Asking, Fleet, NOBODY, Outbox, State};
use crate::books::Discard;
use crate::realm::TICKET_LIFE_S;

/// Log-ins under way at the start, at least, and at most for each millisecond that an answer takes at best. Each has one datagram
/// under way, so on a short way they cannot overflow a ring of 256 places, which is what a veth has, and many a card by default.
const WINDOW_START: u32 = 128;
const WINDOW_MIN: u32 = 32;
const WINDOW_MAX: u32 = 240;
/// On long ways no more.
const WAY_MAX_MS: u32 = 16;
/// The window halves at most once in this time: one burst of losses is one loss.
const WINDOW_REST_US: u64 = 400_000;
/// First wait for an answer; each further wait is twice as long, up to [`WAIT_MAX_US`].
const WAIT_US: u64 = 800_000;
const WAIT_MAX_US: u64 = 6_400_000;
/// Transmissions of HELLO before a session is given up.
const TRIES_MAX: u8 = 30;
/// Log-ins of one session after its first, before it is given up.
const RELOGINS_MAX: u8 = 8;

/// What happened while logging in.
#[derive(Clone, Copy, Default, Debug)]
pub struct LoginRecord {
    /// First HELLO, in microseconds since 1970.
    pub first_us: Option<u64>,
    /// Last WELCOME of a session that was not up before.
    pub last_us: u64,
    /// LOGIN REFUSED received.
    pub refused: u64,
    /// HELLOs sent again.
    pub retries: u64,
    /// Log-ins again, after the server did not know the session.
    pub again: u64,
}

/// How many log-ins are under way, and may be.
pub(super) struct LoginWindow {
    size: u32,
    grown: u32,
    under_way: u32,
    next: u32,
    end: u32,
    halved_us: u64,
    /// The fastest answer so far.
    way_ms: u32,
}

impl Default for LoginWindow {
    fn default() -> Self {
        Self { size: WINDOW_START, grown: 0, under_way: 0, next: 0, end: 0, halved_us: 0, way_ms: WAY_MAX_MS }
    }
}

impl LoginWindow {
    /// An answer came so long after its question.
    fn learn(&mut self, took_ms: u32) {
        self.way_ms = self.way_ms.min(took_ms);
    }

    fn grow(&mut self) {
        self.under_way -= 1;
        self.grown += 1;
        // One more after two successes each: doubles in two round trips of a full window.
        if self.grown >= 2 && self.size < WINDOW_MAX * self.way_ms.max(1) {
            self.size += 1;
            self.grown = 0;
        }
    }

    fn halve(&mut self, now_us: u64) {
        if now_us >= self.halved_us + WINDOW_REST_US {
            self.size = (self.size / 2).max(WINDOW_MIN);
            self.halved_us = now_us;
        }
    }
}

impl Fleet {
    /// Has the ticket of every session ready, as the account service has it long before its user logs in. Without, or when they
    /// have grown old, each is sealed when it is needed.
    pub fn keep_tickets(&mut self, unix_s: u32) {
        self.tickets = (0..self.sessions.len() as u32).map(|index| self.new_ticket(index, unix_s)).collect();
        self.tickets_until_s = unix_s + TICKET_LIFE_S / 2;
    }

    fn new_ticket(&mut self, index: u32, unix_s: u32) -> Sealed {
        let mut nonce = [0; 24];
        self.rng.fill_bytes(&mut nonce);
        let role = if self.is_auditor(index) { ROLE_AUDITOR } else { ROLE_USER };
        self.mint.ticket(self.user(index), role, unix_s, &nonce)
    }

    /// Starts to log in all users that are down or out.
    pub fn log_in_all(&mut self) {
        self.window.next = 0;
        self.window.end = self.count();
    }

    /// Starts to log in the auditors.
    pub fn log_in_auditors(&mut self, now_us: u64, out: &mut impl Outbox) {
        for index in self.count()..self.sessions.len() as u32 {
            if self.sessions[index as usize].state == State::Down {
                self.start_log_in(index, now_us, out);
            }
        }
    }

    /// Is every user up or given up?
    pub fn all_in(&self) -> bool {
        self.window.next == self.window.end && self.window.under_way == 0
    }

    /// Auditors that are up.
    pub fn auditors_up(&self) -> usize {
        self.sessions[self.count() as usize..].iter().filter(|session| session.state == State::Up).count()
    }

    pub(super) fn log_in_more(&mut self, now_us: u64, out: &mut impl Outbox) {
        while self.window.next < self.window.end && self.window.under_way < self.window.size {
            let index = self.window.next;
            self.window.next += 1;
            if matches!(self.sessions[index as usize].state, State::Down | State::Out) {
                self.window.under_way += 1;
                self.sessions[index as usize].windowed = true;
                self.login.first_us.get_or_insert(now_us);
                self.start_log_in(index, now_us, out);
            }
        }
    }

    /// Starts a log-in with a new nonce.
    fn start_log_in(&mut self, index: u32, now_us: u64, out: &mut impl Outbox) {
        let nonce = self.rng.next_u32();
        let session = &mut self.sessions[index as usize];
        session.nonce = nonce;
        session.tries = 0;
        self.hello(index, now_us, out);
    }

    fn hello(&mut self, index: u32, now_us: u64, out: &mut impl Outbox) {
        let client_nonce = self.nonce(index);
        let set_hash = set_hash(self.user(index));
        let slot = out.slot(self.socket(index));
        slot[..HELLO_LEN].fill(0);
        Hello { flags: 0, set_hash, client_nonce }.put(slot);
        self.transmit(index, HELLO_LEN, now_us, out);
        let session = &mut self.sessions[index as usize];
        session.state = State::Hello;
        session.asks_at(now_us);
        let wait_us = (WAIT_US << session.tries.min(8)).min(WAIT_MAX_US);
        session.tries = session.tries.saturating_add(1);
        self.arm(index, now_us, wait_us);
    }

    pub(super) fn retry_log_in(&mut self, index: u32, now_us: u64, out: &mut impl Outbox) {
        if self.sessions[index as usize].state == State::Waiting {
            self.backed_off(self.sessions[index as usize].asked_for_us(now_us));
        } else {
            self.window.halve(now_us);
        }
        if self.sessions[index as usize].tries >= TRIES_MAX && !self.config.outlasts {
            return self.give_up(index);
        }
        self.login.retries += 1;
        self.hello(index, now_us, out);
    }

    /// The server does not know the session: logs in again, a few times at most. What was under way waits meanwhile.
    pub(super) fn log_in_again(&mut self, index: u32, now_us: u64, out: &mut impl Outbox) {
        let session = &self.sessions[index as usize];
        // Who is to be logged out comes back for what he has asked.
        if session.leaving && session.asking != Asking::Shake && session.deferred == NONE && session.money == NONE {
            return self.went_out(index);
        }
        self.unmap(index);
        if !self.is_auditor(index) {
            self.up -= 1;
        }
        self.suspend_ask(index);
        let relogins = &mut self.sessions[index as usize].relogins;
        *relogins = relogins.saturating_add(1);
        if *relogins > RELOGINS_MAX && !self.config.outlasts {
            return self.give_up(index);
        }
        self.login.again += 1;
        self.start_log_in(index, now_us, out);
    }

    fn give_up(&mut self, index: u32) {
        let is_auditor = self.is_auditor(index);
        let session = &mut self.sessions[index as usize];
        session.state = State::Dead;
        if std::mem::take(&mut session.windowed) {
            self.window.under_way -= 1;
        }
        self.left(index);
        if !is_auditor {
            self.dead += 1;
        }
        self.lose_all(index);
    }

    pub(super) fn on_challenge(&mut self, now_us: u64, bytes: &[u8], out: &mut impl Outbox) -> Result<(), Discard> {
        let challenge = Challenge::take(bytes).filter(|_| bytes.len() == Challenge::LEN).ok_or(Discard::BadLength)?;
        let index = self.by_nonce(challenge.client_nonce)?;
        if self.sessions[index as usize].state != State::Hello {
            self.duplicate();
            return Ok(());
        }
        let session = &self.sessions[index as usize];
        // Of a question that was repeated nobody knows which one was answered.
        if session.tries == 1 {
            self.window.learn((session.asked_for_us(now_us) / 1000) as u32);
        }
        let user = self.user(index);
        let unix_s = (now_us / 1_000_000) as u32;
        let kept = self.tickets.get(index as usize).filter(|_| unix_s < self.tickets_until_s).copied();
        let ticket = kept.unwrap_or_else(|| self.new_ticket(index, unix_s));
        let login = Login {
            flags: 0,
            set_hash: set_hash(user),
            client_nonce: challenge.client_nonce,
            cookie: challenge.cookie,
            ticket,
        };
        let slot = out.slot(self.socket(index));
        let len = login.put(slot);
        let len = seal(&self.mint.secret(user), slot, len);
        self.transmit(index, len, now_us, out);
        self.sessions[index as usize].state = State::Login;
        Ok(())
    }

    pub(super) fn on_welcome(&mut self, now_us: u64, bytes: &[u8], out: &mut impl Outbox) -> Result<(), Discard> {
        let welcome = Welcome::take(bytes).filter(|_| bytes.len() == Welcome::LEN + 8).ok_or(Discard::BadLength)?;
        let index = self.by_nonce(welcome.client_nonce)?;
        let secret = self.mint.secret(self.user(index));
        let key = session_key(&secret, welcome.client_nonce, welcome.server_nonce, welcome.session);
        if !verifies(&key, bytes) {
            return Err(Discard::BadTag);
        }
        let session = &mut self.sessions[index as usize];
        if !matches!(session.state, State::Hello | State::Login) {
            self.duplicate();
            return Ok(());
        }
        session.state = State::Up;
        session.key = key;
        let is_sealed = welcome.flags & FLAG_SEALED != 0;
        session.sealing =
            is_sealed.then(|| sealing_key(&secret, welcome.client_nonce, welcome.server_nonce, welcome.session));
        session.id = welcome.session;
        session.sequence = 0;
        session.tries = 0;
        session.gave_up = false;
        session.request = session.request.max(welcome.request_highest);
        session.stamp = session.stamp.wrapping_add(1);
        session.asking = Asking::Nothing;
        if std::mem::take(&mut session.windowed) {
            self.window.grow();
        }
        let slot = slot_of(welcome.session);
        let before = std::mem::replace(&mut self.by_slot[slot], index);
        (self.idle_s, self.sets) = (welcome.idle_s.into(), welcome.sets);
        self.is_sealed = Some(is_sealed);
        if !self.is_auditor(index) {
            self.up += 1;
            self.up_highest = self.up_highest.max(self.up);
            self.login.last_us = now_us;
        }
        self.next_shake(index, now_us, out);
        self.resume_money(index, now_us, out);
        self.leave_when_free(index, now_us, out);
        // The server gave the slot of another session of ours away, so that one has ended; no hint would find it any more.
        if before != NOBODY && before != index && self.sessions[before as usize].state == State::Up {
            self.log_in_again(before, now_us, out);
        }
        Ok(())
    }

    pub(super) fn on_login_refused(&mut self, now_us: u64, bytes: &[u8]) -> Result<(), Discard> {
        let refused =
            LoginRefused::take(bytes).filter(|_| bytes.len() == LoginRefused::LEN + 8).ok_or(Discard::BadLength)?;
        let index = self.by_nonce(refused.client_nonce)?;
        if !verifies(&self.mint.secret(self.user(index)), bytes) {
            return Err(Discard::BadTag);
        }
        self.login.refused += 1;
        if self.sessions[index as usize].state != State::Login {
            self.duplicate();
            return Ok(());
        }
        if refused.retry_after_ms == 0 {
            self.give_up(index);
        } else {
            let session = &mut self.sessions[index as usize];
            session.state = State::Waiting;
            session.asks_at(now_us);
            self.arm(index, now_us, u64::from(refused.retry_after_ms) * 1000);
        }
        Ok(())
    }

    fn nonce(&self, index: u32) -> u64 {
        u64::from(self.sessions[index as usize].nonce) << 32 | u64::from(index)
    }

    fn by_nonce(&self, nonce: u64) -> Result<u32, Discard> {
        let index = nonce as u32;
        match self.sessions.get(index as usize) {
            Some(session) if self.nonce(index) == nonce && session.state != State::Down => Ok(index),
            _ => Err(Discard::NoSuchLogin),
        }
    }

    /// Forgets the way from the server's id to the session.
    pub(super) fn unmap(&mut self, index: u32) {
        let slot = slot_of(self.sessions[index as usize].id);
        if self.by_slot[slot] == index {
            self.by_slot[slot] = NOBODY;
        }
    }
}

/// The slot on the server, the low bits of a session id.
pub(super) fn slot_of(session: u32) -> usize {
    (session & ((1 << SLOT_BITS) - 1)) as usize
}
