//! The ledger, through its door: what every engine must do, what damage does to the one on disk, and what a failing disk
//! does to it.

mod conformance;
mod damage;
mod failing;
mod finding;
mod full;
mod house;
mod sql;
