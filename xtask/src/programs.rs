//! The programs under test, built by cargo and found where it puts them.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::command;

/// How the programs are compiled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Profile {
    /// With assertions and overflow checks: for tests.
    Dev,
    /// As they are used: for whatever is measured.
    Release,
}

/// Where the programs are.
#[derive(Clone, Debug)]
pub struct Programs {
    /// rp-server.
    pub server: PathBuf,
    /// rp-client.
    pub client: PathBuf,
    /// The object of the kernel programs, whether it has been built or not.
    pub gate: PathBuf,
}

impl Programs {
    /// Compiles server and client; cargo shows its progress on this terminal.
    ///
    /// # Errors
    /// When they do not compile.
    pub fn build(profile: Profile) -> Result<Programs> {
        let mut cargo = command::cargo();
        cargo.args(["build", "--quiet", "--package", "rp-server", "--package", "rp-client", "--bins"]);
        if profile == Profile::Release {
            cargo.arg("--release");
        }
        command::show(&mut cargo)?;
        Programs::find(profile)
    }

    /// Where they are once built.
    ///
    /// # Errors
    /// When cargo cannot name its target folder.
    pub fn find(profile: Profile) -> Result<Programs> {
        let target = target_folder()?;
        let bin = target.join(if profile == Profile::Release { "release" } else { "debug" });
        Ok(Programs {
            server: bin.join("rp-server"),
            client: bin.join("rp-client"),
            gate: target.join("bpf").join("gate.o"),
        })
    }

    /// A command of rp-server that is not *run*: it talks to a running one.
    pub fn server_tool(&self) -> Command {
        Command::new(&self.server)
    }
}

/// Cargo's target folder, wherever its configuration puts it.
///
/// # Errors
/// When cargo fails or says something else than JSON.
pub fn target_folder() -> Result<PathBuf> {
    let text = command::read(command::cargo().args(["metadata", "--no-deps", "--offline", "--format-version", "1"]))?;
    let metadata: serde_json::Value = serde_json::from_str(&text).context("cargo metadata is not JSON")?;
    let folder = metadata["target_directory"].as_str().context("cargo metadata names no target directory")?;
    Ok(PathBuf::from(folder))
}
