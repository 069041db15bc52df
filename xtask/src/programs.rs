//! The programs under test, built by cargo and found where it puts them.

use std::path::PathBuf;

use anyhow::Result;

use crate::setup::target_dir;
use crate::{command, ebpf};

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
        // Without a package's name crates have the features that they have for the tests, and none is made anew.
        cargo.args(["build", "--quiet", "--bin", "rp-server", "--bin", "rp-client"]);
        if profile == Profile::Release {
            cargo.arg("--release");
        }
        command::show(&mut cargo)?;
        Ok(Programs::find(profile))
    }

    /// Where they are once built.
    pub fn find(profile: Profile) -> Programs {
        let bin = target_dir().join(if profile == Profile::Release { "release" } else { "debug" });
        Programs { server: bin.join("rp-server"), client: bin.join("rp-client"), gate: ebpf::object_path() }
    }
}
