//! The workshop's command line: names the commands and hands each to the room that carries it out.

use clap::{Parser, Subcommand};
use xtask::{ebpf, lab, setup, signal};

/// Set-up, eBPF build, laboratory, tests and benches of red packet.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
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
    /// Make a server's and some clients' network namespaces and keep them until Ctrl-C.
    Lab(lab::LabArgs),
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    signal::watch();
    match cli.command {
        Command::Setup => setup::run(),
        Command::BuildEbpf => ebpf::run(),
        Command::Lab(args) => args.run(),
    }
}
