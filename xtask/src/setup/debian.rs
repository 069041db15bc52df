//! Debian's packages: fetched and unpacked into a folder, which needs no root, or installed, which does.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{program, tools_dir};
use crate::{command, signal};

/// Does this machine speak apt?
pub fn is_here() -> bool {
    program::find("apt-get").is_some() && program::find("dpkg").is_some()
}

/// Where packages are unpacked.
pub fn root() -> PathBuf {
    tools_dir().join("root")
}

/// Fetches packages and unpacks them under target/tools/root.
///
/// # Errors
/// Without apt, without package lists, or when the archive refuses; names the command to try.
pub fn unpack(packages: &[String], why: &str) -> Result<()> {
    let (count, first) = (packages.len(), &packages[0]);
    let named = if count == 1 { first.clone() } else { format!("{count} Debian packages ({first} and others)") };
    println!("setup: {why}:\n       fetching {named}");
    require_apt(&packages.join(" "))?;
    packages.iter().try_for_each(|package| require_lists(package))?;
    let fetched = tools_dir().join("packages");
    std::fs::create_dir_all(&fetched).with_context(|| format!("cannot create {}", fetched.display()))?;
    // The archive's own user may not read this folder; as root, apt fetches as root instead of warning about it.
    let fetch = ["-q", "-o", "APT::Sandbox::User=root", "download"];
    with_fresh_lists(|| command::hush(Command::new("apt-get").args(fetch).args(packages).current_dir(&fetched)))?;
    let mut files = std::fs::read_dir(&fetched)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    // By name, so that rustc comes last: where it is, an interrupted run left nothing out.
    files.sort();
    for file in files {
        command::read(Command::new("dpkg").arg("-x").arg(&file).arg(root()))?;
    }
    std::fs::remove_dir_all(&fetched).with_context(|| format!("cannot remove {}", fetched.display()))
}

/// What apt would install with a package: itself, unless it is here, and what this machine lacks of its dependencies.
///
/// # Errors
/// As [`unpack`].
pub fn with_dependencies(package: &str) -> Result<Vec<String>> {
    require_apt(package)?;
    require_lists(package)?;
    let mut apt = Command::new("apt-get");
    let planned = command::read(apt.args(["install", "--simulate", "-q", "--no-install-recommends", package]))?;
    Ok(planned.lines().filter_map(newcomer).map(str::to_string).collect())
}

/// The package of a line of the plan, if it is not here in another version: beside programs of this machine an unpacked C library
/// would do harm.
fn newcomer(line: &str) -> Option<&str> {
    let (name, rest) = line.strip_prefix("Inst ")?.split_once(' ')?;
    (!rest.starts_with('[')).then_some(name)
}

/// Installs a package, as root.
///
/// # Errors
/// When not root: names the command.
pub fn install(package: &str, why: &str) -> Result<()> {
    require_apt(package)?;
    if !signal::is_root() {
        bail!("{why}: run `sudo apt-get install {package}`");
    }
    println!("setup: {why}: installing {package}");
    require_lists(package)?;
    let mut apt = Command::new("apt-get");
    apt.args(["install", "-q", "-y", "--no-install-recommends", package]).env("DEBIAN_FRONTEND", "noninteractive");
    with_fresh_lists(|| command::hush(&mut apt))
}

/// Tries once more behind `apt-get update`: lists of some months ago name versions that the archive has no more.
fn with_fresh_lists(mut fetch: impl FnMut() -> Result<()>) -> Result<()> {
    fetch().or_else(|error| {
        if !signal::is_root() {
            return Err(error.context("the package lists may be old: run `sudo apt-get update`, then this again"));
        }
        update()?;
        fetch()
    })
}

fn update() -> Result<()> {
    command::hush(Command::new("apt-get").args(["update", "-q"]))
}

/// What a package depends on, by name.
pub fn dependencies(package: &str) -> Result<Vec<String>> {
    require_lists(package)?;
    let shown = command::read(Command::new("apt-cache").args(["show", "--no-all-versions", package]))?;
    let line = shown.lines().find_map(|line| line.strip_prefix("Depends: ")).unwrap_or_default();
    Ok(line.split(", ").filter_map(|part| part.split_whitespace().next()).map(str::to_string).collect())
}

fn require_apt(packages: &str) -> Result<()> {
    if !is_here() {
        bail!("this machine has no apt: install what is in Debian's {packages} with its own package manager");
    }
    Ok(())
}

/// Fetches the package lists when they do not know the package; that needs root.
fn require_lists(package: &str) -> Result<()> {
    if is_known(package) {
        return Ok(());
    }
    if !signal::is_root() {
        bail!("the package lists do not know {package}: run `sudo apt-get update`, then this again");
    }
    update()?;
    if !is_known(package) {
        bail!("the package archives of this machine have no {package}");
    }
    Ok(())
}

fn is_known(package: &str) -> bool {
    let shown = command::read(Command::new("apt-cache").args(["policy", package]));
    shown.is_ok_and(|text| text.contains("Candidate:") && !text.contains("Candidate: (none)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_plan_only_what_is_not_here_is_taken() {
        for (line, name) in [
            ("Inst libz3-4 (4.8.12-3.1 Debian:12.12/oldstable [amd64])", Some("libz3-4")),
            ("Inst libc6 [2.36-9+deb12u1] (2.36-9+deb12u13 Debian:12.12/oldstable [amd64])", None),
            ("Conf libz3-4 (4.8.12-3.1 Debian:12.12/oldstable [amd64])", None),
            ("Reading package lists...", None),
        ] {
            assert_eq!(newcomer(line), name, "{line}");
        }
    }
}
