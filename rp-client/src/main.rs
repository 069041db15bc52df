//! The load and reference client; see the library for what it is made of.

use std::process::ExitCode;

use rp_client::cli::Cli;
use rp_client::ending;
use rp_net::complain;

fn main() -> ExitCode {
    let cli = match Cli::read(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no failures; the words go where clap sends them, and if that fails nobody listens.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { ending::NO_RESULT } else { ending::WELL });
        }
    };
    match cli.execute() {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            complain!("rp-client: {error:#}");
            ExitCode::from(ending::NO_RESULT)
        }
    }
}
