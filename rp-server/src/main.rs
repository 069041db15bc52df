//! `rp-server`: see `rp-server --help`.

use clap::Parser as _;

fn main() -> anyhow::Result<()> {
    rp_server::cli::Cli::parse().execute()
}
