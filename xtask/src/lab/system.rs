//! A whole system in the laboratory: systemd as its first process, over this machine's files, of which it changes none.
//!
//! Packages are installed in it as on a machine: an overlay in memory takes what is written. Its network is a namespace of
//! the lab, its processes and control groups its own. It ends with its first process.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::{Namespace, Program, Room};
use crate::command;
use crate::signal;

const BOOT: &str = include_str!("system.sh");
const BOOT_LIMIT: Duration = Duration::from_secs(60);

/// A running system; it ends when this is dropped.
#[derive(Debug)]
pub struct System {
    program: Program,
    /// Its first process, as this machine counts.
    init: u32,
    room: PathBuf,
    group: String,
}

impl System {
    /// Boots it in a namespace, with a package beside its root folder as `/red-packet.deb`.
    ///
    /// # Errors
    /// Without root or systemd, or what the kernel refused.
    pub fn boot(namespace: &Namespace, room: &Room, package: &Path) -> Result<System> {
        let folder = room.file("system");
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let script = folder.join("boot.sh");
        std::fs::write(&script, BOOT).with_context(|| format!("cannot write {}", script.display()))?;
        let group = format!("{}-system", namespace.name());
        let mut start = namespace.command("unshare");
        start.args(["--mount", "--propagation", "private", "sh"]).arg(&script);
        start.env("ROOM", &folder).env("NAME", &group).env("PACKAGE", package);
        let program = Program::start("systemd", start, &room.file("system.log"))?;
        let mut system = System { program, init: 0, room: folder, group };
        system.wait_until_it_runs()?;
        Ok(system)
    }

    fn wait_until_it_runs(&mut self) -> Result<()> {
        let since = Instant::now();
        loop {
            signal::check()?;
            if let Some(status) = self.program.ended()? {
                bail!("the system ended at its start ({status}):\n{}", self.program.log_tail());
            }
            if self.init == 0 {
                // unshare stays and waits for its child, which becomes systemd.
                self.init = first_child(self.program.pid()).unwrap_or(0);
            } else if self.run(&["systemctl", "is-active", "sysinit.target"]).is_ok() {
                return Ok(());
            }
            if since.elapsed() > BOOT_LIMIT {
                bail!("the system does not come up:\n{}", self.program.log_tail());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// A command inside.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.init.to_string(), "--all", "--root", "--wd", "--"]).args(words);
        // Of the tests' own surroundings nothing is to be known inside.
        command
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LC_ALL", "C");
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command
    }

    /// Runs a command inside and returns what it printed.
    ///
    /// # Errors
    /// What it said.
    pub fn run(&self, words: &[&str]) -> Result<String> {
        command::read(&mut self.command(words))
    }

    /// Files of ours that were written inside, by their names.
    ///
    /// # Errors
    /// What `find` said.
    pub fn left(&self) -> Result<Vec<String>> {
        let find = "find /etc /usr /var /tmp -xdev -newer /red-packet.deb \\( -name '*red-packet*' -o -name '*rp-server*' -o \
                    -name '*rp-client*' \\)";
        Ok(self.run(&["sh", "-c", find])?.lines().map(str::to_string).collect())
    }
}

impl Drop for System {
    fn drop(&mut self) {
        if self.init != 0 {
            signal::send(self.init, signal::Signal::Kill);
            let _already_gone = self.program.wait(Duration::from_secs(10));
        }
        // Control groups outlive their processes.
        let remove = "mount -t cgroup2 none \"$1/groups\" && find \"$1/groups/$2\" -depth -type d -exec rmdir {} +";
        let mut sweep = Command::new("unshare");
        sweep.args(["--mount", "--propagation", "private", "sh", "-c", remove, "sh"]).arg(&self.room).arg(&self.group);
        if let Err(error) = command::read(&mut sweep) {
            eprintln!("{error:#}");
        }
    }
}

fn first_child(pid: u32) -> Option<u32> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}
