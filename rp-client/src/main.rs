//! The load and reference client; see the library for what it is made of.

use std::process::ExitCode;

use clap::Parser;
use rp_client::cli::{Cli, Command};
use rp_client::run::run;
use rp_net::complain;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no failures; the words go where clap sends them, and if that fails nobody listens.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
    };
    let outcome = match &cli.command {
        Some(Command::Report(report)) => report.run(),
        _ => run(&cli.into_flags()),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            complain!("rp-client: {error:#}");
            ExitCode::FAILURE
        }
    }
}
