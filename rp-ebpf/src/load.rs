//! The load client's kernel programs: `blast` makes shakes, one after another, for BPF_PROG_TEST_RUN with live frames to send;
//! `sink` takes the answers in at the client's interface.
//!
//! One run of `blast` is one frame: not due yet is a drop, due is a whole new frame, since recycled ones hold what the last
//! receiver left in them. It can also ask servers of other protocols, and send hostile datagrams beside the shakes. `sink`
//! believes only what is tagged under a session's key and answers its newest shake.
#![no_std]
#![no_main]
#![allow(internal_features)]
#![feature(asm_experimental_arch, core_intrinsics)]

#[allow(dead_code, reason = "the gate uses the rest")]
mod atomics;
#[allow(dead_code, reason = "the gate uses the rest")]
mod packet;

use aya_ebpf::bindings::{BPF_F_MMAPABLE, xdp_action};
use aya_ebpf::btf_maps::{Array, PerCpuArray};
use aya_ebpf::helpers::{bpf_ktime_get_ns, bpf_redirect};
use aya_ebpf::macros::{btf_map, xdp};
use aya_ebpf::programs::XdpContext;
use rp_core::entry::Words as _;
use rp_core::frame::{ETHERNET_LEN, Frame as _, FrameMut as _};
use rp_core::key::{Key, sip_words};
use rp_core::kind::Kind;
use rp_core::limits::SLOT_BITS;
use rp_core::load::*;
use rp_core::wire::{HELLO_LEN, SHAKE_LEN, bytes_of};

use atomics::{Line, LineBytes};
use packet::{Shown, Written};

const SHARED: usize = BPF_F_MMAPABLE as usize;
const IPV4_AT: usize = ETHERNET_LEN;
const UDP_AT: usize = IPV4_AT + 20;
const PAYLOAD_AT: usize = UDP_AT + 8;
/// What a HELLO or a question of another protocol is longer than a shake's frame of 60 bytes.
const LONG_FRAME_GROWTH: i32 = (PAYLOAD_AT + BARE_LEN - 60) as i32;
const _: () = assert!(HELLO_LEN == BARE_LEN);
/// A shake that is later than this is given up.
const LATE_NS: u64 = 100_000_000;

/// The sessions, by the order in which they shake.
#[btf_map(name = "fleet")]
static FLEET: Array<LineBytes, 1, SHARED> = Array::new();
/// Which of them has a slot of the server; plus one, so that zero is none.
#[btf_map(name = "by_slot")]
static BY_SLOT: Array<u64, 1, SHARED> = Array::new();
/// Slot (upper half) and index of sessions that shook lately.
#[btf_map(name = "lately")]
static LATELY_ASKED: Array<u64, { LATELY as usize }> = Array::new();
#[btf_map(name = "plan")]
static PLAN: Array<[u64; PLAN_WORDS], 1, SHARED> = Array::new();
#[btf_map(name = "state")]
static STATE: PerCpuArray<[u64; STATE_WORDS], 1> = PerCpuArray::new();
#[btf_map(name = "tally")]
static TALLY: PerCpuArray<[u64; TALLY_WORDS], 1> = PerCpuArray::new();
#[btf_map(name = "latencies")]
static LATENCIES: PerCpuArray<u64, BUCKETS> = PerCpuArray::new();

#[inline(always)]
fn count(tally: *mut [u64; TALLY_WORDS], what: Tally) {
    // SAFETY: a word of this CPU's value of a map, and only this CPU writes to it, one program at a time.
    unsafe { *tally.cast::<u64>().add(what as usize) += 1 }
}

/// Makes the next datagram, if it is due.
#[xdp]
#[inline(always)]
pub fn blast(ctx: XdpContext) -> u32 {
    make(&ctx).unwrap_or(xdp_action::XDP_ABORTED)
}

#[inline(always)]
fn make(ctx: &XdpContext) -> Option<u32> {
    let plan = Line::new(PLAN.get_ptr_mut(0)?.cast());
    let tally = TALLY.get_ptr_mut(0)?;
    // SAFETY: the words are this CPU's, and only this program writes to them.
    let state = unsafe { &mut *STATE.get_ptr_mut(0)? };
    // SAFETY: the helper takes nothing and reads a clock.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    if state[HOSTILE] > 0 {
        state[HOSTILE] -= 1;
        let session = Line::new(FLEET.get_ptr_mut(state[TURN] as u32)?);
        let spoofs = state[HOSTILE] & 1 == 0;
        harass(ctx, &plan, &session, now_ns, spoofs)?;
        count(tally, if spoofs { Tally::Spoofed } else { Tally::Forged });
        return leave(&plan, state);
    }
    if now_ns < state[DUE_NS] || state[REST] == 0 && now_ns < state[NOT_BEFORE_NS] {
        count(tally, Tally::Early);
        return Some(xdp_action::XDP_DROP);
    }
    if state[DUE_NS] == 0 || now_ns >= plan.load(PLAN_END_NS) {
        return Some(xdp_action::XDP_DROP);
    }
    let due_ns = next_due(&plan, state, now_ns);
    if now_ns > due_ns + LATE_NS {
        count(tally, Tally::Late);
        return Some(xdp_action::XDP_DROP);
    }
    state[HOSTILE] = plan.load(PLAN_HOSTILE);
    let turn = next_turn(&plan, state);
    let session = Line::new(FLEET.get_ptr_mut(turn as u32)?);
    note(&session, turn)?;
    let sequence = session.load(SEQUENCE) + 1;
    session.store(SEQUENCE, sequence);
    // From the due time on: what the generator is late counts.
    session.store(SENT_NS, due_ns);
    match plan.load(PLAN_BARE) {
        0 => shake(ctx, &plan, &session, sequence, 0)?,
        first => ask(ctx, &plan, &session, first | turn & 0xffff)?,
    }
    count(tally, Tally::Sent);
    leave(&plan, state)
}

/// Sends the frame by the link whose turn it is.
#[inline(always)]
fn leave(plan: &Line, state: &mut [u64; STATE_WORDS]) -> Option<u32> {
    let turn = state[LEFT] / TO_A_LINK % plan.load(PLAN_LINKS).max(1);
    state[LEFT] += 1;
    // The verifier forgets what a remainder is less than.
    let interface = plan.load(PLAN_LINK + (turn as usize & (LINKS_MAX - 1)));
    // SAFETY: the helper only notes where the frame goes.
    Some(unsafe { bpf_redirect(interface as u32, 0) } as u32)
}

/// When the shake whose turn has come is due; the whole burst at once.
#[inline(always)]
fn next_due(plan: &Line, state: &mut [u64; STATE_WORDS], now_ns: u64) -> u64 {
    let due_ns = state[DUE_NS];
    if state[REST] == 0 {
        state[REST] = plan.load(PLAN_BURST).max(1);
        state[NOT_BEFORE_NS] = now_ns + plan.load(PLAN_INTERVAL_NS) / 2;
    }
    state[REST] -= 1;
    if state[REST] == 0 {
        state[DUE_NS] += plan.load(PLAN_INTERVAL_NS);
    }
    due_ns
}

/// Whose turn it is.
#[inline(always)]
fn next_turn(plan: &Line, state: &mut [u64; STATE_WORDS]) -> u64 {
    state[MADE] += 1;
    let hot = plan.load(PLAN_HOT);
    if hot > 0 && state[MADE] % 10 != 0 {
        state[HOT_TURN] = after(state[HOT_TURN], hot);
        return state[HOT_TURN];
    }
    state[TURN] = after(state[TURN], plan.load(PLAN_SESSIONS) - hot);
    hot + state[TURN]
}

/// The next of `count`. In order, so that the machine fetches ahead: the table itself has no order.
#[inline(always)]
fn after(turn: u64, count: u64) -> u64 {
    if turn + 1 >= count { 0 } else { turn + 1 }
}

/// Notes whose answer is to be expected.
#[inline(always)]
fn note(session: &Line, turn: u64) -> Option<()> {
    let slot = session.load(ID) & ((1 << SLOT_BITS) - 1);
    let lately = LATELY_ASKED.get_ptr_mut(slot as u32 % LATELY)?;
    // SAFETY: a word of the map. The sink may read it on another CPU, and takes what is not about its slot for nothing.
    unsafe { core::ptr::write_volatile(lately, slot << 32 | turn) };
    Some(())
}

/// A shake of a session; `wrong` is zero unless its tag is to be false.
#[inline(always)]
fn shake(ctx: &XdpContext, plan: &Line, session: &Line, sequence: u64, wrong: u64) -> Option<()> {
    let mut frame = Written::frame(ctx);
    head(&mut frame, plan, plan.load(PLAN_ADDRESSES), session.load(ID) >> 32, SHAKE_LEN as u64)?;
    let id = session.load(ID) & 0xffff_ffff;
    let first = u64::from(Kind::Shake.first_byte()) | id << 16 | sequence << 48;
    let last = sequence >> 16 & 0xffff;
    let tag = sip_words(&key_of(session), [first], last, 2) ^ wrong;
    frame.write(PAYLOAD_AT, first.to_le_bytes())?;
    frame.write(PAYLOAD_AT + 8, (last | tag << 16).to_le_bytes())?;
    frame.write(PAYLOAD_AT + 16, ((tag >> 48) as u16).to_le_bytes())
}

/// A question in another protocol, whose first two bytes are its session's number in the table.
#[inline(always)]
fn ask(ctx: &XdpContext, plan: &Line, session: &Line, first: u64) -> Option<()> {
    resize(ctx)?;
    let mut frame = Written::frame(ctx);
    head(&mut frame, plan, plan.load(PLAN_ADDRESSES), session.load(ID) >> 32, BARE_LEN as u64)?;
    frame.write(PAYLOAD_AT, first.to_le_bytes())?;
    frame.write(PAYLOAD_AT + 8, plan.load(PLAN_BARE + 1).to_le_bytes())?;
    frame.write(PAYLOAD_AT + 16, plan.load(PLAN_BARE + 2).to_le_bytes())?;
    frame.write(PAYLOAD_AT + 24, plan.load(PLAN_BARE + 3).to_le_bytes())
}

/// What nobody asked for: a HELLO from an address that is not its sender's, or a shake under a false tag.
#[inline(always)]
fn harass(ctx: &XdpContext, plan: &Line, session: &Line, now_ns: u64, spoofs: bool) -> Option<()> {
    if !spoofs {
        return shake(ctx, plan, session, session.load(SEQUENCE) + 1, 1);
    }
    resize(ctx)?;
    let mut frame = Written::frame(ctx);
    let noise = now_ns.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    // Any address that begins with 11.
    let addresses = plan.load(PLAN_ADDRESSES) >> 32 << 32 | noise & 0xffff_ff00 | 11;
    head(&mut frame, plan, addresses, noise & 0xffff, HELLO_LEN as u64)?;
    let first = u64::from(Kind::Hello.first_byte()) | (noise & 0xffff) << 16 | now_ns << 32;
    frame.write(PAYLOAD_AT, first.to_le_bytes())?;
    frame.write(PAYLOAD_AT + 8, (now_ns >> 32).to_le_bytes())?;
    frame.write(PAYLOAD_AT + 16, 0u64.to_le_bytes())?;
    frame.write(PAYLOAD_AT + 24, 0u64.to_le_bytes())
}

/// Everything before the payload, of which there are `len` bytes, from a port of ours.
#[inline(always)]
fn head(frame: &mut Written<'_>, plan: &Line, addresses: u64, port: u64, len: u64) -> Option<()> {
    frame.write(0, plan.load(PLAN_ETHERNET).to_le_bytes())?;
    frame.write(8, (plan.load(PLAN_ETHERNET + 1) as u32).to_le_bytes())?;
    frame.write(12, ((plan.load(PLAN_ETHERNET + 1) >> 32) as u16).to_le_bytes())?;
    let ipv4_len = u64::from((len as u16 + 28).swap_bytes());
    let udp_len = u64::from((len as u16 + 8).swap_bytes());
    // Version 4 and five words; not to be fragmented; 64 hops, UDP.
    let (version, fragment, protocol) = (0x45, 0x40, 0x1140);
    let sum = version + ipv4_len + fragment + protocol + halves(addresses) + halves(addresses >> 32);
    let sum = halves(halves(sum));
    frame.write(IPV4_AT, (version | ipv4_len << 16 | fragment << 48).to_le_bytes())?;
    frame.write(IPV4_AT + 8, (protocol | (!sum & 0xffff) << 16 | addresses << 32).to_le_bytes())?;
    frame.write(IPV4_AT + 16, ((addresses >> 32) as u32).to_le_bytes())?;
    // No checksum: over IPv4 it may be left out.
    let ports = u64::from((port as u16).swap_bytes()) | (plan.load(PLAN_PORT) & 0xffff) << 16;
    frame.write(UDP_AT, (ports | udp_len << 32).to_le_bytes())
}

/// The sum of the two lower halves of 16 bits.
#[inline(always)]
fn halves(word: u64) -> u64 {
    (word & 0xffff) + (word >> 16 & 0xffff)
}

/// Gives the frame the length of a long one: the kernel looks at lengths anew only when the program changes something, and a
/// recycled frame has the length that the last receiver gave it.
#[inline(always)]
fn resize(ctx: &XdpContext) -> Option<()> {
    Written::frame(ctx).grow(LONG_FRAME_GROWTH)
}

#[inline(always)]
fn key_of(session: &Line) -> Key {
    bytes_of([session.load(KEY), session.load(KEY + 1)])
}

/// Takes in the answers to shakes; lets everything else in.
#[xdp]
#[inline(always)]
pub fn sink(ctx: XdpContext) -> u32 {
    take(&ctx).unwrap_or(xdp_action::XDP_PASS)
}

/// None is for the sockets.
#[inline(always)]
fn take(ctx: &XdpContext) -> Option<u32> {
    let frame = Shown::frame(ctx);
    let plan = Line::new(PLAN.get_ptr_mut(0)?.cast());
    let head: [u8; 10] = frame.read(12)?;
    let [e0, e1, version, ..] = head;
    let protocol: [u8; 2] = frame.read(IPV4_AT + 8)?;
    let ports = u64::from_le_bytes(frame.read(UDP_AT)?);
    if [e0, e1, version, protocol[1]] != [0x08, 0x00, 0x45, 17] || ports & 0xffff != plan.load(PLAN_PORT) & 0xffff {
        return None;
    }
    if plan.load(PLAN_BARE) != 0 {
        return take_answer(&frame);
    }
    let first = u64::from_le_bytes(frame.read(PAYLOAD_AT)?);
    let second = u64::from_le_bytes(frame.read(PAYLOAD_AT + 8)?);
    let third = u16::from_le_bytes(frame.read(PAYLOAD_AT + 16)?);
    let kind = first as u8;
    if plan.load(PLAN_HOSTILE) > 0 && (kind == Kind::Challenge.first_byte() || kind == Kind::Hello.first_byte()) {
        count(TALLY.get_ptr_mut(0)?, Tally::Challenges);
        return Some(xdp_action::XDP_DROP);
    }
    // Length 26, in network order.
    if ports >> 32 & 0xffff != 0x1a00 {
        return passed();
    }
    if kind != plan.load(PLAN_EXPECTS) as u8 && kind != Kind::Busy.first_byte() {
        return passed();
    }
    let slot = (first >> 16) as u32 & ((1 << SLOT_BITS) - 1);
    let session = Line::new(FLEET.get_ptr_mut(index_of(slot)?)?);
    let tally = TALLY.get_ptr_mut(0)?;
    if second >> 16 | u64::from(third) << 48 != sip_words(&key_of(&session), [first], second & 0xffff, 2) {
        count(tally, Tally::BadTag);
        return Some(xdp_action::XDP_DROP);
    }
    let sequence = first >> 48 | (second & 0xffff) << 16;
    let what = if kind == Kind::Busy.first_byte() { Tally::Busy } else { Tally::Nothing };
    book(&session, sequence, what, tally)
}

/// Which session has a slot.
#[inline(always)]
fn index_of(slot: u32) -> Option<u32> {
    let lately = *LATELY_ASKED.get(slot % LATELY)?;
    if lately >> 32 == u64::from(slot) {
        return Some(lately as u32);
    }
    Some((*BY_SLOT.get(slot)? as u32).wrapping_sub(1))
}

/// An answer in another protocol: it begins as its question did, with its session's number in the table.
#[inline(always)]
fn take_answer(frame: &Shown) -> Option<u32> {
    let number = u16::from_le_bytes(frame.read(PAYLOAD_AT)?);
    let session = Line::new(FLEET.get_ptr_mut(u32::from(number))?);
    let sequence = session.load(SEQUENCE);
    book(&session, sequence, Tally::Nothing, TALLY.get_ptr_mut(0)?)
}

/// Books the answer to a session's newest question, once.
#[inline(always)]
fn book(session: &Line, sequence: u64, what: Tally, tally: *mut [u64; TALLY_WORDS]) -> Option<u32> {
    if sequence != session.load(SEQUENCE) || sequence == session.load(ANSWERED) {
        count(tally, Tally::Stray);
        return Some(xdp_action::XDP_DROP);
    }
    session.store(ANSWERED, sequence);
    count(tally, what);
    // SAFETY: the helper takes nothing and reads a clock.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    let bucket = bucket_of(now_ns.saturating_sub(session.load(SENT_NS)));
    let counter = LATENCIES.get_ptr_mut(bucket as u32)?;
    // SAFETY: this CPU's value of a map, and only this CPU writes to it, one program at a time.
    unsafe { *counter += 1 };
    Some(xdp_action::XDP_DROP)
}

#[inline(always)]
fn passed() -> Option<u32> {
    count(TALLY.get_ptr_mut(0)?, Tally::Passed);
    None
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    // The verifier refuses an endless loop, so a program that could panic does not load.
    loop {}
}
