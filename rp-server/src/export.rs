//! `rp-server ledger export`: every posting as a row of CSV (RFC 4180), for spreadsheets and other people's programs.
//!
//! docs/LEDGER.md says what each column holds.

pub mod row;
