//! Programs of the machine: found on the path or under target/tools, unpacked there, or installed.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{debian, tools_dir};

/// A program on the path, in the system's own folders, or unpacked by set-up.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let unpacked = tools_dir().join("root");
    let folders = std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/bin"].map(PathBuf::from))
        .chain(["usr/sbin", "sbin", "usr/bin"].map(|folder| unpacked.join(folder)));
    folders.map(|folder| folder.join(name)).find(|file| is_program(file))
}

fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// Finds a program that works, or unpacks its Debian package under target/tools.
pub fn find_or_unpack(name: &str, package: &str) -> Result<PathBuf> {
    // Debian's /usr/sbin/bpftool of some kernels is a script that refuses: a program counts when it tells its version.
    if let Some(file) = find(name).filter(|file| tells_version(file)) {
        return Ok(file);
    }
    debian::unpack(&[package.to_string()], &format!("{name} is missing"))?;
    let file = find(name).with_context(|| format!("the package {package} holds no {name}"))?;
    if !tells_version(&file) {
        bail!("{} does not run on this machine: install it with `apt-get install {package}`", file.display());
    }
    Ok(file)
}

/// Finds a server that is never installed, since its package would start it: unpacks it and the libraries that are missing.
pub fn find_or_unpack_whole(name: &str, package: &str) -> Result<PathBuf> {
    if let Some(file) = find(name) {
        return Ok(file);
    }
    let packages = debian::with_dependencies(package)?;
    debian::unpack(&packages, &format!("{name} is missing"))?;
    find(name).with_context(|| format!("the package {package} holds no {name}"))
}

/// Folders with libraries that set-up unpacked, for LD_LIBRARY_PATH.
pub fn library_path() -> String {
    let folders = ["lib", "usr/lib"].map(|folder| tools_dir().join("root").join(folder));
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
