//! Compiles the kernel programs, and tells their sizes and what the verifier makes of them.
//!
//! The compiler for BPF is another than the workspace's, so it has a target folder of its own: the two would throw away
//! each other's work.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _, SymbolKind};

use crate::programs::{Profile, Programs};
use crate::setup::{Toolchain, target_dir};
use crate::{command, signal};

const TARGET: &str = "bpfel-unknown-none";
const INSTRUCTION_LEN: u64 = 8;

/// Where the object lies, for the server to find beside itself.
pub fn object_path() -> PathBuf {
    target_dir().join("bpf/gate.o")
}

/// Where the object of the load client's programs lies, for the client to find beside itself.
pub fn load_path() -> PathBuf {
    target_dir().join("bpf/load.o")
}

/// Where the object of the client's door past the stack lies, likewise.
pub fn inlet_path() -> PathBuf {
    target_dir().join("bpf/inlet.o")
}

/// Compiles rp-ebpf into target/bpf and prints the sizes of its programs; as root also what the kernel's verifier makes of
/// them, by an rp-server of this profile.
///
/// # Errors
/// When there is no compiler and none can be installed, or when it or the verifier refuses.
pub fn run(profile: Profile) -> Result<()> {
    build()?;
    for object in objects() {
        println!("build-ebpf: {}", object.display());
        for (name, instructions) in programs(&object)? {
            println!(
                "build-ebpf: {name:<10} {instructions:>6} instructions {:>8} bytes",
                instructions * INSTRUCTION_LEN
            );
        }
    }
    verify(profile)
}

/// As [`run`], in one line.
///
/// # Errors
/// As [`run`].
pub fn run_briefly(profile: Profile) -> Result<()> {
    build()?;
    let verdicts = verdicts(profile)?;
    let most = verdicts.lines().filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).max();
    println!(
        "build-ebpf: {} programs in {}; the verifier takes all of them (it follows {} instructions at most)",
        verdicts.lines().count(),
        target_dir().join("bpf").display(),
        most.unwrap_or(0)
    );
    Ok(())
}

fn verify(profile: Profile) -> Result<()> {
    if signal::is_root() {
        verdicts(profile)?.lines().for_each(|line| println!("build-ebpf: {line}"));
        return Ok(());
    }
    let words = objects().map(|object| object.display().to_string()).join(" ");
    println!("build-ebpf: what the verifier makes of them takes root: sudo target/release/rp-server verify {words}");
    Ok(())
}

/// What the verifier makes of the programs, a line each.
fn verdicts(profile: Profile) -> Result<String> {
    let server = Programs::build(profile)?.server;
    command::read(std::process::Command::new(server).arg("verify").args(objects()))
}

fn objects() -> [PathBuf; 3] {
    [object_path(), load_path(), inlet_path()]
}

/// Compiles rp-ebpf and returns the object's path.
///
/// # Errors
/// As [`run`].
pub fn build() -> Result<PathBuf> {
    let toolchain = match Toolchain::find() {
        Some(toolchain) => toolchain,
        None => Toolchain::find_or_install()?,
    };
    let own_target = target_dir().join("ebpf");
    let mut cargo = toolchain.cargo();
    cargo.args(["--quiet", "--release", "--package", "rp-ebpf", "--target", TARGET]);
    command::show(cargo.env("CARGO_TARGET_DIR", &own_target)).context("the kernel programs were not compiled")?;
    std::fs::create_dir_all(target_dir().join("bpf")).context("cannot make a folder for the object")?;
    for (name, object) in [("rp-ebpf", object_path()), ("load", load_path()), ("inlet", inlet_path())] {
        let built = own_target.join(TARGET).join("release").join(name);
        // Renamed into place, so that a server never reads half an object.
        let partial = object.with_extension("partial");
        std::fs::copy(&built, &partial).with_context(|| format!("cannot copy {}", built.display()))?;
        std::fs::rename(&partial, &object).with_context(|| format!("cannot write {}", object.display()))?;
    }
    Ok(object_path())
}

/// The programs in an object, by name, with their instruction counts: before the verifier cuts tracing away.
fn programs(object: &Path) -> Result<Vec<(String, u64)>> {
    let bytes = std::fs::read(object).with_context(|| format!("cannot read {}", object.display()))?;
    let elf = object::File::parse(&*bytes).with_context(|| format!("{} is no ELF file", object.display()))?;
    let mut programs = Vec::new();
    for symbol in elf.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.is_global()) {
        let Some(section) = symbol.section_index().and_then(|index| elf.section_by_index(index).ok()) else { continue };
        // .text holds only what the programs call; the verifier counts it with them.
        if section.name() != Ok(".text") {
            programs.push((symbol.name()?.to_string(), symbol.size() / INSTRUCTION_LEN));
        }
    }
    if programs.is_empty() {
        bail!("{} holds no program", object.display());
    }
    Ok(programs)
}
