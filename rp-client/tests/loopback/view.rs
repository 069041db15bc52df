//! The full-screen view on a terminal of its own: `script` gives one, and every Debian has it.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::server::{Server, until};
use super::{report, text_of, write};

/// What the view begins with: the other screen of the terminal.
const BEGIN: &str = "\x1b[?1049h";
/// What it ends with, whatever ends it.
const END: &str = "\x1b[?1049l";

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(300);

/// A program on a terminal of 80 columns and 24 lines.
struct Terminal {
    child: Child,
    shown: Arc<Mutex<String>>,
}

impl Terminal {
    fn start(program: &str) -> Self {
        let mut command = Command::new("script");
        command.args(["--quiet", "--return", "--flush", "--command"]);
        command
            .arg(format!("stty rows 24 cols 80; echo I am $$.; exec {program}"))
            .arg("/dev/null")
            .env("TERM", "xterm-256color");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("bsdutils is essential");
        let shown = Arc::new(Mutex::new(String::new()));
        let (mut output, heard) = (child.stdout.take().expect("it is piped"), Arc::clone(&shown));
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                heard.lock().expect("nobody panics with it").push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        });
        Self { child, shown }
    }

    fn shown(&self) -> String {
        self.shown.lock().expect("nobody panics with it").clone()
    }

    fn wait_for(&self, words: &str) {
        let begun = Instant::now();
        while !self.shown().contains(words) {
            assert!(begun.elapsed() < PATIENCE, "no {words:?} in {:?}", self.shown());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The program's number.
    fn pid(&self) -> u32 {
        self.wait_for(".");
        let shown = self.shown();
        let word = shown.split_once("I am ").and_then(|(_, rest)| rest.split_once('.'));
        word.and_then(|(word, _)| word.parse().ok()).unwrap_or_else(|| panic!("no number in {shown:?}"))
    }

    fn press(&mut self, keys: &str) {
        let input = self.child.stdin.as_mut().expect("it is piped");
        input.write_all(keys.as_bytes()).and_then(|()| input.flush()).expect("the terminal takes keys");
    }

    fn end(&mut self) -> Option<i32> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("our child") {
                return status.code();
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end: {:?}", self.shown());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // One that has ended is not there any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A process that is nobody's child any more; ends with the test.
struct Orphan(u32);

impl Orphan {
    fn has_ended(&self) -> bool {
        // It may stay as a name without a process.
        std::fs::read_to_string(format!("/proc/{}/stat", self.0)).ok().is_none_or(|stat| stat.contains(") Z "))
    }
}

impl Drop for Orphan {
    fn drop(&mut self) {
        if !self.has_ended() {
            let _ = Command::new("kill").args(["-KILL", &self.0.to_string()]).status();
        }
    }
}

/// A run that leaves a report.
fn program(house: &Server, scenario: &str, json: &str) -> String {
    let (program, key) = (env!("CARGO_BIN_EXE_rp-client"), text_of(&house.folder.file("realm.key")));
    format!(
        "{program} run {scenario} --users 1..=300 --server 127.0.0.1:{} --realm-key {key} --json {json}",
        house.port
    )
}

#[test]
fn a_terminal_that_goes_away_holds_no_report_up() {
    let house = Server::start("127.0.0.1");
    let text = "[[phase]]\nkind='login'\n[[phase]]\nkind='shake'\nseconds=600\nrate=500";
    let (scenario, json) = (write(&house.folder, "long.toml", text), text_of(&house.folder.file("report.json")));
    let mut terminal = Terminal::start(&program(&house, &scenario, &json));
    let orphan = Orphan(terminal.pid());
    terminal.wait_for(BEGIN);
    until("they shake", || house.shakes() > 0);
    terminal.child.kill().expect("it is our child");
    terminal.child.wait().expect("it is our child");
    until("it ends", || orphan.has_ended());
    let report = report(&json);
    assert_eq!((&report["interrupted"], &report["ok"]), (&true.into(), &true.into()), "{report}");
}

#[test]
fn the_view_shows_a_run_and_q_ends_it_with_a_report_and_ctrl_c_twice_without() {
    let house = Server::start("127.0.0.1");
    let text = "[[phase]]\nkind='login'\n[[phase]]\nkind='shake'\nname='long'\nseconds=600\nrate=500";
    let (scenario, json) = (write(&house.folder, "long.toml", text), text_of(&house.folder.file("report.json")));
    let program = program(&house, &scenario, &json);
    let mut terminal = Terminal::start(&program);
    for words in [BEGIN, "long", "generator", "answered", "end with a report"] {
        terminal.wait_for(words);
    }
    until("they shake", || house.shakes() > 0);
    terminal.press("?");
    terminal.wait_for("what spoils a measurement");
    terminal.press("q");
    assert_eq!(terminal.end(), Some(0), "{:?}", terminal.shown());
    terminal.wait_for("agree with the server's");
    let shown = terminal.shown();
    assert!(shown.find(END) < shown.find("to the datagram and to the fen"), "the words are on the terminal as it was");
    let report = report(&json);
    assert_eq!(
        (&report["interrupted"], &report["reconciled"]["checked"], &report["ok"]),
        (&true.into(), &true.into(), &true.into())
    );
    assert!(report["phases"][1]["answered"].as_u64() > Some(0), "{report}");

    let mut terminal = Terminal::start(&program);
    let before = house.shakes();
    until("they shake again", || house.shakes() > before);
    terminal.press("\x03\x03");
    assert_eq!(terminal.end(), Some(130), "{:?}", terminal.shown());
    terminal.wait_for("without a report");
    assert!(terminal.shown().contains(END));
}
