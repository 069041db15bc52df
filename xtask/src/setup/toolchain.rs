//! The compiler for kernel programs: rustup's nightly when it is complete, else Debian's rustc, unpacked.
//!
//! Stable Rust cannot build `core` for BPF. Nightly with rust-src can, and Debian ships `core` ready-made beside a rustc of
//! its own. Either needs bpf-linker, built on an LLVM not older than that of the rustc it links for.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{debian, program, tools_dir};
use crate::command;

const LINKER_VERSION: &str = "0.13.0";

/// A compiler for kernel programs.
#[derive(Debug)]
pub enum Toolchain {
    /// rustup's nightly with rust-src, and bpf-linker on the path.
    Nightly {
        /// bpf-linker.
        linker: PathBuf,
    },
    /// Debian's rustc with its ready-made `core`, unpacked under target/tools.
    Debian {
        /// Where the packages are unpacked.
        root: PathBuf,
        /// bpf-linker.
        linker: PathBuf,
    },
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Toolchain::Nightly { linker } => write!(f, "rustup's nightly with {}", linker.display()),
            Toolchain::Debian { root, .. } => write!(f, "Debian's rustc under {}", root.display()),
        }
    }
}

impl Toolchain {
    /// Finds a complete toolchain, if there is one.
    pub fn find() -> Option<Toolchain> {
        if let Some(linker) = program::find("bpf-linker").filter(|_| nightly_has_source()) {
            return Some(Toolchain::Nightly { linker });
        }
        let root = debian::root();
        let linker = tools_dir().join("linker/bin/bpf-linker");
        (is_unpacked(&root) && linker.is_file()).then_some(Toolchain::Debian { root, linker })
    }

    /// Finds a complete toolchain, or installs one under target/tools.
    ///
    /// # Errors
    /// When neither is possible: names the commands that make it so.
    pub fn find_or_install() -> Result<Toolchain> {
        if let Some(toolchain) = Toolchain::find() {
            return Ok(toolchain);
        }
        if !debian::is_here() {
            bail!(
                "no compiler for kernel programs: run `rustup toolchain install nightly --component rust-src`, and install \
                 bpf-linker {LINKER_VERSION} for an LLVM not older than nightly's (`rustc +nightly -vV`); or use a machine \
                 with Debian's rustc-web"
            );
        }
        let root = debian::root();
        if !is_unpacked(&root) {
            let packages = packages()?;
            debian::unpack(&packages, "no compiler for kernel programs (rustup's nightly has no rust-src)")?;
        }
        let linker = install_linker(&root)?;
        Ok(Toolchain::Debian { root, linker })
    }

    /// A cargo that compiles for BPF, but for the target and package.
    pub fn cargo(&self) -> Command {
        let mut cargo = command::cargo();
        let linker = match self {
            Toolchain::Nightly { linker } => {
                // The cargo that runs the workshop is another toolchain's, and says so to its children.
                cargo = Command::new("rustup");
                cargo.current_dir(command::root()).env_remove("RUSTC").env_remove("CARGO");
                cargo.args(["run", "nightly", "cargo", "build", "-Z", "build-std=core"]);
                linker
            }
            Toolchain::Debian { root, linker } => {
                cargo.env("RUSTC", root.join("usr/bin/rustc")).env("RUSTC_BOOTSTRAP", "1");
                cargo.env("LD_LIBRARY_PATH", libraries(root)).arg("build");
                linker
            }
        };
        let linker = format!("-Clinker={}", linker.display());
        let flags: Vec<&str> = FLAGS.iter().copied().chain([linker.as_str()]).collect();
        cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f")).env_remove("RUSTFLAGS");
        cargo
    }
}

/// Debug information becomes BTF, which gives the maps' fields their names. The CPU is the third version of BPF, whose
/// compare-and-swap the linker must not be told of again.
const FLAGS: &[&str] = &[
    "-Cdebuginfo=2",
    "-Clink-arg=--btf",
    "-Ctarget-cpu=v3",
    "-Clink-arg=--cpu-features=+allows-misaligned-mem-access",
];

fn nightly_has_source() -> bool {
    let rustup = |args: &[&str]| command::read(Command::new("rustup").args(args));
    let Ok(sysroot) = rustup(&["run", "nightly", "rustc", "--print", "sysroot"]) else { return false };
    Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/core/Cargo.toml").is_file()
}

fn libraries(root: &Path) -> PathBuf {
    root.join("usr/lib").join(format!("{}-linux-gnu", std::env::consts::ARCH))
}

fn is_unpacked(root: &Path) -> bool {
    let core = root.join("usr/lib/rustlib/bpfel-unknown-none/lib");
    let mut rustc = Command::new(root.join("usr/bin/rustc"));
    // One whose libraries are not here does not say its version.
    let mut runs = || command::read(rustc.arg("-V").env("LD_LIBRARY_PATH", libraries(root))).is_ok();
    core.is_dir() && llvm_of(root).is_some() && runs()
}

/// The LLVM that was unpacked: its version and folder.
fn llvm_of(root: &Path) -> Option<(u32, PathBuf)> {
    let folders = std::fs::read_dir(root.join("usr/lib")).ok()?;
    let versions = folders.filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_prefix("llvm-")?.parse().ok());
    let version: u32 = versions.max()?;
    let prefix = root.join(format!("usr/lib/llvm-{version}"));
    prefix.join("bin/llvm-config").exists().then_some((version, prefix))
}

/// Debian's packages: rustc with its `core` for BPF, and the LLVM it is built on, with what bpf-linker links against.
fn packages() -> Result<Vec<String>> {
    // Lists from before there was one name an older compiler: they are fetched anew before anybody asks about versions.
    debian::dependencies("libstd-rust-web-dev-bpf")?;
    let std = debian::dependencies("libstd-rust-web-dev")?;
    let runtime = std.iter().find(|name| name.starts_with("libstd-rust-web-")).context(
        "Debian's rustc-web is of an unknown shape: install nightly with rust-src, and bpf-linker, by rustup and cargo",
    )?;
    let libraries = debian::dependencies(runtime)?;
    let llvm = libraries.iter().find_map(|name| name.strip_prefix("libllvm")?.parse::<u32>().ok());
    let llvm = llvm.context("Debian's rustc-web names no libllvm")?;
    let mut packages: Vec<String> =
        ["rustc-web", "libstd-rust-web-dev", "libstd-rust-web-dev-bpf"].map(String::from).to_vec();
    packages.extend(["", "-dev", "-linker-tools"].map(|part| format!("llvm-{llvm}{part}")));
    // The libraries that the compiler loads, and of those that they load what this machine lacks.
    for library in [runtime.clone(), format!("libllvm{llvm}")] {
        // Where apt can plan nothing, for its own packages are at odds, the library itself can be fetched all the same.
        packages.extend(debian::with_dependencies(&library).unwrap_or_default());
        packages.push(library);
    }
    packages.sort();
    packages.dedup();
    Ok(packages)
}

fn install_linker(root: &Path) -> Result<PathBuf> {
    let (version, prefix) = llvm_of(root).context("the unpacked LLVM has no llvm-config")?;
    let into = tools_dir().join("linker");
    let linker = into.join("bin/bpf-linker");
    if linker.is_file() {
        return Ok(linker);
    }
    program::find_or_install("c++", "g++").context("bpf-linker is built by a C++ compiler")?;
    println!("setup: building bpf-linker {LINKER_VERSION} on LLVM {version} (a minute or two)");
    let build = tools_dir().join("build");
    let mut cargo = command::cargo();
    cargo.args(["install", "bpf-linker", "--version", LINKER_VERSION, "--locked", "--no-default-features"]);
    cargo.args(["--features", &format!("llvm-{version}"), "--root"]).arg(&into);
    cargo.env("LLVM_PREFIX", prefix).env("LD_LIBRARY_PATH", libraries(root)).env("CARGO_TARGET_DIR", &build);
    command::hush(&mut cargo).context("bpf-linker was not built")?;
    std::fs::remove_dir_all(&build).with_context(|| format!("cannot remove {}", build.display()))?;
    Ok(linker)
}
