//! The Debian package in a system of its own: installed, started by systemd under the unit's walls, asked by a client, killed,
//! removed and purged. And what it carries: completions that shells read, pages that man reads, a unit that systemd takes.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use xtask::lab::{Lab, System};
use xtask::programs::{Profile, Programs};
use xtask::{command, dist};

/// CAP_NET_ADMIN and CAP_BPF: what the running server has of root's rights.
const SERVING: u64 = 1 << 12 | 1 << 39;
/// CAP_PERFMON, which loading the gate takes.
const LOADING: u64 = 1 << 38;
/// CAP_NET_RAW and CAP_IPC_LOCK, which AF_XDP's sockets take.
const PLUGGING: u64 = 1 << 13 | 1 << 14;
/// Exposure as `systemd-analyze security` counts it, in tenths: 19 when this was written.
const EXPOSURE_MAX: &str = "20";
const SETTINGS: &str = "/etc/red-packet/server.toml";
const SCENARIO: &str = "[[phase]]\nkind = \"login\"\n[[phase]]\nkind = \"shake\"\nseconds = 2\nrate = 500\n";

fn packaging(name: &str) -> PathBuf {
    command::root().join("rp-server/packaging").join(name)
}

fn sh(script: &str, args: &[&Path]) -> String {
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", script, "bash"]).args(args);
    command::read(&mut bash).unwrap_or_else(|error| panic!("{error:#}"))
}

#[test]
#[ignore = "needs root"]
fn a_package_is_installed_serves_behind_its_walls_and_leaves_nothing() {
    let programs = Programs::find(Profile::Dev);
    dist::pages(&programs).expect("the programs make their pages");
    let package = dist::package(Profile::Dev).expect("a package is made");
    let lab = Lab::build(1, &programs).expect("a lab can be built");
    let (client, link) = &lab.clients()[0];
    let system = System::boot(lab.server(), lab.room(), &package).expect("a system boots");
    let run = |words: &[&str]| system.run(words).unwrap_or_else(|error| panic!("{error:#}"));
    let show =
        |field: &str| run(&["systemctl", "show", "--value", "--property", field, "rp-server"]).trim().to_string();
    let has_gate = || lab.server().ip(["-d", "link", "show", "s1"]).expect("ip answers").contains("xdp");

    // As docs/how-to/service.md has it.
    let typed = |line: &str| system.run(&["sh", "-c", line]);
    run(&["mkdir", "-p", "target/dist"]);
    run(&["cp", "red-packet.deb", "target/dist"]);
    let said = typed("apt-get install ./target/dist/*.deb").unwrap_or_else(|error| panic!("{error:#}"));
    assert!(said.contains("systemctl enable --now rp-server"), "it says what is next: {said}");
    assert_eq!(show("ActiveState"), "inactive", "it is not started by its installation");
    let doc = "/usr/share/doc/red-packet/docs";
    for file in [
        SETTINGS,
        "/usr/share/bash-completion/completions/rp-server",
        "/usr/share/zsh/vendor-completions/_rp-client",
        "/usr/share/fish/vendor_completions.d/rp-server.fish",
        "/usr/share/man/man1/rp-server.1.gz",
        "/usr/share/man/man1/rp-client-report-merge.1.gz",
        "/usr/share/doc/red-packet/README.md",
        &format!("{doc}/tutorial/million.md"),
        &format!("{doc}/images/way.svg"),
        &format!("{doc}/grafana/red-packet.json"),
        &format!("{doc}/examples/client.py"),
    ] {
        run(&["test", "-s", file]);
    }
    run(&["systemd-analyze", "verify", "--man=no", "/usr/lib/systemd/system/rp-server.service"]);
    // This machine may lack what a night needs.
    let findings = typed("rp-server doctor || true").expect("the doctor runs");
    assert!(findings.contains("/usr/lib/red-packet/gate.o, built for this version"), "{findings}");

    let journal = || run(&["journalctl", "--no-pager", "--output", "cat", "--unit", "rp-server"]);
    let started = typed("systemctl enable --now rp-server");
    started.unwrap_or_else(|error| panic!("{error:#}\n{}", journal()));
    let said = typed("systemctl status rp-server").unwrap_or_else(|error| panic!("{error:#}"));
    assert!(said.contains("Active: active (running)"), "{said}");
    assert!(journal().contains("s1: driver"), "the gate is in driver mode: {}", journal());
    assert!(has_gate(), "and the interface says so");
    let threads = || run(&["sh", "-c", &format!("cat /proc/{}/task/*/status", show("MainPID"))]);
    are_walled_in(&threads(), LOADING);
    assert_ne!(run(&["stat", "-c", "%U", &format!("/proc/{}", show("MainPID"))]).trim(), "root");

    shake(&programs, &lab, &system, client, &link.server_v4().to_string());
    assert!(run(&["rp-server", "status"]).contains("sessions"), "root asks over the admin socket");
    assert!(run(&["rp-server", "pps", "--once"]).contains("shake"), "and reads the pinned counters");

    let serves = show("MainPID");
    run(&["sed", "-i", "1i session-rate = 50", SETTINGS]);
    for line in ["rp-server config check /etc/red-packet/server.toml", "systemctl reload rp-server"] {
        typed(line).unwrap_or_else(|error| panic!("{error:#}"));
    }
    let since = Instant::now();
    while !typed("journalctl -u rp-server -n 20").is_ok_and(|said| said.contains("session-rate: 50, before ")) {
        assert!(since.elapsed() < Duration::from_secs(300), "it is not read again: {}", journal());
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!((show("ActiveState"), show("MainPID")), ("active".to_string(), serves));

    // Past the stack, as the example beside the documents says.
    let folder = "/etc/systemd/system/rp-server.service.d";
    run(&["mkdir", folder]);
    run(&["cp", "/usr/share/doc/red-packet/examples/af-xdp.conf", folder]);
    run(&["sed", "-i", "1i transport = \"af-xdp\"", SETTINGS]);
    let limits = run(&["cat", &format!("/proc/{}/limits", show("MainPID"))]);
    if !limits.lines().any(|line| line.starts_with("Max locked memory") && line.contains("unlimited")) {
        // Root of a container may not raise it, whatever the unit says; the example says what to add then.
        run(&["sed", "-i", "s/=CAP_NET_RAW/=CAP_NET_RAW CAP_IPC_LOCK/", &format!("{folder}/af-xdp.conf")]);
    }
    let restart = || {
        run(&["systemctl", "daemon-reload"]);
        let restarted = system.run(&["systemctl", "restart", "rp-server"]);
        restarted.unwrap_or_else(|error| panic!("{error:#}\n{}", journal()));
    };
    restart();
    are_walled_in(&threads(), LOADING | PLUGGING);
    shake(&programs, &lab, &system, client, &link.server_v4().to_string());
    let of = status(&system);
    assert!(of["transport"] == "af-xdp" && of["from_xsk"].as_u64() > Some(0), "{of}\n{}", journal());
    run(&["rm", "-r", folder]);
    run(&["sed", "-i", "/^transport = /d", SETTINGS]);
    restart();
    assert_eq!(status(&system)["transport"], "sockets");

    let killed = show("MainPID");
    run(&["kill", "-KILL", &killed]);
    let since = Instant::now();
    while show("ActiveState") != "active" || show("MainPID") == killed {
        assert!(since.elapsed() < Duration::from_secs(300), "it is not started again: {}", show("ActiveState"));
        std::thread::sleep(Duration::from_millis(100));
    }
    shake(&programs, &lab, &system, client, &link.server_v4().to_string());

    let before = show("MainPID");
    // This machine may be an image of such a kind itself.
    run(&["rm", "-f", "/usr/sbin/policy-rc.d"]);
    let said = run(&["dpkg", "--install", "/red-packet.deb"]);
    let after = (show("ActiveState"), show("MainPID"));
    assert!(after.0 == "active" && after.1 != before, "an upgrade starts it again: {before} {after:?} {said}");
    run(&["grep", "--line-regexp", "session-rate = 50", SETTINGS]);
    shake(&programs, &lab, &system, client, &link.server_v4().to_string());

    // The image of a machine may forbid its packages to start and stop anything, and the package heeds that.
    run(&["sh", "-c", "printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d"]);
    let before = show("MainPID");
    run(&["dpkg", "--install", "/red-packet.deb"]);
    assert_eq!(show("MainPID"), before, "policy-rc.d forbids the restart of an upgrade");
    run(&["rm", "/usr/sbin/policy-rc.d"]);
    run(&["dpkg", "--remove", "red-packet"]);
    assert!(!has_gate(), "the server ended before its files went, and its gate with it");
    let mounts = run(&["cat", "/proc/mounts"]);
    assert!(!mounts.contains(" /run/red-packet/"), "{mounts}");
    run(&["test", "-s", SETTINGS]);
    run(&["test", "-d", "/var/lib/red-packet/ledger"]);
    assert!(system.run(&["test", "-e", "/usr/bin/rp-server"]).is_err());
    run(&["dpkg", "--purge", "red-packet"]);
    assert!(system.run(&["getent", "passwd", "red-packet"]).is_err(), "the user is gone");
    assert!(system.run(&["test", "-e", "/run/red-packet"]).is_err(), "and the folder of what ran");
    assert_eq!(system.left().expect("find runs"), Vec::<String>::new(), "nothing of ours is left");
}

/// What the kernel says of each thread of the server's: a thread keeps the rights that it was started with. What was
/// given up it may still have to inherit, which is no right.
fn are_walled_in(status: &str, given_up: u64) {
    for name in ["rp-server", "http", "ledger-upkeep", "worker-0"] {
        assert!(status.lines().any(|line| line == format!("Name:\t{name}")), "{name}: {status}");
    }
    for line in ["CapEff:", "CapPrm:", "CapAmb:", "CapInh:"] {
        for bits in status.lines().filter_map(|found| found.strip_prefix(line)) {
            let bits = u64::from_str_radix(bits.trim(), 16).expect("it is a number in hex");
            let more = if line == "CapInh:" { given_up } else { 0 };
            assert_eq!(bits & !SERVING & !more, 0, "{line} {bits:x}: {status}");
        }
    }
    assert!(status.contains("NoNewPrivs:\t1") && status.contains("Seccomp:\t2"), "{status}");
}

fn status(system: &System) -> serde_json::Value {
    let said = system.run(&["rp-server", "status", "--json"]).unwrap_or_else(|error| panic!("{error:#}"));
    serde_json::from_str(&said).expect("it prints JSON")
}

/// A client machine logs in, shakes, and agrees with the server about all of it.
fn shake(programs: &Programs, lab: &Lab, system: &System, client: &xtask::lab::Namespace, server: &str) {
    let (key, scenario) = (lab.room().file("client.key"), lab.room().file("shake.toml"));
    std::fs::write(&key, system.run(&["cat", "/var/lib/red-packet/realm.key"]).expect("the start made one"))
        .expect("a file");
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("our own file");
    std::fs::write(&scenario, SCENARIO).expect("a file");
    let mut shakes = client.command(&programs.client);
    shakes.args(["--server", server, "--users", "1..=200", "--expect", "loss<1%,mismatch=0", "--realm-key"]).arg(&key);
    shakes.arg("--scenario").arg(&scenario).stdin(Stdio::null());
    command::read(&mut shakes).unwrap_or_else(|error| panic!("{error:#}"));
}

#[test]
fn the_unit_lets_little_through() {
    let mut analyze = Command::new("systemd-analyze");
    analyze.args(["security", "--offline=yes", "--no-pager", "--threshold", EXPOSURE_MAX]);
    let report = command::read(analyze.arg(packaging("rp-server.service"))).unwrap_or_else(|error| panic!("{error:#}"));
    assert!(report.contains("Overall exposure level for rp-server.service"), "{report}");
}

#[test]
#[ignore = "needs the programs, which the rung builds"]
fn shells_complete_and_man_reads() {
    let folder = dist::pages(&Programs::find(Profile::Dev)).expect("the programs make their pages");
    let completions = folder.join("completions");
    for name in ["rp-server.bash", "_rp-server", "rp-server.fish", "rp-client.bash", "_rp-client", "rp-client.fish"] {
        let script = std::fs::read_to_string(completions.join(name)).expect("it was made");
        assert!(script.contains("rp-"), "{name}");
    }
    let complete = "set -eu; bash -n \"$1\"; . \"$1\"; COMP_WORDS=(\"$2\" \"$3\"); COMP_CWORD=1; \
                    ${4} \"$2\" \"$3\" \"$2\"; printf '%s\\n' \"${COMPREPLY[@]}\"";
    let check = |program: &str, word: &str, function: &str, wanted: &str| {
        let script = completions.join(format!("{program}.bash"));
        let words = [script.as_path(), Path::new(program), Path::new(word), Path::new(function)];
        let said = sh(complete, &words);
        assert!(said.lines().any(|line| line == wanted), "{program} {word}: {said}");
    };
    check("rp-server", "doc", "_rp__server", "doctor");
    check("rp-server", "cam", "_rp__server", "campaign");
    check("rp-client", "r", "_rp__client", "run");

    let pages: Vec<PathBuf> =
        std::fs::read_dir(folder.join("man")).expect("a folder").map(|entry| entry.expect("a page").path()).collect();
    for page in ["rp-server.1", "rp-server-run.1", "rp-server-doctor.1", "rp-server-campaign-start.1", "rp-client.1"] {
        assert!(pages.contains(&folder.join("man").join(page)), "{page} in {pages:?}");
    }
    let mut groff = Command::new("groff");
    let said = groff.args(["-man", "-ww", "-z", "-Tutf8", "-Kutf8"]).args(&pages).output().expect("groff starts");
    assert!(said.status.success() && said.stderr.is_empty(), "{}", String::from_utf8_lossy(&said.stderr));
}

#[test]
#[ignore = "needs the programs, which the rung builds"]
fn the_packaged_configurations_hold() {
    let programs = Programs::find(Profile::Dev);
    for name in ["server.toml", "container.toml"] {
        let said = command::read(Command::new(&programs.server).args(["config", "check"]).arg(packaging(name)));
        assert!(said.unwrap_or_else(|error| panic!("{error:#}")).contains("all known"), "{name}");
    }
}
