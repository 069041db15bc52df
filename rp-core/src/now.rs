//! The time, from two clocks that the callers read.

/// The time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Now {
    /// Microseconds on a clock that never jumps; with a gate, the kernel's monotonic clock.
    pub mono_us: u64,
    /// Microseconds since 1970.
    pub unix_us: u64,
}

impl Now {
    /// Seconds since 1970.
    #[inline(always)]
    pub const fn unix_s(&self) -> u32 {
        (self.unix_us / 1_000_000) as u32
    }

    /// Milliseconds on the clock that never jumps, wrapping: enough to tell how long ago something was.
    #[inline(always)]
    pub const fn mono_ms(&self) -> u32 {
        wrapping_ms(self.mono_us)
    }

    /// Milliseconds since 1970.
    #[inline(always)]
    pub const fn unix_ms(&self) -> u64 {
        self.unix_us / 1000
    }
}

/// Milliseconds from one wrapping time to a later one; zero when it is not later: the gate's clock is read on another CPU,
/// and may be ahead of what a worker read at the beginning of its round.
#[inline(always)]
pub const fn elapsed_ms(now_ms: u32, then_ms: u32) -> u32 {
    let elapsed = now_ms.wrapping_sub(then_ms);
    if elapsed as i32 > 0 { elapsed } else { 0 }
}

/// Microseconds as milliseconds in 32 bits, wrapping after 49 days.
#[inline(always)]
pub const fn wrapping_ms(us: u64) -> u32 {
    (us / 1000) as u32
}
