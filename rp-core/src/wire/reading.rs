//! DETAIL, BALANCE, HISTORY and their answers: what only reads. `request` is echoed, and uses up no number.

use super::layout::layout;

layout! {
    /// Who took what of a packet. `request` is only echoed: reading moves nothing and is answered with what holds.
    Detail = Detail {
        /// Zero.
        flags: u8,
        /// The session id.
        session: u32,
        /// New for each transmission.
        counter: u64,
        /// Echoed.
        request: u64,
        /// The packet's id.
        packet: u64,
        /// The first share to show.
        first: u8,
    }
}

/// What a packet is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum PacketState {
    /// Shares are left.
    Open = 0,
    /// All shares are taken.
    Finished = 1,
    /// Too old; what was left went back to the sender.
    Refunded = 2,
}

layout! {
    /// One page of a packet's detail. Tail: `count` [`ShareRow`]s, then `greeting_len` bytes of UTF-8.
    DetailPage = DetailPage {
        /// Zero.
        flags: u8,
        /// The session id.
        session: u32,
        /// New for each transmission.
        counter: u64,
        /// As asked.
        request: u64,
        /// As asked.
        packet: u64,
        /// Who sent it.
        sender: u64,
        /// What was put in.
        total_fen: u64,
        /// What nobody has taken, or was refunded.
        left_fen: u64,
        /// Milliseconds since 1970 when it was made.
        made_ms: u64,
        /// A [`PacketState`].
        state: u8,
        /// Shares in all.
        shares: u8,
        /// Shares taken.
        taken: u8,
        /// The taken share with best luck, once all are taken; else 255.
        best: u8,
        /// The first share shown.
        first: u8,
        /// Rows in the tail.
        count: u8,
        /// Bytes of greeting in the tail.
        greeting_len: u8,
        /// Zero.
        reserved: u8,
    }
}

layout! {
    /// One taken share.
    ShareRow = row {
        /// Who took it.
        user: u64,
        /// Milliseconds since 1970 when.
        taken_ms: u64,
        /// How much.
        share_fen: u32,
    }
}

layout! {
    /// How much has the user? `request` is only echoed.
    Balance = Balance {
        /// Zero.
        flags: u8,
        /// The session id.
        session: u32,
        /// New for each transmission.
        counter: u64,
        /// Echoed.
        request: u64,
    }
}

layout! {
    /// The balance.
    BalanceIs = BalanceIs {
        /// Zero.
        flags: u8,
        /// The session id.
        session: u32,
        /// New for each transmission.
        counter: u64,
        /// As asked.
        request: u64,
        /// The balance.
        balance_fen: u64,
    }
}

layout! {
    /// What moved the user's money? `request` is only echoed.
    History = History {
        /// Zero.
        flags: u8,
        /// The session id.
        session: u32,
        /// New for each transmission.
        counter: u64,
        /// Echoed.
        request: u64,
        /// Rows older than this position; 0 for the newest.
        before: u64,
    }
}

layout! {
    /// One page of the user's history. Tail: `count` [`HistoryRow`]s, newest first.
    HistoryPage = HistoryPage {
        /// Zero.
        flags: u8,
        /// The session id.
        session: u32,
        /// New for each transmission.
        counter: u64,
        /// As asked.
        request: u64,
        /// The position to ask `before` next; 0 when nothing is older.
        next: u64,
        /// Rows in the tail.
        count: u8,
    }
}

layout! {
    /// One movement of a user's money.
    HistoryRow = row {
        /// Milliseconds since 1970 when.
        at_ms: u64,
        /// The number of the act in the ledger; see docs/PROTOCOL.md.
        act: u8,
        /// The packet, or the prize; else 0.
        about: u64,
        /// How much.
        fen: u64,
    }
}
