//! The workshop: sets up what a machine lacks, builds the kernel programs and starts the other programs in their places.
//!
//! One file per noun; this one only names the commands. Nothing here is linked into server or client.

mod ebpf;
mod setup;

use clap::{Parser, Subcommand};

/// Set-up, eBPF build, laboratory, tests and benches of red packet.
#[derive(Parser)]
#[command(name = "cargo xtask", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Find or install what the build of the kernel programs and the laboratory need.
    Setup,
    /// Compile the kernel programs to target/bpf/gate.o and print their sizes.
    BuildEbpf,
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Setup => setup::run(),
        Command::BuildEbpf => ebpf::run(),
    }
}
