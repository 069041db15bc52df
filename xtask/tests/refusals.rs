//! What the programs say when the world refuses: one clear sentence with the remedy, and exit code 1; of the client 2, for 1
//! says there that a run went to its end and was not well.

use std::net::UdpSocket;
use std::process::{Command, Output, Stdio};

use xtask::lab::{Lab, Room};
use xtask::programs::{Profile, Programs};

/// A sentence, not a screen: the error and what to do may stand on lines of their own.
const LINES_MAX: usize = 6;

fn check(name: &str, output: &Output, words: &[&str]) {
    check_end(name, output, 1, words);
}

fn check_client(name: &str, output: &Output, words: &[&str]) {
    check_end(name, output, 2, words);
}

fn check_end(name: &str, output: &Output, code: i32, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{name}: exit code; it said:\n{said}");
    assert!(said.lines().count() <= LINES_MAX, "{name}: too long:\n{said}");
    assert!(!said.contains("panicked"), "{name}: {said}");
    for word in words {
        assert!(said.contains(word), "{name}: no {word:?} in:\n{said}");
    }
}

fn output_of(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().expect("the program starts")
}

/// rp-server with files of its own, so that only the flag under test can be at fault.
fn server(programs: &Programs, room: &Room, flags: &[&str]) -> Command {
    let mut command = Command::new(&programs.server);
    command.env("RP_HTTP", "off");
    command.arg("run").args(flags).arg("--admin").arg(room.file("refused.sock")).arg("--pin").arg(room.pins("server"));
    command.arg("--realm-key").arg(room.file("realm.key")).arg("--data").arg(room.ledger("refused"));
    command
}

#[test]
#[ignore = "needs root"]
fn each_refusal_names_its_remedy() {
    let programs = Programs::find(Profile::Dev);
    let lab = Lab::build(0, &programs).expect("a lab can be built");
    let room = lab.room();
    let run = |flags: &[&str]| output_of(&mut server(&programs, room, flags));

    check("a wrong flag", &run(&["--wrong"]), &["--wrong", "--help"]);
    check("a wrong value", &run(&["--workers", "many"]), &["many", "--workers"]);
    let client = |flags: &[&str]| output_of(Command::new(&programs.client).current_dir(room.path()).args(flags));
    check_client("a wrong flag of the client", &client(&["--wrong"]), &["--wrong", "--help"]);
    check_client("no realm key", &client(&["--server", "127.0.0.1:9"]), &["realm.key"]);

    let loopback = ["--listen", "127.0.0.1:20151"];
    let with = |flags: &[&'static str]| run(&[&loopback[..], flags].concat());
    check("no such interface", &with(&["--interface", "nosuch0", "--xdp", "driver"]), &["nosuch0", "there are: lo"]);
    let object = ["--interface", "lo", "--xdp", "skb", "--gate-object", "/nonexistent/gate.o"];
    check("object not built", &with(&object), &["/nonexistent/gate.o", "cargo xtask build-ebpf"]);
    check("no native XDP on loopback", &with(&["--interface", "lo", "--xdp", "driver"]), &["lo", "--xdp"]);

    check(
        "AF_XDP without a gate",
        &with(&["--transport", "af-xdp", "--xdp", "off"]),
        &["--xdp off", "--transport sockets"],
    );
    let object = ["--interface", "lo", "--transport", "af-xdp", "--gate-object", "/nonexistent/gate.o"];
    check("AF_XDP without an object", &with(&object), &["--transport sockets", "cargo xtask build-ebpf"]);

    let taken = UdpSocket::bind("127.0.0.1:20151").expect("the port is free");
    check("port in use", &with(&["--xdp", "off"]), &["20151", "in use"]);
    drop(taken);
}

#[test]
#[ignore = "needs root"]
fn missing_root_is_said() {
    let programs = Programs::find(Profile::Dev);
    let lab = Lab::build(0, &programs).expect("a lab can be built");
    // The build folder may be closed to others; a copy is not.
    let copy = std::env::temp_dir().join(format!("rp-server-{}", std::process::id()));
    std::fs::copy(&programs.server, &copy).expect("the program can be copied");
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--"]).arg(&copy);
    command.args(["run", "--listen", "127.0.0.1:20152", "--interface", "lo", "--xdp", "skb"]);
    command.args(["--realm-key", "/tmp/rp-nobody.key", "--admin", "/tmp/rp-nobody.sock", "--durability", "none"]);
    command.arg("--gate-object").arg(&programs.gate).args(["--http", "off"]);
    let output = output_of(&mut command);
    for file in [copy.as_path(), "/tmp/rp-nobody.key".as_ref(), "/tmp/rp-nobody.sock".as_ref()] {
        let _may_not_exist = std::fs::remove_file(file);
    }
    check("missing root", &output, &["root", "--xdp off"]);
    drop(lab);
}

#[test]
#[ignore = "needs root"]
fn a_second_server_on_the_port_is_refused() {
    let programs = Programs::find(Profile::Dev);
    let lab = Lab::build(0, &programs).expect("a lab can be built");
    let room = lab.room();
    let flags = ["--xdp", "off", "--listen", "127.0.0.1:20153", "--workers", "1"];
    let first =
        xtask::server::Server::start(&programs, xtask::lab::Place::HERE, room, &flags).expect("the first serves");
    check("a second server", &output_of(&mut server(&programs, room, &flags)), &["20153", "in use"]);
    first.end().expect("SIGTERM ends it cleanly");
}

#[test]
#[ignore = "needs root"]
fn a_client_that_cannot_pass_the_stack_says_why() {
    let programs = Programs::find(Profile::Dev);
    // Open to everyone, as the build folder may not be, and laid out like it.
    let folder = std::env::temp_dir().join(format!("rp-client-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("bpf")).expect("a temporary folder");
    let (client, key) = (folder.join("rp-client"), folder.join("realm.key"));
    std::fs::copy(&programs.client, &client).expect("the program can be copied");
    std::fs::copy(xtask::ebpf::inlet_path(), folder.join("bpf/inlet.o")).expect("`cargo xtask test` builds it first");
    std::fs::write(&key, format!("1 {}\n", "0".repeat(64))).expect("a temporary folder");
    let run = |mut command: Command, flags: &[&str]| {
        command.args(["--server", "127.0.0.1:20154", "--transport", "af-xdp", "--realm-key"]).arg(&key).args(flags);
        output_of(&mut command)
    };
    let mut nobody = Command::new("setpriv");
    nobody.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--"]).arg(&client);
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o644)).expect("our own file");
    check_client("AF_XDP without root", &run(nobody, &[]), &["run as root", "--transport sockets"]);
    let root = || Command::new(&client);
    check_client("AF_XDP over loopback", &run(root(), &[]), &["Ethernet link", "--transport sockets"]);
    check_client("AF_XDP and --segment", &run(root(), &["--segment"]), &["--segment"]);
    let blast = folder.join("blast.toml");
    std::fs::write(&blast, "[[phase]]\nkind = \"login\"\n[[phase]]\nkind = \"blast\"\nseconds = 1\nrate = 1\n")
        .expect("a file");
    let blast = blast.display().to_string();
    check_client("AF_XDP and a blast", &run(root(), &["--scenario", &blast]), &["blast", "--transport sockets"]);
    std::fs::remove_dir_all(&folder).expect("our own folder");
}
