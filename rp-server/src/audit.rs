//! `rp-server audit`: recomputes everything from the postings of a ledger, live or stopped, and fails on one fen.
//!
//! The model that follows the postings ([`model`]) is written without the engine's code, so that one mistake is not made
//! twice. docs/LEDGER.md says by which rules.

mod balances;
mod campaigns;
pub mod fault;
pub mod figures;
pub mod model;
mod notes;
mod packets;
mod users;
