//! One evening of user 7, datagram by datagram, with fixed keys and times.
//!
//! The golden files hold these bytes, and the worked examples of docs/PROTOCOL.md are the same ones, so the code, the
//! files and the document cannot tell three stories. All are made by `rp_core`, none by hand.

use rp_core::cookie::Baker;
use rp_core::key::{self, Key, SealingKey};
use rp_core::kind::Kind;
use rp_core::limits::{DATAGRAM_MAX, SLOT_BITS, SLOTS_PER_SET};
use rp_core::posting::Act;
use rp_core::sealing::close_money;
use rp_core::steer::{set_hash, set_of_user};
use rp_core::ticket::{ROLE_USER, Realm, Sealed, Ticket};
use rp_core::wire::*;

pub const USER: u64 = 7;
pub const SETS: u32 = 256;
/// 2026-02-16 20:00 in Beijing, the eve of the new year.
pub const NOW_S: u32 = 1_771_243_200;
pub const NOW_US: u64 = NOW_S as u64 * 1_000_000;
pub const NOW_MS: u64 = NOW_S as u64 * 1_000;
pub const REALM_ID: u32 = 1;
pub const CLIENT_NONCE: u64 = 0x1122_3344_5566_7788;
pub const SERVER_NONCE: u64 = 0x99aa_bbcc_ddee_ff00;
pub const REQUEST_HIGHEST: u64 = 41;
pub const GREETING: &str = "恭喜发财";

/// A datagram of the story.
pub struct Scene {
    /// The golden file and the example are named after it.
    pub name: &'static str,
    pub kind: Kind,
    /// The key of its tag, where it has one.
    pub key: Option<Key>,
    pub bytes: Vec<u8>,
}

/// `N` bytes that count up from `first`.
pub fn counting<const N: usize>(first: u8) -> [u8; N] {
    core::array::from_fn(|i| first + i as u8)
}

pub fn realm_key() -> [u8; 32] {
    counting(0x00)
}

pub fn ticket_nonce() -> [u8; 24] {
    counting(0x40)
}

pub fn secret() -> Key {
    counting(0x20)
}

pub fn ticket() -> Sealed {
    let ticket =
        Ticket { user: USER, secret: secret(), issued_s: NOW_S - 3_600, expires_s: NOW_S + 82_800, role: ROLE_USER };
    Realm::new(REALM_ID, &realm_key()).seal(&ticket, &ticket_nonce())
}

/// The second slot of the user's SET, in its first generation.
pub fn session() -> u32 {
    1 << SLOT_BITS | (set_of_user(USER, SETS) * SLOTS_PER_SET as u32 + 1)
}

/// The first packet of the user's SET.
pub fn packet() -> u64 {
    u64::from(set_of_user(USER, SETS)) << 48 | 1 << 16
}

pub fn session_key() -> Key {
    key::session_key(&secret(), CLIENT_NONCE, SERVER_NONCE, session())
}

pub fn sealing_key() -> SealingKey {
    key::sealing_key(&secret(), CLIENT_NONCE, SERVER_NONCE, session())
}

fn cookie() -> rp_core::cookie::Cookie {
    let mut ip = [0; 16];
    ip[10..].copy_from_slice(&[0xff, 0xff, 192, 0, 2, 7]);
    Baker::new(counting(0x80), 1).bake(&Origin::from(&Peer { ip, port: 40_000 }), CLIENT_NONCE, NOW_S)
}

/// The whole story in the order of docs/PROTOCOL.md.
pub fn scenes() -> Vec<Scene> {
    let mut all = log_in();
    all.extend(luck());
    all.extend(money());
    all.extend(reading());
    all.extend(moving());
    all.extend(leaving());
    all
}

fn scene(name: &'static str, kind: Kind, key: Option<Key>, write: impl FnOnce(&mut [u8]) -> usize) -> Scene {
    let mut bytes = vec![0; DATAGRAM_MAX];
    let len = write(&mut bytes);
    bytes.truncate(len);
    Scene { name, kind, key, bytes }
}

/// A datagram that ends in a tag alone.
fn tagged(name: &'static str, kind: Kind, key: Key, put: impl FnOnce(&mut [u8]) -> usize) -> Scene {
    scene(name, kind, Some(key), |out| {
        let len = put(out);
        key::seal(&key, out, len)
    })
}

/// A datagram that is sealed and tagged, under the session's keys.
fn money_of(name: &'static str, kind: Kind, put: impl FnOnce(&mut [u8]) -> usize) -> Scene {
    let key = session_key();
    scene(name, kind, Some(key), |out| {
        let len = put(out);
        close_money(&key, Some(sealing_key()), out, len)
    })
}

/// A datagram of 18 bytes.
fn head(name: &'static str, kind: Kind, flags: u8, sequence: u32) -> Scene {
    let key = session_key();
    scene(name, kind, Some(key), |out| SessionHead { flags, session: session(), sequence }.put_tagged(kind, &key, out))
}

fn log_in() -> Vec<Scene> {
    let (flags, set_hash, client_nonce) = (0, set_hash(USER), CLIENT_NONCE);
    let welcome = Welcome {
        flags: FLAG_SEALED,
        session: session(),
        client_nonce,
        server_nonce: SERVER_NONCE,
        request_highest: REQUEST_HIGHEST,
        server_time_us: NOW_US,
        idle_s: 300,
        sets: SETS as u16,
    };
    let refused =
        LoginRefused { flags, refusal: Refusal::Full as u8, reserved: 0, client_nonce, retry_after_ms: 5_000 };
    vec![
        scene("hello", Kind::Hello, None, |out| {
            Hello { flags, set_hash, client_nonce }.put(out);
            HELLO_LEN
        }),
        scene("challenge", Kind::Challenge, None, |out| {
            Challenge { flags, set_hash, client_nonce, cookie: cookie() }.put(out)
        }),
        tagged("login", Kind::Login, secret(), |out| {
            Login { flags, set_hash, client_nonce, cookie: cookie(), ticket: ticket() }.put(out)
        }),
        tagged("welcome", Kind::Welcome, session_key(), |out| welcome.put(out)),
        tagged("login_refused", Kind::LoginRefused, secret(), |out| refused.put(out)),
    ]
}

fn luck() -> Vec<Scene> {
    let session = session();
    let about = 1 << 32;
    let prize = Prize { flags: 0, session, counter: 1, sequence: 2, notice: 1, about, fen: 83 };
    let again = Notice {
        flags: 0,
        session,
        counter: 2,
        notice: 1,
        about_type: NoticeType::Prize as u8,
        about,
        from: 0,
        fen: 83,
        at_ms: NOW_MS + 2_000,
    };
    let (client_time_us, server_time_us) = (NOW_US + 3_000_000, NOW_US + 3_000_250);
    vec![
        head("shake", Kind::Shake, 0, 1),
        head("nothing", Kind::Nothing, 0, 1),
        head("shake_that_wins", Kind::Shake, 0, 2),
        money_of("prize", Kind::Prize, |out| prize.put(out)),
        money_of("notice_of_the_prize", Kind::Notice, |out| again.put(out)),
        tagged("notice_ack", Kind::NoticeAck, session_key(), |out| NoticeAck { flags: 0, session, notice: 1 }.put(out)),
        tagged("ping", Kind::Ping, session_key(), |out| {
            Ping { flags: 0, session, sequence: 3, client_time_us }.put(out)
        }),
        tagged("pong", Kind::Pong, session_key(), |out| {
            Pong { flags: 0, session, sequence: 3, client_time_us, server_time_us }.put(out)
        }),
        head("busy", Kind::Busy, 5, 4),
    ]
}

fn money() -> Vec<Scene> {
    let (flags, session, packet) = (0, session(), packet());
    let send = Send {
        flags,
        session,
        counter: 1,
        request: 42,
        total_fen: 300,
        split: SPLIT_EQUAL,
        audience: AUDIENCE_LISTED,
        shares: 3,
        recipients: 0,
        set: 0,
        greeting_len: 0,
        reserved: 0,
    };
    let wide = Send { counter: 2, request: 43, split: SPLIT_RANDOM, audience: AUDIENCE_SET, set: 5, ..send };
    let notice = Notice {
        flags,
        session,
        counter: 4,
        notice: 2,
        about_type: NoticeType::Packet as u8,
        about: packet,
        from: USER,
        fen: 300,
        at_ms: NOW_MS + 4_000,
    };
    let grabbed = Grabbed { flags, session, counter: 6, request: 44, packet, share_fen: 100, balance_fen: 99_883 };
    let mine = Refused {
        flags,
        session,
        counter: 7,
        request: 45,
        refusal: Refusal::AlreadyYours as u8,
        kind: Kind::Grab as u8,
        retry_after_ms: 0,
        share_fen: 100,
    };
    let busy =
        Refused { counter: 5, request: 44, refusal: Refusal::Busy as u8, retry_after_ms: 500, share_fen: 0, ..mine };
    vec![
        money_of("send", Kind::Send, |out| SendView::put(send, &[USER, 8, 9], GREETING, out)),
        money_of("sent", Kind::Sent, |out| {
            Sent { flags, session, counter: 3, request: 42, packet, balance_fen: 99_783 }.put(out)
        }),
        money_of("send_to_a_set", Kind::Send, |out| SendView::put(wide, &[], "", out)),
        money_of("notice", Kind::Notice, |out| notice.put(out)),
        money_of("grab", Kind::Grab, |out| Grab { flags, session, counter: 3, request: 44, packet }.put(out)),
        money_of("refused_busy", Kind::Refused, |out| busy.put(out)),
        money_of("grab_again", Kind::Grab, |out| Grab { flags, session, counter: 4, request: 44, packet }.put(out)),
        money_of("grabbed", Kind::Grabbed, |out| grabbed.put(out)),
        money_of("refused", Kind::Refused, |out| mine.put(out)),
    ]
}

fn reading() -> Vec<Scene> {
    let (flags, session, packet) = (0, session(), packet());
    let page = DetailPage {
        flags,
        session,
        counter: 8,
        request: 1,
        packet,
        sender: USER,
        total_fen: 300,
        left_fen: 200,
        made_ms: NOW_MS + 4_000,
        state: PacketState::Open as u8,
        shares: 3,
        taken: 1,
        best: 255,
        first: 0,
        count: 1,
        greeting_len: GREETING.len() as u8,
        reserved: 0,
    };
    let row = ShareRow { user: USER, taken_ms: NOW_MS + 4_500, share_fen: 100 };
    vec![
        money_of("detail", Kind::Detail, |out| {
            Detail { flags, session, counter: 5, request: 1, packet, first: 0 }.put(out)
        }),
        money_of("detail_page", Kind::DetailPage, |out| {
            let mut at = page.put(out);
            at += row.put_fields(&mut out[at..]);
            out[at..at + GREETING.len()].copy_from_slice(GREETING.as_bytes());
            at + GREETING.len()
        }),
        money_of("balance", Kind::Balance, |out| Balance { flags, session, counter: 6, request: 2 }.put(out)),
        money_of("balance_is", Kind::BalanceIs, |out| {
            BalanceIs { flags, session, counter: 9, request: 2, balance_fen: 99_883 }.put(out)
        }),
        money_of("history", Kind::History, |out| {
            History { flags, session, counter: 7, request: 3, before: 0 }.put(out)
        }),
        money_of("history_page", Kind::HistoryPage, |out| {
            let count = evening().len() as u8;
            let mut at = HistoryPage { flags, session, counter: 11, request: 3, next: 0, count }.put(out);
            for row in evening() {
                at += row.put_fields(&mut out[at..]);
            }
            at
        }),
    ]
}

/// What moved the user's money, newest first.
fn evening() -> [HistoryRow; 4] {
    let row = |at_ms, act: Act, about, fen| HistoryRow { at_ms, act: act as u8, about, fen };
    [
        row(NOW_MS + 4_500, Act::Taken, packet(), 100),
        row(NOW_MS + 4_000, Act::Sent, packet(), 300),
        row(NOW_MS + 2_000, Act::Won, 1 << 32, 83),
        row(NOW_MS - 3_600_000, Act::Deposited, 0, 100_000),
    ]
}

fn moving() -> Vec<Scene> {
    let token = 0xfeed_beef;
    vec![
        head("path_challenge", Kind::PathChallenge, 0, token),
        head("echo", Kind::Echo, 0, token),
        head("echoed", Kind::Echoed, 0, token),
    ]
}

fn leaving() -> Vec<Scene> {
    let mut words = [0; 8 * TOTALS_WORDS];
    for (word, value) in [(1, 1), (2, 1), (4, 2), (13, 1), (33, 1), (72, 1), (80, 100_083), (81, 99_883)] {
        words[8 * word..8 * word + 8].copy_from_slice(&u64::to_le_bytes(value));
    }
    let totals = TotalsAre { flags: 0, session: session(), counter: 10, sequence: 5, words };
    let gone = SessionHead { flags: 0, session: session(), sequence: 7 };
    vec![
        head("totals", Kind::Totals, 0, 5),
        money_of("totals_are", Kind::TotalsAre, |out| totals.put(out)),
        head("bye", Kind::Bye, 0, 6),
        head("goodbye", Kind::Goodbye, 0, 6),
        scene("unknown_session", Kind::UnknownSession, None, |out| gone.put_untagged(Kind::UnknownSession, out)),
    ]
}
