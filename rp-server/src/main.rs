//! `rp-server`: see `rp-server --help`.

use std::process::ExitCode;

use rp_net::complain;
use rp_server::cli::Cli;

fn main() -> ExitCode {
    let cli = match Cli::read(std::env::args()) {
        Ok(cli) => cli,
        Err(error) => match error.downcast::<clap::Error>() {
            Ok(error) => {
                // Help and version are no failures; the words go where clap sends them, and if that fails nobody listens.
                let _ = error.print();
                return if error.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
            }
            Err(error) => {
                complain!("rp-server: {error:#}");
                return ExitCode::FAILURE;
            }
        },
    };
    match cli.execute() {
        Ok(code) => code,
        Err(error) => {
            // A filter that lets no error of this room through must not hide why the server is not there.
            if tracing::enabled!(tracing::Level::ERROR) {
                tracing::error!("{error:#}");
            } else {
                complain!("rp-server: {error:#}");
            }
            ExitCode::FAILURE
        }
    }
}
