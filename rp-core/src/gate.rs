//! What the gate does with a request: answers it in place, drops it with a reason, or lets it go up to its worker.
//!
//! Everything is proven before it costs anything: a cookie before a log-in goes up, a tag before a session's bucket is
//! asked. What is not proven here (unknown sessions, new addresses, kinds whose tag the worker checks) goes up only as
//! fast as strangers may.

use crate::answer::{self, Step};
use crate::bucket::Rate;
use crate::cookie::Baker;
use crate::entry::{Entry, State, Words};
use crate::frame::{FrameMut, Payload, Request, is_for_one, sender, turn, word};
use crate::key::{Key, sip_words};
use crate::kind::Kind;
use crate::limits::SLOT_BITS;
use crate::now::Now;
use crate::pot::Pot;
use crate::reason::Reason;
use crate::wire::{CHALLENGE_LEN, HELLO_LEN, Hello, Origin, Ping, Pong, SHAKE_LEN, SessionHead, TAG_LEN};

/// What surrounds the decision: maps and clocks in the kernel, plain memory in tests.
pub trait Ground {
    /// A line of shared memory.
    type Line: Words;
    /// The time.
    fn now(&self) -> Now;
    /// The entry of a slot, if there is such a slot.
    fn entry(&self, slot: u32) -> Option<Entry<Self::Line>>;
    /// The pot of a SET.
    fn pot(&self, set: u32) -> Option<Pot<Self::Line>>;
    /// How fast a session may ask.
    fn session_rate(&self) -> Rate;
    /// Makes and checks cookies.
    fn baker(&self) -> Baker;
    /// Is an address on the deny list?
    fn denies(&self, from: &Origin) -> bool;
    /// Row in the books of the client at an address; zero is the row that strangers share.
    fn client(&self, from: &Origin) -> u16;
    /// Is there room for one more from somebody who has proven nothing?
    fn admit_stranger(&self) -> bool;
    /// Is there room for one more log-in from this part of the network?
    fn admit_prefix(&self, from: &Origin) -> bool;
    /// Is there room for one more from a session?
    ///
    /// # Errors
    /// Milliseconds until there is.
    fn admit_session(&self) -> Result<(), u32>;
    /// A shake that is answered here is the first of its sequence.
    fn count_shake(&self, unix_us: u64);
}

/// What becomes of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ruling {
    /// It goes to its worker.
    Up,
    /// It ends here.
    Drop(Reason),
    /// Its frame is now that of an answer of this kind.
    Answer(Kind),
}

/// What becomes of a request, and in whose row of the books it counts: zero where the sender's address has none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ruled {
    /// What becomes of it.
    pub ruling: Ruling,
    /// The row.
    pub client: u16,
}

impl Ruled {
    #[inline(always)]
    const fn stranger(ruling: Ruling) -> Ruled {
        Ruled { ruling, client: 0 }
    }
}

/// Rules on a request, and turns its frame if the answer is given here.
#[inline(always)]
pub fn rule<F: FrameMut + ?Sized, G: Ground>(frame: &mut F, request: &Request, ground: &G) -> Ruled {
    // A frame that is shorter than it was is none that the parser saw.
    read(frame, request, ground).unwrap_or(Ruled::stranger(Ruling::Drop(Reason::BadHeader)))
}

/// None when the frame is shorter than its headers say.
#[inline(always)]
fn read<F: FrameMut + ?Sized, G: Ground>(frame: &mut F, request: &Request, ground: &G) -> Option<Ruled> {
    let from = sender(frame, request)?;
    if ground.denies(&from) {
        return Some(Ruled::stranger(Ruling::Drop(Reason::Denied)));
    }
    let ruled = match request.kind {
        Kind::Login => log_in(frame, request, &from, ground),
        // Behind IP options nothing is answered here, nor in the name of a group.
        _ if !request.is_plain() || !is_for_one(frame) => Some(stranger_up(ground)),
        Kind::Hello => hello(frame, request, &from, ground),
        _ => session(frame, request, &from, ground),
    }?;
    // What is answered or only too fast is its address's, else a client's books would miss it. What is false is nobody's: it may
    // have been sent in a client's name.
    match ruled.ruling {
        Ruling::Answer(_) | Ruling::Drop(Reason::StrangerLimited | Reason::PrefixLimited) if ruled.client == 0 => {
            Some(Ruled { client: ground.client(&from), ..ruled })
        }
        _ => Some(ruled),
    }
}

/// Up, if strangers may.
#[inline(always)]
fn stranger_up<G: Ground>(ground: &G) -> Ruled {
    Ruled::stranger(if ground.admit_stranger() { Ruling::Up } else { Ruling::Drop(Reason::StrangerLimited) })
}

#[inline(always)]
fn hello<F: FrameMut + ?Sized, G: Ground>(
    frame: &mut F,
    request: &Request,
    from: &Origin,
    ground: &G,
) -> Option<Ruled> {
    let at = request.payload_offset;
    let (head, middle) = (word(frame, at)?, word(frame, at + 8)?);
    let (more, end) = (word(frame, at + 16)?, word(frame, at + 24)?);
    // Kind, flags, SET hash, nonce, zeros, as wire/login.rs lays them out.
    let (flags, set_hash, client_nonce) = ((head >> 8) as u8, (head >> 16) as u16, head >> 32 | middle << 32);
    if flags != 0 || middle >> 32 | more | end != 0 {
        return Some(Ruled::stranger(Ruling::Drop(Reason::BadField)));
    }
    if !ground.admit_stranger() {
        return Some(Ruled::stranger(Ruling::Drop(Reason::StrangerLimited)));
    }
    let [t0, t1, t2, t3, h0, h1, h2, h3, h4, h5, h6, h7] =
        ground.baker().bake(from, client_nonce, ground.now().unix_s());
    // Kind, flags, SET hash, nonce, cookie, as wire/login.rs lays them out.
    let head = u64::from(Kind::Challenge.first_byte()) | u64::from(set_hash) << 16;
    let made = u32::from_le_bytes([t0, t1, t2, t3]);
    let words = [
        head | client_nonce << 32,
        client_nonce >> 32 | u64::from(made) << 32,
        u64::from_le_bytes([h0, h1, h2, h3, h4, h5, h6, h7]),
    ];
    Some(Ruled::stranger(turned(frame, request, Payload { words, tail: None }, Kind::Challenge)))
}

const _: () = assert!(HELLO_LEN == 32 && Hello::LEN == 12);

/// Bytes of a LOGIN up to the end of its cookie.
const LOGIN_HEAD: usize = 24;

#[inline(always)]
fn log_in<F: FrameMut + ?Sized, G: Ground>(
    frame: &mut F,
    request: &Request,
    from: &Origin,
    ground: &G,
) -> Option<Ruled> {
    let head: [u8; LOGIN_HEAD] = frame.read(request.payload_offset)?;
    let [_, _, _, _, n0, n1, n2, n3, n4, n5, n6, n7, cookie @ ..] = head;
    let client_nonce = u64::from_le_bytes([n0, n1, n2, n3, n4, n5, n6, n7]);
    let ruling = match ground.baker().check(&cookie, from, client_nonce, ground.now().unix_s()) {
        Err(reason) => Ruling::Drop(reason),
        // Only now: else whoever forges addresses could use up the share of others.
        Ok(()) if !ground.admit_prefix(from) => Ruling::Drop(Reason::PrefixLimited),
        Ok(()) if !ground.admit_stranger() => Ruling::Drop(Reason::StrangerLimited),
        Ok(()) => Ruling::Up,
    };
    Some(Ruled::stranger(ruling))
}

const PING_LEN: usize = Ping::LEN + TAG_LEN;
const PONG_LEN: usize = Pong::LEN + TAG_LEN;

#[inline(always)]
fn session<F: FrameMut + ?Sized, G: Ground>(
    frame: &mut F,
    request: &Request,
    from: &Origin,
    ground: &G,
) -> Option<Ruled> {
    let at = request.payload_offset;
    let (first, last) = (word(frame, at)?, half(frame, at + 8)?);
    // Kind, flags, session, sequence, as wire/session.rs lays them out.
    let (flags, session) = ((first >> 8) as u8, (first >> 16) as u32);
    let sequence = (first >> 48) as u32 | u32::from(last) << 16;
    let slot = session & ((1 << SLOT_BITS) - 1);
    let (Some(entry), Some(pot)) = (ground.entry(slot), ground.pot(request.set)) else {
        return Some(Ruled::stranger(Ruling::Drop(Reason::NoSuchSlot)));
    };
    if !entry.status().is_of(session) {
        return Some(stranger_up(ground));
    }
    let key = entry.key();
    let is_here = entry.is_at(from);
    let is_true = match request.payload_len {
        SHAKE_LEN => word(frame, at + 10)? == sip_words(&key, [first], last.into(), 2),
        PING_LEN if matches!(request.kind, Kind::Ping) => {
            let (middle, last) = (word(frame, at + 8)?, half(frame, at + 16)?);
            word(frame, at + 18)? == sip_words(&key, [first, middle], last.into(), 2)
        }
        // The worker checks the tag of what is longer, and asks the session's bucket then.
        _ if is_here => return Some(Ruled::stranger(Ruling::Up)),
        _ => return Some(stranger_up(ground)),
    };
    if !is_true {
        return Some(Ruled::stranger(Ruling::Drop(Reason::BadTag)));
    }
    let client = entry.client();
    if flags != 0 {
        return Some(Ruled { ruling: Ruling::Drop(Reason::BadField), client });
    }
    // An echo proves an address, so it is a stranger's until the worker has checked it.
    if !is_here || request.kind == Kind::Echo {
        return Some(stranger_up(ground));
    }
    let asks = SessionHead { flags, session, sequence };
    let (rate, now) = (ground.session_rate(), ground.now());
    entry.see(now.mono_ms());
    if !matches!(request.kind, Kind::Shake | Kind::Ping) {
        return Some(Ruled { ruling: Ruling::Up, client });
    }
    let numbers = (session, sequence);
    let step = match answer::refusal(&entry, numbers, rate, now.mono_ms()) {
        Some(refusal) => refusal,
        // Only now: who is refused anyway takes nothing that is for all.
        None => match ground.admit_session() {
            Err(wait_ms) => Step::Busy(wait_ms),
            Ok(()) if request.kind == Kind::Shake => answer::shake(&entry, &pot, numbers, rate, now.mono_ms()),
            // Its worker takes from the bucket then.
            Ok(()) if entry.status().state() == State::Nothing && !has_room(frame, PONG_LEN - PING_LEN) => Step::Up,
            Ok(()) => answer::ping(&entry, numbers, rate, now.mono_ms()),
        },
    };
    if step == Step::AnswerNew {
        ground.count_shake(now.unix_us);
        pot.shake(now.unix_s());
    }
    let ruling = match (step, request.kind) {
        (Step::Up, _) => Ruling::Up,
        (Step::Drop(reason), _) => Ruling::Drop(reason),
        (Step::Busy(wait_ms), _) => {
            let busy = SessionHead { flags: answer::tenths(wait_ms), ..asks };
            turned(frame, request, tagged(&busy, Kind::Busy, &key), Kind::Busy)
        }
        (_, Kind::Ping) => pong(frame, request, &asks, &now, &key)?,
        _ => turned(frame, request, tagged(&asks, Kind::Nothing, &key), Kind::Nothing),
    };
    Some(Ruled { ruling, client })
}

/// Is there room for so many bytes more?
#[inline(always)]
fn has_room<F: FrameMut + ?Sized>(frame: &mut F, bytes: usize) -> bool {
    frame.grow(bytes as i32).is_some() && frame.grow(-(bytes as i32)).is_some()
}

/// Two bytes of a frame.
#[inline(always)]
fn half<F: FrameMut + ?Sized>(frame: &F, at: usize) -> Option<u16> {
    frame.read(at).map(u16::from_le_bytes)
}

/// A head and its tag.
#[inline(always)]
fn tagged(head: &SessionHead, kind: Kind, key: &Key) -> Payload<2> {
    let (first, last) = head_words(head, kind);
    let tag = sip_words(key, [first], last.into(), 2);
    Payload { words: [first, u64::from(last) | tag << 16], tail: Some((tag >> 48) as u16) }
}

/// The ten bytes of a head: eight and two.
#[inline(always)]
fn head_words(head: &SessionHead, kind: Kind) -> (u64, u16) {
    let first = u64::from(kind.first_byte()) | u64::from(head.flags) << 8 | u64::from(head.session) << 16;
    (first | u64::from(head.sequence) << 48, (head.sequence >> 16) as u16)
}

#[inline(always)]
fn pong<F: FrameMut + ?Sized>(
    frame: &mut F,
    request: &Request,
    asks: &SessionHead,
    now: &Now,
    key: &Key,
) -> Option<Ruling> {
    let client_time = word(frame, request.payload_offset + SessionHead::LEN)?;
    let (first, last) = head_words(&SessionHead { flags: 0, ..*asks }, Kind::Pong);
    let words = [first, u64::from(last) | client_time << 16, client_time >> 48 | now.unix_us << 16];
    let tag = sip_words(key, words, now.unix_us >> 48, 2);
    let words = [words[0], words[1], words[2], now.unix_us >> 48 | tag << 16];
    Some(turned(frame, request, Payload { words, tail: Some((tag >> 48) as u16) }, Kind::Pong))
}

const _: () = assert!(Pong::LEN == 26 && Ping::LEN == 18 && CHALLENGE_LEN == 24);

/// A frame that has no room for its answer goes up: the worker gives the same answer.
#[inline(always)]
fn turned<F: FrameMut + ?Sized, const WORDS: usize>(
    frame: &mut F,
    request: &Request,
    answer: Payload<WORDS>,
    kind: Kind,
) -> Ruling {
    match turn(frame, request, answer) {
        Some(()) => Ruling::Answer(kind),
        None => Ruling::Up,
    }
}
