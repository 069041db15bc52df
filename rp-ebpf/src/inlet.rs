//! The load client's door past the network stack: `inlet` sends what the server says to a socket of ours to the AF_XDP socket of
//! its queue, and lets everything else in.
//!
//! It takes only what is addressed as that socket's datagrams are: from the server's address and port to its own. Whether lengths and
//! checksums are right the client sees, and counts what is not as damaged.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

#[allow(dead_code, reason = "the gate uses the rest")]
mod packet;

use aya_ebpf::bindings::xdp_action;
use aya_ebpf::btf_maps::{HashMap, XskMap};
use aya_ebpf::macros::{btf_map, xdp};
use aya_ebpf::programs::XdpContext;
use rp_core::frame::{Ends, ends_of};
use rp_core::limits::XSK_QUEUES;

use packet::Shown;

/// Sockets that one client may have.
const SOCKETS_MAX: usize = 1024;

/// The server's datagrams to each socket of ours.
#[btf_map(name = "ends")]
static ENDS: HashMap<Ends, u32, SOCKETS_MAX> = HashMap::new();
/// AF_XDP sockets, by queue.
#[btf_map(name = "xsks")]
static XSKS: XskMap<XSK_QUEUES> = XskMap::new();

/// To the AF_XDP socket, or in.
#[xdp]
#[inline(always)]
pub fn inlet(ctx: XdpContext) -> u32 {
    take(&ctx).unwrap_or(xdp_action::XDP_PASS)
}

/// None is for the stack.
#[inline(always)]
fn take(ctx: &XdpContext) -> Option<u32> {
    ENDS.get_ptr(ends_of(&Shown::frame(ctx))?)?;
    // A queue without a socket lets in, too.
    Some(XSKS.redirect(ctx.rx_queue_index(), u64::from(xdp_action::XDP_PASS)).unwrap_or_else(|action| action))
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    // The verifier refuses an endless loop, so a program that could panic does not load.
    loop {}
}
