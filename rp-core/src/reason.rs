//! Why a datagram was dropped. Each dropped datagram has exactly one reason, where it was dropped.

macro_rules! reasons {
    ($($(#[doc = $doc:literal])* $name:ident, $label:literal;)*) => {
        /// Why a datagram ended without doing anything.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        #[repr(u8)]
        pub enum Reason { $($(#[doc = $doc])* $name,)* }

        impl Reason {
            /// Every reason, in the order of the counters.
            pub const ALL: &'static [Reason] = &[$(Reason::$name,)*];

            /// The name used in counters, documents and the `pps` screen.
            pub const fn name(self) -> &'static str {
                match self { $(Reason::$name => $label,)* }
            }

            /// What it means, in a sentence.
            pub const fn meaning(self) -> &'static str {
                match self { $(Reason::$name => concat!($($doc),*).trim_ascii(),)* }
            }
        }
    };
}

reasons! {
    /// A first fragment to our port.
    Fragment, "fragment";
    /// The lengths in the IP and UDP headers and the frame do not agree.
    BadHeader, "bad_header";
    /// No payload, or too short or too long for its kind.
    BadLength, "bad_length";
    /// Not our protocol version.
    BadVersion, "bad_version";
    /// No such request.
    UnknownKind, "unknown_kind";
    /// The datagram reached a worker that does not own its SET.
    MisSteered, "mis_steered";
    /// A SET or slot that this server does not have.
    NoSuchSlot, "no_such_slot";
    /// The cookie was not made by this server for this address and nonce.
    BadCookie, "bad_cookie";
    /// The cookie is too old, or from the future.
    ExpiredCookie, "expired_cookie";
    /// The ticket cannot be opened, or its realm is unknown.
    BadTicket, "bad_ticket";
    /// The SET hash in clear is not that of the ticket's user.
    SetMismatch, "set_mismatch";
    /// The tag does not verify.
    BadTag, "bad_tag";
    /// A sequence below the session's newest.
    StaleSequence, "stale_sequence";
    /// A field has a value that its kind does not allow.
    BadField, "bad_field";
    /// The hint *unknown session* was due, and its limit was reached.
    HintLimited, "hint_limited";
    /// The echo of a path challenge is false or late.
    BadEcho, "bad_echo";
    /// Not an auditor's session.
    NotAuditor, "not_auditor";
    /// Its sender is on the deny list.
    Denied, "denied";
    /// Those who have proven nothing ask too fast, all together.
    StrangerLimited, "stranger_limited";
    /// This part of the network logs in too fast.
    PrefixLimited, "prefix_limited";
    /// A checksum of its IP or UDP header is wrong; of what comes by sockets the system looks at it before.
    BadChecksum, "bad_checksum";
    /// For our port, and an address that is not ours; likewise.
    NotOurAddress, "not_our_address";
    /// It bears money and is not sealed, at a server that seals.
    NotSealed, "not_sealed";
    /// Its seal does not verify though its tag does; or it is sealed, at a server that does not.
    BadSeal, "bad_seal";
}

/// Rows of a table indexed by reason.
pub const REASONS_MAX: usize = 32;
const _: () = assert!(Reason::ALL.len() <= REASONS_MAX);

impl Reason {
    /// Row in a table indexed by reason, below [`REASONS_MAX`].
    #[inline(always)]
    pub const fn index(self) -> usize {
        self as usize
    }
}
