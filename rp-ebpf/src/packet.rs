//! Reading frames and datagrams in the kernel: the one file that touches packet pointers.

use core::arch::asm;

use aya_ebpf::EbpfContext as _;
use aya_ebpf::helpers::generated::{bpf_skb_load_bytes, bpf_xdp_adjust_tail};
use aya_ebpf::programs::{SkReuseportContext, XdpContext};
use rp_core::frame::{Frame, FrameMut, UDP_LEN};

/// The bytes that the kernel shows a program: a frame to XDP, a datagram from its UDP header on to a socket's program.
pub struct Shown {
    start: usize,
    end: usize,
}

impl Shown {
    #[inline(always)]
    pub fn frame(ctx: &XdpContext) -> Self {
        Shown { start: ctx.data(), end: ctx.data_end() }
    }

    #[inline(always)]
    fn datagram(ctx: &SkReuseportContext) -> Self {
        Shown { start: ctx.data(), end: ctx.data_end() }
    }
}

/// The same address, of which the compiler knows nothing more. It would make the address anew behind a comparison, or leave out
/// a comparison that follows from another; the verifier believes only in the register that was compared.
#[inline(always)]
fn settled(mut address: usize) -> usize {
    // SAFETY: moves a register to itself. (No instruction at all would break the line numbers that the kernel checks.)
    unsafe { asm!("{0} = {0}", inout(reg) address, options(pure, nomem, nostack, preserves_flags)) };
    address
}

impl Frame for Shown {
    #[inline(always)]
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        let from = settled(self.start + offset);
        if from + N > self.end {
            return None;
        }
        // SAFETY: the N bytes from `from` end at or before `end`, as just compared, which the verifier checks again; packets
        // have no alignment, and bytes need none.
        Some(unsafe { core::ptr::read_unaligned(from as *const [u8; N]) })
    }

    #[inline(always)]
    fn frame_len(&self) -> usize {
        self.end - self.start
    }
}

/// A frame that is read and written through its program's context: each access asks anew where the frame begins and ends, since
/// making it longer or shorter moves it.
pub struct Written<'a> {
    ctx: &'a XdpContext,
}

impl<'a> Written<'a> {
    #[inline(always)]
    pub fn frame(ctx: &'a XdpContext) -> Self {
        Written { ctx }
    }
}

impl Frame for Written<'_> {
    #[inline(always)]
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        Shown::frame(self.ctx).read(offset)
    }

    #[inline(always)]
    fn frame_len(&self) -> usize {
        Shown::frame(self.ctx).frame_len()
    }
}

impl FrameMut for Written<'_> {
    #[inline(always)]
    fn write<const N: usize>(&mut self, offset: usize, bytes: [u8; N]) -> Option<()> {
        let from = settled(self.ctx.data() + offset);
        if from + N > self.ctx.data_end() {
            return None;
        }
        // SAFETY: the N bytes from `from` end at or before the frame's end, as just compared, which the verifier checks again;
        // the frame is this program's alone while it runs.
        unsafe { core::ptr::write_unaligned(from as *mut [u8; N], bytes) };
        Some(())
    }

    #[inline(always)]
    fn grow(&mut self, bytes: i32) -> Option<()> {
        // SAFETY: the helper is given the context that the kernel passed; it refuses what has no room.
        let failed = unsafe { bpf_xdp_adjust_tail(self.ctx.as_ptr().cast(), bytes) };
        (failed == 0).then_some(())
    }
}

/// The first bytes of a datagram's payload; none when it is shorter.
#[inline(always)]
pub fn payload_head<const N: usize>(ctx: &SkReuseportContext) -> Option<[u8; N]> {
    if let Some(head) = Shown::datagram(ctx).read(UDP_LEN) {
        return Some(head);
    }
    // Only the packet's linear part is shown. What lies behind it (a batch over loopback) takes a call.
    let mut head = [0; N];
    // SAFETY: the helper writes at most N bytes to `head`, which has N, and reads through the context the kernel passed.
    let failed = unsafe { bpf_skb_load_bytes(ctx.as_ptr(), UDP_LEN as u32, head.as_mut_ptr().cast(), N as u32) };
    (failed == 0).then_some(head)
}
