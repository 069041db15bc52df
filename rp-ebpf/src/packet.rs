//! Reading frames and datagrams in the kernel: the one file that touches packet pointers.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::helpers::generated::bpf_skb_load_bytes;
use aya_ebpf::programs::{SkReuseportContext, XdpContext};
use rp_core::frame::{Frame, UDP_LEN};

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

impl Frame for Shown {
    #[inline(always)]
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        let from = self.start + offset;
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
