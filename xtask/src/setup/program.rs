//! Programs of the machine: found on the path or under target/tools, unpacked there, or installed.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{debian, tools_dir};

/// A program that set-up unpacked, else one on the path or in the system's own folders.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Unpacked is only what the machine had not, or had and did not work.
    let folders = std::iter::once(wrappers())
        .chain(std::env::split_paths(&path))
        .chain(["/usr/sbin", "/sbin", "/usr/bin"].map(PathBuf::from));
    find_in(folders, name)
}

/// Where the programs are that set-up unpacked: each starts the one of its package where it finds its libraries.
fn wrappers() -> PathBuf {
    tools_dir().join("bin")
}

fn find_in(folders: impl IntoIterator<Item = PathBuf>, name: &str) -> Option<PathBuf> {
    folders.into_iter().map(|folder| folder.join(name)).find(|file| is_program(file))
}

fn is_program(file: &Path) -> bool {
    file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// Finds a program that works, or unpacks its Debian package under target/tools, with the libraries that are missing. So nothing is
/// installed, and no server that a package brings is started.
pub fn find_or_unpack(name: &str, package: &str) -> Result<PathBuf> {
    // Debian's /usr/sbin/bpftool of some kernels is a script that refuses: a program counts when it tells its version.
    if let Some(file) = find(name).filter(|file| tells_version(file)) {
        return Ok(file);
    }
    // An earlier set-up may have unpacked it.
    if let Some(file) = unpacked(name)? {
        return Ok(file);
    }
    let mut packages = debian::with_dependencies(package)?;
    // Of a package that is here, but whose program does not work, the plan has nothing.
    if !packages.iter().any(|planned| planned == package) {
        packages.push(package.to_string());
    }
    debian::unpack(&packages, &format!("{name} is missing"))?;
    unpacked(name)?.with_context(|| {
        format!(
            "{name} of the package {package} does not run on this machine: install it with `apt-get install {package}`"
        )
    })
}

/// The program of that name among those unpacked, wrapped; none where it does not run.
fn unpacked(name: &str) -> Result<Option<PathBuf>> {
    let folders = ["usr/sbin", "sbin", "usr/bin"].map(|folder| debian::root().join(folder));
    let Some(file) = find_in(folders, name) else { return Ok(None) };
    let wrapper = wrappers().join(name);
    wrap(name, &file).with_context(|| format!("cannot write {}", wrapper.display()))?;
    if tells_version(&wrapper) {
        return Ok(Some(wrapper));
    }
    // It would stand before a program that works.
    std::fs::remove_file(&wrapper).with_context(|| format!("cannot remove {}", wrapper.display()))?;
    Ok(None)
}

fn wrap(name: &str, file: &Path) -> io::Result<()> {
    let (wrapper, libraries) = (wrappers().join(name), library_path());
    std::fs::create_dir_all(wrappers())?;
    std::fs::write(&wrapper, format!("#!/bin/sh\nLD_LIBRARY_PATH='{libraries}' exec '{}' \"$@\"\n", file.display()))?;
    std::fs::set_permissions(&wrapper, Permissions::from_mode(0o755))
}

/// Folders with libraries that set-up unpacked.
fn library_path() -> String {
    let folders = ["lib", "usr/lib"].map(|folder| debian::root().join(folder));
    let inside = |folder: &PathBuf| std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let of_machine = folders.iter().flat_map(inside).filter(|path| path.to_string_lossy().ends_with("-linux-gnu"));
    of_machine.map(|path| path.display().to_string()).collect::<Vec<_>>().join(":")
}

fn tells_version(file: &Path) -> bool {
    let output = Command::new(file).arg("--version").output();
    output.is_ok_and(|output| output.status.success())
}

/// Finds a program, or installs its package as root.
pub fn find_or_install(name: &str, package: &str) -> Result<PathBuf> {
    if let Some(file) = find(name) {
        return Ok(file);
    }
    debian::install(package, &format!("{name} is missing"))?;
    find(name).with_context(|| format!("the package {package} holds no {name}"))
}
