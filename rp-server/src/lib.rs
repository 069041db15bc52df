//! The server: pinned workers that own the SETs, the gate's loader, and the control plane on tokio.
//!
//! tokio never touches a data packet here, and no kernel program is needed to serve: without one the server is slower and
//! says so.

// They panic when nobody listens: rp_net::words says what is to be said.
#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod admin;
pub mod archivist;
pub mod audit;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod copies;
pub mod doctor;
pub mod export;
pub mod gate;
pub mod http;
pub mod intake;
pub mod latency;
pub mod ledger;
pub mod librarian;
pub mod life;
pub mod limits;
pub mod logs;
pub mod metrics;
pub mod network;
pub mod orders;
pub mod packets;
pub mod pps;
pub mod realm;
pub mod recovery;
pub mod reference;
pub mod run;
pub mod scribe;
pub mod sight;
pub mod snapshot;
pub mod systemd;
pub mod ticket;
pub mod worker;
