//! The load client's kernel programs: `blast` makes shakes, one after another, for BPF_PROG_TEST_RUN with live frames to send;
//! `sink` takes the answers in at the client's interface.
//!
//! One run of `blast` is one frame: not due yet is a drop, due is a whole new frame, since recycled ones hold what the last
//! receiver left in them. `sink` believes only what is tagged under a session's key and answers its newest shake.
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
use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::macros::{btf_map, xdp};
use aya_ebpf::programs::XdpContext;
use rp_core::entry::Words as _;
use rp_core::frame::{ETHERNET_LEN, Frame as _, FrameMut as _};
use rp_core::key::{Key, sip_words};
use rp_core::kind::Kind;
use rp_core::limits::SLOT_BITS;
use rp_core::load::*;
use rp_core::wire::bytes_of;

use atomics::{Line, LineBytes};
use packet::{Shown, Written};

const SHARED: usize = BPF_F_MMAPABLE as usize;
const IPV4_AT: usize = ETHERNET_LEN;
const UDP_AT: usize = IPV4_AT + 20;
const PAYLOAD_AT: usize = UDP_AT + 8;
/// A shake that is later than this is given up.
const LATE_NS: u64 = 100_000_000;

/// The sessions, by the order in which they shake.
#[btf_map(name = "fleet")]
static FLEET: Array<LineBytes, 1, SHARED> = Array::new();
/// Which of them has a slot of the server; plus one, so that zero is none.
#[btf_map(name = "by_slot")]
static BY_SLOT: Array<u64, 1, SHARED> = Array::new();
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

/// Makes the next shake, if it is due.
#[xdp]
#[inline(always)]
pub fn blast(ctx: XdpContext) -> u32 {
    make(&ctx).unwrap_or(xdp_action::XDP_ABORTED)
}

#[inline(always)]
fn make(ctx: &XdpContext) -> Option<u32> {
    let plan = Line::new(PLAN.get_ptr_mut(0)?.cast());
    let tally = TALLY.get_ptr_mut(0)?;
    let state = STATE.get_ptr_mut(0)?.cast::<u64>();
    // SAFETY: the helper takes nothing and reads a clock.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    // SAFETY: both words are this CPU's, and only this program writes to them.
    let (due_ns, turn) = unsafe { (&mut *state, &mut *state.add(1)) };
    if now_ns < *due_ns {
        count(tally, Tally::Early);
        return Some(xdp_action::XDP_DROP);
    }
    if *due_ns == 0 || now_ns >= plan.load(PLAN_END_NS) {
        return Some(xdp_action::XDP_DROP);
    }
    let interval_ns = plan.load(PLAN_INTERVAL_NS);
    if now_ns > *due_ns + LATE_NS {
        count(tally, Tally::Late);
        *due_ns += interval_ns;
        return Some(xdp_action::XDP_DROP);
    }
    let due = *due_ns;
    *due_ns += interval_ns;
    let sessions = plan.load(PLAN_SESSIONS).max(1);
    *turn += plan.load(PLAN_STEP);
    if *turn >= sessions {
        *turn -= sessions;
    }
    let session = Line::new(FLEET.get_ptr_mut(*turn as u32)?);
    let sequence = session.load(SEQUENCE) + 1;
    session.store(SEQUENCE, sequence);
    // From the due time on: what the generator is late counts.
    session.store(SENT_NS, due);
    write(ctx, &plan, &session, sequence)?;
    count(tally, Tally::Sent);
    Some(xdp_action::XDP_TX)
}

#[inline(always)]
fn write(ctx: &XdpContext, plan: &Line, session: &Line, sequence: u64) -> Option<()> {
    let mut frame = Written::frame(ctx);
    frame.write(0, plan.load(PLAN_ETHERNET).to_le_bytes())?;
    frame.write(8, (plan.load(PLAN_ETHERNET + 1) as u32).to_le_bytes())?;
    frame.write(12, ((plan.load(PLAN_ETHERNET + 1) >> 32) as u16).to_le_bytes())?;
    frame.write(IPV4_AT, plan.load(PLAN_IPV4).to_le_bytes())?;
    frame.write(IPV4_AT + 8, plan.load(PLAN_IPV4 + 1).to_le_bytes())?;
    frame.write(IPV4_AT + 16, (plan.load(PLAN_IPV4 + 2) as u32).to_le_bytes())?;
    let id = session.load(ID);
    let port = ((id >> 32) as u16).swap_bytes();
    // Ports, length 26, no checksum: IPv4 may leave it out.
    let udp = u64::from(port) | (plan.load(PLAN_PORT) & 0xffff) << 16 | 0x1a00 << 32;
    frame.write(UDP_AT, udp.to_le_bytes())?;
    let first = u64::from(Kind::Shake.first_byte()) | (id & 0xffff_ffff) << 16 | sequence << 48;
    let last = sequence >> 16 & 0xffff;
    let tag = sip_words(&key_of(session), [first], last, 2);
    frame.write(PAYLOAD_AT, first.to_le_bytes())?;
    frame.write(PAYLOAD_AT + 8, (last | tag << 16).to_le_bytes())?;
    frame.write(PAYLOAD_AT + 16, ((tag >> 48) as u16).to_le_bytes())
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
    // Length 26, in network order.
    if ports >> 32 & 0xffff != 0x1a00 {
        return passed();
    }
    let first = u64::from_le_bytes(frame.read(PAYLOAD_AT)?);
    let second = u64::from_le_bytes(frame.read(PAYLOAD_AT + 8)?);
    let third = u16::from_le_bytes(frame.read(PAYLOAD_AT + 16)?);
    let kind = first as u8;
    if kind != plan.load(PLAN_EXPECTS) as u8 && kind != Kind::Busy.first_byte() {
        return passed();
    }
    let slot = (first >> 16) as u32 & ((1 << SLOT_BITS) - 1);
    let index = *BY_SLOT.get(slot)?;
    let session = Line::new(FLEET.get_ptr_mut((index as u32).wrapping_sub(1))?);
    let tally = TALLY.get_ptr_mut(0)?;
    if second >> 16 | u64::from(third) << 48 != sip_words(&key_of(&session), [first], second & 0xffff, 2) {
        count(tally, Tally::BadTag);
        return Some(xdp_action::XDP_DROP);
    }
    let sequence = first >> 48 | (second & 0xffff) << 16;
    if sequence != session.load(SEQUENCE) || sequence == session.load(ANSWERED) {
        count(tally, Tally::Stray);
        return Some(xdp_action::XDP_DROP);
    }
    session.store(ANSWERED, sequence);
    count(tally, if kind == Kind::Busy.first_byte() { Tally::Busy } else { Tally::Nothing });
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
