//! What a ring's header says: how far each side is, and whether the kernel wants to be woken.

use std::io;
use std::os::fd::{BorrowedFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::option;

/// Bytes of a ring's header that are mapped; the kernel rounds up to a page.
const HEADER_LEN: usize = 4096;
/// Words of struct xdp_mmap_offsets: four rings (rx, tx, fill, completion), each with the places of producer, consumer,
/// descriptors and flags.
const OFFSETS_WORDS: usize = 16;
const WORDS_PER_RING: usize = 4;
const TX: usize = 1;
const FILL: usize = 2;

/// The header of a ring in which this process produces, mapped a second time to be read.
pub(super) struct Gauge {
    page: *mut libc::c_void,
    producer: usize,
    consumer: usize,
    flags: usize,
}

impl Gauge {
    /// Of an AF_XDP socket that has its rings.
    pub(super) fn of_fill_and_tx(socket: RawFd) -> io::Result<(Gauge, Gauge)> {
        // SAFETY: the caller holds the socket open.
        let fd = unsafe { BorrowedFd::borrow_raw(socket) };
        let offsets: [u64; OFFSETS_WORDS] = option::get(fd, libc::SOL_XDP, libc::XDP_MMAP_OFFSETS)?;
        let ring = |number: usize| &offsets[number * WORDS_PER_RING..][..WORDS_PER_RING];
        let fill = Gauge::map(socket, libc::XDP_UMEM_PGOFF_FILL_RING as libc::off_t, ring(FILL))?;
        Ok((fill, Gauge::map(socket, libc::XDP_PGOFF_TX_RING, ring(TX))?))
    }

    fn map(socket: RawFd, page: libc::off_t, offsets: &[u64]) -> io::Result<Gauge> {
        let [producer, consumer, flags] = [offsets[0], offsets[1], offsets[3]].map(|offset| offset as usize);
        if [producer, consumer, flags].iter().any(|offset| offset % 4 != 0 || offset + 4 > HEADER_LEN) {
            return Err(io::Error::other("a ring whose header is not where it was"));
        }
        // SAFETY: a new mapping at an address of the kernel's choice touches nothing of ours.
        let at = unsafe { libc::mmap(ptr::null_mut(), HEADER_LEN, libc::PROT_READ, libc::MAP_SHARED, socket, page) };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Gauge { page: at, producer, consumer, flags })
    }

    fn word(&self, offset: usize) -> u32 {
        // SAFETY: an aligned word inside the mapped header, as checked in `map`; kernel and process change it as atomics.
        unsafe { AtomicU32::from_ptr(self.page.byte_add(offset).cast()) }.load(Ordering::Acquire)
    }

    /// Must the kernel be called to look at the ring?
    pub(super) fn wants_waking(&self) -> bool {
        self.word(self.flags) & libc::XDP_RING_NEED_WAKEUP != 0
    }

    /// Has the kernel taken all?
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many it has not taken.
    pub(super) fn len(&self) -> usize {
        self.word(self.producer).wrapping_sub(self.consumed()) as usize
    }

    /// How many it has taken, modulo 2^32.
    pub(super) fn consumed(&self) -> u32 {
        self.word(self.consumer)
    }
}

impl Drop for Gauge {
    fn drop(&mut self) {
        // SAFETY: mapped in `map` with this length, and used by nobody else.
        unsafe { libc::munmap(self.page, HEADER_LEN) };
    }
}
