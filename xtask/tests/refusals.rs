//! What the programs say when the world refuses, each in its whole text: one clear sentence with the remedy, and exit code 1,
//! of the client 2.
//!
//! One table, which is a page of the book, docs/reference/messages.md: a heading names what is tried here, and the block under it
//! is all that the program then says to the error stream. `{}` stands for what differs from machine to machine, within a line.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use xtask::book::page::Page;
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

/// The texts of the page, by their headings.
fn messages() -> BTreeMap<String, String> {
    let page = Page::read("docs/reference/messages.md").expect("it is in the repository");
    let text_of = |section: &str| {
        let (name, rest) = section.split_once('\n')?;
        let (_, text) = rest.split_once("```text\n")?;
        Some((name.to_owned(), text.split_once("\n```")?.0.to_owned()))
    };
    page.text.split("\n### ").skip(1).map(|section| text_of(section).expect("a heading has a block of text")).collect()
}

/// The programs, and a room for the files of each trial.
struct Bench<'a> {
    programs: &'a Programs,
    room: &'a Room,
    /// What is still to be said.
    messages: RefCell<BTreeMap<String, String>>,
}

impl Bench<'_> {
    fn check(&self, name: &str, command: &mut Command) {
        self.check_end(name, command, 1);
    }

    /// Of the client 1 says that a run went to its end and was not well.
    fn check_client(&self, name: &str, command: &mut Command) {
        self.check_end(name, command, 2);
    }

    fn check_end(&self, name: &str, command: &mut Command, code: i32) {
        self.compare(name, &command.stdin(Stdio::null()).output().expect("the program starts"), code);
    }

    /// Of a server that serves nevertheless: it is ended in order once it does.
    fn check_served(&self, name: &str, command: &mut Command) {
        let served = serve(command, |served| {
            let ended = Command::new("kill").arg(served.to_string()).status();
            assert!(ended.is_ok_and(|status| status.success()), "kill is part of every system");
        });
        self.compare(name, &served, 0);
    }

    fn compare(&self, name: &str, output: &Output, code: i32) {
        let text = self.messages.borrow_mut().remove(name).unwrap_or_else(|| panic!("no heading {name:?} in the page"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{name}: exit code; it said:\n{said}");
        assert!(is_text(&said, &text), "{name}: it said\n{said}\nwhere the page has\n{text}");
    }

    /// rp-server with files of its own, so that only the flag under test can be at fault.
    fn server(&self, flags: &[&str]) -> Command {
        let room = self.room;
        let mut command = Command::new(&self.programs.server);
        command.arg("run");
        for (flag, value) in [
            ("--listen", LISTEN.into()),
            ("--admin", room.file("refused.sock")),
            ("--pin", room.pins("server")),
            ("--realm-key", room.file("realm.key")),
            ("--data", room.ledger("refused")),
        ] {
            if !flags.contains(&flag) {
                command.arg(flag).arg(value);
            }
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

/// Has a server serve, does what is to be done then, and waits for its end.
fn serve(command: &mut Command, then: impl Fn(u32)) -> Output {
    let served = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut served = served.expect("the program starts");
    let said = BufReader::new(served.stdout.take().expect("it is piped")).lines().map_while(Result::ok);
    for line in said {
        if line.starts_with("serving;") {
            then(served.id());
        }
    }
    served.wait_with_output().expect("it is our child")
}

#[test]
#[ignore = "needs root"]
fn each_refusal_is_said_in_these_words() {
    let programs = Programs::find(Profile::Dev);
    let lab = Lab::build(0, &programs).expect("a lab can be built");
    let bench = Bench { programs: &programs, room: lab.room(), messages: RefCell::new(messages()) };
    what_is_asked_wrongly(&bench);
    what_the_machine_has_not(&bench);
    what_others_have(&bench);
    what_a_client_meets(&bench);
    let unseen = bench.messages.into_inner();
    assert!(unseen.is_empty(), "the page has what nothing here says: {:?}", unseen.keys());
}

fn what_is_asked_wrongly(bench: &Bench<'_>) {
    bench.check("A wrong flag", &mut bench.server(&["--wrong"]));
    bench.check("A wrong value", &mut bench.server(&["--workers", "many"]));
    let file = bench.write("server.toml", "sets = 8\nidel = 20\n").display().to_string();
    bench.check("An unknown key in the file", &mut bench.server(&["--config", &file]));
    bench.write("server.toml", "sets = \"many\"\n");
    bench.check("A wrong value in the file", &mut bench.server(&["--config", &file]));
    bench.check("No configuration file where one is named", &mut bench.server(&["--config", "/nonexistent.toml"]));
    bench.check("AF_XDP without a gate", &mut bench.server(&["--transport", "af-xdp", "--xdp", "off"]));
    bench.check_served("A misspelt environment variable", bench.server(&["--xdp", "off"]).env("RP_SESION_RATE", "9"));
}

fn what_the_machine_has_not(bench: &Bench<'_>) {
    bench.check("An absent interface", &mut bench.server(&["--interface", "nosuch0", "--xdp", "driver"]));
    bench.check(
        "An object that is not built",
        &mut bench.server(&["--interface", "lo", "--xdp", "skb", "--gate-object", "/nonexistent/gate.o"]),
    );
    bench.check_served(
        "No gate where none is demanded",
        &mut bench.server(&["--interface", "lo", "--gate-object", "/nonexistent/gate.o"]),
    );
    let gate = bench.programs.gate.display().to_string();
    bench.check(
        "No XDP of the driver's",
        &mut bench.server(&["--interface", "lo", "--xdp", "driver", "--gate-object", &gate]),
    );
    bench.check(
        "AF_XDP without an object",
        &mut bench.server(&["--interface", "lo", "--transport", "af-xdp", "--gate-object", "/nonexistent/gate.o"]),
    );
    // The kernel itself can say that it is of the 2.6 line, for programs that expect one.
    let mut old = Command::new("setarch");
    old.arg("--uname-2.6")
        .arg(&bench.programs.server)
        .args(bench.server(&["--interface", "lo", "--xdp", "skb"]).get_args());
    bench.check("An old kernel", old.env("RP_HTTP", "off"));
    let disk = Disk::mount(&bench.room.file("disk"), "64k");
    bench.check("A full disk", &mut bench.server(&["--xdp", "off", "--data", &disk.0.display().to_string()]));
    drop(disk);
    // Of a ledger's first file, but not of money for half a million users.
    let disk = Disk::mount(&bench.room.file("disk"), "40m");
    let (data, socket) = (disk.0.join("ledger").display().to_string(), disk.0.join("admin").display().to_string());
    let order = ["mint", "--users", "1..=500000", "--fen", "5", "--order", "7", "--admin", &socket];
    let mut served = serve(&mut bench.server(&["--xdp", "off", "--data", &data, "--admin", &socket]), |_| {
        bench.check("A server that ends under an order", &mut bench.order(&order));
    });
    // Before it come the warnings of those who keep the ledger's files, as many as there were.
    let said = String::from_utf8_lossy(&served.stderr).into_owned();
    served.stderr = said.lines().next_back().unwrap_or_default().into();
    bench.compare("A disk that fills up", &served, 1);
    // The build folder may be closed to others; a copy is not.
    let open = Open::of(&bench.programs.server);
    let mut nobody = Command::new("setpriv");
    nobody.args(NOBODY).arg("--").arg(&open.0).args(["run", "--listen", LISTEN, "--interface", "lo", "--xdp", "skb"]);
    nobody.args(["--realm-key", "/tmp/rp-nobody.key", "--admin", "/tmp/rp-nobody.sock", "--durability", "none"]);
    bench.check("A missing right", nobody.arg("--gate-object").arg(&bench.programs.gate).env("RP_HTTP", "off"));
    for file in ["/tmp/rp-nobody.key", "/tmp/rp-nobody.sock"] {
        let _may_not_exist = std::fs::remove_file(file);
    }
}

fn what_others_have(bench: &Bench<'_>) {
    bench.check("No server to ask", &mut bench.order(&["status", "--admin", "/nonexistent/admin.sock"]));
    let taken = UdpSocket::bind(LISTEN).expect("the port is free");
    bench.check("A busy port", &mut bench.server(&["--xdp", "off"]));
    drop(taken);
    let taken = TcpListener::bind("127.0.0.1:20161").expect("the port is free");
    bench.check("A busy port of HTTP", &mut bench.server(&["--xdp", "off", "--http", "127.0.0.1:20161"]));
    drop(taken);
    let flags = ["--xdp", "off", "--listen", LISTEN, "--workers", "1"];
    let first = Server::start(bench.programs, Place::HERE, bench.room, &flags).expect("the first serves");
    bench.check("A second server", &mut bench.server(&["--xdp", "off", "--workers", "1"]));
    let elsewhere = ["--xdp", "off", "--workers", "1", "--listen", "127.0.0.1:20162"];
    let held = bench.room.ledger("server").display().to_string();
    bench.check("A ledger that another server has", &mut bench.server(&[&elsewhere[..], &["--data", &held]].concat()));
    let socket = first.admin().display().to_string();
    bench.check(
        "An admin socket that another server has",
        &mut bench.server(&[&elsewhere[..], &["--admin", &socket]].concat()),
    );
    bench.check("Counters where no gate is", bench.order(&["pps", "--once", "--pin"]).arg(bench.room.pins("nowhere")));
    let open = Open::of(&bench.programs.server);
    let mut nobody = Command::new("setpriv");
    nobody.args(NOBODY).arg("--").arg(&open.0).args(["status", "--admin", &socket]);
    bench.check("A server of another user", &mut nobody);
    let mut nobody = Command::new("setpriv");
    nobody.args(NOBODY).arg("--").arg(&open.0).args([
        "run",
        "--xdp",
        "off",
        "--listen",
        "127.0.0.1:20162",
        "--durability",
        "none",
    ]);
    nobody.args(["--admin", "/tmp/rp-nobody.sock", "--realm-key"]).arg(bench.room.file("realm.key"));
    bench.check("A realm key of another user", nobody.env("RP_HTTP", "off"));
    first.end().expect("SIGTERM ends it cleanly");
}

fn what_a_client_meets(bench: &Bench<'_>) {
    bench.check_client("A wrong flag of the client", &mut bench.client(&["--wrong"]));
    bench.check_client("No realm key", &mut bench.client(&["--server", "127.0.0.1:9", "--realm-key", "absent.key"]));
    let key = bench.write("zero.key", &format!("1 {}\n", "0".repeat(64)));
    bench.check_client(
        "An unreachable server",
        &mut bench.client(&["--server", "127.0.0.1:9", "--realm-key", "zero.key"]),
    );
    let mut one = Command::new(&bench.programs.client);
    one.args(["one", "ping", "--server", "127.0.0.1:9", "--patience", "1", "--realm-key"]).arg(&key);
    bench.check_end("An unreachable server, asked by hand", &mut one, 3);
    let to = ["--server", "127.0.0.1:9", "--realm-key", "zero.key"];
    bench.check_client(
        "A report's folder that is not there",
        &mut bench.client(&[&to[..], &["--json", "absent/r.json"]].concat()),
    );
    bench.check_client(
        "No snapshots where they are asked for",
        &mut bench.client(&[&to[..], &["--server-http", "127.0.0.1:9"]].concat()),
    );
    let past = ["--server", "127.0.0.1:9", "--realm-key", "zero.key", "--transport", "af-xdp"];
    let with = |flags: &[&'static str]| bench.client(&[&past[..], flags].concat());
    bench.check_client("No neighbour past the stack", &mut with(&[]));
    bench.check_client("Segments past the stack", &mut with(&["--segment"]));
    bench.write("blast.toml", "[[phase]]\nkind = \"login\"\n[[phase]]\nkind = \"blast\"\nseconds = 1\nrate = 1\n");
    bench.check_client("A blast past the stack", &mut with(&["--scenario", "blast.toml"]));
    // Laid out like the build folder, and open to everyone, as that may not be.
    let open = Folder::of(&bench.programs.client, &key);
    let mut nobody = Command::new("setpriv");
    nobody.args(NOBODY).arg("--").arg(open.0.join("rp-client")).arg("run").args(&past[..2]).args(&past[4..]);
    bench.check_client("A missing right of the client", nobody.arg("--realm-key").arg(open.0.join("realm.key")));
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

/// A disk on which hardly anything has room; gone with what is tried on it.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: &Path, size: &str) -> Disk {
        std::fs::create_dir_all(at).expect("our own folder");
        let size = format!("size={size}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "red-packet"]).arg(at).status();
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
