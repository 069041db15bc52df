//! The kernel programs: `gate` at the interface, `gate_cpu` on the worker's CPU, `select` at the sockets, `pass` for peers, `mirror` for
//! benchmarks.
//!
//! Pointers are here (packet.rs, counters.rs, atomics.rs, shared.rs), meaning is in rp-core. A verdict becomes an action in one exhaustive match
//! and nowhere else. Nothing here allocates, reads a clock or logs, unless the loader turned tracing on: the log level is
//! a read-only global, so that the verifier removes the tracing branches of a silent gate before they ever run.
#![no_std]
#![no_main]
#![allow(internal_features)]
#![feature(asm_experimental_arch, core_intrinsics)]

mod atomics;
mod config;
mod counters;
mod packet;
mod shared;

use aya_ebpf::bindings::{sk_action, xdp_action};
use aya_ebpf::helpers::bpf_get_smp_processor_id;
use aya_ebpf::macros::{sk_reuseport, xdp};
use aya_ebpf::programs::{SkReuseportContext, XdpContext};
use aya_log_ebpf::info;
use config::{CPUS, SOCKETS, WORKER_CPUS, XSK_WORKERS, XSKS};
use counters::Counters;
use packet::{Shown, Written};
use rp_core::frame::{Frame, FrameMut as _, Request, Verdict, classify};
use rp_core::gate::{Ruling, rule};
use rp_core::gate_counters::{Place, RowIndex};
use rp_core::limits::LISTENS_MAX;
use rp_core::steer::{HEAD_LEN, set_of, worker_of, xsk_index};
use shared::Kernel;

/// At the interface: counts each frame, drops what is false, and sends requests to the CPU of their SET's worker.
#[xdp]
#[inline(always)]
pub fn gate(ctx: XdpContext) -> u32 {
    let Some(counters) = Counters::of_this_cpu() else { return xdp_action::XDP_PASS };
    let frame = Shown::frame(&ctx);
    let bytes = frame.frame_len() as u64;
    counters.count(RowIndex::of_place(Place::Seen), bytes);
    match classify(&frame, &config::ours()) {
        Verdict::NotOurs => {
            counters.count(RowIndex::of_place(Place::NotOurs), bytes);
            xdp_action::XDP_PASS
        }
        Verdict::Drop(reason) => {
            counters.count(RowIndex::of_reason(reason), bytes);
            info!(&ctx, "gate drop reason={} bytes={}", reason.index() as u32, bytes);
            xdp_action::XDP_DROP
        }
        Verdict::Request(request) => {
            counters.count(RowIndex::of_kind(request.kind), bytes);
            if config::answers() {
                answer(&ctx, &counters, &request, bytes)
            } else {
                forward(&ctx, &counters, &request, bytes)
            }
        }
    }
}

/// Answers a request in place when it needs no worker, and drops what is false.
#[inline(always)]
fn answer(ctx: &XdpContext, counters: &Counters, request: &Request, bytes: u64) -> u32 {
    let Some(kernel) = Kernel::here() else { return forward(ctx, counters, request, bytes) };
    let ruled = rule(&mut Written::frame(ctx), request, &kernel);
    kernel.count(request.kind, &ruled);
    match ruled.ruling {
        Ruling::Up => forward(ctx, counters, request, bytes),
        Ruling::Drop(reason) => {
            counters.count(RowIndex::of_reason(reason), bytes);
            info!(ctx, "gate drop reason={} bytes={}", reason.index() as u32, bytes);
            xdp_action::XDP_DROP
        }
        Ruling::Answer(kind) => {
            counters.count(RowIndex::of_place(Place::Answered), bytes);
            counters.count(RowIndex::of_answer(kind), Shown::frame(ctx).frame_len() as u64);
            info!(ctx, "gate answer kind={} set={} bytes={}", kind.index() as u32, request.set, bytes);
            xdp_action::XDP_TX
        }
    }
}

/// Sends a request to its SET's worker: to its AF_XDP socket where it has that of this queue, else to its CPU, or passes it
/// where it is when that is the place.
#[inline(always)]
fn forward(ctx: &XdpContext, counters: &Counters, request: &Request, bytes: u64) -> u32 {
    let worker = worker_of(request.set, config::workers());
    let kind = request.kind.index() as u32;
    counters.count(RowIndex::of_up(request.kind), bytes);
    if let Some(index) = xsk_of(ctx, worker) {
        let sent = XSKS.redirect(index, u64::from(xdp_action::XDP_PASS));
        let place = if sent.is_ok() { Place::SentToXsk } else { Place::RedirectFailed };
        counters.count(RowIndex::of_place(place), bytes);
        info!(ctx, "gate to_xsk={} kind={} set={} worker={} bytes={}", index, kind, request.set, worker, bytes);
        return sent.unwrap_or_else(|action| action);
    }
    // SAFETY: the helper takes nothing and reads the number of this CPU.
    let here = unsafe { bpf_get_smp_processor_id() };
    match WORKER_CPUS.get(worker) {
        Some(&cpu) if cpu != here => {
            let sent = CPUS.redirect(cpu, u64::from(xdp_action::XDP_PASS));
            let place = if sent.is_ok() { Place::SentToCpu } else { Place::RedirectFailed };
            counters.count(RowIndex::of_place(place), bytes);
            info!(ctx, "gate to_cpu={} kind={} set={} worker={} bytes={}", cpu, kind, request.set, worker, bytes);
            sent.unwrap_or_else(|action| action)
        }
        _ => {
            counters.count(RowIndex::of_place(Place::PassedHere), bytes);
            info!(ctx, "gate pass_on={} kind={} set={} worker={} bytes={}", here, kind, request.set, worker, bytes);
            xdp_action::XDP_PASS
        }
    }
}

/// The AF_XDP socket of the queue that a frame came by, when it is this worker's.
#[inline(always)]
fn xsk_of(ctx: &XdpContext, worker: u32) -> Option<u32> {
    if !config::has_xsks() {
        return None;
    }
    let index = xsk_index(ctx.ingress_ifindex() as u32, ctx.rx_queue_index())?;
    let &owner = XSK_WORKERS.get(index)?;
    (owner == worker + 1).then_some(index)
}

/// On the worker's CPU, behind the queue between CPUs: counts what arrived, so that what the queue lost is known.
#[xdp(map = "cpumap")]
pub fn gate_cpu(ctx: XdpContext) -> u32 {
    if let Some(counters) = Counters::of_this_cpu() {
        counters.count(RowIndex::of_place(Place::CpuPassed), Shown::frame(&ctx).frame_len() as u64);
    }
    xdp_action::XDP_PASS
}

/// At the sockets: puts a datagram on the socket of the worker that owns its SET.
///
/// It never drops (the kernel would answer the sender with an ICMP error, larger than the request). What it cannot steer
/// is counted and left to the kernel's hash over the group.
#[sk_reuseport]
pub fn select(ctx: SkReuseportContext) -> u32 {
    let bytes = ctx.len() as u64;
    // A datagram without a head belongs nowhere; worker 0 counts and drops it.
    let worker = match packet::payload_head::<HEAD_LEN>(&ctx) {
        Some(head) => worker_of(set_of(head, config::sets()), config::workers()),
        None => 0,
    };
    let selected = select_socket(&ctx, worker);
    if let Some(counters) = Counters::of_this_cpu() {
        let place = if selected { Place::Selected } else { Place::SelectFallback };
        counters.count(RowIndex::of_place(place), bytes);
    }
    if selected {
        counters::count_worker(worker, bytes);
    }
    sk_action::SK_PASS
}

/// Each address the server listens on is a reuseport group of its own; the kernel refuses a socket of another group, so the
/// first accepted one is right.
#[inline(always)]
fn select_socket(ctx: &SkReuseportContext, worker: u32) -> bool {
    for listen in 0..LISTENS_MAX as u32 {
        if listen == config::listens() {
            break;
        }
        if SOCKETS.select_reuseport(ctx, config::socket_index(listen, worker)).is_ok() {
            return true;
        }
    }
    false
}

/// Lets every frame in: what the other end of a veth needs, so that frames sent to it by XDP arrive.
#[xdp]
pub fn pass(_ctx: XdpContext) -> u32 {
    xdp_action::XDP_PASS
}

/// Sends every UDP datagram over IPv4 back as it came: the floor under whatever answers in the kernel.
#[xdp]
pub fn mirror(ctx: XdpContext) -> u32 {
    mirrored(&mut Written::frame(&ctx)).unwrap_or(xdp_action::XDP_PASS)
}

#[inline(always)]
fn mirrored(frame: &mut Written<'_>) -> Option<u32> {
    let (to, from): ([u8; 6], [u8; 6]) = (frame.read(0)?, frame.read(6)?);
    let [e0, e1, version]: [u8; 3] = frame.read(12)?;
    let protocol: [u8; 2] = frame.read(22)?;
    if [e0, e1, version, protocol[1]] != [0x08, 0x00, 0x45, 17] {
        return None;
    }
    let addresses = u64::from_le_bytes(frame.read(26)?).rotate_left(32);
    let ports = u32::from_le_bytes(frame.read(34)?).rotate_left(16);
    frame.write(0, from)?;
    frame.write(6, to)?;
    frame.write(26, addresses.to_le_bytes())?;
    frame.write(34, ports.to_le_bytes())?;
    Some(xdp_action::XDP_TX)
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    // The verifier refuses an endless loop, so a program that could panic does not load.
    loop {}
}
