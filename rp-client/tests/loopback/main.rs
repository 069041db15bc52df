//! The real client and the real server over loopback, without root: both sides' books must agree, and each refusal must
//! say what to do.

mod one;
mod report;
mod server;
mod view;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use server::{Folder, Server, free_port, until};

const SCENARIO: &str = "
    [[phase]]
    kind = 'login'
    [[phase]]
    kind = 'shake'
    seconds = 3
    rate = 1000
    send = { rate = 20, fen = 300, shares = 3 }
    [[phase]]
    kind = 'ramp'
    seconds = 2
    rate = 500
    rate_to = 1500
    send = { rate = 20, fen = 300, shares = 3, split = 'equal' }
    [[phase]]
    kind = 'logout'
";

fn client(folder: &Folder, server: &str, flags: &[&str]) -> Command {
    // Ends with the test, however that ends.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", env!("CARGO_BIN_EXE_rp-client")]);
    command.args(["--server", server, "--realm-key"]).arg(folder.file("realm.key")).args(flags);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn write(folder: &Folder, name: &str, text: &str) -> String {
    let path = folder.file(name);
    std::fs::write(&path, text).expect("our own folder");
    text_of(&path)
}

fn text_of(path: &Path) -> String {
    path.to_str().expect("temporary folders have plain names").to_string()
}

fn words(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn report(path: &str) -> Value {
    serde_json::from_slice(&std::fs::read(path).expect("a report")).expect("the report is JSON")
}

fn sum(reports: &[Value], pointer: &str) -> u64 {
    reports.iter().map(|report| report.pointer(pointer).and_then(Value::as_u64).expect(pointer)).sum()
}

/// Adds the rows of a table of counts.
fn total(table: &Value) -> u64 {
    table.as_object().expect("a table").values().map(|count| count.as_u64().expect("a count")).sum()
}

/// Sends a signal, like `-INT`.
fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([name, &*child.id().to_string()]).status().expect("kill is there");
    assert!(sent.success());
}

/// The unix second at which several machines begin together, for whom a busy machine needs some time.
fn start_at() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH);
    now.expect("it is past 1970").as_secs() + 8
}

/// Two client machines, at addresses of their own, play the scenario together.
#[test]
fn two_machines_and_the_server_agree_to_the_datagram_and_to_the_fen() {
    let house = Server::start("127.0.0.1");
    house.order(&["mint", "--users", "1..=2000", "--fen", "10000"]);
    let campaign = ["--budget-fen", "100000", "--rate", "50", "--from-fen", "10", "--to-fen", "309"];
    house.order(&[&["campaign", "start"][..], &campaign[..]].concat());
    let scenario = write(&house.folder, "scenario.toml", SCENARIO);
    let start_at = start_at();
    let ends = [("1..=700", "one.json"), ("701..=2000", "two.json")];
    let running = [0, 1].map(|machine| {
        let (users, json) = ends[machine];
        let json = text_of(&house.folder.file(json));
        let start_at = start_at.to_string();
        let mut flags = vec!["--users", users, "--total", "2000", "--scenario", &scenario, "--json", &json];
        flags.extend(["--start-at", &start_at, "--expect", "loss=0,refused=0,mismatch=0"]);
        flags.extend(["--source", ["127.0.0.1", "127.0.0.2"][machine]]);
        client(&house.folder, &format!("127.0.0.1:{}", house.port), &flags).spawn().expect("our program starts")
    });
    for child in running {
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{}", words(&output));
    }
    let reports = ends.map(|(_, json)| report(&text_of(&house.folder.file(json))));
    assert_eq!(sum(&reports, "/phases/1/due"), 3 * 1000);
    assert_eq!(sum(&reports, "/phases/2/due"), 500 + 1500);
    for report in &reports {
        assert_eq!((&report["reconciled"]["checked"], &report["sealing"]), (&true.into(), &true.into()));
        for second in report["phases"][1]["per_second"].as_array().expect("seconds") {
            assert!(second["due"].as_u64() > Some(0), "every machine is active every second: {second}");
            assert_eq!(second["due"], second["answered"], "{second}");
        }
    }
    let status = house.status();
    for (what, ours) in [("prizes", "prizes"), ("made", "sent"), ("taken", "taken")] {
        for part in ["count", "fen"] {
            let count = sum(&reports, &format!("/money/{ours}/{part}"));
            assert_eq!(status["money"][what][part], count, "{what} {part}");
            assert!(count > 0, "{what} {part}");
        }
    }
    let sent: u64 = reports.iter().map(|report| total(&report["datagrams"]["sent"])).sum();
    let received: u64 = reports.iter().map(|report| total(&report["datagrams"]["received"])).sum();
    assert_eq!((total(&status["received"]), total(&status["sent"])), (sent, received));
    assert_eq!(total(&status["dropped"]), 0, "no wrong worker, no wrong tag: {}", status["dropped"]);
    assert_eq!((&status["socket_overflow"], &status["sessions"]), (&Value::from(0), &Value::from(0)));
}

#[test]
fn two_families_meet_at_the_wildcard_address() {
    // One machine speaks IPv6 and one IPv4 to the same server, so that both have an address of their own.
    let house = Server::start("::");
    let text = "[[phase]]\nkind='login'\n[[phase]]\nkind='shake'\nseconds=2\nrate=500";
    let scenario = write(&house.folder, "scenario.toml", text);
    for (server, users) in [("[::1]", "1..=500"), ("127.0.0.3", "501..=1000")] {
        let server = format!("{server}:{}", house.port);
        let flags = ["--users", users, "--scenario", &scenario, "--expect", "loss=0,mismatch=0"];
        let output = client(&house.folder, &server, &flags).output().expect("our program starts");
        assert!(output.status.success(), "{}", words(&output));
        assert!(words(&output).contains("agree with the server's"), "{}", words(&output));
    }
}

#[test]
fn a_server_that_does_not_seal_is_believed_and_named() {
    let house = Server::start_with("127.0.0.1", &["--sealing", "off"]);
    house.order(&["mint", "--users", "1..=100", "--fen", "10000"]);
    let text = "[[phase]]\nkind='login'\n[[phase]]\nkind='shake'\nseconds=1\nrate=100\nsend={rate=5,fen=300,shares=3}";
    let scenario = write(&house.folder, "scenario.toml", text);
    let json = text_of(&house.folder.file("report.json"));
    let flags = ["--users", "1..=100", "--scenario", &scenario, "--json", &json, "--expect", "loss=0,mismatch=0"];
    let output =
        client(&house.folder, &format!("127.0.0.1:{}", house.port), &flags).output().expect("our program starts");
    assert!(output.status.success() && words(&output).contains("sealing        OFF"), "{}", words(&output));
    let (report, status) = (report(&json), house.status());
    assert_eq!((&report["sealing"], &status["sealing"]), (&false.into(), &false.into()));
    assert!(status["money"]["taken"]["count"].as_u64() > Some(0), "{status}");
    assert_eq!(total(&status["dropped"]), 0, "{status}");
}

#[test]
fn sessions_that_are_told_to_wait_do_and_the_report_says_for_how_long() {
    let house = Server::start("127.0.0.1");
    house.order(&["mint", "--users", "1..=10", "--fen", "10000"]);
    house.order(&["limits", "--session-rate", "2", "--session-burst", "2"]);
    let text = "[[phase]]\nkind='login'\n[[phase]]\nkind='shake'\nseconds=3\nrate=40\nsend={rate=5,fen=300,shares=3}";
    let scenario = write(&house.folder, "scenario.toml", text);
    let json = text_of(&house.folder.file("report.json"));
    let server = format!("127.0.0.1:{}", house.port);
    let flags = ["--users", "1..=10", "--scenario", &scenario, "--json", &json];
    let output = client(&house.folder, &server, &flags).output().expect("our program starts");
    assert!(output.status.success(), "{}", words(&output));
    let report = report(&json);
    let [login, shaking] = [0, 1].map(|phase| &report["phases"][phase]["backed_off"]);
    assert_eq!(login["times"], 0, "nobody was refused his log-in");
    let (times, seconds) = (shaking["times"].as_u64().expect("a count"), shaking["seconds"].as_f64().expect("a time"));
    // Refusals of pings are waited for, too, but stand in no row of refusals.
    assert!(report["phases"][1]["refusals"]["busy"].as_u64() > Some(0), "{report}");
    assert!(
        times > 0 && seconds >= times as f64 * 0.1,
        "a wait lasts a tenth of a second or more: {times}, {seconds} s"
    );
    assert!(words(&output).contains(&format!("told to wait, and waited, {times} times")), "{}", words(&output));
}

#[test]
fn a_client_that_is_told_to_stop_still_settles_its_books() {
    let house = Server::start("127.0.0.1");
    let json = text_of(&house.folder.file("report.json"));
    let scenario =
        write(&house.folder, "long.toml", "[[phase]]\nkind='login'\n[[phase]]\nkind='shake'\nseconds=600\nrate=500");
    let (server, later) = (format!("127.0.0.1:{}", house.port), (start_at() + 600).to_string());
    let flags = ["--users", "1..=300", "--scenario", &scenario, "--json", &json];
    // As Ctrl-C does, before the start of all machines, too; and as a terminal that goes away, of which the kernel tells and the shell.
    for (wait, signals) in [(&["--start-at", &later][..], &["-INT"][..]), (&[], &["-INT"]), (&[], &["-HUP", "-HUP"])] {
        let has_begun = wait.is_empty();
        let mut child = client(&house.folder, &server, &[&flags, wait].concat()).spawn().expect("our program starts");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let mut lines = lines.map(|line| line.expect("it prints text"));
        let mut said = String::new();
        for line in lines.by_ref() {
            said += &format!("{line}\n");
            let is_it = if has_begun { " answered " } else { " begins in " };
            if line.contains(" shake ") && line.contains(is_it) && !line.contains("answered      0") {
                break;
            }
        }
        signals.iter().for_each(|name| signal(&child, name));
        let begun = Instant::now();
        said.extend(lines);
        let output = child.wait_with_output().expect("it ends");
        // Half of what the scenario would last.
        assert!(output.status.success() && begun.elapsed() < Duration::from_secs(300), "{said}{}", words(&output));
        let report = report(&json);
        assert_eq!((&report["ok"], &report["reconciled"]["checked"]), (&true.into(), &true.into()));
        assert_eq!(report["interrupted"], true);
        assert_eq!(report["phases"][1]["answered"].as_u64() > Some(0), has_begun);
        assert_eq!(report::schema::faults(&report), Vec::<String>::new());
        assert!(
            said.contains(" s left") || !has_begun,
            "the first line of a phase says how long it all will take: {said}"
        );
    }
    let page = text_of(&house.folder.file("report.html"));
    let mut html = Command::new(env!("CARGO_BIN_EXE_rp-client"));
    let html = html.args(["report", "html", &json, "--page", &page]).output().expect("our program starts");
    assert!(html.status.success(), "{}", words(&html));
    assert!(std::fs::read_to_string(page).expect("it was made").contains("</html>"));
}

#[test]
fn a_client_under_nohup_outlives_its_terminal() {
    let house = Server::start("127.0.0.1");
    let text = "[[phase]]\nkind='login'\n[[phase]]\nkind='shake'\nseconds=600\nrate=500";
    let scenario = write(&house.folder, "long.toml", text);
    let (server, json) = (format!("127.0.0.1:{}", house.port), text_of(&house.folder.file("report.json")));
    let run = client(&house.folder, &server, &["--users", "1..=300", "--scenario", &scenario, "--json", &json]);
    // What nohup does before it is the program; nohup itself would be asked for where its output goes.
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' HUP; exec \"$0\" \"$@\""]).arg(run.get_program()).args(run.get_args());
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a shell is there");
    let shakes_on = |what: &str| {
        let before = house.shakes();
        until(what, || house.shakes() > before + 500);
    };
    shakes_on("it shakes");
    signal(&child, "-HUP");
    shakes_on("it still does, for longer than a run that ends");
    shakes_on("and longer");
    signal(&child, "-INT");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", words(&output));
    assert_eq!(report(&json)["interrupted"], true);
}

#[test]
fn a_rate_beyond_the_machine_falls_behind_but_loses_nothing() {
    let house = Server::start("127.0.0.1");
    let text = "[[phase]]\nkind='login'\n[[phase]]\nkind='shake'\nseconds=1\nrate=400000";
    let scenario = write(&house.folder, "scenario.toml", text);
    let json = text_of(&house.folder.file("report.json"));
    let server = format!("127.0.0.1:{}", house.port);
    let flags = ["--users", "1..=20000", "--scenario", &scenario, "--json", &json];
    let output = client(&house.folder, &server, &flags).output().expect("our program starts");
    assert!(output.status.success(), "{}", words(&output));
    let report = report(&json);
    assert_eq!((&report["phases"][1]["answered"], &report["datagrams"]["overflow"]), (&400_000.into(), &0.into()));
}

#[test]
fn a_datagram_that_is_not_ours_and_a_missed_expectation_make_the_exit_code_1() {
    let house = Server::start("127.0.0.1");
    let text = "[[phase]]\nkind='login'\n[[phase]]\nkind='shake'\nseconds=600\nrate=200";
    let scenario = write(&house.folder, "scenario.toml", text);
    let json = text_of(&house.folder.file("report.json"));
    let server = format!("127.0.0.1:{}", house.port);
    let flags = ["--users", "1..=200", "--scenario", &scenario, "--json", &json, "--expect", "p50<1us"];
    let child = client(&house.folder, &server, &flags).spawn().expect("our program starts");
    until("they shake", || house.shakes() > 0);
    // The server counts by address, so a stranger at ours shows up in the books.
    let stranger = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    stranger.send_to(b"luck", &server).expect("loopback takes it");
    signal(&child, "-INT");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(1), "{}", words(&output));
    let report = report(&json);
    let differences = report["reconciled"]["differences"].as_array().expect("a list");
    assert_eq!(differences.len(), 1, "{differences:?}");
    let sentence = differences[0].as_str().expect("text");
    assert!(sentence.starts_with("not one of our requests: 0, but the server received:"), "{sentence}");
    // And that it was ended early, of which nothing can be expected.
    assert_eq!(report["failures"].as_array().map(Vec::len), Some(3), "{}", report["failures"]);
}

#[test]
fn latencies_are_logged_for_hdrhistogram_second_by_second() {
    let house = Server::start("127.0.0.1");
    let text = "[[phase]]\nkind='login'\n[[phase]]\nkind='shake'\nseconds=3\nrate=200";
    let scenario = write(&house.folder, "scenario.toml", text);
    let log = text_of(&house.folder.file("latency.hlog"));
    let server = format!("127.0.0.1:{}", house.port);
    let flags = ["--users", "1..=200", "--scenario", &scenario, "--hdr", &log, "--no-reconcile"];
    let output = client(&house.folder, &server, &flags).output().expect("our program starts");
    assert!(output.status.success(), "{}", words(&output));
    let text = std::fs::read(&log).expect("a log");
    let mut read = hdrhistogram::serialization::Deserializer::new();
    let mut count = 0;
    for entry in hdrhistogram::serialization::interval_log::IntervalLogIterator::new(&text) {
        if let hdrhistogram::serialization::interval_log::LogEntry::Interval(interval) = entry.expect("a good log") {
            let bytes = base64(interval.encoded_histogram());
            let histogram: hdrhistogram::Histogram<u64> = read.deserialize(&mut &bytes[..]).expect("a histogram");
            count += histogram.len();
        }
    }
    assert_eq!(count, 600);
}

/// Decodes base64 (RFC 4648, section 4).
fn base64(text: &str) -> Vec<u8> {
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let value = |c: u8| digits.iter().position(|d| *d == c).map_or(0, |v| v as u32);
    let padding = text.bytes().rev().take_while(|c| *c == b'=').count();
    let chunks = text.as_bytes().chunks_exact(4);
    let words = chunks.map(|four| four.iter().fold(0, |word, c| word << 6 | value(*c)));
    let mut bytes: Vec<u8> = words.flat_map(|word| [(word >> 16) as u8, (word >> 8) as u8, word as u8]).collect();
    bytes.truncate(bytes.len() - padding);
    bytes
}

#[test]
fn users_without_money_are_refused_by_type_and_told_what_to_do() {
    let house = Server::start("127.0.0.1");
    let text = "[[phase]]\nkind='login'\n[[phase]]\nkind='hold'\nseconds=2\nsend={rate=50,fen=300,shares=3}";
    let scenario = write(&house.folder, "scenario.toml", text);
    let json = text_of(&house.folder.file("report.json"));
    let server = format!("127.0.0.1:{}", house.port);
    let flags = ["--users", "1..=100", "--scenario", &scenario, "--json", &json];
    let output = client(&house.folder, &server, &flags).output().expect("our program starts");
    assert!(output.status.success() && words(&output).contains("rp-server mint"), "{}", words(&output));
    assert_eq!(report(&json)["phases"][1]["refusals"]["insufficient"], 100);
}

#[test]
fn a_run_that_nobody_watches_goes_on() {
    let house = Server::start("127.0.0.1");
    let scenario = write(
        &house.folder,
        "scenario.toml",
        "[[phase]]\nkind = 'login'\n[[phase]]\nkind = 'shake'\nseconds = 1\nrate = 100",
    );
    let json = text_of(&house.folder.file("report.json"));
    let server = format!("127.0.0.1:{}", house.port);
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut client = client(&house.folder, &server, &["--users", "1..=100", "--scenario", &scenario, "--json", &json]);
    let output = client.stdout(writer).output().expect("our program starts");
    assert!(output.status.success(), "{}", words(&output));
    assert_eq!(report(&json)["phases"][1]["due"], 100);
}

/// Runs a client that cannot do its work, and looks for the words that say why and what next.
fn check_refusal(folder: &Folder, server: &str, flags: &[&str], expected: &[&str]) -> String {
    let output = client(folder, server, flags).output().expect("our program starts");
    let said = words(&output);
    assert_eq!(output.status.code(), Some(2), "{flags:?}: {said}");
    for word in expected {
        assert!(said.contains(word), "{flags:?} must say {word:?}: {said}");
    }
    said
}

#[test]
fn what_cannot_work_is_refused_with_a_remedy() {
    let folder = Folder::new();
    let nobody = format!("127.0.0.1:{}", free_port("127.0.0.1"));
    check_refusal(&folder, &nobody, &[], &["realm.key", "rp-server makes the file", "--realm-key"]);
    write(&folder, "realm.key", &format!("1 {}\n", "0".repeat(64)));
    let bad = write(&folder, "bad.toml", "[[phase]]\nkind='shake'\nseconds=3");
    for (flags, expected) in [
        (&["--scenario", &bad][..], &["bad.toml:1", "phase 1", "`rate`"][..]),
        (&["/nowhere.toml"], &["/nowhere.toml", "seed, demo, shake"]),
        (&["--start-at", "1"], &["--start-at", "s ago", "name a later one"]),
        (&["--users", "5..=20", "--total", "18"], &["raise --total"]),
        (&["--source", "203.0.113.77"], &["203.0.113.77", "address of this machine"]),
        (&["--expect", "speed<1ms"], &["--expect 'speed<1ms'"]),
        (&["--json", "/nowhere/report.json", "--scenario", &bad], &["bad.toml"]),
        (&["--json", "/nowhere/report.json", "--users", "1..=10"], &["cannot write /nowhere/report.json"]),
        (&["--live", "full"], &["no terminal", "--live lines"]),
    ] {
        check_refusal(&folder, &nobody, flags, expected);
    }
    let expected = ["no answer", " HELLOs in ", "refused", "is rp-server running"];
    let said = check_refusal(&folder, &nobody, &["--users", "1..=10"], &expected);
    let seconds = said.split(" HELLOs in ").nth(1).and_then(|rest| rest.split(' ').next()?.parse::<u64>().ok());
    assert!(seconds.is_some_and(|seconds| (10..20).contains(&seconds)), "it asks for ten seconds: {said}");
}

#[test]
fn users_that_two_clients_play_are_remarked_and_counted() {
    let house = Server::start("127.0.0.1");
    let text = "[[phase]]\nkind='login'\n[[phase]]\nkind='shake'\nseconds=3\nrate=300";
    let scenario = write(&house.folder, "scenario.toml", text);
    let server = format!("127.0.0.1:{}", house.port);
    let start = |source: &str| {
        let flags = ["--users", "1..=100", "--source", source, &scenario];
        client(&house.folder, &server, &flags).spawn().expect("our program starts")
    };
    let running = [start("127.0.0.1"), start("127.0.0.2")];
    let said: String = running.map(|child| words(&child.wait_with_output().expect("it ends"))).concat();
    assert!(said.contains("does another client play the same users? (--users)"), "{said}");
}

#[test]
fn another_realms_key_is_named_as_the_cause() {
    let house = Server::start("127.0.0.1");
    let folder = Folder::new();
    write(&folder, "realm.key", &format!("1 {}\n", "5a".repeat(32)));
    let server = format!("127.0.0.1:{}", house.port);
    check_refusal(&folder, &server, &["--users", "1..=10"], &["realm key the same", "bad_ticket"]);
}
