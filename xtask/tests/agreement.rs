//! For the same second all that shows the server shows the same: kernel maps, /metrics, /status, `rp-server status` and the
//! clients' reports. (The page is held to /status by page.rs.)

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use xtask::answers::KernelCounts;
use xtask::demo::stage::Stage;
use xtask::fleet::Fleet;
use xtask::machine;
use xtask::programs::{Profile, Programs};
use xtask::server::Server;

const USERS: u64 = 2_000;
const SCENARIO: &str = r#"
[[phase]]
kind = "login"
name = "connect"

[[phase]]
kind = "shake"
name = "load"
seconds = 12
rate = 3000
send = { rate = 100, fen = 300, shares = 3, recipients = 3 }
"#;
/// Seconds that are looked at while the load goes on.
const SECONDS: usize = 4;
/// A client that logs in and plays twelve seconds, on a machine that does something else besides.
const CLIENTS_END_LIMIT: Duration = Duration::from_secs(60);

/// `GET path` over the server's unix socket.
fn get(socket: &Path, path: &str) -> String {
    let mut stream = UnixStream::connect(socket).expect("the server listens there");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    write!(stream, "GET {path} HTTP/1.0\r\nhost: localhost\r\n\r\n").expect("it takes a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers and closes");
    let (head, body) = answer.split_once("\r\n\r\n").expect("it speaks HTTP");
    assert!(head.starts_with("HTTP/1.0 200") || head.starts_with("HTTP/1.1 200"), "{path}: {head}\n{body}");
    body.to_owned()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn unix_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs()
}

/// What /metrics says, each name summed over all labels but the first.
fn metrics(text: &str) -> BTreeMap<String, f64> {
    let mut sums = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line}"));
        let name = name.trim_end_matches('}').split(',').next().expect("there is a first part");
        *sums.entry(name.to_owned()).or_insert(0.0) += value.parse::<f64>().expect("a sample is a number");
    }
    sums
}

/// Holds /metrics to the snapshot of the same second, figure by figure; how many there were.
fn hold(metrics: &BTreeMap<String, f64>, snapshot: &Value) -> usize {
    let mut held = 0;
    let mut check = |name: String, expected: &Value| {
        let expected = expected.as_f64().unwrap_or_else(|| panic!("{name}: {expected} is no number"));
        assert_eq!(metrics.get(&name), Some(&expected), "{name} of second {}", snapshot["unix_s"]);
        held += 1;
    };
    let rows = |pointer: &str| {
        let rows = snapshot.pointer(pointer).and_then(Value::as_object).unwrap_or_else(|| panic!("no {pointer}"));
        rows.clone().into_iter()
    };
    for (metric, label, pointer) in [
        ("redpacket_kernel_datagrams_total", "place", "/kernel/totals/places"),
        ("redpacket_kernel_requests_total", "kind", "/kernel/totals/kinds"),
        ("redpacket_kernel_answers_total", "kind", "/kernel/totals/answers"),
        ("redpacket_kernel_dropped_total", "reason", "/kernel/totals/reasons"),
    ] {
        for (name, row) in rows(pointer) {
            check(format!("{metric}{{{label}=\"{name}\""), &row["datagrams"]);
        }
    }
    for (metric, label, pointer) in [
        ("redpacket_requests_received_total", "kind", "/status/received"),
        ("redpacket_replies_sent_total", "kind", "/status/sent"),
        ("redpacket_requests_dropped_total", "reason", "/status/dropped"),
    ] {
        for (name, count) in rows(pointer) {
            check(format!("{metric}{{{label}=\"{name}\""), &count);
        }
    }
    for (at, sessions) in snapshot["sets"].as_array().expect("SETs are a list").iter().enumerate() {
        check(format!("redpacket_set_sessions{{set=\"{at}\""), sessions);
    }
    let status = &snapshot["status"];
    check("redpacket_sessions".to_owned(), &status["sessions"]);
    check("redpacket_logins_total".to_owned(), &status["logins"]);
    check("redpacket_snapshot_timestamp_seconds".to_owned(), &snapshot["unix_s"]);
    held
}

/// Every counter of the kernel's maps, by name, as datagrams.
fn counters(kernel: &KernelCounts) -> impl Iterator<Item = (String, u64)> {
    let parts = [("places", &kernel.places), ("kinds", &kernel.kinds), ("reasons", &kernel.reasons)];
    let parts = parts.into_iter().chain([("answers", &kernel.answers), ("ups", &kernel.ups)]);
    parts
        .into_iter()
        .flat_map(|(part, rows)| rows.iter().map(move |(name, row)| (format!("/{part}/{name}"), row.datagrams)))
}

fn in_snapshot(snapshot: &Value, name: &str) -> u64 {
    let row = snapshot.pointer(&format!("/kernel/totals{name}/datagrams"));
    row.and_then(Value::as_u64).unwrap_or_else(|| panic!("the snapshot has no {name}"))
}

/// Looks everywhere for one second: the snapshot that all of them show.
fn look(server: &Server, socket: &Path) -> Value {
    loop {
        let before = server.kernel_counts().expect("the maps are pinned");
        let began = unix_s();
        machine::sleep_to_the_next_second();
        std::thread::sleep(Duration::from_millis(150));
        let text = get(socket, "/metrics");
        let metrics = metrics(&text);
        let second = metrics["redpacket_snapshot_timestamp_seconds"] as u64;
        let after = server.kernel_counts().expect("the maps are pinned");
        if second != began + 1 {
            // The machine was away for a second: what was read before and behind is of another one.
            continue;
        }
        let status = json(&get(socket, &format!("/status?second={second}")));
        assert_eq!(status["unix_s"].as_u64(), Some(second));
        assert_eq!(
            status["status"]["money"]["balanced"], true,
            "also while money moves: {}",
            status["status"]["money"]
        );
        let second = second.to_string();
        let told =
            server.ask(&["status", "--snapshot", "--second", &second, "--json"]).expect("it remembers two minutes");
        assert_eq!(json(&told), status, "`rp-server status --snapshot` and /status");
        assert!(hold(&metrics, &status) > 300, "a figure for each name");
        for ((name, earlier), (_, later)) in counters(&before).zip(counters(&after)) {
            let shown = in_snapshot(&status, &name);
            assert!((earlier..=later).contains(&shown), "{name} of second {second}: {earlier} <= {shown} <= {later}");
        }
        return status;
    }
}

fn reports(fleet: &Fleet) -> Vec<Value> {
    fleet.report_paths().map(|path| json(&std::fs::read_to_string(path).expect("the client left a report"))).collect()
}

#[test]
#[ignore = "needs root"]
fn the_same_second_is_the_same_everywhere() {
    let programs = Programs::find(Profile::Dev);
    let stage = Stage::set(2, &programs).expect("a lab can be built");
    assert!(stage.has_gate(), "this test runs as root");
    let socket = stage.room().file("http.sock");
    let door = format!("unix:{}", socket.display());
    let server = stage.start_server(&programs, &["--workers", "2", "--http", &door]).expect("the server starts");
    server.ask(&["mint", "--users", &format!("1..={USERS}"), "--fen", "100000"]).expect("users get money");
    server.ask(&["campaign", "start", "--budget-fen", "1000000", "--rate", "50"]).expect("a campaign starts");
    let scenario = stage.room().file("agreement.toml");
    std::fs::write(&scenario, SCENARIO).expect("the room is writable");
    let start = (unix_s() + 6).to_string();
    let flags = ["--start-at", &start, "--server-http", &door];
    let mut fleet = stage.start_fleet_of(&programs, &server, USERS, &scenario, &flags).expect("clients start");
    while server.status().expect("it answers").received["shake"] == 0 {
        assert!(fleet.is_running().expect("the system says"), "clients ended early:\n{}", fleet.log_tails());
        std::thread::sleep(Duration::from_millis(50));
    }
    let seen: Vec<Value> = (0..SECONDS).map(|_| look(&server, &socket)).collect();
    let asked = |snapshot: &Value| snapshot["rates"]["asked_per_s"].as_f64().expect("a rate");
    assert!(
        seen.iter().any(|snapshot| asked(snapshot) > 1_000.0),
        "the load was on: {:?}",
        seen.iter().map(asked).collect::<Vec<_>>()
    );

    let ended = fleet.reports(CLIENTS_END_LIMIT).expect("clients leave reports");
    assert!(
        ended.iter().all(|report| report.ok),
        "{:?}",
        ended.iter().map(|report| &report.failures).collect::<Vec<_>>()
    );
    let mut found = 0;
    for report in reports(&fleet) {
        let shown = report["server"]["snapshots"].as_array().expect("a report has the server's snapshots").clone();
        for snapshot in &seen {
            let row = shown.iter().find(|row| row["unix_s"] == snapshot["unix_s"]);
            let row = row.unwrap_or_else(|| panic!("the report has no second {}", snapshot["unix_s"]));
            for rate in [
                "asked_per_s",
                "kernel_answered_per_s",
                "workers_answered_per_s",
                "prizes_got_per_s",
                "packets_made_per_s",
            ] {
                assert_eq!(row[rate], snapshot["rates"][rate], "{rate} of second {}", snapshot["unix_s"]);
            }
            found += 1;
        }
    }
    assert_eq!(found, 2 * SECONDS, "both clients saw each of the seconds");

    // When traffic rests, nothing is between two looks: equal, not only between.
    let rests = look(&server, &socket);
    let kernel = server.kernel_counts().expect("the maps are pinned");
    for (name, count) in counters(&kernel) {
        assert_eq!(in_snapshot(&rests, &name), count, "{name} at rest");
    }
    server.end().expect("SIGTERM ends the server cleanly");
}
