//! The commands of README.md's first block, as they are typed, but by the dev build, and the demo with fewer sessions and shorter phases.

use std::process::{Command, Stdio};

use xtask::book::fence;
use xtask::book::page::Page;
use xtask::lab::{Lab, Room};
use xtask::programs::{Profile, Programs};

const BUILD: &str = "cargo xtask build-ebpf";
const DEMO: &str = "cargo xtask demo";
/// What makes the demo small, and prints what the whole one prints.
const SMALL: [&str; 7] = ["--dev", "--sessions", "20000", "--seconds", "2", "--report", "REPORT"];
/// Two screens.
const LINES_MAX: usize = 96;

/// Runs a command of the page's, and returns what it printed.
fn run(line: &str, room: &Room, flags: &[&str]) -> String {
    let words = line.strip_prefix("cargo xtask ").expect("it is one of ours").split(' ');
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    let report = room.file("demo").display().to_string();
    command.args(words).args(flags.iter().map(|flag| if *flag == "REPORT" { &report } else { *flag }));
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().expect("xtask starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{line}: {}\n{said}", output.status);
    said
}

#[test]
#[ignore = "needs root"]
fn the_first_command_prints_its_table_on_two_screens_and_the_books_agree() {
    let lab = Lab::build(0, &Programs::find(Profile::Dev)).expect("a lab can be built");
    let said = run(DEMO, lab.room(), &SMALL);
    let page = Page::read("README.md").expect("it is in the repository");
    let fences = page.fences();
    let at = fences.iter().position(|fence| fence.is_commands() && fence.body.contains(DEMO)).expect("README has it");
    fence::holds(&fences[at + 1].body, &said)
        .unwrap_or_else(|line| panic!("README has {line:?}, and it said:\n{said}"));
    assert!(said.lines().count() <= LINES_MAX, "{} lines:\n{said}", said.lines().count());
    for file in ["report.html", "report.json"] {
        assert!(lab.room().file("demo").join(file).is_file(), "no {file}:\n{said}");
    }
}

#[test]
#[ignore = "needs root"]
fn the_kernel_programs_are_built_by_one_command() {
    let lab = Lab::build(0, &Programs::find(Profile::Dev)).expect("a lab can be built");
    let said = run(BUILD, lab.room(), &["--dev"]);
    assert!(said.contains("build-ebpf: gate ") && said.contains("followed by the verifier"), "{said}");
}
