//! The fleet: any number of sessions in flat arrays, sans I/O.
//!
//! Datagrams and the time come in, datagrams go to the caller's outbox; the simulator and the real client drive the same
//! fleet. A session has one request under its sequence at a time, repeated until answered or given up; requests that move
//! money have a number of their own and are repeated beside it. Every request ends as answered, refused or lost.

#[cfg(test)]
pub(crate) mod alone;
mod ask;
mod history;
mod login;
mod money;
mod notice;
mod pool;
mod reap;
mod receive;
mod session;
mod timers;

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};
use rp_core::acknowledged::{Acknowledged, Told};
use rp_core::limits::{DATAGRAM_MAX, SLOT_BITS};
use rp_core::ticket::Sealed;
use rp_core::wire::TOTALS_WORDS;

use crate::books::Books;
use crate::population::Population;
use crate::realm::Mint;
use crate::record::PhaseRecord;
use ask::{Leave, Patience};
use login::LoginWindow;
use money::MoneyRequest;
use pool::Pool;
use session::{Asking, Session, State};
use timers::{Target, Timers};

pub use login::LoginRecord;

/// Where datagrams go.
pub trait Outbox {
    /// Room for one datagram to leave by this socket.
    fn slot(&mut self, socket: usize) -> &mut [u8; DATAGRAM_MAX];
    /// The first `len` bytes of that room are a datagram.
    fn commit(&mut self, socket: usize, len: usize);
}

/// What a fleet is told at start.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Its users.
    pub population: Population,
    /// Sockets that sessions are spread over.
    pub sockets: usize,
    /// Auditor's sessions, by the socket they use; none when nothing is to be reconciled.
    pub auditors: usize,
    /// Of nonces and tickets.
    pub seed: u64,
    /// The server knows no sessions: they are up from the start, and a shake that comes back as it went is answered.
    pub bare: bool,
    /// The server may end and come back: no user is given up, and what moves money is asked until it is answered.
    pub outlasts: bool,
}

/// Shakes that wait for their user's earlier one, in all; further ones are lost.
const DEFERRED_MAX: usize = 4 << 20;
/// Requests that move money under way, in all; further ones are lost.
const MONEY_MAX: usize = 1 << 20;
/// Timers that end in one poll; the others wait until answers have been looked at again.
const TIMERS_MAX: usize = 256;
/// No session.
const NOBODY: u32 = u32::MAX;
/// Auditors' user ids start here, far from any user's.
const AUDITOR_BASE: u64 = 1 << 62;
/// Auditors that one client may have.
pub const AUDITORS_MAX: usize = 64;

/// A shake that waits for its user's earlier one.
#[derive(Clone, Copy)]
struct Deferred {
    due_us: u64,
    phase: u8,
}

/// The sessions.
pub struct Fleet {
    config: Config,
    mint: Mint,
    /// By session; empty unless they are kept.
    tickets: Vec<Sealed>,
    tickets_until_s: u32,
    rng: ChaCha8Rng,
    sessions: Vec<Session>,
    /// Session index by the slot on the server.
    by_slot: Vec<u32>,
    timers: Timers,
    deferred: Pool<Deferred>,
    money: Pool<MoneyRequest>,
    counter: u64,
    window: LoginWindow,
    leave: Leave,
    patience: Patience,
    swept: u32,
    swept_us: u64,
    idle_s: u32,
    sets: u16,
    /// Is what bears money sealed, as the newest WELCOME says?
    pub is_sealed: Option<bool>,
    /// Sessions that are up, auditors not counted.
    pub up: u32,
    /// The most that were up.
    pub up_highest: u32,
    /// Sessions that are refused for good, auditors not counted.
    pub dead: u32,
    /// Datagrams and money.
    pub books: Books,
    /// Log-ins.
    pub login: LoginRecord,
    /// What happened, by phase.
    pub records: Vec<PhaseRecord>,
    /// The phase that unasked news counts in.
    pub phase: u8,
    /// Distance of the server's clock and the round trip it was measured by, in microseconds.
    pub clock_offset: Option<(i64, u64)>,
    /// The auditors' readings.
    pub readings: Vec<Option<[u64; TOTALS_WORDS]>>,
    /// What users were told of money, for whoever takes it and writes it down; `None` when nobody does.
    pub told: Option<Vec<Acknowledged>>,
}

impl Fleet {
    /// A fleet whose sessions are all down.
    pub fn new(config: Config, mint: Mint) -> Self {
        assert!(config.auditors <= AUDITORS_MAX && config.sockets > 0);
        let count = config.population.count() as usize + config.auditors;
        let mut fleet = Self {
            config,
            mint,
            tickets: Vec::new(),
            tickets_until_s: 0,
            rng: ChaCha8Rng::seed_from_u64(config.seed),
            sessions: std::iter::repeat_with(Session::default).take(count).collect(),
            by_slot: vec![NOBODY; 1 << SLOT_BITS],
            timers: Timers::default(),
            deferred: Pool::new(DEFERRED_MAX),
            money: Pool::new(MONEY_MAX),
            counter: 0,
            window: LoginWindow::default(),
            leave: Leave::default(),
            patience: Patience::default(),
            swept: 0,
            swept_us: 0,
            idle_s: 0,
            sets: 0,
            is_sealed: None,
            up: 0,
            up_highest: 0,
            dead: 0,
            books: Books::default(),
            login: LoginRecord::default(),
            records: Vec::new(),
            phase: 0,
            clock_offset: None,
            readings: vec![None; config.auditors],
            told: None,
        };
        if config.bare {
            fleet.pretend();
        }
        fleet
    }

    /// Brings all sessions up without a server.
    fn pretend(&mut self) {
        assert!(self.count() as usize <= self.by_slot.len(), "an echo names sessions by their slot");
        for index in 0..self.count() {
            let session = &mut self.sessions[index as usize];
            (session.state, session.id) = (State::Up, index);
            self.by_slot[index as usize] = index;
        }
        self.up = self.count();
        self.up_highest = self.up;
    }

    /// Users of this fleet.
    pub fn count(&self) -> u32 {
        self.config.population.count()
    }

    /// Requests under way or waiting, of all sorts.
    pub fn outstanding(&self) -> u64 {
        self.records.iter().map(PhaseRecord::outstanding).sum()
    }

    /// Does what time demands: repeats, gives up, logs in and out.
    pub fn poll(&mut self, now_us: u64, out: &mut impl Outbox) {
        for _ in 0..TIMERS_MAX {
            let Some((target, stamp)) = self.timers.pop(now_us) else { break };
            match target {
                Target::Session(index) if self.sessions[index as usize].stamp == stamp => {
                    self.session_timer(index, now_us, out);
                }
                Target::Session(_) => {}
                Target::Money(number) => self.money_timer(number, stamp, now_us, out),
            }
        }
        self.log_in_more(now_us, out);
        self.log_out_more(now_us, out);
    }

    /// When [`poll`](Self::poll) has work again, unless a datagram comes first.
    pub fn next_us(&self) -> u64 {
        self.timers.next_us()
    }

    fn session_timer(&mut self, index: u32, now_us: u64, out: &mut impl Outbox) {
        match self.sessions[index as usize].state {
            State::Hello | State::Login | State::Waiting => self.retry_log_in(index, now_us, out),
            State::Up => self.retry_ask(index, now_us, out),
            State::Down | State::Out | State::Dead => {}
        }
    }

    /// Arms the session's one timer.
    fn arm(&mut self, index: u32, now_us: u64, delay_us: u64) {
        let session = &mut self.sessions[index as usize];
        session.stamp = session.stamp.wrapping_add(1);
        self.timers.arm(now_us, delay_us, Target::Session(index), session.stamp);
    }

    /// This session's user was told something of money.
    fn hear(&mut self, index: u32, told: Told, fen: u64) {
        let user = self.user(index);
        if let Some(all) = &mut self.told {
            all.push(Acknowledged { user, told, fen });
        }
    }

    fn is_auditor(&self, index: u32) -> bool {
        index >= self.count()
    }

    /// The user id of a session.
    fn user(&self, index: u32) -> u64 {
        match index.checked_sub(self.count()) {
            None => self.config.population.user(index),
            Some(auditor) => AUDITOR_BASE + self.config.population.ends().0 * AUDITORS_MAX as u64 + u64::from(auditor),
        }
    }

    fn socket(&self, index: u32) -> usize {
        match index.checked_sub(self.count()) {
            None => index as usize % self.config.sockets,
            Some(auditor) => auditor as usize % self.config.sockets,
        }
    }

    /// A counter that no session of ours used before, nor one of an earlier run that the server may still have: under one
    /// seed a run draws the nonces of the last once more, and is given the same session and keys.
    fn next_counter(&mut self, now_us: u64) -> u64 {
        self.counter = now_us.max(self.counter + 1);
        self.counter
    }

    /// Sends what was written to the slot of the session's socket, and counts it.
    fn transmit(&mut self, index: u32, len: usize, now_us: u64, out: &mut impl Outbox) {
        let socket = self.socket(index);
        let kind = out.slot(socket)[0] & 0x3f;
        self.books.sent[usize::from(kind)] += 1;
        self.sessions[index as usize].last_s = (now_us / 1_000_000) as u32;
        out.commit(socket, len);
    }

    /// Ends the Unix second `second` in every phase's record.
    pub fn turn_second(&mut self, second: u64) {
        self.records.iter_mut().for_each(|record| record.turn_second(second));
    }

    fn random(&mut self) -> u64 {
        self.rng.next_u64()
    }
}
