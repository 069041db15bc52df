//! `cargo xtask test`: every rung of the ladder, in order, each said with its result.
//!
//! A rung that cannot run where it is has failed: nothing is skipped. docs/TESTING.md says what each one proves.

mod tally;

use std::process::Command;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::programs::{Profile, Programs};
use crate::{book, command, ebpf, lab, setup, signal};
use tally::Tally;

/// One rung: its name, and what it does with the tally of tests.
struct Rung {
    name: &'static str,
    climb: fn(&mut Tally) -> Result<()>,
}

/// Packages whose tests need root only for the kernel; the laboratory's are a rung of their own.
const KERNEL_PACKAGES: [&str; 4] = ["rp-core", "rp-net", "rp-server", "rp-client"];

/// Where memory is a folder, and MB that the files of tests have there at most, ten times over.
const MEMORY: (&str, u64) = ("/dev/shm", 4096);

/// `cargo xtask build-ebpf` is the rung "kernel programs compile".
const LADDER: [Rung; 8] = [
    Rung { name: "set-up", climb: |_| setup::run_for_tests() },
    Rung { name: "format", climb: |_| command::show(command::cargo().args(["fmt", "--all", "--check"])) },
    Rung { name: "lints", climb: |_| command::show(&mut lints()) },
    Rung { name: "unit, property and loopback tests", climb: |tally| tests(tally, &[], &[]) },
    Rung { name: "kernel programs compile", climb: |_| ebpf::run(Profile::Dev) },
    Rung { name: "kernel tests", climb: kernel },
    Rung { name: "namespaces", climb: namespaces },
    Rung { name: "documents", climb: |_| documents() },
];

/// Climbs every rung and ends with the line `N passed, N failed`.
///
/// # Errors
/// When a test or a rung failed, or this process was asked to end.
pub fn run() -> Result<()> {
    let mut total = Tally::default();
    let mut lines = Vec::new();
    for rung in &LADDER {
        println!("\n=== {}", rung.name);
        let started = Instant::now();
        let mut tally = Tally::default();
        let result = (rung.climb)(&mut tally);
        if let Err(error) = &result {
            eprintln!("{error:#}");
            // Who was ended could not clean up.
            lab::sweep();
        }
        if signal::check().is_err() {
            lab::sweep();
            bail!("interrupted");
        }
        // A rung without tests of its own counts as one, and so does a failure outside its tests.
        if tally == Tally::default() || (result.is_err() && tally.failed == 0) {
            tally.count(result.is_ok());
        }
        let verdict = if tally.failed == 0 { "ok" } else { "FAILED" };
        let seconds = started.elapsed().as_secs();
        lines.push(format!(
            "{:<36} {verdict:<7} {:>4} passed {:>3} failed {seconds:>5} s",
            rung.name, tally.passed, tally.failed
        ));
        total.add(tally);
    }
    println!("\n{}\n", lines.join("\n"));
    println!("{} passed, {} failed", total.passed, total.failed);
    if total.failed > 0 {
        bail!("`cargo xtask test` failed");
    }
    Ok(())
}

fn lints() -> Command {
    let mut cargo = command::cargo();
    cargo.args(["clippy", "--quiet", "--all-targets", "--", "--deny", "warnings"]);
    cargo
}

fn documents() -> Result<()> {
    let mut cargo = command::cargo();
    cargo.args(["doc", "--quiet", "--no-deps", "--document-private-items"]).env("RUSTDOCFLAGS", "--deny warnings");
    command::show(&mut cargo)?;
    book::build()
}

fn kernel(tally: &mut Tally) -> Result<()> {
    need_root("the verifier and BPF_PROG_TEST_RUN")?;
    let packages: Vec<&str> = KERNEL_PACKAGES.iter().flat_map(|package| ["--package", package]).collect();
    tests(tally, &packages, &["--ignored", "--test-threads=1"])
}

fn namespaces(tally: &mut Tally) -> Result<()> {
    need_root("network namespaces and XDP")?;
    Programs::build(Profile::Dev)?;
    tests(tally, &["--package", "xtask"], &["--ignored", "--test-threads=1"])
}

fn need_root(what: &str) -> Result<()> {
    if !signal::is_root() {
        bail!("{what} need root; run: sudo env \"PATH=$PATH\" \"HOME=$HOME\" cargo xtask test");
    }
    Ok(())
}

/// Where files of tests are that prove nothing of disks, if there is room: a disk may take half a minute for a sync. What is played
/// in the laboratory stays on the disk.
fn memory() -> Option<&'static str> {
    let (folder, needed) = MEMORY;
    let said = command::read(Command::new("df").args(["--output=avail", "--block-size=1M", folder])).ok()?;
    let free: u64 = said.lines().nth(1)?.trim().parse().ok()?;
    (free >= needed).then_some(folder)
}

/// Runs cargo's tests of what `selection` names, of the default members when it names nothing, and counts them.
fn tests(tally: &mut Tally, selection: &[&str], flags: &[&str]) -> Result<()> {
    let mut cargo = command::cargo();
    cargo.args(["test", "--no-fail-fast"]).args(selection);
    if flags.contains(&"--ignored") {
        // Examples in documents that are marked `ignore` are not meant.
        cargo.args(["--lib", "--bins", "--tests"]);
    }
    // Building is silent where the tests are waited for.
    command::show(
        Command::new(cargo.get_program()).args(cargo.get_args()).current_dir(command::root()).arg("--no-run"),
    )?;
    // Nor should a ledger's sync wait for what that wrote.
    command::run("sync", [] as [&str; 0])?;
    if !selection.contains(&"xtask")
        && let Some(folder) = memory()
    {
        cargo.env("TMPDIR", folder);
    }
    let succeeded = command::follow(cargo.arg("--").args(flags), command::HANGS, |line| {
        println!("{line}");
        tally.read(line);
    })?;
    if tally.passed + tally.failed == 0 {
        bail!("no test ran");
    }
    if !succeeded {
        bail!("cargo test failed");
    }
    Ok(())
}
