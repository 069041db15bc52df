//! The machines as a reader of the documents has them: default places of files, a repository at hand, `sudo` and `cargo`.
//!
//! A mount namespace gives them a /run, an /etc and a bpf file system of their own, so that whatever a page does with
//! default flags meets no server of this machine and leaves nothing behind.

use std::cell::Cell;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use xtask::book::fence::Machine;
use xtask::command;
use xtask::lab::{Lab, Program};
use xtask::programs::{Profile, Programs};
use xtask::setup;

/// What the holder of the mounts runs: it lives as long as they are needed.
const MOUNTS: &str = "mount -t tmpfs tmpfs /run && mount -t bpf bpf /sys/fs/bpf && mkdir /run/etc /run/work && \
                      mount -t overlay -o lowerdir=/etc,upperdir=/run/etc,workdir=/run/work overlay /etc && \
                      echo mounted && exec sleep infinity";
/// Root is there already.
const SUDO: &str = "#!/bin/sh\nexec \"$@\"\n";

/// A laboratory of a server's and two client machines, and the folder in which commands are typed.
pub struct House {
    holder: Program,
    lab: Lab,
    folder: PathBuf,
    started: Cell<u32>,
}

impl House {
    pub fn build() -> House {
        let programs = Programs::find(Profile::Dev);
        let lab = Lab::build(2, &programs).expect("a lab can be built");
        let folder = lab.room().ledger("reader");
        furnish(&folder, &programs);
        let mut unshare = Command::new("unshare");
        unshare.args(["--mount", "--propagation", "private", "setpriv", "--pdeathsig", "KILL", "sh", "-c", MOUNTS]);
        let holder = Program::start("mounts", unshare, &lab.room().file("mounts.log")).expect("unshare starts");
        let since = Instant::now();
        while !holder.log().contains("mounted") {
            assert!(since.elapsed() < Duration::from_secs(120), "no mounts of its own: {}", holder.log());
            std::thread::sleep(Duration::from_millis(10));
        }
        House { holder, lab, folder, started: Cell::new(0) }
    }

    /// Starts what a page says, at a machine.
    pub fn start(&self, at: Machine, script: &str) -> Program {
        let (namespace, link) = match at {
            Machine::Server => (self.lab.server(), &self.lab.clients()[0].1),
            Machine::Client(number) => {
                let (client, link) = &self.lab.clients()[number];
                (client, link)
            }
        };
        let script = script.replace("ADDRESS", &link.server_v4().to_string());
        let mut command = Command::new("nsenter");
        command.arg(format!("--mount=/proc/{}/ns/mnt", self.holder.pid()));
        command.arg(format!("--net=/run/netns/{}", namespace.name())).arg(format!("--wdns={}", self.folder.display()));
        command.args(["--", "chrt", "--batch", "0", "setpriv", "--pdeathsig", "KILL", "--", "sh", "-c", &script]);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("RP_")) {
            command.env_remove(name);
        }
        command.env("PATH", self.path()).env("COLUMNS", "100").env("REPOSITORY", command::root());
        // Its log is opened before the machine is entered.
        let number = self.started.replace(self.started.get() + 1);
        let log = self.lab.room().file(&format!("block-{number}.log"));
        Program::start(script.lines().last().unwrap_or("a block"), command, &log).expect("nsenter starts")
    }

    /// Where programs are found: the shims first, then those of a package, then those that set-up unpacked, then the machine's.
    fn path(&self) -> String {
        let path = std::env::var("PATH").unwrap_or_default();
        let own = [".bin", "target/release"].map(|folder| self.folder.join(folder).display().to_string());
        let unpacked = setup::tools_dir().join("bin").display().to_string();
        own.into_iter().chain([unpacked, path]).collect::<Vec<_>>().join(":")
    }
}

/// Makes the folder look like the repository after a build: programs of the dev profile in the place of the release ones.
fn furnish(folder: &Path, programs: &Programs) {
    let place = |path: &str| {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("target/ is ours");
        path
    };
    for (from, to) in [
        (programs.server.as_path(), "target/release/rp-server"),
        (programs.client.as_path(), "target/release/rp-client"),
        (programs.gate.parent().expect("an object is in a folder"), "target/bpf"),
        (&command::root().join("docs"), "docs"),
    ] {
        symlink(from, place(to)).unwrap_or_else(|error| panic!("{to}: {error}"));
    }
    // The release build is the demo's; what compiles in one profile does so in the other.
    let cargo = format!(
        "#!/bin/sh\ncd \"$REPOSITORY\"\ncase \"$*\" in\n'build --release')\n    exec '{}' build --quiet --package rp-server \
         --package rp-client --bins\n    ;;\nesac\nexec '{}' \"$@\"\n",
        cargo(),
        cargo()
    );
    for (name, script) in [("sudo", SUDO), ("cargo", &cargo)] {
        let file = place(&format!(".bin/{name}"));
        std::fs::write(&file, script).expect("target/ is ours");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).expect("it was just written");
    }
}

fn cargo() -> String {
    command::cargo().get_program().to_string_lossy().into_owned()
}
