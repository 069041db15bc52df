//! What operators see of a server with a gate under load: all places say the same of the same second, kernel's counters
//! and clients' reports included, and Prometheus' own tool finds no fault with it.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use xtask::answers::KernelCounts;
use xtask::bench::admin;
use xtask::command;
use xtask::demo::scenario::{Scenario, Shaking};
use xtask::demo::stage::Stage;
use xtask::machine;
use xtask::port::{Port, next_event};
use xtask::programs::{Profile, Programs};
use xtask::server::Server;
use xtask::setup;
use xtask::signal::Signal;

const USERS: u64 = 500;
const WAIT: Duration = Duration::from_secs(300);
/// So long after its second a snapshot is there.
const TAKEN_BY: Duration = Duration::from_millis(150);

fn get(port: &Port, path: &str) -> (u16, String) {
    port.get(path).expect("it answers and closes")
}

fn metrics_of(port: &Port) -> String {
    let (code, text) = get(port, "/metrics");
    assert_eq!(code, 200, "{text}");
    text
}

/// The sum over the samples of a metric whose labels include these words.
fn sum(text: &str, name: &str, labels: &[&str]) -> u64 {
    let is_it = |line: &&str| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']))
            && labels.iter().all(|label| line.contains(label))
    };
    let figure = |line: &str| line.rsplit(' ').next().and_then(|figure| figure.parse::<f64>().ok());
    text.lines().filter(is_it).map(|line| figure(line).expect("a figure") as u64).sum()
}

/// The second that all places are asked about, and what they say.
fn agree(port: &Port, server: &Server) -> Value {
    let text = metrics_of(port);
    let second = sum(&text, "redpacket_snapshot_timestamp_seconds", &[]);
    let (code, status) = get(port, &format!("/status?second={second}"));
    assert_eq!(code, 200, "{status}");
    let asked = server.ask(&["status", "--snapshot", "--second", &second.to_string(), "--json"]).expect("it answers");
    assert_eq!(asked.trim_end(), status);
    let snapshot: Value = serde_json::from_str(&status).expect("it is JSON");
    let mut events = port.events(&format!("?since={}", second - 1)).expect("it listens");
    let event = next_event(&mut events).expect("an event");
    assert_eq!(serde_json::from_str::<Value>(&event).expect("it is JSON"), snapshot);
    let mut checked = 0;
    let mut check = |name: &str, labels: &[&str], figure: &Value| {
        let figure = figure.as_u64().unwrap_or_else(|| panic!("{name} {labels:?}: {figure} in {snapshot}"));
        assert_eq!(sum(&text, name, labels), figure, "{name} {labels:?}");
        checked += 1;
    };
    let rows = |value: &Value| value.as_object().expect("an object").clone();
    for (table, name, label) in [
        ("places", "redpacket_kernel_datagrams_total", "place"),
        ("kinds", "redpacket_kernel_requests_total", "kind"),
        ("ups", "redpacket_kernel_up_total", "kind"),
        ("answers", "redpacket_kernel_answers_total", "kind"),
        ("reasons", "redpacket_kernel_dropped_total", "reason"),
    ] {
        for (row, counts) in rows(&snapshot["kernel"]["totals"][table]) {
            check(name, &[&format!("{label}=\"{row}\"")], &counts["datagrams"]);
        }
    }
    let status = &snapshot["status"];
    for (table, name, label) in [
        ("received", "redpacket_requests_received_total", "kind"),
        ("sent", "redpacket_replies_sent_total", "kind"),
        ("dropped", "redpacket_requests_dropped_total", "reason"),
    ] {
        for (row, count) in rows(&status[table]) {
            check(name, &[&format!("{label}=\"{row}\"")], &count);
        }
    }
    for (at, worker) in status["workers"].as_array().into_iter().flatten().enumerate() {
        for counter in ["received", "replied", "sent"] {
            check(&format!("redpacket_worker_{counter}_total"), &[&format!("worker=\"{at}\"")], &worker[counter]);
        }
    }
    for client in snapshot["clients"].as_array().into_iter().flatten() {
        let of = format!("client={}", client["client"]);
        check("redpacket_client_sessions", &[&of], &client["sessions"]);
        for counter in ["received", "dropped", "sent"] {
            check(&format!("redpacket_client_{counter}_total"), &[&of], &client[counter]);
        }
    }
    let sets: u64 = snapshot["sets"].as_array().into_iter().flatten().filter_map(Value::as_u64).sum();
    check("redpacket_set_sessions", &[], &json!(sets));
    let money = &status["money"];
    for (name, figure) in [
        ("redpacket_prizes_released_total", &money["prizes_released"]["count"]),
        ("redpacket_prizes_won_fen_total", &money["prizes"]["fen"]),
        ("redpacket_packets_made_total", &money["made"]["count"]),
        ("redpacket_shares_taken_fen_total", &money["taken"]["fen"]),
        ("redpacket_packets_open", &money["open"]["count"]),
        ("redpacket_packets_open_fen", &money["open"]["fen"]),
        ("redpacket_issued_fen", &money["issued_fen"]),
        ("redpacket_users_fen", &money["users_fen"]),
        ("redpacket_packets_fen", &money["packets_fen"]),
        ("redpacket_campaigns_fen", &money["campaign_fen"]),
        ("redpacket_sums_checked_total", &money["sums_checked"]),
        ("redpacket_sessions", &status["sessions"]),
        ("redpacket_logins_total", &status["logins"]),
        ("redpacket_requests_replied_total", &status["replied"]),
        ("redpacket_socket_overflow_total", &status["socket_overflow"]),
        ("redpacket_ledger_postings", &status["ledger"]["postings"]),
        ("redpacket_ledger_commit_seconds_count", &status["ledger"]["commits"]),
    ] {
        check(name, &[], figure);
    }
    assert!(checked > 100, "{checked} figures");
    snapshot
}

/// Looks at the second that begins next: all places agree, and the kernel's maps were on their way past what they say.
fn look(port: &Port, server: &Server) -> Value {
    loop {
        let before = server.kernel_counts().expect("the pins are there");
        let until_s = machine::unix_us() / 1_000_000 + 1;
        machine::sleep_to_the_next_second();
        std::thread::sleep(TAKEN_BY);
        let snapshot = agree(port, server);
        let after = server.kernel_counts().expect("the pins are there");
        if snapshot["unix_s"] != until_s {
            // The machine was away for a second: what was read before and behind is of another one.
            continue;
        }
        assert_eq!(snapshot["status"]["money"]["balanced"], true, "also while it moves: {snapshot}");
        for ((name, earlier), (_, later)) in counters(&before).zip(counters(&after)) {
            let shown = snapshot.pointer(&format!("/kernel/totals{name}/datagrams")).and_then(Value::as_u64);
            let shown = shown.unwrap_or_else(|| panic!("no {name} in {snapshot}"));
            assert!((earlier..=later).contains(&shown), "{name}: {earlier} <= {shown} <= {later}");
        }
        return snapshot;
    }
}

/// Every counter of the kernel's maps: where it is in a snapshot, and its datagrams.
fn counters(kernel: &KernelCounts) -> impl Iterator<Item = (String, u64)> {
    let parts = [("places", &kernel.places), ("kinds", &kernel.kinds), ("reasons", &kernel.reasons)];
    let parts = parts.into_iter().chain([("answers", &kernel.answers), ("ups", &kernel.ups)]);
    parts.flat_map(|(part, rows)| rows.iter().map(move |(name, row)| (format!("/{part}/{name}"), row.datagrams)))
}

/// Holds a client's report to the snapshots of the same seconds; in how many of them the gate saw something.
fn agree_with(report: &Value, seen: &[Value]) -> usize {
    let rows = report["server"]["snapshots"].as_array().expect("it has the server's snapshots");
    let same =
        |snapshot: &Value| Some((rows.iter().find(|row| row["unix_s"] == snapshot["unix_s"])?, snapshot.clone()));
    let pairs: Vec<(&Value, Value)> = seen.iter().filter_map(same).collect();
    for (row, snapshot) in &pairs {
        for rate in [
            "asked",
            "kernel_answered",
            "workers_answered",
            "prizes_released",
            "prizes_got",
            "packets_made",
            "shares_taken",
        ] {
            let rate = format!("{rate}_per_s");
            assert_eq!(row[&rate], snapshot["rates"][&rate], "{rate} of second {}", row["unix_s"]);
        }
        // A report leaves out what did not come.
        let some = |rows: &Value| -> BTreeMap<String, f64> {
            let rate = |value: &Value| value.as_f64().or_else(|| value["datagrams"].as_f64());
            let rows = rows.as_object().into_iter().flatten();
            rows.filter_map(|(name, row)| Some((name.clone(), rate(row).filter(|rate| *rate > 0.0)?))).collect()
        };
        assert_eq!(some(&row["dropped_per_s"]), some(&snapshot["rates"]["dropped"]), "{snapshot}");
        let places = some(&snapshot["kernel"]["rates"]["places"]);
        assert_eq!(some(&row["gate_per_s"]), places, "{snapshot}");
    }
    pairs.iter().filter(|(row, _)| row["gate_per_s"]["seen"].is_number()).count()
}

fn promtool(words: &[&str], input: &str) {
    let tool = setup::find_program("promtool").expect("`cargo xtask test` unpacks it at its start");
    let mut command = Command::new(tool);
    let mut child = command.args(words).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    child.stdin.take().expect("it is piped").write_all(input.as_bytes()).expect("it reads all");
    let output = child.wait_with_output().expect("it is our child");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.trim().is_empty(), "promtool {words:?}: {said}\n{input}");
}

#[test]
#[ignore = "needs root"]
fn all_places_say_the_same_of_the_same_second() {
    let programs = Programs::find(Profile::Dev);
    let stage = Stage::set(2, &programs).expect("a lab can be built");
    let scenario = Scenario { shaking: vec![Shaking { rate: 1_000, seconds: 300, prizes_per_s: 0 }] };
    let port = Port::at(stage.room().file("http.sock"));
    let http = port.flag();
    let server = stage.start_server(&programs, &["--workers", "2", "--http", &http]).expect("it starts");
    server.ask(&["mint", "--users", &format!("1..={USERS}"), "--fen", "100000"]).expect("users get money");
    server.ask(&["campaign", "start", "--budget-fen", "100000", "--rate", "50"]).expect("it starts");
    assert_eq!(get(&port, "/readyz").0, 200);
    let until = Instant::now() + WAIT;
    while get(&port, "/status").0 != 200 {
        assert!(Instant::now() < until, "a first second passes");
        std::thread::sleep(Duration::from_millis(50));
    }
    let file = stage.room().file("scenario.toml");
    std::fs::write(&file, scenario.toml()).expect("the room is writable");
    let fleet = stage.start_fleet_of(&programs, &server, USERS, &file, &["--server-http", &http]);
    let mut fleet = fleet.expect("clients start");
    let (mut seen, mut busiest) = (Vec::new(), 0.0);
    // As many seconds as are needed, however many a busy machine passes over.
    let enough = |name, least| sum(&metrics_of(&port), name, &[]) >= least;
    while seen.len() < 6
        || busiest <= 300.0
        || !enough("redpacket_durable_latency_seconds_count", 300)
        || !enough("redpacket_ledger_commit_seconds_count", 50)
    {
        assert!(fleet.is_running().expect("they are our children"), "{} seconds, {busiest}", seen.len());
        let snapshot = look(&port, &server);
        let answered = snapshot["rates"]["kernel_answered_per_s"].as_f64().unwrap_or(0.0);
        busiest = f64::max(busiest, answered);
        seen.extend((answered > 0.0).then_some(snapshot));
    }
    fleet.signal(Signal::Interrupt);
    promtool(&["check", "metrics"], &metrics_of(&port));
    fleet.reports(WAIT).expect("they leave reports");
    for path in fleet.report_paths() {
        let report = std::fs::read_to_string(path).expect("it was read before");
        let report: Value = serde_json::from_str(&report).expect("it is JSON");
        assert!(agree_with(&report, &seen) > 3, "{}", path.display());
    }

    // At rest the live places say it, too.
    server.ask(&["campaign", "stop"]).expect("it stops");
    let until = Instant::now() + WAIT;
    let (snapshot, status) = loop {
        std::thread::sleep(Duration::from_millis(1100));
        let live = server.ask(&["status", "--json"]).expect("it answers");
        let live: Value = serde_json::from_str(&live).expect("it is JSON");
        let snapshot = agree(&port, &server);
        let is_same = |part: &&str| snapshot["status"].pointer(part) == live.pointer(part);
        let parts =
            ["/received", "/sent", "/dropped", "/money/users_fen", "/money/made", "/money/taken", "/money/prizes"];
        let Some(other) = parts.iter().find(|part| !is_same(part)) else { break (snapshot, live) };
        assert!(Instant::now() < until, "{other}: {} and {live}", snapshot["status"]);
    };
    assert_eq!(snapshot["status"]["ledger"]["postings"], status["ledger"]["postings"]);
    assert_eq!(snapshot["status"]["money"]["balanced"], true, "{snapshot}");
    let kernel = server.kernel_counts().expect("the pins are there");
    // Neighbours go on asking for addresses.
    let rests = |name: &str| name != "/places/seen" && name != "/places/not_ours";
    for (name, count) in counters(&kernel).filter(|(name, _)| rests(name)) {
        assert_eq!(snapshot.pointer(&format!("/kernel/totals{name}/datagrams")), Some(&json!(count)), "{name}");
    }
    assert!(kernel.place("answered") > 1_000 && snapshot["latency_us"]["worker"]["count"].is_u64());
    for (name, least) in [
        ("redpacket_worker_latency_seconds_count", 500),
        ("redpacket_durable_latency_seconds_count", 300),
        ("redpacket_ledger_commit_seconds_count", 50),
    ] {
        let counted = sum(&metrics_of(&port), name, &[]);
        assert!(counted >= least, "{name}: {counted}");
    }
    server.end().expect("SIGTERM ends the server cleanly");
    assert!(!port.path().exists(), "the socket goes with the server");
}

#[test]
#[ignore = "needs root"]
fn the_dashboard_asks_in_words_that_prometheus_knows() {
    let text = std::fs::read_to_string(command::root().join("docs/grafana/red-packet.json")).expect("it is there");
    let dashboard: Value = serde_json::from_str(&text).expect("it is JSON");
    let panels = dashboard["panels"].as_array().into_iter().flatten();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let questions = targets.map(|target| target["expr"].as_str().expect("PromQL").replace("$__rate_interval", "1m"));
    let rules: Vec<Value> =
        questions.enumerate().map(|(at, expr)| json!({"record": format!("panel:{at}"), "expr": expr})).collect();
    assert!(rules.len() > 50);
    let file = std::env::temp_dir().join(format!("rp-rules-{}.yml", std::process::id()));
    // JSON is YAML.
    std::fs::write(&file, json!({"groups": [{"name": "panels", "rules": rules}]}).to_string()).expect("a file");
    promtool(&["check", "rules", &file.display().to_string()], "");
    let _ = std::fs::remove_file(file);
}

#[test]
#[ignore = "needs root"]
fn what_it_costs_to_be_looked_at_is_measured() {
    let extent = admin::Extent { sessions: 1_000, rate: 4_000, rounds: 1, turn_s: 2 };
    let turns = admin::run(&Programs::find(Profile::Dev), extent).expect("a lab can be built");
    assert_eq!(turns.iter().map(|turn| turn.is_looked_at).collect::<Vec<_>>(), [false, true]);
    for turn in turns {
        assert!(turn.answered_per_s > 500.0 && turn.worker_us > 0.0 && turn.share_percent > 0.0, "{turn:?}");
        assert_eq!(turn.http_percent > 0.01, turn.is_looked_at, "{turn:?}");
        // Of a worker that has next to nothing to do: a laden one has twenty times as much.
        assert!(turn.http_percent < 20.0, "{turn:?}");
    }
}
