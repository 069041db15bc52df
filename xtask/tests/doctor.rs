//! `rp-server doctor` as root in the laboratory: it finds what is there, names what mends what is not, and leaves nothing.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde::Deserialize;
use xtask::lab::Lab;
use xtask::programs::{Profile, Programs};

#[derive(Deserialize)]
struct Report {
    schema: u32,
    checks: Vec<Finding>,
}

#[derive(Deserialize, Debug)]
struct Finding {
    check: String,
    verdict: String,
    found: String,
    remedy: Option<String>,
}

/// What every doctor looks at, and for each interface and address besides.
const CHECKS: [&str; 21] = [
    "kernel",
    "btf",
    "bpf jit",
    "capabilities",
    "object",
    "bpf file system",
    "interfaces",
    "socket buffers",
    "locked memory",
    "open files",
    "cpus",
    "governor",
    "cpu time",
    "clock",
    "ledger disk",
    "ledger sync",
    "ledger room",
    "realm key",
    "environment",
    "http",
    "admin socket",
];

fn run(mut command: Command) -> (Output, Report) {
    let output = command.stdin(Stdio::null()).output().expect("the program starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let report = serde_json::from_str(&text).unwrap_or_else(|error| {
        panic!("{error} in what it printed: {text}\n{}", String::from_utf8_lossy(&output.stderr))
    });
    (output, report)
}

/// rp-server doctor in the server's namespace, with files of the laboratory's.
fn doctor(programs: &Programs, lab: &Lab, flags: &[&str]) -> Command {
    let room = lab.room();
    let mut command = lab.server().command(&programs.server);
    command.args(["doctor", "--json", "--workers", "1", "--pin"]).arg(room.pins("server"));
    command.arg("--admin").arg(room.file("doctor.sock")).arg("--realm-key").arg(room.file("realm.key")).args(flags);
    command
}

fn finding<'a>(report: &'a Report, check: &str) -> &'a Finding {
    let found: Vec<&Finding> = report.checks.iter().filter(|finding| finding.check == check).collect();
    assert_eq!(found.len(), 1, "{check} once in {:?}", report.checks);
    found[0]
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

#[test]
#[ignore = "needs root"]
fn a_machine_that_is_well_is_told_so_and_left_as_it_was() {
    let programs = Programs::find(Profile::Dev);
    let lab = Lab::build(1, &programs).expect("a lab can be built");
    let ledger = lab.room().ledger("doctor");
    std::fs::create_dir_all(&ledger).expect("a folder for the ledger");
    std::fs::write(lab.room().file("realm.key"), format!("1 {}\n", "0".repeat(64))).expect("a key");
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(lab.room().file("realm.key"), private).expect("our own file");
    let data = ledger.display().to_string();
    let object = programs.gate.display().to_string();
    let flags = ["--interface", "s1", "--data", &data, "--gate-object", &object, "--sets", "16"];
    let (before, pins) = (names(lab.room().path()), names(&lab.room().path().join("bpf")));

    let (output, report) = run(doctor(&programs, &lab, &flags));
    assert_eq!(report.schema, 1);
    assert_eq!(output.status.code(), Some(0), "nothing FAILs: {:?}", report.checks);
    let listed: BTreeSet<&str> = report.checks.iter().map(|finding| finding.check.as_str()).collect();
    assert_eq!(listed.len(), report.checks.len(), "each once: {:?}", report.checks);
    for check in CHECKS.iter().copied().chain(["xdp s1", "queues s1", "checksums s1", "port [::]:2015"]) {
        let finding = finding(&report, check);
        assert_eq!(finding.remedy.is_none(), finding.verdict == "PASS", "{finding:?}");
        assert!(["PASS", "WARN"].contains(&finding.verdict.as_str()) && !finding.found.is_empty(), "{finding:?}");
    }
    for check in ["kernel", "capabilities", "object", "bpf file system", "xdp s1", "ledger disk", "realm key"] {
        assert_eq!(finding(&report, check).verdict, "PASS", "{:?}", finding(&report, check));
    }
    assert!(finding(&report, "xdp s1").found.contains("driver mode, tried; MTU 1500"), "{:?}", report.checks);
    assert!(finding(&report, "ledger sync").found.contains("median"), "{:?}", report.checks);

    let links = lab.server().ip(["-d", "link", "show", "s1"]).expect("ip answers");
    assert!(!links.contains("xdp"), "the trial's program is off again: {links}");
    assert_eq!(names(&ledger), Vec::<String>::new(), "no file is left in the ledger's folder");
    assert_eq!(names(lab.room().path()), before, "nor elsewhere");
    assert_eq!(names(&lab.room().path().join("bpf")), pins, "and no pin");

    // A veth is worth a WARN, and that is enough for --strict.
    assert_eq!(finding(&report, "checksums s1").verdict, "WARN");
    let (output, _) = run(doctor(&programs, &lab, &[&flags[..], &["--strict"]].concat()));
    assert_eq!(output.status.code(), Some(1));
}

#[test]
#[ignore = "needs root"]
fn each_lack_has_its_remedy_and_fails() {
    let programs = Programs::find(Profile::Dev);
    let lab = Lab::build(0, &programs).expect("a lab can be built");
    // The doctor binds in the server's namespace: who holds the port must be there, too.
    let mut holder = lab.server().command("python3");
    holder.args([
        "-c",
        "import socket,sys\ns=socket.socket(2,2)\ns.bind(('127.0.0.1',20161))\nprint(1,flush=True)\nsys.stdin.read()",
    ]);
    let mut holder = holder.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python3 starts");
    let mut bound = [0u8; 1];
    std::io::Read::read_exact(holder.stdout.as_mut().expect("stdout is a pipe"), &mut bound).expect("it bound");
    let key = lab.room().file("realm.key");
    std::fs::write(&key, format!("1 {}\n", "0".repeat(64))).expect("a file");
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o644)).expect("our own file");
    let flags = ["--interface", "nosuch0", "--listen", "127.0.0.1:20161", "--gate-object", "/nonexistent/gate.o"];
    let flags = [&flags[..], &["--data", "/dev/shm/rp-doctor/ledger"]].concat();

    let mut command = doctor(&programs, &lab, &flags);
    command.env("RP_SESION_RATE", "9");
    let (output, report) = run(command);
    drop(holder.stdin.take());
    holder.wait().expect("it ends with its input");
    assert_eq!(output.status.code(), Some(1));
    let check = |check: &str, found: &str, remedy: &str| {
        let finding = finding(&report, check);
        assert_eq!(finding.verdict, "FAIL", "{finding:?}");
        assert!(finding.found.contains(found), "{found} in {finding:?}");
        assert!(finding.remedy.as_ref().is_some_and(|said| said.contains(remedy)), "{remedy} in {finding:?}");
    };
    check("interfaces", "there is no interface nosuch0", "ip link");
    check("port 127.0.0.1:20161", "in use", "ss -ulpn sport = :20161");
    check("object", "/nonexistent/gate.o", "cargo xtask build-ebpf");
    check("ledger disk", "tmpfs", "--data DIR");
    check("realm key", "may be read by others", "chmod 600");
    let misspelt = finding(&report, "environment");
    assert_eq!((&*misspelt.verdict, misspelt.found.contains("RP_SESSION_RATE?")), ("WARN", true), "{misspelt:?}");
    for Finding { check, remedy, .. } in report.checks.iter().filter(|finding| finding.verdict != "PASS") {
        let remedy = remedy.as_ref().expect("what is not well has one");
        let is_read = Command::new("sh").args(["-n", "-c", remedy]).status();
        assert!(is_read.is_ok_and(|status| status.success()), "a shell takes {check}'s: {remedy}");
    }
    let chmod = finding(&report, "realm key").remedy.as_ref().expect("it has one");
    assert!(Command::new("sh").args(["-c", chmod]).status().is_ok_and(|status| status.success()), "{chmod}");
    let (_, mended) = run(doctor(&programs, &lab, &flags));
    assert_eq!(finding(&mended, "realm key").verdict, "PASS", "{:?}", mended.checks);
    assert!(!Path::new("/dev/shm/rp-doctor").exists(), "the ledger's folder is not made");
}
