//! What the programs say when the world refuses, each in its whole text: one clear sentence with the remedy, and exit code 1,
//! of the client 2.
//!
//! One table: a row is a name, what is tried, and all that the program then says to the error stream. `{}` stands for what
//! differs from machine to machine, within a line.

use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use xtask::lab::{Lab, Place, Room};
use xtask::programs::{Profile, Programs};
use xtask::server::Server;

/// Ports of these tests alone.
const LISTEN: &str = "127.0.0.1:20151";
const NOBODY: [&str; 5] = ["--reuid", "65534", "--regid", "65534", "--clear-groups"];

/// Is `said` the text, in which `{}` is any part of a line?
fn is_text(said: &str, text: &str) -> bool {
    let lines: Vec<&str> = said.trim_end().lines().collect();
    let expected: Vec<&str> = text.lines().collect();
    lines.len() == expected.len() && lines.iter().zip(expected).all(|(line, expected)| is_line(line, expected))
}

fn is_line(line: &str, expected: &str) -> bool {
    let mut parts = expected.split("{}");
    let Some(mut rest) = line.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let parts: Vec<&str> = parts.collect();
    for (at, part) in parts.iter().enumerate() {
        let found = if at + 1 == parts.len() { rest.strip_suffix(part).map(|_| rest.len()) } else { None };
        match found.or_else(|| rest.find(part).map(|begin| begin + part.len())) {
            Some(end) => rest = &rest[end..],
            None => return false,
        }
    }
    rest.is_empty()
}

fn check(name: &str, command: &mut Command, text: &str) {
    check_end(name, command, 1, text);
}

/// Of the client 1 says that a run went to its end and was not well.
fn check_client(name: &str, command: &mut Command, text: &str) {
    check_end(name, command, 2, text);
}

fn check_end(name: &str, command: &mut Command, code: i32, text: &str) {
    let Output { status, stderr, .. } = command.stdin(Stdio::null()).output().expect("the program starts");
    let said = String::from_utf8_lossy(&stderr);
    assert_eq!(status.code(), Some(code), "{name}: exit code; it said:\n{said}");
    assert!(is_text(&said, text), "{name}: it said\n{said}\nwhere the table has\n{text}");
}

/// The programs, and a room for the files of each trial.
struct Bench<'a> {
    programs: &'a Programs,
    room: &'a Room,
}

impl Bench<'_> {
    /// rp-server with files of its own, so that only the flag under test can be at fault.
    fn server(&self, flags: &[&str]) -> Command {
        let room = self.room;
        let mut command = Command::new(&self.programs.server);
        command.args(["run", "--listen", LISTEN, "--admin"]).arg(room.file("refused.sock"));
        command.arg("--pin").arg(room.pins("server")).arg("--realm-key").arg(room.file("realm.key"));
        if !flags.contains(&"--data") {
            command.arg("--data").arg(room.ledger("refused"));
        }
        command.args(flags).env("RP_HTTP", "off").env("RP_CONFIG", "off");
        command
    }

    /// Any other command of rp-server's.
    fn order(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.programs.server);
        command.args(words).env("RP_CONFIG", "off").current_dir(self.room.path());
        command
    }

    fn client(&self, flags: &[&str]) -> Command {
        let mut command = Command::new(&self.programs.client);
        command.arg("run").args(flags).current_dir(self.room.path());
        command
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.room.file(name);
        std::fs::write(&path, text).expect("our own folder");
        path
    }
}

#[test]
#[ignore = "needs root"]
fn each_refusal_is_said_in_these_words() {
    let programs = Programs::find(Profile::Dev);
    let lab = Lab::build(0, &programs).expect("a lab can be built");
    let bench = Bench { programs: &programs, room: lab.room() };
    what_is_asked_wrongly(&bench);
    what_the_machine_has_not(&bench);
    what_others_have(&bench);
    what_a_client_meets(&bench);
}

fn what_is_asked_wrongly(bench: &Bench<'_>) {
    check(
        "a wrong flag",
        &mut bench.server(&["--wrong"]),
        "error: unexpected argument '--wrong' found\n\n  tip: {}\n\nUsage: rp-server run {}\n\nFor more information, try '--help'.",
    );
    check(
        "a wrong value",
        &mut bench.server(&["--workers", "many"]),
        "error: invalid value 'many' for '--workers <N>': invalid digit found in string\n\nFor more information, try '--help'.",
    );
    let file = bench.write("server.toml", "sets = 8\nidel = 20\n").display().to_string();
    check(
        "an unknown key in the file",
        &mut bench.server(&["--config", &file]),
        "rp-server: {}/server.toml, line 2: unknown key `idel`: did you mean `idle`?",
    );
    bench.write("server.toml", "sets = \"many\"\n");
    check(
        "a wrong value in the file",
        &mut bench.server(&["--config", &file]),
        "rp-server: {}/server.toml, line 1: sets = \"many\": a whole number, 0 or above, is expected",
    );
    check(
        "no configuration file where one is named",
        &mut bench.server(&["--config", "/nonexistent.toml"]),
        "rp-server: reading the configuration file /nonexistent.toml: --config names another: No such file or directory (os error 2)",
    );
    check(
        "AF_XDP without a gate",
        &mut bench.server(&["--transport", "af-xdp", "--xdp", "off"]),
        "rp-server: --transport af-xdp needs the gate: leave --xdp off away, or serve by --transport sockets",
    );
}

fn what_the_machine_has_not(bench: &Bench<'_>) {
    check(
        "an absent interface",
        &mut bench.server(&["--interface", "nosuch0", "--xdp", "driver"]),
        "rp-server: there is no interface nosuch0 here; there are: lo{}",
    );
    check(
        "an object that is not built",
        &mut bench.server(&["--interface", "lo", "--xdp", "skb", "--gate-object", "/nonexistent/gate.o"]),
        "rp-server: there is no kernel object /nonexistent/gate.o: `cargo xtask build-ebpf` builds one",
    );
    let gate = bench.programs.gate.display().to_string();
    check(
        "no XDP of the driver's",
        &mut bench.server(&["--interface", "lo", "--xdp", "driver", "--gate-object", &gate]),
        "rp-server: XDP does not attach to lo: driver mode refused: this driver has no XDP; try --xdp auto",
    );
    check(
        "AF_XDP without an object",
        &mut bench.server(&["--interface", "lo", "--transport", "af-xdp", "--gate-object", "/nonexistent/gate.o"]),
        "rp-server: no AF_XDP; --transport sockets serves without: there is no kernel object /nonexistent/gate.o: \
         `cargo xtask build-ebpf` builds one",
    );
    // The kernel itself can say that it is of the 2.6 line, for programs that expect one.
    let mut old = Command::new("setarch");
    old.arg("--uname-2.6")
        .arg(&bench.programs.server)
        .args(bench.server(&["--interface", "lo", "--xdp", "skb"]).get_args());
    check(
        "an old kernel",
        old.env("RP_HTTP", "off"),
        "rp-server: Linux 2.6 is too old for the gate: it needs 5.15 or newer; --xdp off serves without",
    );
    let disk = Disk::mount(&bench.room.file("disk"));
    check(
        "a full disk",
        &mut bench.server(&["--xdp", "off", "--data", &disk.0.display().to_string()]),
        "rp-server: the ledger in {}/disk cannot be written: writing state.db: database or disk is full (SQLite's code 13); \
         that is no damage, and what it holds is as it was: give this user write access and room there, mend the disk, or \
         give another folder by --data",
    );
    // The build folder may be closed to others; a copy is not.
    let open = Open::of(&bench.programs.server);
    let mut nobody = Command::new("setpriv");
    nobody.args(NOBODY).arg("--").arg(&open.0).args(["run", "--listen", LISTEN, "--interface", "lo", "--xdp", "skb"]);
    nobody.args(["--realm-key", "/tmp/rp-nobody.key", "--admin", "/tmp/rp-nobody.sock", "--durability", "none"]);
    check(
        "a missing right",
        nobody.arg("--gate-object").arg(&bench.programs.gate).env("RP_HTTP", "off"),
        "rp-server: the gate needs CAP_BPF and CAP_NET_ADMIN and CAP_PERFMON: run as root, or grant them (setpriv, systemd); --xdp off serves \
         without",
    );
    for file in ["/tmp/rp-nobody.key", "/tmp/rp-nobody.sock"] {
        let _may_not_exist = std::fs::remove_file(file);
    }
}

fn what_others_have(bench: &Bench<'_>) {
    check(
        "no server to ask",
        &mut bench.order(&["status", "--admin", "/nonexistent/admin.sock"]),
        "rp-server: asking the server at /nonexistent/admin.sock: is rp-server running, as this user? --admin names another: \
         No such file or directory (os error 2)",
    );
    let busy = "rp-server: cannot listen on UDP 127.0.0.1:20151: stop the program that has this port, or choose another: \
                Address already in use (os error 98)";
    let taken = UdpSocket::bind(LISTEN).expect("the port is free");
    check("a busy port", &mut bench.server(&["--xdp", "off"]), busy);
    drop(taken);
    let taken = TcpListener::bind("127.0.0.1:20161").expect("the port is free");
    check(
        "a busy port of HTTP",
        &mut bench.server(&["--xdp", "off", "--http", "127.0.0.1:20161"]),
        "rp-server: serving HTTP at 127.0.0.1:20161: if another server has the port, name a free one by --http \
         127.0.0.1:PORT, or give --http off: Address already in use (os error 98)",
    );
    drop(taken);
    let flags = ["--xdp", "off", "--listen", LISTEN, "--workers", "1"];
    let first = Server::start(bench.programs, Place::HERE, bench.room, &flags).expect("the first serves");
    check("a second server", &mut bench.server(&["--xdp", "off", "--workers", "1"]), busy);
    first.end().expect("SIGTERM ends it cleanly");
}

fn what_a_client_meets(bench: &Bench<'_>) {
    check_client(
        "a wrong flag of the client",
        &mut bench.client(&["--wrong"]),
        "error: unexpected argument '--wrong' found\n\n  tip: {}\n\nUsage: rp-client run {}\n\nFor more information, try '--help'.",
    );
    check_client(
        "no realm key",
        &mut bench.client(&["--server", "127.0.0.1:9", "--realm-key", "absent.key"]),
        "rp-client: cannot read the realm key absent.key: rp-server makes the file at its first start (--realm-key); name the \
         same one here, as a user who may read it (it is 0600): No such file or directory (os error 2)",
    );
    let key = bench.write("zero.key", &format!("1 {}\n", "0".repeat(64)));
    check_client(
        "an unreachable server",
        &mut bench.client(&["--server", "127.0.0.1:9", "--realm-key", "zero.key"]),
        "rp-client: playing against 127.0.0.1:9{}: no answer from the server to {} HELLOs in 10 s: is rp-server running there, and \
         does a firewall let UDP through? (--server; `rp-server doctor` there)",
    );
    let past = ["--server", "127.0.0.1:9", "--realm-key", "zero.key", "--transport", "af-xdp"];
    let with = |flags: &[&'static str]| bench.client(&[&past[..], flags].concat());
    check_client(
        "no neighbour past the stack",
        &mut with(&[]),
        "rp-client: no AF_XDP; --transport sockets does without: finding the server's Ethernet address: 127.0.0.1 is no \
         neighbour on an Ethernet link",
    );
    check_client(
        "segments past the stack",
        &mut with(&["--segment"]),
        "rp-client: --segment joins what leaves by sockets: leave it out with af-xdp",
    );
    bench.write("blast.toml", "[[phase]]\nkind = \"login\"\n[[phase]]\nkind = \"blast\"\nseconds = 1\nrate = 1\n");
    check_client(
        "a blast past the stack",
        &mut with(&["--scenario", "blast.toml"]),
        "rp-client: a blast has an XDP program of its own at the interface: play it with --transport sockets",
    );
    // Laid out like the build folder, and open to everyone, as that may not be.
    let open = Folder::of(&bench.programs.client, &key);
    let mut nobody = Command::new("setpriv");
    nobody.args(NOBODY).arg("--").arg(open.0.join("rp-client")).arg("run").args(&past[..2]).args(&past[4..]);
    check_client(
        "a missing right of the client",
        nobody.arg("--realm-key").arg(open.0.join("realm.key")),
        "rp-client: no AF_XDP; --transport sockets does without: giving the maps of inlet to the kernel: run as root, or grant \
         CAP_BPF, CAP_NET_ADMIN and CAP_NET_RAW: {}Operation not permitted (os error 1)",
    );
}

#[test]
fn a_place_holder_is_any_part_of_a_line_and_nothing_else_is() {
    for (said, text, is) in [
        ("a b c\n", "a {} c", true),
        ("a c", "a{} c", true),
        ("a b c", "a {}", true),
        ("a b c d", "a {} c", false),
        ("a b\nc", "a {}", false),
        ("a b", "a b ", false),
        ("a b c b", "a {} b", true),
    ] {
        assert_eq!(is_text(said, text), is, "{said:?} {text:?}");
    }
}

/// A disk on which hardly anything has room; gone with the test.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: &Path) -> Disk {
        std::fs::create_dir_all(at).expect("our own folder");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "red-packet"]).arg(at).status();
        assert!(mounted.is_ok_and(|status| status.success()), "root may mount");
        Disk(at.to_owned())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _gone_with_the_room = Command::new("umount").arg(&self.0).status();
    }
}

/// A copy of a program that anybody may start; gone with the test.
struct Open(PathBuf);

impl Open {
    fn of(program: &Path) -> Open {
        let copy = std::env::temp_dir().join(format!("rp-server-{}", std::process::id()));
        std::fs::copy(program, &copy).expect("the program can be copied");
        Open(copy)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let _ours = std::fs::remove_file(&self.0);
    }
}

/// The client, its kernel programs and a key where anybody may read them; gone with the test.
struct Folder(PathBuf);

impl Folder {
    fn of(client: &Path, key: &Path) -> Folder {
        let folder = std::env::temp_dir().join(format!("rp-client-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("bpf")).expect("a temporary folder");
        let copies = [(client, "rp-client"), (key, "realm.key"), (&xtask::ebpf::inlet_path(), "bpf/inlet.o")];
        for (from, to) in copies {
            std::fs::copy(from, folder.join(to)).expect("`cargo xtask test` builds it first");
        }
        let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        std::fs::set_permissions(folder.join("realm.key"), readable).expect("our own file");
        Folder(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ours = std::fs::remove_dir_all(&self.0);
    }
}
