//! What a red packet datagram means: wire, steering, reasons, limits and (feature `engine`) the state machine of a SET.
//!
//! This room does no I/O, reads no clock, draws on no global and holds no `unsafe`. The kernel programs, the workers, the
//! client, the simulator and the fuzzer all decide by the functions found here, so that they cannot disagree.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(any(test, feature = "engine"))]
extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod answer;
pub mod bucket;
pub mod clients;
pub mod cookie;
pub mod entry;
pub mod frame;
pub mod gate;
pub mod gate_counters;
pub mod key;
pub mod kind;
pub mod limits;
// BPF has no atomics in `core` that compile.
#[cfg(not(target_arch = "bpf"))]
pub mod line;
pub mod load;
pub mod now;
pub mod pot;
pub mod prefix;
pub mod reason;
pub mod rules;
pub mod steer;
pub mod timeline;
pub mod wire;

#[cfg(feature = "engine")]
pub mod acknowledged;
#[cfg(feature = "engine")]
pub mod engine;
#[cfg(feature = "engine")]
pub mod posting;
#[cfg(feature = "engine")]
pub mod sealing;
#[cfg(feature = "engine")]
pub mod ticket;
