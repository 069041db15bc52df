//! The onlooker: takes the server's own snapshots along, one for each second, over HTTP from its admin port.
//!
//! It is a thread of its own, for an answer may take long; the data path knows nothing of it. The server keeps its last two
//! minutes, so a snapshot that was missed is asked for again.

use std::fmt;
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::Value;

use super::server::Snapshot;

/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two looks for a snapshot.
const REST: Duration = Duration::from_millis(250);
/// Looks for the first snapshot: a server has one within a second and a half of its start.
const FIRST_TRIES: usize = 8;
/// A snapshot is of some hundred kilobytes at most; more is something else.
const ANSWER_MAX: u64 = 8 << 20;

/// Where the server's admin port is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Door {
    /// By TCP, as `HOST:PORT`.
    Tcp(String),
    /// By a unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Door::Tcp(address) => f.write_str(address),
            Door::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Reads `ADDR:PORT`, `http://ADDR:PORT` or `unix:PATH`.
///
/// # Errors
/// Says how to write it.
pub fn door(text: &str) -> Result<Door, String> {
    if let Some(path) = text.strip_prefix("unix:") {
        return Ok(Door::Unix(path.into()));
    }
    let host = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
    match host.rsplit_once(':') {
        Some((name, port)) if !name.is_empty() && port.parse::<u16>().is_ok() => Ok(Door::Tcp(host.to_string())),
        _ => Err("write ADDR:PORT or unix:PATH, as rp-server's --http has it".to_string()),
    }
}

impl Door {
    /// Asks for a page; its text, if there is one.
    fn ask(&self, path: &str, token: Option<&str>) -> Result<Option<String>> {
        match self {
            Door::Tcp(host) => {
                let address = host.to_socket_addrs()?.next().context("the name has no address")?;
                let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                converse(stream, host, path, token)
            }
            Door::Unix(socket) => {
                let stream = UnixStream::connect(socket)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                converse(stream, "localhost", path, token)
            }
        }
    }
}

/// One question and one answer, after which the server closes. HTTP/1.0: nobody answers it in chunks.
fn converse(mut stream: impl Read + Write, host: &str, path: &str, token: Option<&str>) -> Result<Option<String>> {
    let bearer = token.map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"));
    let question = format!("GET {path} HTTP/1.0\r\nHost: {host}\r\nAccept: application/json\r\n{bearer}\r\n");
    stream.write_all(question.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_MAX).read_to_end(&mut answer)?;
    let answer = String::from_utf8(answer).context("it does not answer by text")?;
    let (head, body) = answer.split_once("\r\n\r\n").context("it does not speak HTTP")?;
    let status = head.split_whitespace().nth(1).unwrap_or_default();
    match status {
        "200" => Ok(Some(body.to_string())),
        // Forgotten, or of a server that has just started and has none yet.
        "404" | "503" => Ok(None),
        "401" | "403" => bail!("it wants another token (--server-http-token)"),
        other => bail!("it answers {other}: {}", body.trim()),
    }
}

/// A snapshot as the report keeps it.
fn snapshot(text: &str) -> Result<Snapshot> {
    let value: Value = serde_json::from_str(text).context("its /status is not JSON")?;
    let number = |value: &Value| value.as_f64().or_else(|| value.get("datagrams")?.as_f64());
    let rate = |name: &str| value.pointer(&format!("/rates/{name}")).and_then(Value::as_f64).unwrap_or_default();
    let rates = |pointer: &str| {
        let rows = value.pointer(pointer).and_then(Value::as_object).into_iter().flatten();
        rows.filter_map(|(name, row)| Some((name.clone(), number(row).filter(|rate| *rate > 0.0)?))).collect()
    };
    let memory = |name: &str| value.pointer(&format!("/status/memory/{name}")).and_then(Value::as_u64);
    Ok(Snapshot {
        unix_s: value.get("unix_s").and_then(Value::as_u64).context("its /status is no snapshot of rp-server")?,
        asked_per_s: rate("asked_per_s"),
        kernel_answered_per_s: rate("kernel_answered_per_s"),
        workers_answered_per_s: rate("workers_answered_per_s"),
        prizes_released_per_s: rate("prizes_released_per_s"),
        prizes_got_per_s: rate("prizes_got_per_s"),
        packets_made_per_s: rate("packets_made_per_s"),
        shares_taken_per_s: rate("shares_taken_per_s"),
        dropped_per_s: rates("/rates/dropped"),
        gate_per_s: rates("/kernel/rates/places"),
        memory_bytes: memory("rss_anon_bytes").unwrap_or_default() + memory("maps_bytes").unwrap_or_default(),
    })
}

/// Looks on while a run goes on.
pub struct Onlooker {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Snapshot>>,
}

impl Onlooker {
    /// Begins with the newest snapshot, so that a wrong address is known before the run.
    ///
    /// # Errors
    /// The server does not show snapshots there.
    pub fn begin(door: Door, token: Option<String>) -> Result<Self> {
        let cannot = || format!("looking at the server's snapshots at {door}: is that its --http? (--server-http)");
        let mut text = None;
        for _ in 0..FIRST_TRIES {
            text = door.ask("/status", token.as_deref()).with_context(cannot)?;
            if text.is_some() {
                break;
            }
            std::thread::sleep(REST);
        }
        let first = text.ok_or_else(|| anyhow!("it has no /status")).and_then(|text| snapshot(&text));
        let first = first.with_context(cannot)?;
        let over = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&over);
        let thread = std::thread::Builder::new().name("onlooker".into());
        let thread = thread.spawn(move || look(&door, token.as_deref(), first, &end)).context("starting a thread")?;
        Ok(Self { over, thread })
    }

    /// Ends with the snapshot of the second that has just gone by.
    ///
    /// # Errors
    /// Its thread panicked.
    pub fn end(self) -> Result<Vec<Snapshot>> {
        std::thread::sleep(Duration::from_secs(1) + REST);
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("the thread that reads the server's snapshots panicked"))
    }
}

fn look(door: &Door, token: Option<&str>, first: Snapshot, over: &AtomicBool) -> Vec<Snapshot> {
    let mut next = first.unix_s + 1;
    let mut seen = vec![first];
    while !over.load(Ordering::Relaxed) {
        std::thread::sleep(REST);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        // Those that the server has forgotten are gone.
        next = next.max(now.saturating_sub(KEPT_S));
        while next <= now {
            let ask = || door.ask(&format!("/status?second={next}"), token).ok();
            let text = match ask() {
                // The server was too busy for this one, or not there: none will come, unless it just has.
                Some(None) if has_gone_on(door, token, next) => ask(),
                first => first.filter(Option::is_some),
            };
            let Some(text) = text else { break };
            seen.extend(text.and_then(|text| snapshot(&text).ok()));
            next += 1;
        }
    }
    seen
}

/// Has the server a snapshot later than a second's? By its own clock, which may be behind ours.
fn has_gone_on(door: &Door, token: Option<&str>, second: u64) -> bool {
    let newest = door.ask("/status", token).ok().flatten();
    newest.and_then(|text| snapshot(&text).ok()).is_some_and(|newest| newest.unix_s > second)
}

/// Seconds that the server keeps.
const KEPT_S: u64 = 118;

/// The token in a file.
///
/// # Errors
/// It cannot be read, or is empty.
pub fn token(path: &std::path::Path) -> Result<String> {
    let text = std::fs::read_to_string(path);
    let text = text.with_context(|| format!("cannot read the token {}; see --server-http-token", path.display()))?;
    ensure!(!text.trim().is_empty(), "the token {} is empty; see --server-http-token", path.display());
    Ok(text.trim().to_string())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_door_is_an_address_or_a_path() {
        assert_eq!(door("127.0.0.1:2016"), Ok(Door::Tcp("127.0.0.1:2016".to_string())));
        assert_eq!(door("http://[::1]:2016/"), Ok(Door::Tcp("[::1]:2016".to_string())));
        assert_eq!(door("unix:/run/rp/http.sock"), Ok(Door::Unix("/run/rp/http.sock".into())));
        assert!(door("localhost").is_err() && door(":2016").is_err() && door("a:b").is_err());
    }

    #[test]
    fn a_snapshot_is_read_by_its_names() {
        let text = r#"{"unix_s": 7, "rates": {"asked_per_s": 12.5, "prizes_released_per_s": 3, "dropped": {"bad_tag": 2.5, "denied": 0}},
            "kernel": {"rates": {"places": {"seen": {"datagrams": 9, "bytes": 1}}}}, "status": {"memory": {"rss_anon_bytes": 5, "maps_bytes": 6}}}"#;
        let seen = snapshot(text).expect("a snapshot");
        assert_eq!((seen.unix_s, seen.asked_per_s, seen.prizes_released_per_s, seen.memory_bytes), (7, 12.5, 3.0, 11));
        assert_eq!((seen.gate_per_s["seen"], seen.dropped_per_s.len(), seen.dropped_per_s["bad_tag"]), (9.0, 1, 2.5));
        assert!(snapshot("{}").is_err() && snapshot("<html>").is_err());
    }

    /// A server that has shown its snapshots up to the second `first`, and the later ones but for `lacking`.
    fn shows(listener: &TcpListener, first: u64, lacking: u64) {
        let mut newest = first;
        for stream in listener.incoming() {
            let mut stream = stream.expect("we are asked");
            let mut question = [0; 512];
            let length = stream.read(&mut question).expect("a question");
            let question = String::from_utf8_lossy(&question[..length]);
            let path = question.split_whitespace().nth(1).expect("a path");
            let asked = path.split_once('=').map(|(_, second)| second.parse::<u64>().expect("a second"));
            let answer = match asked {
                Some(second) if second == lacking || second > first + 5 => "HTTP/1.0 404 Not Found\r\n\r\n".to_string(),
                _ => format!("HTTP/1.0 200 OK\r\n\r\n{{\"unix_s\": {}}}", asked.unwrap_or(newest)),
            };
            newest = first + 5;
            stream.write_all(answer.as_bytes()).expect("it listens");
        }
    }

    #[test]
    fn a_second_without_a_snapshot_keeps_none_of_the_later_ones_away() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let at = listener.local_addr().expect("it is bound").to_string();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is past 1970").as_secs();
        let first = now - 5;
        std::thread::spawn(move || shows(&listener, first, first + 2));
        let onlooker = Onlooker::begin(Door::Tcp(at), None).expect("a snapshot is shown");
        let seen = onlooker.end().expect("it ends").into_iter().map(|snapshot| snapshot.unix_s - first);
        assert_eq!(seen.collect::<Vec<_>>(), [0, 1, 3, 4, 5]);
    }

    #[test]
    fn whoever_shows_no_snapshots_is_named_before_the_run() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let at = listener.local_addr().expect("it is bound").to_string();
        let mut answers = vec!["HTTP/1.0 401 Unauthorized\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\n<html>", "220 mail\r\n"];
        answers.extend(["HTTP/1.0 404 Not Found\r\n\r\n"; FIRST_TRIES]);
        let server = std::thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().expect("we are asked");
                let _ = stream.read(&mut [0; 512]);
                stream.write_all(answer.as_bytes()).expect("it listens");
            }
        });
        for word in ["--server-http-token", "not JSON", "does not speak HTTP", "no /status"] {
            let Err(error) = Onlooker::begin(Door::Tcp(at.clone()), None) else { panic!("{word}") };
            assert!(format!("{error:#}").contains(word), "{error:#}");
        }
        server.join().expect("it answered");
        let Err(error) = Onlooker::begin(Door::Tcp(at), None) else { panic!("nobody listens there") };
        assert!(format!("{error:#}").contains("--http"), "{error:#}");
    }
}
