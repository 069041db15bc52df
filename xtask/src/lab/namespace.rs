//! One network namespace: a machine of the laboratory.
//!
//! It is entered by `nsenter --net` and not by `ip netns exec`, which mounts a fresh /sys and so hides pinned maps.

use std::ffi::OsStr;
use std::process::Command;

use anyhow::{Context, Result};

use super::place::Place;
use crate::command;
use crate::signal::{self, Signal};

/// A network namespace that exists as long as this value.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes an empty namespace with its loopback up.
    ///
    /// # Errors
    /// When the kernel or `ip` refuses; root is needed.
    pub fn create(name: String) -> Result<Namespace> {
        command::run("ip", ["netns", "add", &name])
            .with_context(|| format!("cannot make the network namespace {name}; it needs root and iproute2"))?;
        let namespace = Namespace { name };
        namespace.ip(["link", "set", "lo", "up"])?;
        // What comes by a strand without addresses is for the first one's; and answers go back by that.
        namespace.sysctl("net.ipv4.conf.all.rp_filter", "0")?;
        namespace.sysctl("net.ipv4.conf.default.rp_filter", "0")?;
        namespace.sysctl("net.ipv6.conf.all.accept_dad", "0")?;
        namespace.sysctl("net.ipv6.conf.default.accept_dad", "0")?;
        Ok(namespace)
    }

    /// Its name under /run/netns.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A command that runs `program` in here and dies with the thread that starts it.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        Place::inside(self).command(program)
    }

    /// Runs `ip` in here.
    ///
    /// # Errors
    /// What `ip` said.
    pub fn ip<I: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = I>) -> Result<String> {
        command::read(Command::new("ip").args(["-n", &self.name]).args(args))
    }

    /// Runs `tc` in here.
    ///
    /// # Errors
    /// What `tc` said.
    pub fn tc<I: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = I>) -> Result<String> {
        command::read(Command::new("tc").args(["-n", &self.name]).args(args))
    }

    fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        command::read(self.command("sysctl").arg("-qw").arg(format!("{key}={value}"))).map(drop)
    }

    /// Processes whose network is this namespace.
    pub fn pids(&self) -> Vec<u32> {
        pids_in(&self.name)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.name);
    }
}

/// Ends what still runs in the namespace `name` and removes it; what cannot be removed is said.
pub(super) fn remove(name: &str) {
    for pid in pids_in(name) {
        signal::send(pid, Signal::Kill);
    }
    if let Err(error) = command::run("ip", ["netns", "del", name]) {
        eprintln!("{error:#}");
    }
}

fn pids_in(name: &str) -> Vec<u32> {
    let listed = command::read(Command::new("ip").args(["netns", "pids", name])).unwrap_or_default();
    listed.lines().filter_map(|line| line.trim().parse().ok()).collect()
}
