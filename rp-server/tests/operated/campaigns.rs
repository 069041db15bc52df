//! The file's campaign where something is cut off, lost, or in its way: nothing is given out twice, and nothing ends unsaid.

use std::io::{BufRead as _, BufReader};
use std::process::{Output, Stdio};

use super::*;

fn plan(budget: u64, rate: u32) -> String {
    format!("[campaign]\nbudget-fen = {budget}\nrate = {rate}\n")
}

impl Operated {
    fn show(&self) -> String {
        self.server.order(&["campaign", "show"])
    }

    fn show_until(&self, word: &str) {
        let until = Instant::now() + PATIENCE;
        while !self.show().contains(word) {
            assert!(Instant::now() < until, "no {word:?}: {}\n{}", self.show(), self.server.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What is written down of the campaign.
    fn written(&self) -> String {
        std::fs::read_to_string(self.server.folder.join("data/campaign.json")).unwrap_or_default()
    }

    fn write_until(&self, word: &str) {
        let until = Instant::now() + PATIENCE;
        while !self.written().contains(word) {
            assert!(Instant::now() < until, "no {word:?}: {}\n{}", self.written(), self.server.log());
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// An order that goes on meanwhile.
    fn give(&self, words: &[&str]) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rp-server"));
        command.args(words).current_dir(&self.server.folder).env("RP_ADMIN", self.server.folder.join("admin"));
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it was built")
    }

    /// Somebody who is about to ask.
    fn asker(&self) -> UnixStream {
        UnixStream::connect(self.server.folder.join("admin")).expect("it listens")
    }

    /// It is gone, however; starts it again in its folder.
    fn go_on(&mut self) {
        self.ended();
        self.server.child = Operated::launch(&self.server.folder, &[]);
        self.server.wait();
    }
}

fn is_refused(output: &Output, why: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains(why), "no {why:?}: {said}");
}

#[test]
fn a_change_that_is_cut_off_is_carried_out_by_the_next_start_once() {
    let (mut budget, mut rate) = (50_000, 5);
    let mut operated = Operated::start("cut-off", &plan(budget, rate), &[]);
    // Inside the commit that it waits for, and around it.
    for (signal, after_s) in [("TERM", "0"), ("KILL", "0"), ("TERM", "0.002"), ("KILL", "0.002"), ("KILL", "0.005")] {
        (budget, rate) = (budget + 1000, rate + 1);
        operated.write(&plan(budget, rate));
        let pid = operated.server.child.id();
        let both = format!("kill -HUP {pid}; sleep {after_s}; kill -{signal} {pid}");
        assert!(Command::new("sh").args(["-c", &both]).status().is_ok_and(|status| status.success()));
        operated.go_on();
        operated.show_until(&format!("{rate} prizes a second"));
        assert_eq!(operated.issued_fen(), budget, "{}", operated.server.log());
    }
    // And where the campaign is surely stopped, and its successor surely not begun: by hand, too.
    for words in [&["config", "reload"][..], &["campaign", "set", "--rate", "12", "--add-fen", "1000"]] {
        (budget, rate) = (budget + 1000, rate + 1);
        if words[0] == "config" {
            operated.write(&plan(budget, rate));
        }
        let held = operated.hold();
        let asked = operated.give(words);
        operated.write_until("\"more_fen\":1000");
        std::thread::sleep(Duration::from_millis(50));
        operated.server.signal("-KILL");
        drop(held);
        operated.go_on();
        drop(asked.wait_with_output());
        operated.show_until(&format!("{rate} prizes a second"));
        assert_eq!(operated.issued_fen(), budget, "{}", operated.server.log());
        operated.write_until("\"change\":null");
    }
    // The file's campaign is the changed one from here on: what it gets more is what the file says more.
    operated.write(&plan(budget, 20));
    operated.server.order(&["config", "reload"]);
    operated.show_until("20 prizes a second");
    assert_eq!(operated.issued_fen(), budget + 1000);
    operated.end();
}

#[test]
fn a_stop_while_a_campaign_is_changed_stops_it_and_nothing_follows() {
    let mut operated = Operated::start("stop-change", &plan(50_000, 5), &[]);
    for words in [&["campaign", "set", "--rate", "7"][..], &["config", "reload"]] {
        if words[0] == "config" {
            operated.write(&plan(60_000, 6));
            operated.server.order(&words[..2]);
            operated.show_until("6 prizes a second");
            operated.write(&plan(70_000, 9));
        }
        operated.write_until("\"change\":null");
        let held = operated.hold();
        let asked = operated.give(words);
        operated.write_until("\"more_fen\"");
        let stop = operated.give(&["campaign", "stop"]);
        operated.write_until("\"change\":null");
        let asked = asked.wait_with_output().expect("it is our child");
        if words[0] == "campaign" {
            is_refused(&asked, "was stopped meanwhile by another order");
        }
        drop(held);
        let stopped = stop.wait_with_output().expect("it is our child");
        assert!(stopped.status.success(), "{}", String::from_utf8_lossy(&stopped.stderr));
        assert_eq!((operated.show().as_str(), operated.issued_fen()), ("no campaign is running\n", 0));
        operated.again(&[]);
        assert_eq!((operated.show().as_str(), operated.issued_fen()), ("no campaign is running\n", 0));
    }
    operated.end();
}

#[test]
fn a_budget_below_what_is_released_changes_nothing_and_is_not_paid_twice() {
    let mut operated = Operated::start("below", &plan(50_000, 200), &[]);
    // Every prize has a fen at least.
    let released = |operated: &Operated| operated.status()["money"]["prizes_released"]["fen"].as_u64().expect("a sum");
    let until = Instant::now() + PATIENCE;
    while released(&operated) < 2000 {
        assert!(Instant::now() < until, "{}\n{}", operated.show(), operated.server.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    // With a fen more than the campaign's, 63 bits do not count what the file says next.
    operated.server.order(&["mint", "--users", "1..=1", "--fen", "1"]);
    let number = |operated: &Operated| operated.show().split(':').next().map(str::to_owned);
    let before = number(&operated);
    for (budget, why) in [(1000, "fen are taken away, and campaign "), (i64::MAX as u64, "63 bits")] {
        operated.write(&plan(budget, 200));
        let said = operated.server.order(&["config", "reload"]);
        assert!(said.contains("the file's campaign is not followed") && said.contains(why), "{said}");
    }
    operated.write(&plan(50_000, 200));
    assert_eq!(operated.server.order(&["config", "reload"]), "nothing changes\n");
    assert_eq!((number(&operated), operated.issued_fen()), (before, 50_001), "{}", operated.server.log());
    operated.end();
}

#[test]
fn what_the_file_says_last_is_followed_and_nothing_that_it_said_before() {
    let mut operated = Operated::start("last", &plan(50_000, 5), &[]);
    operated.write_until("\"change\":null");
    let reload = |operated: &Operated, rate| {
        operated.write(&plan(50_000, rate));
        operated.server.order(&["config", "reload"])
    };
    let held = operated.hold();
    reload(&operated, 6);
    for rate in [7, 8] {
        assert!(reload(&operated, rate).contains("followed when that is done"));
    }
    drop(held);
    operated.show_until("8 prizes a second");
    assert!(!operated.server.log().contains("7 prizes a second"), "{}", operated.server.log());
    // As it was is no change either.
    operated.write_until("\"change\":null");
    let held = operated.hold();
    reload(&operated, 9);
    assert!(reload(&operated, 10).contains("followed when that is done"));
    assert_eq!(reload(&operated, 9), "nothing changes\n");
    drop(held);
    operated.show_until("9 prizes a second");
    operated.write_until("\"change\":null");
    assert!(!operated.server.log().contains("10 prizes a second"), "{}", operated.server.log());
    assert_eq!(operated.issued_fen(), 50_000);
    operated.end();
}

#[test]
fn a_server_that_ends_takes_no_order_about_its_future() {
    let mut operated = Operated::start("ending", &plan(50_000, 5), &["--drain", "3600"]);
    assert_eq!(operated.hear(), "READY=1\n");
    operated.write(&plan(70_000, 9));
    // Nothing that asks all SETs comes to its end, nor does the server.
    let held = operated.hold();
    let mint = r#"{"Mint":{"number":1,"first":1,"last":9,"fen":5,"takes_back":false}}"#;
    let mut askers = [r#""Reload""#, r#""CampaignStop""#, mint].map(|question| (operated.asker(), question));
    operated.server.signal("-TERM");
    assert!(operated.hear().starts_with("STOPPING=1\n"));
    for (asker, question) in &mut askers {
        writeln!(asker, "{question}").expect("it is read");
    }
    operated.server.signal("-HUP");
    for (asker, question) in askers {
        let mut answer = String::new();
        BufReader::new(asker).read_line(&mut answer).expect("it is answered");
        assert!(answer.contains("Refused") && answer.contains("the server is ending"), "{question}: {answer}");
    }
    operated.wait_for("SIGHUP: the server is ending");
    drop(held);
    operated.ended();
    // Nothing is heard between its last word and ours.
    let ours = UnixDatagram::unbound().and_then(|ours| ours.send_to(b"ours", operated.server.folder.join("notify")));
    ours.expect("the socket is there");
    assert_eq!(operated.hear(), "ours");
    // What the file says now is the next start's.
    operated.go_on();
    operated.show_until("9 prizes a second");
    assert_eq!(operated.issued_fen(), 70_000);
    operated.end();
}

#[test]
fn a_campaign_does_not_begin_where_nobody_knows_whether_it_did_before() {
    let mut operated = Operated::start("unknown", &plan(50_000, 5), &[]);
    let number = |said: &str| said.split([' ', ':']).nth(1).and_then(|word| word.parse::<u64>().ok());
    operated.write_until("\"change\":null");
    let (first, written) = (operated.show(), operated.written());
    let lose = |operated: &Operated| {
        std::fs::remove_file(operated.server.folder.join("data/campaign.json")).expect("it was written");
    };
    // Its Started was on disk, and the server was gone: it is known by its plan.
    lose(&operated);
    operated.again(&[]);
    operated.write_until("\"change\":null");
    assert_eq!((number(&operated.show()), operated.written()), (number(&first), written));
    lose(&operated);
    operated.write(&plan(60_000, 5));
    operated.again(&[]);
    operated.wait_for("not followed: another campaign runs, ");
    assert!(operated.server.order(&["config", "reload"]).contains("stop it first by `rp-server campaign stop`"));
    assert_eq!((number(&operated.show()), operated.issued_fen()), (number(&first), 50_000));
    operated.server.order(&["campaign", "stop"]);
    operated.again(&[]);
    operated.wait_for("not followed: this ledger had a campaign, ");
    assert_eq!((operated.show().as_str(), operated.issued_fen()), ("no campaign is running\n", 0));
    // As it says: by hand it is the file's again.
    operated.server.order(&["campaign", "start", "--budget-fen", "60000", "--rate", "5"]);
    assert!(operated.server.order(&["config", "reload"]).ends_with(" goes on\n"));
    operated.server.order(&["campaign", "stop"]);
    operated.again(&[]);
    assert_eq!((operated.show().as_str(), operated.issued_fen()), ("no campaign is running\n", 0));
    assert!(!operated.server.log().contains("not followed"), "{}", operated.server.log());
    // The same on a backup of it, which was made while the server ran.
    operated.server.order(&["ledger", "backup", "--data", "data", "--to", "copy"]);
    let copied = std::fs::read_to_string(operated.server.folder.join("copy/campaign.json"));
    assert_eq!(copied.expect("it is in a backup"), operated.written());
    operated.again(&["--data", "copy"]);
    assert_eq!((operated.show().as_str(), operated.issued_fen()), ("no campaign is running\n", 0));
    std::fs::write(operated.server.folder.join("copy/campaign.json"), "{").expect("our own folder");
    operated.again(&["--data", "copy"]);
    operated.wait_for("which campaign is the file's cannot be read in copy/campaign.json");
    assert_eq!((operated.show().as_str(), operated.issued_fen()), ("no campaign is running\n", 0));
    operated.end();
}
