//! The workshop's command line: names the commands and hands each to the room that carries it out.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xtask::programs::Profile;
use xtask::{bench, book, crash, demo, dist, ebpf, flood, lab, setup, signal, sim, test};

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
    /// Compile the kernel programs to target/bpf/gate.o and print their sizes, and as root what the verifier makes of them.
    BuildEbpf {
        /// Ask the verifier by the programs' dev build.
        #[arg(long, hide = true)]
        dev: bool,
    },
    /// Climb every rung of tests: host, kernel, namespaces; ends with the line `N passed, N failed`.
    Test,
    /// What every change must pass: the same as `test`.
    Ci,
    /// Make completions, man pages and the Debian package in target/dist.
    Dist(dist::DistArgs),
    /// Run the original's experiment and print its figures beside those measured here.
    Demo(demo::DemoArgs),
    /// Kill the server again and again while users send and grab, and look whether a fen is lost or paid twice.
    Crash(crash::CrashArgs),
    /// Measure what a shake costs the server, beside a bare echo in the same minutes.
    Bench(bench::BenchArgs),
    /// Make the documents into a book, under target/book, and check its links.
    Book(book::BookArgs),
    /// Make a server's and some clients' network namespaces and keep them until Ctrl-C.
    Lab(lab::LabArgs),
    /// Simulate servers that end at any moment, seed after seed, until one loses money or time is up.
    Sim(sim::SimArgs),
    /// Send hostile bytes to a port.
    #[command(hide = true)]
    Flood(flood::FloodArgs),
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(told) => {
            // Help and version go to standard output and are no failure; a wrong flag is one like any other.
            let _the_terminal_is_gone = told.print();
            return if told.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
    };
    signal::watch();
    match cli.command.execute() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cargo xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

impl Command {
    fn execute(self) -> anyhow::Result<()> {
        match self {
            Command::Setup => setup::run(),
            Command::BuildEbpf { dev } => ebpf::run(if dev { Profile::Dev } else { Profile::Release }),
            Command::Test | Command::Ci => test::run(),
            Command::Dist(args) => args.run(),
            Command::Demo(args) => args.run(),
            Command::Crash(args) => args.run(),
            Command::Bench(args) => args.run(),
            Command::Book(args) => args.run(),
            Command::Lab(args) => args.run(),
            Command::Sim(args) => args.run(),
            Command::Flood(args) => args.run(),
        }
    }
}
