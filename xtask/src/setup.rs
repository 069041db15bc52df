//! What the build of the kernel programs and the laboratory need, found or installed.
//!
//! Everything that can lie under target/tools does, and leaves the machine as it was. Only what must be root is: the
//! package lists, and `ip`, `nsenter` and `sysctl` where they are missing. A second run finds everything and says so at once.

mod debian;
mod packer;
mod program;
mod toolchain;

use std::path::PathBuf;

use anyhow::Result;

pub use packer::cargo_deb;
pub use program::{find as find_program, find_or_unpack};
pub use toolchain::Toolchain;

/// Where the workshop puts what it builds: `CARGO_TARGET_DIR`, or target/ in the workspace.
pub fn target_dir() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => crate::command::root().join(dir),
        None => crate::command::root().join("target"),
    }
}

/// Where set-up unpacks what it fetches.
pub fn tools_dir() -> PathBuf {
    target_dir().join("tools")
}

/// Finds or installs everything, saying what and why.
///
/// # Errors
/// When something is missing and cannot be installed here; names the commands that would.
pub fn run() -> Result<()> {
    let toolchain = Toolchain::find_or_install()?;
    println!("setup: kernel programs are compiled by {toolchain}");
    for (name, package, why) in [
        ("bpftool", "bpftool", "reads the pinned counters by name"),
        ("ethtool", "ethtool", "switches checksum offload of the laboratory's links"),
    ] {
        let path = program::find_or_unpack(name, package)?;
        println!("setup: {name} ({why}) is {}", path.display());
    }
    for (name, package, why) in [
        ("ip", "iproute2", "makes the laboratory's namespaces and links"),
        ("nsenter", "util-linux", "starts programs inside them"),
        ("sysctl", "procps", "sets their switches"),
    ] {
        let path = program::find_or_install(name, package)?;
        println!("setup: {name} ({why}) is {}", path.display());
    }
    Ok(())
}

/// What the tests need besides.
///
/// # Errors
/// As [`run`].
pub fn run_for_tests() -> Result<()> {
    run()?;
    for (name, package, why) in [
        ("python3", "python3", "runs the client that was written from docs/PROTOCOL.md alone"),
        ("curl", "curl", "asks the server's page as docs/reference/http.md does"),
        ("sqlite3", "sqlite3", "asks the ledger's files as docs/LEDGER.md does"),
        ("groff", "groff-base", "reads the man pages"),
        ("systemd-analyze", "systemd", "reads the server's unit, and starts it in a laboratory"),
        ("adduser", "adduser", "makes the server's user there"),
        ("xz", "xz-utils", "packs the Debian package"),
        ("dpkg-shlibdeps", "dpkg-dev", "finds what the package depends on"),
        ("perf", "linux-perf", "profiles as docs/how-to/profiling.md does"),
        ("chromium", "chromium", "shows the live page, without a screen"),
        ("chromedriver", "chromium-driver", "drives it"),
    ] {
        let path = program::find_or_install(name, package)?;
        println!("setup: {name} ({why}) is {}", path.display());
    }
    // Its package would start a server of its own: unpacked it does nothing.
    let path = program::find_or_unpack("promtool", "prometheus")?;
    println!("setup: promtool (looks at /metrics and the dashboard's questions) is {}", path.display());
    Ok(())
}
