//! The laboratory leaves nothing behind, however it ends.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use xtask::lab::Lab;
use xtask::programs::{Profile, Programs};
use xtask::signal::{self, Signal};

fn traces_of(pid: u32) -> Vec<String> {
    let mut traces = Vec::new();
    for (folder, prefix) in [("/run/netns", format!("rp-{pid}-")), ("/run/red-packet-lab", format!("{pid}-"))] {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        traces.extend(names.filter(|name| name.starts_with(&prefix)));
    }
    let mounts = std::fs::read_to_string("/proc/self/mounts").expect("/proc is mounted");
    traces.extend(mounts.lines().filter(|line| line.contains(&format!("red-packet-lab/{pid}-"))).map(String::from));
    traces
}

/// Starts `xtask lab` and returns it once it has said how to enter it.
fn lab_by_hand() -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    let mut child =
        command.args(["lab", "--dev", "--clients", "2"]).stdout(Stdio::piped()).spawn().expect("xtask starts");
    let out = child.stdout.take().expect("stdout is a pipe");
    let last = BufReader::new(out).lines().map_while(Result::ok).find(|line| line.starts_with("Ctrl-C"));
    assert!(last.is_some(), "the lab was not built");
    child
}

#[test]
#[ignore = "needs root"]
fn an_interrupted_lab_leaves_nothing() {
    for end in [Signal::Interrupt, Signal::Terminate] {
        let mut child = lab_by_hand();
        let pid = child.id();
        assert!(traces_of(pid).len() >= 5, "three namespaces, a folder and a mount: {:?}", traces_of(pid));
        signal::send(pid, end);
        child.wait().expect("xtask can be waited for");
        assert_eq!(traces_of(pid), Vec::<String>::new(), "after {end:?}");
    }
}

#[test]
#[ignore = "needs root"]
fn a_killed_lab_is_swept_by_the_next() {
    let mut child = lab_by_hand();
    let pid = child.id();
    signal::send(pid, Signal::Kill);
    child.wait().expect("xtask can be waited for");
    assert!(!traces_of(pid).is_empty(), "kill -9 cannot clean up");
    let lab = Lab::build(0, &Programs::find(Profile::Dev)).expect("a lab can be built");
    assert_eq!(traces_of(pid), Vec::<String>::new());
    drop(lab);
    assert_eq!(traces_of(std::process::id()), Vec::<String>::new());
}

#[test]
#[ignore = "needs root"]
fn a_program_dies_with_its_lab() {
    let lab = Lab::build(1, &Programs::find(Profile::Dev)).expect("a lab can be built");
    let mut sleeper = lab.server().command("sleep");
    sleeper.arg("600");
    let mut sleeper = sleeper.spawn().expect("sleep starts");
    let since = Instant::now();
    while lab.server().pids().is_empty() {
        assert!(since.elapsed() < Duration::from_secs(120), "sleep never entered the namespace");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(Path::new(&format!("/run/netns/{}", lab.server().name())).exists());
    drop(lab);
    let status = sleeper.wait().expect("sleep can be waited for");
    assert!(!status.success(), "it was killed, not done: {status}");
}
