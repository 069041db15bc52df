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

pub mod cookie;
pub mod frame;
pub mod gate_counters;
pub mod key;
pub mod kind;
pub mod limits;
pub mod reason;
pub mod steer;
pub mod wire;

#[cfg(feature = "engine")]
pub mod engine;
#[cfg(feature = "engine")]
pub mod ticket;
