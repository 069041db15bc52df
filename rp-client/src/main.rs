//! The load and reference client; see the library for what it is made of.

use std::process::ExitCode;

use clap::Parser;
use rp_client::cli::Cli;
use rp_client::run::run;

fn main() -> ExitCode {
    match run(&Cli::parse().into_flags()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("rp-client: {error:#}");
            ExitCode::FAILURE
        }
    }
}
