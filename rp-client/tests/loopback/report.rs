//! Reports of real runs: as their schema says, added up to what both clients and the server counted, and compared.

#[path = "../../src/report/schema.rs"]
pub mod schema;

use std::process::{Command, Output};

use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use rp_client::report::hgrm;
use serde_json::Value;

use super::server::{Folder, Server};
use super::{client, report, start_at, sum, text_of, total, words, write};

const SCENARIO: &str = "
    [[phase]]
    kind = 'login'
    [[phase]]
    kind = 'shake'
    name = 'a thousand a second'
    seconds = 3
    rate = 1000
    send = { rate = 20, fen = 300, shares = 3 }";

/// Two client machines with a folder each.
fn play(house: &Server) -> [String; 2] {
    house.order(&["mint", "--users", "1..=600", "--fen", "10000"]);
    house.order(&[
        "campaign",
        "start",
        "--budget-fen",
        "100000",
        "--rate",
        "50",
        "--from-fen",
        "10",
        "--to-fen",
        "309",
    ]);
    let scenario = write(&house.folder, "scenario.toml", SCENARIO);
    let start_at = start_at().to_string();
    let http = format!("unix:{}", text_of(&house.folder.file("http.sock")));
    let rows = [("1..=200", "127.0.0.1", "one"), ("201..=600", "127.0.0.2", "two")];
    let running = rows.map(|(users, source, out)| {
        let out = text_of(&house.folder.file(out));
        let mut flags = vec!["--users", users, "--total", "600", "--scenario", &scenario, "--source", source];
        flags.extend(["--out", &out, "--start-at", &start_at, "--server-http", &http]);
        client(&house.folder, &format!("127.0.0.1:{}", house.port), &flags).spawn().expect("our program starts")
    });
    for child in running {
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{}", words(&output));
    }
    rows.map(|(.., out)| text_of(&house.folder.file(out)))
}

fn order(flags: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rp-client"));
    command.arg("report").args(flags).output().expect("our program starts")
}

/// The exit code, and what is said.
fn outcome(flags: &[&str]) -> (Option<i32>, String) {
    let output = order(flags);
    (output.status.code(), words(&output))
}

#[test]
fn two_machines_reports_become_one_that_agrees_with_the_server() {
    let house = Server::start("127.0.0.1");
    let folders = play(&house);
    let paths = folders.clone().map(|folder| format!("{folder}/report.json"));
    let parts = paths.clone().map(|path| report(&path));
    let merged = text_of(&house.folder.file("sum.json"));
    let (code, said) = outcome(&["merge", &paths[1], &paths[0], "--sum", &merged]);
    assert!(code == Some(0) && said.contains("the sum of 2 client machines"), "{said}");
    let whole = report(&merged);
    for one in parts.iter().chain([&whole]) {
        assert_eq!(schema::faults(one), Vec::<String>::new());
        // One row a second, and the last second of the shakes is not the last: what comes after it is not of its row.
        let rows = one["server"]["per_second"].as_array().expect("seconds").iter();
        let seconds: Vec<u64> = rows.map(|row| row["second"].as_u64().expect("a second")).collect();
        let end_s = one["phases"][1]["start_s"].as_u64().expect("a second") + 3;
        assert!(seconds.windows(2).all(|pair| pair[0] < pair[1]) && seconds.last() >= Some(&end_s), "{seconds:?}");
    }

    for pointer in [
        "/sessions",
        "/phases/1/due",
        "/phases/1/answered",
        "/phases/1/sends/answered",
        "/phases/1/grabs/answered",
        "/phases/1/per_second/0/due",
        "/phases/1/per_second/2/answered",
        "/money/prizes/fen",
        "/money/taken/count",
    ] {
        assert_eq!(whole.pointer(pointer).and_then(Value::as_u64), Some(sum(&parts, pointer)), "{pointer}");
    }
    let status = house.status();
    for (ours, theirs) in [("prizes", "prizes"), ("sent", "made"), ("taken", "taken")] {
        assert_eq!(whole["money"][ours]["fen"], status["money"][theirs]["fen"], "{ours}");
    }
    // What the auditors read second by second is all that there was.
    let seconds = whole["server"]["per_second"].as_array().expect("seconds");
    let of = |name: &str| seconds.iter().map(|row| row[name].as_u64().expect("a count")).sum::<u64>();
    assert_eq!(of("shakes"), whole["datagrams"]["sent"]["shake"].as_u64().expect("they shook"));
    assert_eq!(of("prizes"), whole["money"]["prizes"]["count"].as_u64().expect("a count"));
    assert_eq!(of("packets_made"), whole["money"]["sent"]["count"].as_u64().expect("a count"));
    // Its own snapshots are of the same seconds: both machines took each along, and the sum has each once.
    let snapshots = whole["server"]["snapshots"].as_array().expect("seconds");
    let seconds: Vec<u64> = snapshots.iter().map(|row| row["unix_s"].as_u64().expect("a second")).collect();
    assert!(seconds.windows(2).all(|pair| pair[0] < pair[1]), "{seconds:?}");
    // A busy machine may pass over a second; the next snapshot's rates are of both then.
    let before = std::iter::once(seconds[0] - 1).chain(seconds.iter().copied());
    let spans: Vec<f64> = seconds.iter().zip(before).map(|(second, before)| (second - before) as f64).collect();
    let of = |name: &str| {
        snapshots.iter().zip(&spans).map(|(row, span)| row[name].as_f64().expect("a rate") * span).sum::<f64>()
    };
    for (name, pointer) in [("prizes_got_per_s", "/money/prizes/count"), ("packets_made_per_s", "/money/sent/count")] {
        let count = sum(&parts, pointer) as f64;
        assert!((of(name) - count).abs() < 0.1 * count.max(10.0), "{name}: {} and {count}", of(name));
    }
    let equations = whole["reconciled"]["equations"].as_array().expect("a list");
    assert!(equations.len() > 30 && equations.iter().all(|row| row["ours"] == row["theirs"]), "{equations:?}");
    files_hold_what_the_report_says(&folders[0], &parts[0]);
    what_is_made_of_them(&house.folder, &merged, &paths);
}

fn files_hold_what_the_report_says(folder: &str, report: &Value) {
    let read = |name: &str| std::fs::read(format!("{folder}/{name}")).unwrap_or_else(|error| panic!("{name}: {error}"));
    let phase = &report["phases"][1];
    let answered = phase["answered"].as_u64().expect("a count");
    let rows = hgrm::rows_of(&String::from_utf8(read("2-a-thousand-a-second.hgrm")).expect("text"));
    let (value, share, count) = *rows.last().expect("rows");
    assert_eq!((Some(value as u64), share, count), (phase["latency_us"]["max"].as_u64(), 1.0, answered));
    let log = read("latency.hlog");
    let mut tags = std::collections::BTreeMap::<String, u64>::new();
    for entry in IntervalLogIterator::new(&log) {
        if let LogEntry::Interval(interval) = entry.expect("a line that is read") {
            let packed = Value::from(interval.encoded_histogram());
            let packed: rp_client::report::Packed = serde_json::from_value(packed).expect("a text");
            let tag = interval.tag().expect("all have one").as_str().to_string();
            *tags.entry(tag).or_default() += packed.unpacked().expect("whole").len();
        }
    }
    let money = ["sends", "grabs"].map(|sort| phase[sort]["answered"].as_u64().expect("a count")).iter().sum();
    assert_eq!(tags, [("money".to_string(), money), ("shakes".to_string(), answered)].into());
    let page = String::from_utf8(read("report.html")).expect("text");
    assert!(page.starts_with("<!doctype html>") && page.contains("a thousand a second") && page.ends_with("</html>\n"));
    assert!(total(&report["datagrams"]["discarded"]) == 0 && page.contains("agree with the server"));
}

fn what_is_made_of_them(folder: &Folder, merged: &str, paths: &[String; 2]) {
    let no_report = write(folder, "cut.json", "{\"schema\": 1,");
    let newer = write(folder, "newer.json", "{\"schema\": 9}");
    for (flags, code, says) in [
        (&["show", merged][..], 0, "agree with the server's"),
        (&["show", merged, "--expect", "p50<60s,mismatch=0"], 0, "sessions 600"),
        (&["show", merged, "--expect", "p50<1us"], 1, "expected p50<1us"),
        (&["show", merged, "--expect", "p98<1us"], 1, "not measured"),
        (&["html", merged], 0, "sum.html"),
        (&["compare", merged, merged, "--limits", "p99<=+0%,qps>-1%,loss<=+0"], 0, "latency p99.9"),
        (&["compare", merged, merged, "--limits", "p99<-10%"], 1, "expected p99<-10%"),
        (&["compare", &paths[0], merged], 0, "not comparable: users: 200 and 600"),
        (&["compare", &paths[0], merged, "--limits", "loss<=+0"], 1, "keep within no limits"),
        (&["merge", &paths[0], merged, "--sum", "/dev/null"], 1, "users overlap"),
        (&["show", &no_report], 1, "cut off"),
        (&["show", &newer], 1, "its schema is 9, ours is 1"),
        (&["show", "/nowhere/report.json"], 1, "cannot read the report"),
        (&["html", merged, "--page", "/nowhere/page.html"], 1, "cannot write"),
    ] {
        let (ended, said) = outcome(flags);
        assert!(said.contains(says), "{flags:?} said {said}");
        assert!(if code == 0 { ended == Some(0) } else { ended > Some(0) }, "{flags:?} ended with {ended:?}: {said}");
    }
}
