//! Every limit of the system in one place, tied together by assertions that fail the build.
//!
//! A limit that is reached is an answer (a counted reason or a typed refusal), never an allocation.

/// UDP port of the service, after the year of the gala.
pub const PORT_DEFAULT: u16 = 2015;
/// Largest UDP payload either side sends: fits the IPv6 minimum MTU with room for a tunnel header.
pub const DATAGRAM_MAX: usize = 1232;

/// Sessions of one SET.
pub const SLOTS_PER_SET: usize = 4608;
/// SETs of a server unless a flag says otherwise: 256 * 4 608 slots hold a million sessions with eleven sigma of room.
pub const SETS_DEFAULT: usize = 256;
/// Low bits of a session id that name the slot on this server; the rest are the generation.
pub const SLOT_BITS: u32 = 22;
/// SETs that the slot bits can address.
pub const SETS_MAX: usize = (1 << SLOT_BITS) / SLOTS_PER_SET;
/// Workers of a server.
pub const WORKERS_MAX: usize = 64;
/// UDP ports that the gate knows as ours.
pub const PORTS_MAX: usize = 4;
/// CPUs that the gate can send to.
pub const CPUS_MAX: usize = 256;
/// Addresses that a server listens on, each with a socket per worker.
pub const LISTENS_MAX: usize = 8;

/// Interfaces and queues of each that can have an AF_XDP socket; both powers of two.
pub const XSK_INTERFACES: usize = 64;
/// Queues of an interface that can have one.
pub const XSK_QUEUES: usize = 64;
/// Places in the gate's table of them.
pub const XSKS_MAX: usize = XSK_INTERFACES * XSK_QUEUES;

/// Accounts that one SET holds in memory; a log-in beyond is refused as *full*. As many as a hash table of 8 192 places takes.
/// A ledger whose SET knows more users does not start: it may rise, and must not fall once there are ledgers.
pub const ACCOUNTS_PER_SET_MAX: usize = 7168;
/// Packets that one SET remembers, finished ones included; a SEND that finds only open ones is refused as *full*.
pub const PACKETS_PER_SET_MAX: usize = 4096;
/// Packets addressed to a whole SET that its users are told of in a second: each is a visit to every account.
pub const SET_WIDE_TOLD_PER_SECOND_MAX: u32 = 16;
/// Open packets addressed to a whole SET, per SET: each makes a notice for every user there.
pub const SET_WIDE_OPEN_MAX: usize = 16;
/// Blocks of 64 bytes per SET for recipients, shares and greetings of packets.
pub const PACKET_BLOCKS_PER_SET_MAX: usize = 32_768;
/// Notices that wait in one SET: those of users who never come must not take the room of those who are there.
pub const NOTICES_PER_SET_MAX: usize = 32_768;
/// Of them those about packets, which any user can cause: the rest is kept for prizes and refunds.
pub const PACKET_NOTICES_PER_SET_MAX: usize = NOTICES_PER_SET_MAX / 4 * 3;
/// Blocks of 64 bytes per SET: packets, notices, and every answer that may be kept, each with room of its own.
pub const BLOCKS_PER_SET_MAX: usize =
    PACKET_BLOCKS_PER_SET_MAX + NOTICES_PER_SET_MAX + ACCOUNTS_PER_SET_MAX * ANSWERS_KEPT;
/// Prizes that wait in one SET.
pub const PRIZES_PER_SET_MAX: usize = 1024;

/// Smallest and largest share of a packet, in fen.
pub const SHARE_MIN_FEN: u64 = 1;
/// Largest share of a packet, in fen (200 yuan).
pub const SHARE_MAX_FEN: u64 = 20_000;
/// Shares of a packet.
pub const SHARES_MAX: usize = 100;
/// Listed recipients of a packet.
pub const RECIPIENTS_MAX: usize = 100;
/// Bytes of a greeting, UTF-8.
pub const GREETING_MAX: usize = 120;
/// Shares shown on one page of a packet's detail.
pub const DETAIL_PAGE_SHARES: usize = 40;
/// Rows on one page of a user's history.
pub const HISTORY_PAGE_ROWS: usize = 47;
/// Questions of one worker's SETs that wait for who reads the ledger; one more is refused as *busy*.
pub const ASKS_MAX: usize = 64;
/// Answers kept per user for repeats of a request.
pub const ANSWERS_KEPT: usize = 16;
/// Width of the window of request numbers below the highest seen.
pub const REQUEST_WINDOW: u64 = 64;
/// Notices that wait for one user's acknowledgement.
pub const NOTICES_PER_USER_MAX: usize = 32;
/// Of them those about packets, which any user can cause: the rest is kept for prizes and refunds.
pub const PACKET_NOTICES_PER_USER_MAX: usize = NOTICES_PER_USER_MAX / 4 * 3;
/// Prizes one user may win in a campaign unless it says otherwise.
pub const PRIZES_PER_USER_DEFAULT: u8 = 3;

/// Notes that one worker may have unanswered at others, in all.
pub const NOTE_CREDITS: usize = 8192;
/// Room of the ring between two workers: the asks of one side and its answers to the other's both fit.
pub const NOTE_RING_SLOTS: usize = 2 * NOTE_CREDITS;

/// Seconds that a cookie is good for.
pub const COOKIE_LIFE_S: u32 = 30;
/// Seconds between changes of the cookie secret: with two secrets alive, every cookie outlives none of them.
pub const COOKIE_ROTATE_S: u32 = 64;
/// Milliseconds a slot rests before it is used again.
pub const SLOT_REST_MS: u32 = 1000;

/// Client addresses that are counted one by one; further ones share a row.
pub const CLIENTS_MAX: usize = 256;
/// Buckets for parts of the network, under a keyed hash: two parts may share one.
pub const PREFIX_BUCKETS: usize = 1 << 16;
/// Prefixes on the deny list.
pub const DENIED_MAX: usize = 1024;

/// Datagrams taken per system call.
pub const RX_SLOTS: usize = 64;
/// One request yields at most one reply, so a full receive batch always fits the transmit batch.
pub const TX_SLOTS: usize = RX_SLOTS;

const _: () = assert!(SETS_DEFAULT * SLOTS_PER_SET >= 1_000_000);
const _: () = assert!(SETS_DEFAULT <= SETS_MAX);
// Slots, accounts and packets of a SET are indexed by u16, blocks by u32.
const _: () = assert!(SLOTS_PER_SET < u16::MAX as usize);
const _: () = assert!(ACCOUNTS_PER_SET_MAX < u16::MAX as usize);
const _: () = assert!(ACCOUNTS_PER_SET_MAX >= SLOTS_PER_SET);
const _: () = assert!(PACKETS_PER_SET_MAX < u16::MAX as usize);
const _: () = assert!(COOKIE_LIFE_S < COOKIE_ROTATE_S);
const _: () = assert!(TX_SLOTS >= RX_SLOTS);
const _: () = assert!(NOTE_CREDITS > RECIPIENTS_MAX);
// A SEND with every recipient and the longest greeting, and a full page of a packet's detail, fit one datagram.
const _: () =
    assert!(crate::wire::Send::LEN + 8 * RECIPIENTS_MAX + GREETING_MAX + crate::wire::TRAILER <= DATAGRAM_MAX);
const _: () = assert!(
    crate::wire::DetailPage::LEN
        + crate::wire::ShareRow::LEN * DETAIL_PAGE_SHARES
        + GREETING_MAX
        + crate::wire::TRAILER
        <= DATAGRAM_MAX
);
// So does a full page of a history.
const _: () = assert!(
    crate::wire::HistoryPage::LEN + crate::wire::HistoryRow::LEN * HISTORY_PAGE_ROWS + crate::wire::TRAILER
        <= DATAGRAM_MAX
);
