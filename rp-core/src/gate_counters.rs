//! The gate's counters: one block of rows per CPU, the same in the kernel's map, in `rp-server pps` and in the tests.
//!
//! A frame counts once in `seen` and once in exactly one place after it: `not_ours`, a reason, `answered`,
//! `passed_here`, `sent_to_cpu`, `sent_to_xsk` or `redirect_failed`. The structs name the rows so that bpftool prints names; everyone else reads words,
//! by [`Place`], [`Kind`] and [`Reason`].

use crate::kind::{Kind, REQUESTS_MAX};
use crate::reason::Reason;

/// One counter: datagrams, and their bytes (of the Ethernet frame; at `select`, of UDP header and payload).
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Row {
    /// How many.
    pub datagrams: u64,
    /// Their bytes in all.
    pub bytes: u64,
}

macro_rules! rows {
    ($(#[$doc:meta])* $name:ident { $($(#[doc = $row_doc:literal])* $row:ident,)* }) => {
        $(#[$doc])*
        #[repr(C)]
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
        pub struct $name { $($(#[doc = $row_doc])* pub $row: Row,)* }

        impl $name {
            /// The rows' names, in order.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($row),)*];
            /// What each of them counts, where its kind or reason does not say it.
            pub const MEANINGS: &'static [&'static str] = &[$(concat!($($row_doc),*).trim_ascii(),)*];
        }
    };
}

rows! {
    /// Where frames were seen and where they went.
    Places {
        /// Every frame that reached the gate.
        seen,
        /// Passed untouched: not for our ports.
        not_ours,
        /// Requests answered in place and sent back.
        answered,
        /// Requests passed to the stack on the CPU they came to.
        passed_here,
        /// Requests sent to the CPU of their SET's worker.
        sent_to_cpu,
        /// Requests sent to the AF_XDP socket of their SET's worker.
        sent_to_xsk,
        /// Requests whose redirect failed; passed to the stack where they were.
        redirect_failed,
        /// Requests that arrived on their CPU: `sent_to_cpu` less these is what the queues between CPUs lost.
        cpu_passed,
        /// Datagrams put on the socket of their SET's worker.
        selected,
        /// Datagrams that `select` could not steer, left to the kernel's own hash.
        select_fallback,
    }
}

rows! {
    /// Requests by kind, in the order of their numbers.
    #[expect(missing_docs)]
    Kinds { hello, login, ping, shake, send, grab, detail, balance, history, notice_ack, bye, echo, totals, }
}

rows! {
    /// Drops by reason.
    #[expect(missing_docs)]
    Reasons {
        fragment, bad_header, bad_length, bad_version, unknown_kind, mis_steered, no_such_slot, bad_cookie,
        expired_cookie, bad_ticket, set_mismatch, bad_tag, stale_sequence, bad_field, hint_limited, bad_echo,
        not_auditor, denied, stranger_limited, prefix_limited, bad_checksum, not_our_address,
        not_sealed, bad_seal,
    }
}

rows! {
    /// Answers by kind.
    #[expect(missing_docs)]
    Answers { challenge, pong, nothing, busy, }
}

/// The counters of one CPU.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct GateCounters {
    /// By place.
    pub places: Places,
    /// Requests by kind.
    pub kinds: Kinds,
    /// Drops by reason.
    pub reasons: Reasons,
    /// Answers by kind.
    pub answers: Answers,
    /// Requests that went up to their worker, by kind.
    pub ups: Kinds,
}

/// A row of [`Places`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[expect(missing_docs)]
pub enum Place {
    Seen,
    NotOurs,
    Answered,
    PassedHere,
    SentToCpu,
    SentToXsk,
    RedirectFailed,
    CpuPassed,
    Selected,
    SelectFallback,
}

impl Place {
    /// Every place, in order.
    pub const ALL: &'static [Place] = &[
        Place::Seen,
        Place::NotOurs,
        Place::Answered,
        Place::PassedHere,
        Place::SentToCpu,
        Place::SentToXsk,
        Place::RedirectFailed,
        Place::CpuPassed,
        Place::Selected,
        Place::SelectFallback,
    ];

    /// The name used in counters and documents.
    pub const fn name(self) -> &'static str {
        Places::NAMES[self as usize]
    }

    /// Which datagrams are counted there, in a sentence.
    pub const fn meaning(self) -> &'static str {
        Places::MEANINGS[self as usize]
    }
}

/// Which row of [`GateCounters`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RowIndex(usize);

/// Rows of a CPU's block.
pub const ROWS: usize = size_of::<GateCounters>() / size_of::<Row>();
/// 64-bit words of a CPU's block, two a row.
pub const WORDS: usize = 2 * ROWS;
const KINDS_FIRST: usize = Places::NAMES.len();
const REASONS_FIRST: usize = KINDS_FIRST + Kinds::NAMES.len();

const _: () = assert!(Place::ALL.len() == Places::NAMES.len());
const _: () = assert!(Kinds::NAMES.len() == REQUESTS_MAX);
const _: () = assert!(Reasons::NAMES.len() == Reason::ALL.len());
const ANSWERS_FIRST: usize = REASONS_FIRST + Reasons::NAMES.len();
const UPS_FIRST: usize = ANSWERS_FIRST + Answers::NAMES.len();
const _: () = assert!(UPS_FIRST + Kinds::NAMES.len() == ROWS);

/// Kinds that the gate answers with, in the order of their rows.
pub const ANSWERS: [Kind; 4] = [Kind::Challenge, Kind::Pong, Kind::Nothing, Kind::Busy];

impl RowIndex {
    /// The row of a place.
    #[inline(always)]
    pub const fn of_place(place: Place) -> RowIndex {
        RowIndex(place as usize)
    }

    /// The row of a request's kind.
    #[inline(always)]
    pub const fn of_kind(kind: Kind) -> RowIndex {
        RowIndex(KINDS_FIRST + request_index(kind))
    }

    /// The row of a kind among those that went up.
    #[inline(always)]
    pub const fn of_up(kind: Kind) -> RowIndex {
        RowIndex(UPS_FIRST + request_index(kind))
    }

    /// The row of a reason.
    #[inline(always)]
    pub const fn of_reason(reason: Reason) -> RowIndex {
        RowIndex(REASONS_FIRST + reason.index())
    }

    /// The row of an answer's kind.
    #[inline(always)]
    pub const fn of_answer(kind: Kind) -> RowIndex {
        RowIndex(ANSWERS_FIRST + answer_index(kind))
    }

    /// Which of [`ROWS`].
    #[inline(always)]
    pub const fn index(self) -> usize {
        self.0
    }
}

/// A block of counters as words: of one CPU, or the sum over all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Counts(pub [u64; WORDS]);

impl Default for Counts {
    fn default() -> Self {
        Counts([0; WORDS])
    }
}

impl Counts {
    /// One row.
    pub fn row(&self, index: RowIndex) -> Row {
        Row { datagrams: self.0[2 * index.0], bytes: self.0[2 * index.0 + 1] }
    }

    /// Counts one datagram.
    pub fn count(&mut self, index: RowIndex, bytes: u64) {
        self.0[2 * index.0] += 1;
        self.0[2 * index.0 + 1] += bytes;
    }

    /// Datagrams in a place.
    pub fn place(&self, place: Place) -> Row {
        self.row(RowIndex::of_place(place))
    }

    /// Requests of a kind.
    pub fn kind(&self, kind: Kind) -> Row {
        self.row(RowIndex::of_kind(kind))
    }

    /// Requests of a kind that went up.
    pub fn up(&self, kind: Kind) -> Row {
        self.row(RowIndex::of_up(kind))
    }

    /// Drops with a reason.
    pub fn reason(&self, reason: Reason) -> Row {
        self.row(RowIndex::of_reason(reason))
    }

    /// Answers of a kind.
    pub fn answer(&self, kind: Kind) -> Row {
        self.row(RowIndex::of_answer(kind))
    }

    /// Drops in all.
    pub fn dropped(&self) -> u64 {
        Reason::ALL.iter().map(|&reason| self.reason(reason).datagrams).sum()
    }

    /// The sum of two blocks.
    pub fn plus(&self, other: &Counts) -> Counts {
        self.with(other, u64::wrapping_add)
    }

    /// What came after `earlier`.
    pub fn since(&self, earlier: &Counts) -> Counts {
        self.with(earlier, u64::wrapping_sub)
    }

    fn with(&self, other: &Counts, join: impl Fn(u64, u64) -> u64) -> Counts {
        Counts(core::array::from_fn(|i| join(self.0[i], other.0[i])))
    }
}

/// Kinds of replies cannot be requests; the mask keeps the row inside the block whatever comes.
#[inline(always)]
const fn request_index(kind: Kind) -> usize {
    (kind.index().wrapping_sub(1) & 0x0f) % REQUESTS_MAX
}

/// Which of [`ANSWERS`].
#[inline(always)]
pub const fn answer_index(kind: Kind) -> usize {
    match kind {
        Kind::Challenge => 0,
        Kind::Pong => 1,
        Kind::Nothing => 2,
        _ => 3,
    }
}

/// Words of a client's row in the gate's books: what it asked, by kind number, what it was answered, and what was dropped.
pub const CLIENT_WORDS: usize = 32;
const CLIENT_ANSWERS: usize = 16;

/// A word of such a row.
#[derive(Clone, Copy)]
pub struct ClientWord(usize);

impl ClientWord {
    /// Requests that were dropped.
    pub const DROPPED: ClientWord = ClientWord(CLIENT_ANSWERS + ANSWERS.len());

    /// Requests of a kind that ended at the gate.
    #[inline(always)]
    pub const fn received(kind: Kind) -> ClientWord {
        ClientWord(kind.index() & 0x0f)
    }

    /// Answers of a kind.
    #[inline(always)]
    pub const fn answer(kind: Kind) -> ClientWord {
        ClientWord(CLIENT_ANSWERS + answer_index(kind))
    }

    /// Below [`CLIENT_WORDS`].
    #[inline(always)]
    pub const fn index(self) -> usize {
        self.0
    }
}

/// Names the layout an object was built for: a hash (FNV-1a) over the rows' names and what steering depends on. Loading
/// refuses an object with another, so that no counter is read under a wrong name and no datagram steered by another rule.
pub const LAYOUT: u64 = {
    let mut hash = 0xcbf2_9ce4_8422_2325;
    let mut table = 0;
    while table < 4 {
        let names = [Places::NAMES, Kinds::NAMES, Reasons::NAMES, Answers::NAMES][table];
        let mut i = 0;
        while i < names.len() {
            hash = fnv(hash, names[i].as_bytes());
            i += 1;
        }
        table += 1;
    }
    let steering = [
        crate::kind::VERSION as u64,
        crate::limits::SLOTS_PER_SET as u64,
        crate::limits::SLOT_BITS as u64,
        crate::limits::WORKERS_MAX as u64,
        crate::limits::PORTS_MAX as u64,
        crate::limits::LISTENS_MAX as u64,
        crate::limits::XSK_INTERFACES as u64,
        crate::limits::XSK_QUEUES as u64,
        crate::clients::CLIENT_ROWS as u64,
        crate::timeline::BINS as u64,
        crate::limits::COOKIE_LIFE_S as u64,
        crate::limits::COOKIE_ROTATE_S as u64,
    ];
    let mut i = 0;
    while i < steering.len() {
        hash = fnv(hash, &steering[i].to_le_bytes());
        i += 1;
    }
    hash
};

const fn fnv(mut hash: u64, bytes: &[u8]) -> u64 {
    let mut i = 0;
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u64).wrapping_mul(0x0100_0000_01b3);
        i += 1;
    }
    (hash ^ 0xff).wrapping_mul(0x0100_0000_01b3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_the_names_of_their_kinds_and_reasons() {
        for (&reason, &name) in Reason::ALL.iter().zip(Reasons::NAMES) {
            assert_eq!(reason.name(), name);
            assert!(RowIndex::of_reason(reason).index() < ROWS);
        }
        for kind in Kind::ALL.iter().filter(|kind| kind.is_request()) {
            assert_eq!(kind.name(), Kinds::NAMES[RowIndex::of_kind(*kind).index() - KINDS_FIRST]);
        }
    }

    #[test]
    fn a_count_lands_in_its_row_alone() {
        for index in (0..ROWS).map(RowIndex) {
            let mut counts = Counts::default();
            counts.count(index, 60);
            assert_eq!(counts.row(index), Row { datagrams: 1, bytes: 60 });
            assert_eq!(counts.0.iter().sum::<u64>(), 61);
        }
    }
}
