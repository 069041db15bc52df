//! `cargo xtask crash`, shortened: a dozen kills, and nothing left behind, however it ends.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use xtask::signal::{self, Signal};

fn crash(flags: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.arg("crash").args(flags).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("xtask starts")
}

/// Processes and folders that name a maker in their paths.
fn traces_of(pid: u32) -> Vec<String> {
    let mark = format!("/{pid}-1");
    let mut traces = Vec::new();
    for process in std::fs::read_dir("/proc").expect("/proc is mounted").flatten() {
        let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains(&mark) {
            traces.push(line);
        }
    }
    let ledgers = xtask::setup::target_dir().join("ledgers");
    for folder in [ledgers.as_path(), Path::new("/run/red-packet-lab")] {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        traces.extend(entries.map(|entry| entry.path().display().to_string()).filter(|path| path.ends_with(&mark)));
    }
    traces
}

#[test]
fn a_dozen_kills_lose_no_fen_and_pay_none_twice() {
    let child = crash(&["--kills", "12", "--seconds-between", "1.5"]);
    let pid = child.id();
    let output = child.wait_with_output().expect("xtask ends");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let acknowledged = said.lines().find_map(|line| line.strip_prefix("acknowledgements")).expect("a table");
    let checked: u64 = acknowledged.trim().split(' ').next().and_then(|word| word.parse().ok()).expect("a number");
    assert!(checked > 1000, "{said}");
    assert_eq!(traces_of(pid), Vec::<String>::new());
}

#[test]
fn an_interrupted_crash_test_leaves_nothing() {
    let mut child = crash(&["--kills", "1000"]);
    let pid = child.id();
    let out = BufReader::new(child.stdout.take().expect("it is piped"));
    let begun = out.lines().map_while(Result::ok).any(|line| line.contains("the server is killed"));
    assert!(begun && !traces_of(pid).is_empty(), "it has not begun");
    signal::send(pid, Signal::Interrupt);
    let status = child.wait().expect("xtask ends");
    assert_eq!((status.code(), traces_of(pid)), (Some(1), Vec::new()));
}
