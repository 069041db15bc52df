//! The time, read once per batch and handed to the engine, which reads no clock itself.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use rp_core::engine::Now;

/// Both clocks.
#[derive(Clone, Copy)]
pub struct Clock {
    start: Instant,
}

impl Default for Clock {
    fn default() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock {
    /// Microseconds since the server started, and since 1970.
    pub fn now(&self) -> Now {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { mono_us: self.start.elapsed().as_micros() as u64, unix_us: since_1970.as_micros() as u64 }
    }
}
