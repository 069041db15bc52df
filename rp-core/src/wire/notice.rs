//! PRIZE, NOTICE and its acknowledgement. A notice is repeated with back-off until it is acknowledged.

use super::layout::layout;

/// What a notice is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum NoticeType {
    /// A prize was won: `about` is campaign (high 32 bits) and prize number in it (low 32 bits).
    Prize = 1,
    /// A packet for the user: `about` is its id, `from` its sender, `fen` its total.
    Packet = 2,
    /// A packet came back: `about` is its id, `fen` what was refunded.
    Refund = 3,
}

impl NoticeType {
    /// The type of this number.
    pub const fn of_number(number: u8) -> Option<NoticeType> {
        match number {
            1 => Some(NoticeType::Prize),
            2 => Some(NoticeType::Packet),
            3 => Some(NoticeType::Refund),
            _ => None,
        }
    }
}

layout! {
    /// The shake won. The same prize comes again as a [`Notice`] with the same number until it is acknowledged.
    Prize = Prize {
        /// Zero.
        flags: u8,
        /// The session id.
        session: u32,
        /// New for each transmission.
        counter: u64,
        /// The shake's sequence.
        sequence: u32,
        /// The notice's number, to be acknowledged.
        notice: u64,
        /// Campaign (high 32 bits) and prize number in it (low 32 bits).
        about: u64,
        /// The prize.
        fen: u64,
    }
}

layout! {
    /// Something happened to the user's money.
    Notice = Notice {
        /// Zero.
        flags: u8,
        /// The session id.
        session: u32,
        /// New for each transmission.
        counter: u64,
        /// Rising per user; to be acknowledged.
        notice: u64,
        /// A [`NoticeType`].
        about_type: u8,
        /// See [`NoticeType`].
        about: u64,
        /// The user behind it, or 0.
        from: u64,
        /// See [`NoticeType`].
        fen: u64,
        /// Milliseconds since 1970 when it happened.
        at_ms: u64,
    }
}

layout! {
    /// A notice was seen. Tagged, not answered; a notice that comes again is acknowledged again.
    NoticeAck = NoticeAck {
        /// Zero.
        flags: u8,
        /// The session id.
        session: u32,
        /// The notice's number.
        notice: u64,
    }
}
