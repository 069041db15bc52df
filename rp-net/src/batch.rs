//! Batches of datagrams: one system call moves up to [`RX_SLOTS`] of them.
//!
//! Headers, addresses, control buffers and payloads are one allocation, made and linked once; per datagram only what the
//! kernel changed is put right again.

mod receive;
mod send;

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::mem::size_of;
use std::ptr::NonNull;

use rp_core::limits::{DATAGRAM_MAX, RX_SLOTS, TX_SLOTS};

pub use receive::RecvBatch;
pub use send::{SendBatch, Sent};

const SLOTS: usize = RX_SLOTS;
const _: () = assert!(RX_SLOTS == TX_SLOTS);

/// One byte more than any valid datagram, so that an over-long one is seen as such.
const CAPACITY: usize = DATAGRAM_MAX + 1;
/// Payloads start on a cache line of their own.
const STRIDE: usize = CAPACITY.next_multiple_of(64);

/// Room for one IPV6_PKTINFO, the larger of the two: CMSG_SPACE(sizeof(struct in6_pktinfo)).
const CONTROL_LEN: usize = 40;
/// Where the data of the first control message starts: CMSG_LEN(0).
const CONTROL_DATA: usize = size_of::<libc::cmsghdr>();
const _: () = assert!(CONTROL_DATA + size_of::<libc::in6_pktinfo>() <= CONTROL_LEN);
const _: () = assert!(CONTROL_DATA.is_multiple_of(8));

#[repr(C, align(8))]
struct Control {
    bytes: [u8; CONTROL_LEN],
}

#[repr(C, align(64))]
struct Payload {
    bytes: [u8; STRIDE],
}

/// All that a batch's system calls point at. Every field is valid when zero.
#[repr(C)]
struct Storage {
    payloads: [Payload; SLOTS],
    headers: [libc::mmsghdr; SLOTS],
    parts: [libc::iovec; SLOTS],
    names: [libc::sockaddr_in6; SLOTS],
    controls: [Control; SLOTS],
}

/// Owns a [`Storage`] that never moves, so that its headers may point into it.
struct Slots {
    storage: NonNull<Storage>,
}

// SAFETY: the storage belongs to this value alone; its pointers lead nowhere but into itself.
unsafe impl Send for Slots {}

impl Slots {
    fn new() -> Self {
        let layout = Layout::new::<Storage>();
        // SAFETY: the layout is not empty.
        let raw = unsafe { alloc_zeroed(layout) }.cast::<Storage>();
        let Some(storage) = NonNull::new(raw) else { handle_alloc_error(layout) };
        let mut slots = Self { storage };
        slots.link();
        slots
    }

    fn link(&mut self) {
        let storage = self.storage.as_ptr();
        for i in 0..SLOTS {
            // SAFETY: `storage` is a live, zeroed Storage that only we know, and `i` is within its arrays.
            unsafe {
                let part = &raw mut (*storage).parts[i];
                (*part).iov_base = (&raw mut (*storage).payloads[i]).cast();
                (*part).iov_len = CAPACITY;
                let header = &raw mut (*storage).headers[i].msg_hdr;
                (*header).msg_iov = part;
                (*header).msg_iovlen = 1;
            }
        }
    }

    fn storage(&self) -> &Storage {
        // SAFETY: allocated zeroed in `new`, valid for every field type, and borrowed as `self` is.
        unsafe { self.storage.as_ref() }
    }

    fn storage_mut(&mut self) -> &mut Storage {
        // SAFETY: as in `storage`; `&mut self` makes it the only borrow.
        unsafe { self.storage.as_mut() }
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout, and freed nowhere else; Storage has no destructor.
        unsafe { dealloc(self.storage.as_ptr().cast(), Layout::new::<Storage>()) }
    }
}
