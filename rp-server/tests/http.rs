//! The HTTP port of a real server over loopback: what is served, what is refused and how, and that all places agree.

#[path = "shared/server.rs"]
mod server;

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rp_core::wire::{HELLO_LEN, Hello};
use serde_json::Value;

use server::Server;

const WAIT: Duration = Duration::from_secs(120);
const TOKEN: &str = "0123456789abcdef-0123";

/// A server whose port is in its start-up block, and where.
fn start(name: &str, flags: &[&str]) -> (Server, SocketAddr) {
    let server = Server::start(name, "127.0.0.1", &[&["--http", "127.0.0.1:0"], flags].concat());
    let said = server.said("http");
    let address = said.trim_start_matches("http://").trim_end_matches('/');
    (server, address.parse().unwrap_or_else(|error| panic!("{said}: {error}")))
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(WAIT)).expect("a timeout");
    stream
}

/// All that comes until it is closed, which may be in the midst of what was said.
fn read_all(mut stream: impl Read) -> String {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        read => drop(read.expect("it is closed")),
    }
    String::from_utf8(bytes).expect("it says text")
}

/// Says a request and reads to the end: status code, head, body.
fn exchange(mut stream: impl Read + Write, request: &str) -> (u16, String, String) {
    stream.write_all(request.as_bytes()).expect("it takes a request");
    let text = read_all(stream);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    (code.unwrap_or_else(|| panic!("no HTTP: {text}")), head.to_lowercase(), body.to_owned())
}

fn get_with(address: SocketAddr, path: &str, headers: &str) -> (u16, String, String) {
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{headers}\r\n");
    exchange(connect(address), &request)
}

fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let (code, _, body) = get_with(address, path, "");
    (code, body)
}

/// Asks until the answer has this code: a control plane that stands still for a moment is not alive.
fn get_until(address: SocketAddr, path: &str, code: u16) -> (u16, String, String) {
    let until = Instant::now() + WAIT;
    loop {
        let answer = get_with(address, path, "");
        if answer.0 == code || Instant::now() > until {
            return answer;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Asks until there is a first snapshot.
fn wait_for_a_snapshot(address: SocketAddr) -> Value {
    let until = Instant::now() + WAIT;
    loop {
        match get(address, "/status") {
            (200, body) => return serde_json::from_str(&body).expect("it is JSON"),
            (503, why) if Instant::now() < until => assert!(why.contains("ask again"), "{why}"),
            other => panic!("{other:?}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A private file with these words.
fn file(folder: &Path, name: &str, words: &str, mode: u32) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, words).expect("the folder is writable");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("it is ours");
    path
}

#[test]
fn each_endpoint_answers_and_everything_else_is_refused_in_words() {
    let (server, address) = start("endpoints", &[]);
    let snapshot = wait_for_a_snapshot(address);
    assert_eq!((&snapshot["schema"], &snapshot["kernel"]), (&Value::from(1), &Value::Null));
    assert_eq!(snapshot["sets"].as_array().map(Vec::len), Some(256));
    for name in ["unix_s", "interval_s", "status", "rates", "clients", "latency_us", "commit_us", "cpus", "threads"] {
        assert!(!snapshot[name].is_null(), "{name}: {snapshot}");
    }
    let names: Vec<&str> =
        snapshot["threads"].as_array().into_iter().flatten().filter_map(|row| row["name"].as_str()).collect();
    for name in ["control", "worker-0", "worker-1", "ledger", "http"] {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
    let check = |path: &str, code: u16, kind: &str, word: &str| {
        let (found, head, body) = get_until(address, path, code);
        assert_eq!(found, code, "{path}: {body}");
        assert!(head.contains(&format!("content-type: {kind}")) && body.contains(word), "{path}: {head}\n{body}");
        assert!(head.contains("x-content-type-options: nosniff") && head.contains("cache-control"), "{path}: {head}");
    };
    check("/", 200, "text/html", "<title");
    check("/metrics", 200, "text/plain; version=0.0.4", "# TYPE redpacket_sessions gauge\nredpacket_sessions 0\n");
    check("/status", 200, "application/json", "\"schema\":1");
    check("/livez", 200, "text/plain", "alive");
    check("/readyz", 200, "text/plain", "ready");
    check("/nothing", 404, "text/plain", "there is no /nothing; there are / /events");
    check("/status?second=7", 404, "text/plain", "there is no snapshot of second 7: those from ");
    check("/status?second=soon", 400, "text/plain", "second");
    for method in ["POST", "PUT", "DELETE"] {
        let request =
            format!("{method} /status HTTP/1.1\r\nhost: {address}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        let (code, head, _) = exchange(connect(address), &request);
        assert!(code == 405 && head.contains("allow: get"), "{method}: {code} {head}");
    }
    let (code, head, _) = exchange(connect(address), "?\r\n\r\n");
    assert_eq!(code, 400, "{head}");
    let long = "x".repeat(64 << 10);
    let (code, head, _) = exchange(connect(address), &format!("GET /{long} HTTP/1.1\r\nhost: {address}\r\n\r\n"));
    assert!(code == 414 || code == 431, "{head}");
    for host in ["evil.example", "127.0.0.1.evil.example:2016"] {
        let request = format!("GET /status HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        let (code, _, body) = exchange(connect(address), &request);
        assert!(code == 403 && body.contains("localhost"), "{host}: {code} {body}");
    }
    drop(server);
}

#[test]
fn events_come_once_a_second_and_those_missed_come_again() {
    let (_server, address) = start("events", &[]);
    let listen = |path: &str, headers: &str| {
        let mut stream = connect(address);
        let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).expect("it takes a request");
        let lines = BufReader::new(stream).lines().map(|line| line.expect("it goes on"));
        lines.filter_map(|line| {
            line.strip_prefix("data: ").map(|data| serde_json::from_str::<Value>(data).expect("JSON"))
        })
    };
    let seconds: Vec<u64> =
        listen("/events", "").take(3).map(|event| event["unix_s"].as_u64().expect("a second")).collect();
    assert!(seconds.is_sorted_by(|earlier, later| earlier < later), "{seconds:?}");
    // A control plane that stood still took no snapshot of a second.
    for second in seconds[0]..=seconds[2] {
        let code = if seconds.contains(&second) { 200 } else { 404 };
        assert_eq!(get(address, &format!("/status?second={second}")).0, code, "{second} of {seconds:?}");
    }
    for (path, headers) in [
        ("/events", format!("last-event-id: {}\r\n", seconds[0])),
        (&*format!("/events?since={}", seconds[0]), String::new()),
    ] {
        let again = listen(path, &headers).next().expect("an event");
        assert_eq!(again["unix_s"], seconds[1], "{path} {headers}");
    }
    // As many as may listen at once, and they stay; those above may be on their way out.
    let (mut listeners, until) = (Vec::new(), Instant::now() + WAIT);
    while listeners.len() < 16 {
        let mut listener = listen("/events", "");
        if listener.next().is_some() {
            listeners.push(listener);
        }
        assert!(Instant::now() < until, "{} listen", listeners.len());
    }
    let mut one_more = connect(address);
    write!(one_more, "GET /events HTTP/1.1\r\nhost: {address}\r\n\r\n").expect("it takes a request");
    let mut line = String::new();
    // Of the answer no more: if it is another one, it has no end.
    BufReader::new(one_more).read_line(&mut line).expect("it answers");
    assert!(line.starts_with("HTTP/1.1 503 "), "{line}");
    assert_eq!(get_until(address, "/livez", 200).0, 200);
    drop(listeners);
}

/// The figures of a /metrics text that have no labels or the named ones, like `x{kind="hello"}`.
fn metric(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} in\n{text}"))
}

#[test]
fn for_the_same_second_all_places_say_the_same() {
    let (server, address) = start("agreement", &[]);
    let done = Arc::new(AtomicBool::new(false));
    let (stop, to) = (done.clone(), server.address.clone());
    let load = std::thread::spawn(move || {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
        socket.connect(to).expect("loopback");
        let mut hello = [0; HELLO_LEN];
        for number in 0.. {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            Hello { flags: 0, set_hash: number as u16, client_nonce: number }.put(&mut hello);
            // Refused for a moment when nobody reads: it does not matter.
            let _ = socket.send(&hello);
            let _ = socket.send(&hello[..HELLO_LEN - 1]);
            std::thread::sleep(Duration::from_micros(300));
        }
    });
    wait_for_a_snapshot(address);
    let newest = || {
        let (code, text) = get(address, "/metrics");
        assert_eq!(code, 200, "{text}");
        let second = metric(&text, "redpacket_snapshot_timestamp_seconds") as u64;
        let (code, status) = get(address, &format!("/status?second={second}"));
        assert_eq!(code, 200, "{status}");
        let snapshot: Value = serde_json::from_str(&status).expect("it is JSON");
        (text, second, status, snapshot)
    };
    let until = Instant::now() + WAIT;
    let newest_that = |is_so: fn(&str, &Value) -> bool| {
        loop {
            let (text, second, status, snapshot) = newest();
            if is_so(&text, &snapshot) {
                return (text, second, status, snapshot);
            }
            assert!(Instant::now() < until, "{snapshot}\n{text}");
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    // One of a second in which it was asked much.
    let (text, second, status, snapshot) = newest_that(|_, snapshot| {
        let hellos = snapshot["status"]["received"]["hello"].as_u64().expect("a count");
        hellos > 100 && snapshot["rates"]["asked_per_s"].as_f64() > Some(50.0)
    });
    let asked = server.order(&["status", "--snapshot", "--second", &second.to_string(), "--json"]);
    assert_eq!(asked.trim_end(), status);
    assert!(server.order(&["status", "--snapshot", "--second", &second.to_string()]).contains(&second.to_string()));
    let mut stream = connect(address);
    let request = format!("GET /events?since={} HTTP/1.1\r\nhost: {address}\r\n\r\n", second - 1);
    stream.write_all(request.as_bytes()).expect("it takes a request");
    let event = BufReader::new(stream).lines().map(|line| line.expect("it goes on"));
    let event = event.filter_map(|line| line.strip_prefix("data: ").map(str::to_owned)).next();
    assert_eq!(event.as_deref(), Some(&*status));

    assert!(snapshot["latency_us"]["worker"]["p99"].as_u64() > Some(0), "{snapshot}");
    for (name, figure) in [
        ("redpacket_requests_received_total{kind=\"hello\"}", &snapshot["status"]["received"]["hello"]),
        ("redpacket_requests_dropped_total{reason=\"bad_length\"}", &snapshot["status"]["dropped"]["bad_length"]),
        ("redpacket_replies_sent_total{kind=\"challenge\"}", &snapshot["status"]["sent"]["challenge"]),
        ("redpacket_requests_replied_total", &snapshot["status"]["replied"]),
        ("redpacket_ledger_postings", &snapshot["status"]["ledger"]["postings"]),
        ("redpacket_set_sessions{set=\"255\"}", &snapshot["sets"][255]),
        ("redpacket_uptime_seconds", &snapshot["status"]["uptime_s"]),
    ] {
        assert_eq!(Some(metric(&text, name)), figure.as_f64(), "{name}");
    }
    done.store(true, Ordering::Relaxed);
    load.join().expect("it ends");
    // At rest each that was received has its time; before, some come between the two readings.
    newest_that(|text, snapshot| {
        let received = snapshot["status"]["workers"].as_array().into_iter().flatten();
        let received: u64 = received.filter_map(|worker| worker["received"].as_u64()).sum();
        metric(text, "redpacket_worker_latency_seconds_count") == received as f64
    });
}

fn run(folder: &Path, flags: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rp-server"));
    command.args(["run", "--xdp", "off", "--listen", "127.0.0.1:0", "--durability", "none"]).args(flags);
    command.current_dir(folder).env("RP_ADMIN", folder.join("refused")).output().expect("it starts")
}

#[test]
fn what_would_show_the_server_to_others_is_refused_at_the_start() {
    let folder = std::env::temp_dir().join(format!("rp-server-http-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("the folder for temporary files can be written");
    let token = file(&folder, "token", &format!("{TOKEN}\n"), 0o600).display().to_string();
    let open = file(&folder, "open", TOKEN, 0o644).display().to_string();
    let short = file(&folder, "short", "secret\n", 0o600).display().to_string();
    let busy =
        TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr().map(|at| (socket, at.to_string())));
    let (_socket, busy) = busy.expect("a port is free");
    let plain = file(&folder, "plain", "", 0o600).display().to_string();
    let check = |what: &str, flags: &[&str], words: &[&str]| {
        let output = run(&folder, flags);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_ne!(output.status.code(), Some(0), "{what}");
        assert!(words.iter().all(|word| said.contains(word)) && said.lines().count() < 7, "{what}: {said}");
    };
    let public = ["--http", "0.0.0.0:0", "--http-public"];
    check("without either", &public[..2], &["0.0.0.0:0", "--http-public", "--http-token FILE", "ssh -L"]);
    check("without a token", &public, &["--http-token FILE"]);
    check("not said to be public", &["--http", "[::]:0", "--http-token", &token], &["--http-public"]);
    check("an open token", &[&public[..], &["--http-token", &open]].concat(), &["chmod 600", "mode 644"]);
    check("a short token", &[&public[..], &["--http-token", &short]].concat(), &["16", "/dev/urandom"]);
    check("no token there", &[&public[..], &["--http-token", "nowhere"]].concat(), &["nowhere", "/dev/urandom"]);
    check("a busy port", &["--http", &busy], &[&busy, "in use", "--http off"]);
    check("a name", &["--http", "localhost:2016"], &["--http", "127.0.0.1:2016", "unix:PATH"]);
    check("a file in the way", &["--http", &format!("unix:{plain}")], &["plain", "no socket", "--http unix:PATH"]);
    let _ = std::fs::remove_dir_all(folder);
}

#[test]
fn with_a_token_nobody_else_looks_and_a_private_socket_asks_for_none() {
    let folder = std::env::temp_dir().join(format!("rp-server-token-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("the folder for temporary files can be written");
    let token = file(&folder, "token", &format!("{TOKEN}\n"), 0o600).display().to_string();
    let (_server, address) = start("token", &["--http-token", &token]);
    let check = |headers: &str, expected: u16| {
        for path in ["/", "/status", "/metrics", "/events", "/livez", "/nothing"] {
            // An event stream has no end.
            if path == "/events" && expected == 200 {
                continue;
            }
            let (code, head, _) = get_with(address, path, headers);
            let is_known = code == expected || expected == 200 && [404, 503].contains(&code);
            assert!(is_known, "{path} with {headers}: {code}");
            assert_eq!(code == 401, head.contains("www-authenticate: basic"), "{head}");
        }
    };
    check("", 401);
    check("authorization: Bearer 0123456789abcdef-0124\r\n", 401);
    check(&format!("authorization: Bearer {TOKEN}\r\n"), 200);
    // "page:0123456789abcdef-0123"
    check("authorization: Basic cGFnZTowMTIzNDU2Nzg5YWJjZGVmLTAxMjM=\r\n", 200);

    let path = folder.join("http.sock");
    let server = Server::start("unix", "127.0.0.1", &["--http", &format!("unix:{}", path.display())]);
    let mode = std::fs::metadata(&path).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let stream = UnixStream::connect(&path).expect("it listens");
    let (code, ..) = exchange(stream, "GET /readyz HTTP/1.1\r\nhost: whatever\r\nconnection: close\r\n\r\n");
    assert_eq!(code, 200);
    server.signal("-TERM");
    let until = Instant::now() + WAIT;
    while path.exists() {
        assert!(Instant::now() < until, "the socket goes with the server");
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(server);
    let _ = std::fs::remove_dir_all(folder);
}

#[test]
fn whoever_never_asks_shuts_nobody_out_for_long() {
    let (_server, address) = start("silent", &[]);
    let long = format!("GET / HTTP/1.1\r\nhost: {address}\r\nlong: {}\r\n\r\n", "x".repeat(20_000));
    assert_eq!(exchange(connect(address), &long).0, 431);
    // As many as are served at once: half say nothing, half begin a request.
    let mut silent = (0..64).map(|_| connect(address)).collect::<Vec<_>>();
    silent.iter_mut().step_by(2).for_each(|stream| stream.write_all(b"GET /livez HT").expect("it takes a byte"));
    // Waits in the socket's queue until they are shown out.
    assert_eq!(get_until(address, "/livez", 200).0, 200);
    silent.into_iter().for_each(|stream| assert_eq!(read_all(stream), ""));
}
