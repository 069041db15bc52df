//! Transports: every system call of the data path and its `unsafe`, wrapped once.
//!
//! Batched UDP sockets (`socket`, `batch`), AF_XDP (`xsk`), the classic BPF program that steers without privileges (`steer`), sleeping and
//! waking (`wait`), looking instead of waiting (`busy`), CPUs (`affinity`), socket overflow (`drops`), room on disk (`disk`), what drivers say (`card`), how well the
//! clock is kept (`discipline`), kernel maps as memory (`mapping`), the files of interfaces (`sysfs`), and what the process knows of
//! itself (`proc`). Nothing of the data path allocates after it is made. This room knows the wire's addresses and limits, but no
//! datagram's meaning. Besides, both programs have here what they say (`words`), of their flags too (`manual`), and how they hear
//! that they shall stop (`stop`).

pub mod address;
pub mod affinity;
pub mod batch;
pub mod busy;
pub mod card;
pub mod discipline;
pub mod disk;
pub mod drops;
pub mod link;
pub mod manual;
pub mod mapping;
pub mod proc;
pub mod socket;
pub mod steer;
pub mod stop;
pub mod sysfs;
pub mod wait;
pub mod words;
pub mod xsk;

mod option;

pub use address::{Local, address_of, peer_of};
pub use batch::{RecvBatch, SendBatch, Sent};
pub use socket::{Buffers, UdpSocket};
pub use wait::{Sleeper, Waker};
