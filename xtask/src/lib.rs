//! The workshop: sets up what a machine lacks, builds the kernel programs and starts the other programs in their places.
//!
//! One file per noun. Nothing here is linked into server or client, and nothing of theirs is linked here: the workshop
//! only starts programs and reads what they print.

pub mod answers;
pub mod bench;
pub mod book;
pub mod command;
pub mod crash;
pub mod demo;
pub mod dist;
pub mod ebpf;
pub mod fleet;
pub mod flood;
pub mod lab;
pub mod machine;
pub mod port;
pub mod programs;
pub mod server;
pub mod setup;
pub mod signal;
pub mod sim;
pub mod test;
