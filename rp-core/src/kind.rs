//! The kinds of datagram, their first byte and their lengths.
//!
//! The first byte is the protocol version in two bits, the direction in one and the kind in five. Request and reply
//! kinds of one exchange differ only in the direction bit, so a tag over the first byte binds the direction too.

use crate::wire;

/// Protocol version, in the two high bits of the first byte.
pub const VERSION: u8 = 1;
/// The first byte with kind zero.
pub const VERSION_BITS: u8 = VERSION << 6;
/// Set in every datagram that a server sends.
pub const REPLY_BIT: u8 = 0x20;

macro_rules! kinds {
    ($($(#[doc = $doc:literal])* $name:ident = $value:expr, $label:literal;)*) => {
        /// What a datagram asks or answers.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        #[repr(u8)]
        pub enum Kind { $($(#[doc = $doc])* $name = $value,)* }

        impl Kind {
            /// Every kind, requests first.
            pub const ALL: &'static [Kind] = &[$(Kind::$name,)*];

            /// The kind of this number, if there is one.
            #[inline(always)]
            pub const fn of_number(number: u8) -> Option<Kind> {
                match number { $(x if x == $value => Some(Kind::$name),)* _ => None }
            }

            /// The name used in counters, documents and flags.
            pub const fn name(self) -> &'static str {
                match self { $(Kind::$name => $label,)* }
            }

            /// What it asks or answers, in a sentence.
            pub const fn meaning(self) -> &'static str {
                match self { $(Kind::$name => concat!($($doc),*).trim_ascii(),)* }
            }
        }
    };
}

kinds! {
    /// A stranger asks for a cookie.
    Hello = 1, "hello";
    /// A cookie and a ticket come back.
    Login = 2, "login";
    /// Is the session alive, and what time is it there?
    Ping = 3, "ping";
    /// Ask for luck.
    Shake = 4, "shake";
    /// Put money into a packet.
    Send = 5, "send";
    /// Take a share of a packet.
    Grab = 6, "grab";
    /// Who took what of a packet.
    Detail = 7, "detail";
    /// How much the user has.
    Balance = 8, "balance";
    /// What moved the user's money, newest first.
    History = 9, "history";
    /// A notice was seen.
    NoticeAck = 10, "notice_ack";
    /// Log out.
    Bye = 11, "bye";
    /// Echo of a path challenge, from the address it was sent to.
    Echo = 12, "echo";
    /// An auditor asks for the server's totals.
    Totals = 13, "totals";

    /// The cookie.
    Challenge = 33, "challenge";
    /// The session is up.
    Welcome = 34, "welcome";
    /// Alive; server time.
    Pong = 35, "pong";
    /// The shake won nothing.
    Nothing = 36, "nothing";
    /// The packet is made.
    Sent = 37, "sent";
    /// The share is yours.
    Grabbed = 38, "grabbed";
    /// One page of a packet's detail.
    DetailPage = 39, "detail_page";
    /// The balance.
    BalanceIs = 40, "balance_is";
    /// One page of the user's history.
    HistoryPage = 41, "history_page";
    /// Something happened to the user's money.
    Notice = 42, "notice";
    /// The session is closed.
    Goodbye = 43, "goodbye";
    /// The address is taken over.
    Echoed = 44, "echoed";
    /// The server's totals.
    TotalsAre = 45, "totals_are";
    /// The shake won.
    Prize = 46, "prize";
    /// Too fast: come back later.
    Busy = 47, "busy";
    /// A typed refusal of a request.
    Refused = 48, "refused";
    /// No such session; untagged, only a hint to log in again.
    UnknownSession = 49, "unknown_session";
    /// The session's address changed: echo this from there.
    PathChallenge = 50, "path_challenge";
    /// A typed refusal of a log-in.
    LoginRefused = 51, "login_refused";
}

/// Kinds that a client sends are numbered 1 ..= `REQUESTS_MAX`.
pub const REQUESTS_MAX: usize = 13;
/// Rows of a table indexed by the number of any kind.
pub const KINDS_MAX: usize = 64;

impl Kind {
    /// The first byte of a datagram of this kind.
    #[inline(always)]
    pub const fn first_byte(self) -> u8 {
        VERSION_BITS | self as u8
    }

    /// Row in a table indexed by kind, below [`KINDS_MAX`].
    #[inline(always)]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Sent by clients?
    #[inline(always)]
    pub const fn is_request(self) -> bool {
        self as u8 & REPLY_BIT == 0
    }

    /// Does it bear money, amounts or user ids, so that its body is sealed?
    #[inline(always)]
    pub const fn bears_money(self) -> bool {
        matches!(
            self,
            Kind::Send
                | Kind::Sent
                | Kind::Grab
                | Kind::Grabbed
                | Kind::Detail
                | Kind::DetailPage
                | Kind::Balance
                | Kind::BalanceIs
                | Kind::History
                | Kind::HistoryPage
                | Kind::Notice
                | Kind::Prize
                | Kind::Refused
                | Kind::TotalsAre
        )
    }

    /// Shortest and longest UDP payload of a request of this kind, tag included; (1, 0), which nothing meets, for replies.
    #[inline(always)]
    pub const fn request_length(self) -> (usize, usize) {
        match self {
            Kind::Hello => (wire::HELLO_LEN, wire::HELLO_LEN),
            Kind::Login => (wire::Login::LEN + wire::TAG_LEN, wire::Login::LEN + wire::TAG_LEN),
            Kind::Ping => (wire::Ping::LEN + wire::TAG_LEN, wire::Ping::LEN + wire::TAG_LEN),
            Kind::Shake | Kind::Bye | Kind::Echo | Kind::Totals => (wire::SHAKE_LEN, wire::SHAKE_LEN),
            Kind::Send => (
                wire::Send::LEN + wire::TRAILER,
                wire::Send::LEN + 8 * crate::limits::RECIPIENTS_MAX + crate::limits::GREETING_MAX + wire::TRAILER,
            ),
            Kind::Grab => (wire::Grab::LEN + wire::TRAILER, wire::Grab::LEN + wire::TRAILER),
            Kind::Detail => (wire::Detail::LEN + wire::TRAILER, wire::Detail::LEN + wire::TRAILER),
            Kind::Balance => (wire::Balance::LEN + wire::TRAILER, wire::Balance::LEN + wire::TRAILER),
            Kind::History => (wire::History::LEN + wire::TRAILER, wire::History::LEN + wire::TRAILER),
            Kind::NoticeAck => (wire::NoticeAck::LEN + wire::TAG_LEN, wire::NoticeAck::LEN + wire::TAG_LEN),
            _ => (1, 0),
        }
    }
}

/// Names the request that a UDP payload is, by its first byte and its length alone.
///
/// # Errors
/// The reason why it is none.
#[inline(always)]
pub fn request_of(first_byte: u8, payload_len: usize) -> Result<Kind, crate::reason::Reason> {
    use crate::reason::Reason;
    if first_byte & 0xc0 != VERSION_BITS {
        return Err(Reason::BadVersion);
    }
    let Some(kind) = Kind::of_number(first_byte & 0x3f) else {
        return Err(Reason::UnknownKind);
    };
    if !kind.is_request() {
        return Err(Reason::UnknownKind);
    }
    let (min, max) = kind.request_length();
    if payload_len < min || payload_len > max {
        return Err(Reason::BadLength);
    }
    Ok(kind)
}
