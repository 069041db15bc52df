//! The load and the reference client: a fleet of sessions, paces, scenarios, and books that must agree with the server's.
//!
//! The core is sans I/O: `Fleet` speaks the protocol for any number of sessions, `Conductor` leads it through the phases
//! of a scenario, and both are driven by the simulator as by the real client. Sockets, files and the terminal are in
//! `network`, `run` and `live`.

// They panic when nobody listens: rp_net::words says what is to be said.
#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod audit;
pub mod bare;
pub mod blast;
pub mod books;
pub mod breaking;
pub mod cli;
pub mod clock;
pub mod conductor;
pub mod ending;
pub mod expect;
pub mod fleet;
pub mod live;
pub mod nearest;
pub mod network;
pub mod notebook;
pub mod objects;
pub mod one;
pub mod pace;
pub mod population;
pub mod realm;
pub mod record;
pub mod report;
pub mod run;
pub mod scenario;
pub mod summary;
