//! The time, read once per batch and handed to the engine, which reads no clock itself.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rp_core::engine::Now;

/// Both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Duration,
}

impl Default for Clock {
    fn default() -> Self {
        Self { start: rp_net::proc::monotonic_time() }
    }
}

impl Clock {
    /// Microseconds on the kernel's monotonic clock, by which the gate goes too, and since 1970.
    pub fn now(&self) -> Now {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { mono_us: rp_net::proc::monotonic_time().as_micros() as u64, unix_us: since_1970.as_micros() as u64 }
    }

    /// Since the server started.
    pub fn uptime(&self) -> Duration {
        rp_net::proc::monotonic_time().saturating_sub(self.start)
    }
}
