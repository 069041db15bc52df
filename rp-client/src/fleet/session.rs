//! One session of the fleet: what must be remembered between two of its datagrams.

use rp_core::key::{Key, SealingKey};

use super::pool::NONE;

/// Where a session stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum State {
    /// Not logged in yet.
    #[default]
    Down,
    /// HELLO sent.
    Hello,
    /// LOGIN sent.
    Login,
    /// The log-in was refused, and is tried again when its timer says so.
    Waiting,
    /// Logged in.
    Up,
    /// Logged out.
    Out,
    /// Refused for good.
    Dead,
}

/// The one request under the session's sequence that waits for its answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum Asking {
    /// None.
    #[default]
    Nothing,
    /// None, and none may start before a timer: the server said *busy*.
    Held,
    /// SHAKE.
    Shake,
    /// PING.
    Ping,
    /// BYE.
    Bye,
    /// TOTALS.
    Totals,
}

/// One session; its user follows from its index.
pub struct Session {
    /// Key of the tags.
    pub key: Key,
    /// What bears money is sealed under it, both ways, where the server said so.
    pub sealing: Option<SealingKey>,
    /// When the shake under way was due, in microseconds since 1970.
    pub due_us: u64,
    /// The user's last request number.
    pub request: u64,
    /// The highest notice seen.
    pub notice_highest: u64,
    /// Bit n: notice `notice_highest - n` was seen.
    pub notices_seen: u64,
    /// The server's id of the session.
    pub id: u32,
    /// The last sequence used.
    pub sequence: u32,
    /// High half of the client nonce; the low half is the index.
    pub nonce: u32,
    /// Of the timer that counts; older ones are ignored.
    pub stamp: u32,
    /// First of the requests that move money.
    pub money: u32,
    /// First of the shakes that wait for the one under way.
    pub deferred: u32,
    /// Unix second of the last datagram sent.
    pub last_s: u32,
    /// When what it asks was first sent, or it was told to wait, in milliseconds since 1970, cut to 32 bits.
    pub asked_ms: u32,
    /// Where it stands.
    pub state: State,
    /// What it asks.
    pub asking: Asking,
    /// Transmissions of what it asks.
    pub tries: u8,
    /// Phase of the shake under way.
    pub phase: u8,
    /// Log-ins after the first.
    pub relogins: u8,
    /// Its log-in takes part in the window of log-ins.
    pub windowed: bool,
    /// It is to be logged out.
    pub leaving: bool,
    /// The last sequence was given up, not answered.
    pub gave_up: bool,
}

impl Default for Session {
    fn default() -> Self {
        Self {
            key: [0; 16],
            sealing: None,
            due_us: 0,
            request: 0,
            notice_highest: 0,
            notices_seen: 0,
            id: 0,
            sequence: 0,
            nonce: 0,
            stamp: 0,
            money: NONE,
            deferred: NONE,
            last_s: 0,
            asked_ms: 0,
            state: State::Down,
            asking: Asking::Nothing,
            tries: 0,
            phase: 0,
            relogins: 0,
            windowed: false,
            leaving: false,
            gave_up: false,
        }
    }
}

// A million sessions are normal: the figure in docs and tests rests on this.
const _: () = assert!(size_of::<Session>() <= 128);

impl Session {
    /// It asks now for the first time, or is told to wait.
    pub fn asks_at(&mut self, now_us: u64) {
        self.asked_ms = (now_us / 1000) as u32;
    }

    /// How long ago that was, in microseconds, to the millisecond.
    pub fn asked_for_us(&self, now_us: u64) -> u64 {
        u64::from(((now_us / 1000) as u32).wrapping_sub(self.asked_ms)) * 1000
    }

    /// Was the notice seen before? What is below the window counts as seen.
    pub fn has_seen(&self, notice: u64) -> bool {
        match self.notice_highest.checked_sub(notice) {
            None => false,
            Some(age) => age >= 64 || self.notices_seen & (1 << age) != 0,
        }
    }

    /// Remembers a notice.
    pub fn see(&mut self, notice: u64) {
        if notice > self.notice_highest {
            let leap = notice - self.notice_highest;
            self.notices_seen = if leap >= 64 { 0 } else { self.notices_seen << leap };
            self.notice_highest = notice;
        }
        let age = self.notice_highest - notice;
        if age < 64 {
            self.notices_seen |= 1 << age;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_notice_is_new_once_in_any_order() {
        let mut session = Session::default();
        for notice in [1, 3, 2, 40, 39, 100, 66, 99] {
            assert!(!session.has_seen(notice), "{notice}");
            session.see(notice);
            assert!(session.has_seen(notice), "{notice}");
        }
        assert!(session.has_seen(3) && !session.has_seen(67) && !session.has_seen(101));
    }
}
