//! The limits that hold now, and the clock's offset: what an operator changes while gate and workers run.

use crate::bucket::Rate;
use crate::entry::Words;

/// Words of the rules.
pub const RULES_WORDS: usize = 16;
const UNIX_LESS_MONO: usize = 0;
const SESSION: usize = 1;
const STRANGERS: usize = 2;
const SESSIONS: usize = 4;
const PREFIX: usize = 6;
const DENIED: usize = 8;
const MONO: usize = 9;

/// A limit that many share, in nanoseconds; an interval of zero is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Limit {
    /// Between two datagrams on average.
    pub interval_ns: u64,
    /// How far ahead of the average a burst may run.
    pub burst_ns: u64,
}

impl Limit {
    /// So many a second in each of `parts` equal parts, with a burst of `burst_ms`; zero is no limit.
    pub fn per_second(rate: u64, parts: u64, burst_ms: u64) -> Limit {
        if rate == 0 {
            return Limit::default();
        }
        Limit { interval_ns: 1_000_000_000 * parts / rate, burst_ns: burst_ms * 1_000_000 }
    }
}

/// The rules, wherever their words lie.
#[derive(Clone, Copy)]
pub struct Rules<W>(pub W);

impl<W: Words> Rules<W> {
    /// Microseconds since 1970 less those of the monotonic clock.
    #[inline(always)]
    pub fn unix_less_mono_us(&self) -> u64 {
        self.0.load(UNIX_LESS_MONO)
    }

    /// Sets them.
    pub fn set_unix_less_mono_us(&self, us: u64) {
        self.0.store(UNIX_LESS_MONO, us);
    }

    /// Microseconds that a gate built for tests takes for the time.
    #[inline(always)]
    pub fn mono_us(&self) -> u64 {
        self.0.load(MONO)
    }

    /// Sets them.
    pub fn set_mono_us(&self, us: u64) {
        self.0.store(MONO, us);
    }

    /// How fast one session may ask, in milliseconds.
    #[inline(always)]
    pub fn session(&self) -> Rate {
        let word = self.0.load(SESSION);
        Rate { interval: word as u32, burst: (word >> 32) as u32 }
    }

    /// Sets it.
    pub fn set_session(&self, rate: Rate) {
        self.0.store(SESSION, u64::from(rate.burst) << 32 | u64::from(rate.interval));
    }

    /// How fast those may ask who have proven nothing, together, on one CPU.
    #[inline(always)]
    pub fn strangers(&self) -> Limit {
        self.limit(STRANGERS)
    }

    /// Sets it.
    pub fn set_strangers(&self, limit: Limit) {
        self.set_limit(STRANGERS, limit);
    }

    /// How fast all sessions may ask, together, on one CPU.
    #[inline(always)]
    pub fn sessions(&self) -> Limit {
        self.limit(SESSIONS)
    }

    /// Sets it.
    pub fn set_sessions(&self, limit: Limit) {
        self.set_limit(SESSIONS, limit);
    }

    /// How fast one part of the network (IPv4 /24, IPv6 /64) may log in.
    #[inline(always)]
    pub fn prefix(&self) -> Limit {
        self.limit(PREFIX)
    }

    /// Sets it.
    pub fn set_prefix(&self, limit: Limit) {
        self.set_limit(PREFIX, limit);
    }

    /// Prefixes on the deny list.
    #[inline(always)]
    pub fn denied(&self) -> u64 {
        self.0.load(DENIED)
    }

    /// Sets how many there are.
    pub fn set_denied(&self, prefixes: u64) {
        self.0.store(DENIED, prefixes);
    }

    #[inline(always)]
    fn limit(&self, at: usize) -> Limit {
        Limit { interval_ns: self.0.load(at), burst_ns: self.0.load(at + 1) }
    }

    fn set_limit(&self, at: usize, limit: Limit) {
        // No limit for a moment, rather than one with the burst of another.
        self.0.store(at, 0);
        self.0.store(at + 1, limit.burst_ns);
        self.0.store(at, limit.interval_ns);
    }
}
