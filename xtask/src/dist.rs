//! `cargo xtask dist`: completions and man pages, made by the programs themselves, and the Debian package that carries them.
//!
//! All of it lies under target/dist. What goes where in the package stands in rp-server/Cargo.toml, its unit and scripts
//! in rp-server/packaging.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::programs::{Profile, Programs};
use crate::setup::{self, target_dir};
use crate::{command, ebpf};

/// The shells, and what each calls the completions of a program.
const SHELLS: [(&str, &str, &str); 3] = [("bash", "", ".bash"), ("zsh", "_", ""), ("fish", "", ".fish")];

/// Flags of `cargo xtask dist`.
#[derive(clap::Args)]
pub struct DistArgs {
    /// Package what `cargo build` makes instead of what `cargo build --release` does
    #[arg(long)]
    dev: bool,
    /// Build programs, completions and man pages, and no package
    #[arg(long)]
    no_package: bool,
}

impl DistArgs {
    /// Builds everything and says where it is.
    ///
    /// # Errors
    /// What did not build.
    pub fn run(&self) -> Result<()> {
        let profile = if self.dev { Profile::Dev } else { Profile::Release };
        let programs = Programs::build(profile)?;
        println!("dist: kernel programs in {}", ebpf::build()?.parent().unwrap_or(Path::new("")).display());
        println!("dist: completions and man pages in {}", pages(&programs)?.display());
        if !self.no_package {
            println!("dist: package {}", package(profile)?.display());
        }
        Ok(())
    }
}

/// Where completions, man pages and the package go.
pub fn dir() -> PathBuf {
    target_dir().join("dist")
}

/// Makes completions and man pages of built programs, and returns their folder.
///
/// # Errors
/// When a program makes none.
pub fn pages(programs: &Programs) -> Result<PathBuf> {
    let (completions, man) = (dir().join("completions"), dir().join("man"));
    for folder in [&completions, &man] {
        // A page of a command that is no more must not stay.
        if folder.exists() {
            std::fs::remove_dir_all(folder).with_context(|| format!("cannot empty {}", folder.display()))?;
        }
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    for (name, program) in [("rp-server", &programs.server), ("rp-client", &programs.client)] {
        for (shell, before, behind) in SHELLS {
            let script = command::read(Command::new(program).args(["completions", shell]))?;
            let file = completions.join(format!("{before}{name}{behind}"));
            std::fs::write(&file, script).with_context(|| format!("cannot write {}", file.display()))?;
        }
        command::read(Command::new(program).arg("man").arg(&man))?;
    }
    Ok(dir())
}

/// Makes the package of what is built, and returns its file.
///
/// # Errors
/// When cargo-deb cannot be had, or refuses.
pub fn package(profile: Profile) -> Result<PathBuf> {
    // The manifest names what goes into the package below target/, where old files would be taken unseen.
    if target_dir() != command::root().join("target") {
        bail!("a package is made of what is in target/: run this without CARGO_TARGET_DIR");
    }
    let cargo_deb = setup::cargo_deb()?;
    let mut pack = Command::new(cargo_deb);
    pack.current_dir(command::root());
    pack.args(["--package", "rp-server", "--no-build", "--no-strip", "--output"]).arg(dir());
    if profile == Profile::Dev {
        // Its programs are large, and nobody waits for the file.
        pack.args(["--profile", "dev", "--fast"]);
    }
    let said = command::read(&mut pack)?;
    let file =
        said.lines().map(|line| Path::new(line.trim())).rfind(|path| path.extension().is_some_and(|e| e == "deb"));
    match file {
        Some(file) if file.is_file() => Ok(file.to_path_buf()),
        _ => bail!("cargo-deb says of no package where it is: {said}"),
    }
}
