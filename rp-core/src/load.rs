//! What the load client and its kernel programs share: the table of sessions that shake, the plan of the load, and what came
//! of it. One program makes shakes, one after another, and sends them; the other takes the answers in.

/// Words of a session in the table, which is a line each: the session's key, two words.
pub const KEY: usize = 0;
/// Session id (32 bits) and our port (16 bits).
pub const ID: usize = 2;
/// The last sequence sent.
pub const SEQUENCE: usize = 3;
/// When it was sent, in nanoseconds on the monotonic clock.
pub const SENT_NS: usize = 4;
/// The last sequence that was answered.
pub const ANSWERED: usize = 5;

/// Words of the plan: five lines.
pub const PLAN_WORDS: usize = 40;
/// Sessions that shake.
pub const PLAN_SESSIONS: usize = 0;
/// Nanoseconds between two bursts.
pub const PLAN_INTERVAL_NS: usize = 1;
/// When it ends, in nanoseconds on the monotonic clock.
pub const PLAN_END_NS: usize = 2;
/// Ethernet: the first eight bytes, and the other six.
pub const PLAN_ETHERNET: usize = 4;
/// IPv4 addresses, ours and the server's, as their bytes lie in memory.
pub const PLAN_ADDRESSES: usize = 6;
/// The server's port, network order; zero when all answers are the sockets'.
pub const PLAN_PORT: usize = 9;
/// First byte of the answers that count: of NOTHING, or of SHAKE before a bare echo.
pub const PLAN_EXPECTS: usize = 10;
/// Shakes that are due together.
pub const PLAN_BURST: usize = 11;
/// The payload of [`BARE_LEN`] bytes that a server of another protocol gets in the place of a shake, with two bytes free at
/// its beginning for the number of the question; zero for shakes.
pub const PLAN_BARE: usize = 12;
/// The first so many sessions make nine shakes of ten; zero when all shake alike.
pub const PLAN_HOT: usize = 16;
/// Hostile datagrams after each shake: spoofed HELLOs and false tags in turn.
pub const PLAN_HOSTILE: usize = 17;
/// Interfaces that datagrams leave by: how many, and their numbers.
pub const PLAN_LINKS: usize = 18;
/// The first of [`LINKS_MAX`] words.
pub const PLAN_LINK: usize = 24;
/// Interfaces of one load.
pub const LINKS_MAX: usize = 16;
/// Datagrams that leave by one interface before the next has its turn: a quarter of a veth's ring.
pub const TO_A_LINK: u64 = 64;

/// Sessions that were asked lately, by the low bits of their slots: a table that stays in the cache, which the one of all slots
/// does not.
pub const LATELY: u32 = 1 << 14;

/// Bytes of a question in another protocol.
pub const BARE_LEN: usize = 32;

/// Words of the sending program's own state, per CPU.
pub const STATE_WORDS: usize = 8;
/// When the next burst is due; zero before the first and after the last.
pub const DUE_NS: usize = 0;
/// Whose turn it is, among those that are not hot.
pub const TURN: usize = 1;
/// Whose turn it is, among the hot ones.
pub const HOT_TURN: usize = 2;
/// Shakes made so far.
pub const MADE: usize = 3;
/// Shakes of the burst under way that are not made yet.
pub const REST: usize = 4;
/// Hostile datagrams that come before the next shake.
pub const HOSTILE: usize = 5;
/// No burst begins before: one that was held up catches up at twice its rate, not at once.
pub const NOT_BEFORE_NS: usize = 6;
/// Datagrams of every kind made so far.
pub const LEFT: usize = 7;

/// What came of it, per CPU.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub enum Tally {
    /// Shakes sent.
    Sent,
    /// Runs in which none was due.
    Early,
    /// Shakes given up because they were late by more than a tenth of a second: the generator is too slow.
    Late,
    /// Answered *nothing*, or echoed.
    Nothing,
    /// Told to come back later.
    Busy,
    /// Answers that were not the session's newest.
    Stray,
    /// Answers under a false tag.
    BadTag,
    /// What the sockets get: prizes, notices.
    Passed,
    /// HELLOs sent from addresses that are not ours.
    Spoofed,
    /// Shakes sent under false tags.
    Forged,
    /// Challenges to spoofed HELLOs, or those themselves sent back by an echo.
    Challenges,
}

/// Words of the tally.
pub const TALLY_WORDS: usize = 11;

/// Buckets of the latencies: 32 to each power of two of nanoseconds, three percent wide.
pub const BUCKETS: usize = 64 * 32;

/// The bucket of a latency.
#[inline(always)]
pub const fn bucket_of(ns: u64) -> usize {
    if ns < 32 {
        return ns as usize;
    }
    // The power is found by halves: BPF has no instruction for it.
    let (mut power, mut rest) = (0, ns);
    let mut half = 32;
    while half > 0 {
        if rest >> half != 0 {
            rest >>= half;
            power += half;
        }
        half /= 2;
    }
    ((power as usize - 4) << 5 | (ns >> (power - 5)) as usize & 31) % BUCKETS
}

/// The lower end of a bucket, in nanoseconds.
pub const fn bucket_ns(bucket: usize) -> u64 {
    if bucket < 32 {
        return bucket as u64;
    }
    let power = (bucket >> 5) + 4;
    (32 | (bucket & 31) as u64) << (power - 5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_three_percent_wide_and_in_order() {
        let mut last = 0;
        for ns in
            (0..100_000u64).chain((17..63).flat_map(|power| [(1 << power) - 1, 1 << power, (1 << power) + 12_345]))
        {
            let bucket = bucket_of(ns);
            assert!(bucket < BUCKETS);
            assert!(bucket_ns(bucket) <= ns, "{ns}");
            assert!(ns - bucket_ns(bucket) <= ns / 32, "{ns}");
            if ns < 100_000 {
                assert!(bucket >= last);
                last = bucket;
            }
        }
    }
}
