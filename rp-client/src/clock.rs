//! Time in microseconds since 1970 that never jumps: the wall clock at the start, moved on by the monotonic one.

use std::time::{Duration, Instant, SystemTime};

/// The client's clock.
#[derive(Clone, Copy)]
pub struct Clock {
    start: Instant,
    start_us: u64,
}

impl Clock {
    /// Reads the wall clock, once.
    pub fn start() -> Self {
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self { start: Instant::now(), start_us: unix.as_micros() as u64 }
    }

    /// Microseconds since 1970.
    #[inline]
    pub fn now_us(&self) -> u64 {
        self.start_us + self.start.elapsed().as_micros() as u64
    }
}
