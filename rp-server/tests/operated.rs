//! A server as those see it who run it: its log, its service manager, its configuration read again while it runs.

// Here the server is started under a service manager.
#[path = "operated/campaigns.rs"]
mod campaigns;
#[allow(dead_code)]
#[path = "shared/server.rs"]
mod server;

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rp_core::ticket::RealmKey;
use serde_json::Value;
use server::Server;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(300);
/// What the service manager grants between two signs of life.
const WATCHDOG_US: u64 = 3_000_000;

/// A server with a configuration file, under a service manager.
struct Operated {
    server: Server,
    /// What the service manager hears.
    heard: Receiver<String>,
}

/// The folder of the server of that name.
fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("rp-server-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("the folder for temporary files can be written");
    folder
}

impl Operated {
    fn start(name: &str, file: &str, flags: &[&str]) -> Operated {
        let mut operated = Operated::begin(name, file, flags);
        operated.server.wait();
        operated
    }

    /// One that need not serve yet.
    fn begin(name: &str, file: &str, flags: &[&str]) -> Operated {
        let folder = folder(name);
        std::fs::write(folder.join("server.toml"), file).expect("our own folder");
        let manager = UnixDatagram::bind(folder.join("notify")).expect("our own folder");
        let (said, heard) = channel();
        // The server does not wait until it is heard: what finds the socket full is lost.
        std::thread::spawn(move || {
            let mut bytes = [0; 1024];
            while let Ok(len) = manager.recv(&mut bytes)
                && said.send(String::from_utf8_lossy(&bytes[..len]).into_owned()).is_ok()
            {}
        });
        let child = Operated::launch(&folder, flags);
        Operated { server: Server { child, folder, address: String::new() }, heard }
    }

    fn launch(folder: &Path, flags: &[&str]) -> Child {
        let log = std::fs::File::create(folder.join("log")).expect("the folder is writable");
        Command::new(env!("CARGO_BIN_EXE_rp-server"))
            .args(["run", "--xdp", "off", "--workers", "2", "--listen", "127.0.0.1:0", "--config", "server.toml"])
            .args(flags)
            .current_dir(folder)
            .env("RP_ADMIN", folder.join("admin"))
            .env("RP_HTTP", "off")
            .env("NOTIFY_SOCKET", folder.join("notify"))
            .env("WATCHDOG_USEC", WATCHDOG_US.to_string())
            .stdout(log.try_clone().expect("a file has several handles"))
            .stderr(log)
            .spawn()
            .expect("the server was built for this test")
    }

    fn write(&self, file: &str) {
        std::fs::write(self.server.folder.join("server.toml"), file).expect("our own folder");
    }

    /// The next that the service manager hears, but for signs of life and status.
    fn hear(&self) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let said = self.hear_until(until);
            if !said.starts_with("WATCHDOG=") && !said.starts_with("STATUS=") {
                return said;
            }
        }
    }

    fn hear_until(&self, until: Instant) -> String {
        let said = self.heard.recv_timeout(until.saturating_duration_since(Instant::now()));
        said.unwrap_or_else(|_| panic!("the server says nothing more:\n{}", self.server.log()))
    }

    /// Waits for so many signs of life.
    fn hear_signs(&self, count: usize) {
        let until = Instant::now() + PATIENCE;
        let said = std::iter::repeat_with(|| self.hear_until(until));
        said.filter(|said| said == "WATCHDOG=1\n").take(count).for_each(drop);
    }

    /// Is there a sign of life in so long?
    fn has_sign_in(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        let said = || self.heard.recv_timeout(until.saturating_duration_since(Instant::now())).ok();
        std::iter::from_fn(said).any(|said| said == "WATCHDOG=1\n")
    }

    fn wait_for(&self, word: &str) {
        self.wait_until(word, |log| log.contains(word));
    }

    /// Waits for a word in what the log says last of worker 1.
    fn wait_for_of_worker_1(&self, word: &str) {
        let last = |log: &str| log.lines().rfind(|line| line.contains("worker 1 ")).map(str::to_owned);
        self.wait_until(word, |log| last(log).is_some_and(|line| line.contains(word)));
    }

    fn wait_until(&self, word: &str, is_so: impl Fn(&str) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !is_so(&self.server.log()) {
            assert!(Instant::now() < until, "no {word:?} in:\n{}", self.server.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What /readyz says: its code and its words. It is served at `http` in the folder.
    fn readiness(&self) -> String {
        let path = self.server.folder.join("http");
        let until = Instant::now() + PATIENCE;
        let mut stream = loop {
            match UnixStream::connect(&path) {
                Ok(stream) => break stream,
                Err(error) => assert!(Instant::now() < until, "{error}:\n{}", self.server.log()),
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n").expect("it listens");
        let mut said = String::new();
        stream.read_to_string(&mut said).expect("it answers in text");
        let (head, words) = said.split_once("\r\n\r\n").expect("it speaks HTTP");
        format!("{} {words}", head.split(' ').nth(1).unwrap_or_default())
    }

    fn status(&self) -> Value {
        serde_json::from_str(&self.server.order(&["status", "--json"])).expect("it prints JSON")
    }

    fn issued_fen(&self) -> u64 {
        self.status()["money"]["issued_fen"].as_u64().expect("a sum")
    }

    /// Holds a worker as a debugger does; the rest of the server goes on.
    fn hold(&self) -> Held {
        let until = Instant::now() + PATIENCE;
        loop {
            // It says which thread it is when it first runs, which may be later than that the server serves.
            match self.status()["workers"][1]["tid"].as_i64().expect("a number") {
                0 => assert!(Instant::now() < until, "it does not run:\n{}", self.server.log()),
                tid => return Held::hold(tid as i32),
            }
        }
    }

    fn end(&mut self) {
        self.server.signal("-TERM");
        assert!(self.ended().success(), "{}", self.server.log());
    }

    /// How it ended, whoever asked it to.
    fn ended(&mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.server.child.try_wait().expect("it is our child") {
                return status;
            }
            assert!(Instant::now() < until, "it does not end:\n{}", self.server.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends it and starts it again in its folder.
    fn again(&mut self, flags: &[&str]) {
        self.end();
        self.server.child = Operated::launch(&self.server.folder, flags);
        self.server.wait();
    }
}

#[test]
fn a_log_in_json_tells_a_whole_life_an_object_a_line() {
    let mut operated = Operated::start("json", "session-rate = 30\n", &["--log", "json", "--durability", "none"]);
    operated.server.order(&["limits", "--session-burst", "50"]);
    operated.server.order(&["campaign", "start", "--budget-fen", "50000", "--rate", "5"]);
    operated.server.order(&["campaign", "stop"]);
    operated.write("session-rate = 31\nsets = 8\n");
    operated.server.signal("-HUP");
    operated.wait_for("configuration read again");
    operated.write("session-rat = 31\n");
    operated.server.signal("-HUP");
    operated.wait_for("configuration not changed");
    operated.end();
    let log = operated.server.log();
    let lines: Vec<Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect();
    for line in &lines {
        for field in ["timestamp", "level", "target", "message"] {
            assert!(line[field].is_string(), "no {field}: {line}");
        }
    }
    let says = |words: &str| {
        let is = |line: &Value| line["message"].as_str().is_some_and(|message| message.starts_with(words));
        lines.iter().position(is).unwrap_or_else(|| panic!("no {words:?} in:\n{log}"))
    };
    let at: Vec<usize> = [
        "rp-server ",
        "127.0.0.1:",
        "serving;",
        "limits by hand",
        "campaign ",
        "session-rate: 31, before 30",
        "sets = 8 takes effect at the next start; until then 256 holds",
        "configuration read again: server.toml",
        "configuration not changed: server.toml, line 1: unknown key `session-rat`: did you mean `session-rate`?",
        "draining",
        "stopped: ",
    ]
    .map(says)
    .to_vec();
    assert!(at.is_sorted(), "in another order, {at:?}:\n{log}");
    let level = |at: usize| lines[at]["level"].as_str().unwrap_or_default().to_owned();
    assert_eq!([level(at[2]), level(at[6]), level(at[8])], ["INFO", "WARN", "ERROR"]);
    assert_eq!(lines[at[1]]["about"], "listening");
    assert!(lines[at[4]]["campaign"].is_u64() && lines[at[4]]["rate"] == 5);
    assert_eq!(lines[at[10]]["balanced"], true);
}

#[test]
fn the_service_manager_hears_of_each_age_in_its_order() {
    let mut operated = Operated::start("notify", "", &["--durability", "none"]);
    assert_eq!(operated.hear(), "READY=1\n");
    let until = Instant::now() + PATIENCE;
    for word in ["WATCHDOG=1\n", "STATUS=0 sessions, 0 requests a second"] {
        while !operated.hear_until(until).starts_with(word) {}
    }
    operated.server.signal("-HUP");
    let said = operated.hear();
    let (reloading, since) = said.split_once("\nMONOTONIC_USEC=").expect("the manager is told since when");
    assert!(reloading == "RELOADING=1" && since.trim().parse::<u64>().is_ok(), "{said}");
    assert_eq!(operated.hear(), "READY=1\n");
    operated.end();
    // Its second for what is under way, and half a minute for the rest.
    assert!(operated.hear().starts_with("STOPPING=1\nEXTEND_TIMEOUT_USEC=31000000\n"));
}

#[test]
fn money_under_way_to_users_at_the_end_arrives_and_whoever_ordered_it_hears_so() {
    let mut operated = Operated::start("mint", "", &["--drain", "3600"]);
    // More users than are asked at once.
    let order = ["mint", "--users", "1..=100000", "--fen", "5", "--order", "1"];
    let held = operated.hold();
    std::thread::scope(|scope| {
        let asker = scope.spawn(|| operated.server.order(&order));
        let until = Instant::now() + PATIENCE;
        while operated.issued_fen() == 0 {
            assert!(Instant::now() < until, "nobody gets anything:\n{}", operated.server.log());
        }
        operated.server.signal("-TERM");
        operated.wait_for("draining");
        drop(held);
        assert_eq!(asker.join().expect("it ended"), "100000 users got 5 fen each\n");
    });
    assert!(operated.ended().success(), "{}", operated.server.log());
    let ledger = std::fs::metadata(operated.server.folder.join("data")).expect("it is there");
    assert_eq!(ledger.permissions().mode() & 0o077, 0, "who has how much is nobody else's business");
    operated.server.child = Operated::launch(&operated.server.folder, &[]);
    operated.server.wait();
    assert_eq!(operated.issued_fen(), 500_000);
    operated.end();
}

#[test]
fn a_worker_that_hangs_stops_the_signs_of_life_and_is_named() {
    let mut operated = Operated::start("hang", "", &["--durability", "none"]);
    operated.hear_signs(3);
    let held = operated.hold();
    operated.wait_for_of_worker_1("hangs");
    // Those of before may be heard yet.
    let until = Instant::now() + PATIENCE;
    while operated.has_sign_in(Duration::from_micros(WATCHDOG_US)) {
        assert!(Instant::now() < until, "{}", operated.server.log());
    }
    assert_eq!(operated.status()["sessions"], 0);
    drop(held);
    operated.wait_for_of_worker_1("goes round again");
    operated.hear_signs(3);
    operated.end();
}

#[test]
fn a_server_that_starts_says_so_and_reads_its_file_again_once_it_serves() {
    let flags = ["--durability", "none", "--http", "unix:http"];
    // A key that is long in coming holds the start up, as a ledger of a long night does.
    let key = folder("starting").join("realm.key");
    assert!(Command::new("mkfifo").args(["-m", "600"]).arg(&key).status().is_ok_and(|made| made.success()));
    let mut operated = Operated::begin("starting", "session-rate = 30\n", &flags);
    assert!(operated.readiness().starts_with("503 starting: "), "{}", operated.readiness());
    operated.server.signal("-TERM");
    let ended = operated.ended();
    assert_eq!(ended.signal(), Some(libc::SIGTERM), "nothing is under way yet, and nobody waits");

    operated.server.child = Operated::launch(&operated.server.folder, &flags);
    let until = Instant::now() + PATIENCE;
    // Until the socket is the new server's.
    while !operated.readiness().starts_with("503 starting: ") {
        assert!(Instant::now() < until);
    }
    operated.write("session-rate = 31\n");
    operated.server.signal("-HUP");
    std::thread::sleep(Duration::from_millis(100));
    assert!(operated.readiness().starts_with("503 starting: "), "{}", operated.readiness());
    std::fs::write(&key, RealmKey { id: 1, key: [7; 32] }.to_string()).expect("the server reads");
    operated.server.wait();
    operated.wait_for("session-rate: 31, before 30");
    assert_eq!(operated.readiness(), "200 ready\n");
    let heard: Vec<String> = (0..3).map(|_| operated.hear()).collect();
    assert!(heard[0] == "READY=1\n" && heard[1].starts_with("RELOADING=1") && heard[2] == "READY=1\n", "{heard:?}");
    operated.end();
}

#[test]
fn a_server_that_drains_is_not_ready_and_says_why() {
    let mut operated = Operated::start("draining", "", &["--durability", "none", "--http", "unix:http"]);
    assert_eq!(operated.readiness(), "200 ready\n");
    // What a worker does not bring to its end keeps the server from its own.
    let held = operated.hold();
    operated.server.signal("-TERM");
    operated.wait_for("draining: nothing more");
    assert!(operated.readiness().starts_with("503 draining: "), "{}", operated.readiness());
    drop(held);
    operated.end();
}

#[test]
fn a_start_that_fails_says_why_whatever_the_log_leaves_out() {
    for filter in ["info", "off", "rp_server::gate=debug"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rp-server"));
        let output = command.args(["run", "--config", "off", "--sets", "0", "--log-level", filter]).output();
        let output = output.expect("it was built");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && said.contains("--sets 0: a server has 1 "), "{filter}: {said}");
    }
}

/// A thread that stands still until this is dropped.
struct Held(i32);

impl Held {
    fn hold(tid: i32) -> Held {
        // SAFETY: neither request reads or writes memory of ours; `tid` is a thread of our own child.
        let seized = unsafe { libc::ptrace(libc::PTRACE_SEIZE, tid, 0, 0) };
        assert_eq!(seized, 0, "seizing: {}", std::io::Error::last_os_error());
        // SAFETY: as above.
        let stopped = unsafe { libc::ptrace(libc::PTRACE_INTERRUPT, tid, 0, 0) };
        assert_eq!(stopped, 0, "stopping: {}", std::io::Error::last_os_error());
        Held(tid)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut status = 0;
        // SAFETY: `status` outlives the call; the thread is ours to wait for since we hold it.
        unsafe { libc::waitpid(self.0, &raw mut status, libc::__WALL) };
        // SAFETY: no memory of ours is touched.
        unsafe { libc::ptrace(libc::PTRACE_DETACH, self.0, 0, 0) };
    }
}

#[test]
fn a_reload_changes_what_can_change_and_names_the_rest() {
    let mut operated = Operated::start("reload", "deny = [\"10.0.0.0/8\"]\n", &["--durability", "none"]);
    let reload = |operated: &Operated| operated.server.order(&["config", "reload"]);
    assert_eq!(reload(&operated), "nothing changes\n");
    operated.write("session-rate = 5\ndeny = [\"192.168.0.0/16\"]\nlog-level = \"debug\"\nidle = 20\n");
    assert_eq!(
        reload(&operated),
        "deny: added 192.168.0.0/16, removed 10.0.0.0/8\nsession-rate: 5, before 20\nlog-level: debug\n\
         idle = 20 takes effect at the next start; until then 300 holds\n"
    );
    assert_eq!(operated.server.order(&["deny", "list"]), "192.168.0.0/16\n");
    assert!(operated.server.order(&["limits"]).contains("5/s"));
    // What was changed by hand is what the file says again.
    operated.server.order(&["limits", "--session-rate", "7"]);
    assert!(reload(&operated).starts_with("session-rate: 5, before 7\n"));
    for wrong in
        ["session-rate = 6\nidle = \"x\"\n", "[campaign]\nrate = 5\n", "[campaign]\nrate = 0\nbudget-fen = 9\n"]
    {
        operated.write(wrong);
        let mut command = Command::new(env!("CARGO_BIN_EXE_rp-server"));
        command.args(["config", "reload"]).current_dir(&operated.server.folder);
        let output = command.env("RP_ADMIN", operated.server.folder.join("admin")).output().expect("it was built");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && said.contains("nothing has changed: server.toml, "), "{said}");
    }
    assert!(operated.server.order(&["limits"]).contains("5/s"));
    operated.end();
}

#[test]
fn the_files_campaign_begins_once_and_changes_with_it() {
    let plan = |budget: u64, rate: u32| format!("[campaign]\nbudget-fen = {budget}\nrate = {rate}\n");
    let mut operated = Operated::start("campaign", &plan(50_000, 5), &[]);
    let show = |operated: &Operated| operated.server.order(&["campaign", "show"]);
    let number = |said: &str| said.split([' ', ':']).nth(1).and_then(|word| word.parse::<u64>().ok());
    let first = show(&operated);
    assert!(first.contains("5 prizes a second"), "{first}");
    // A start finds it running and leaves it alone.
    operated.again(&[]);
    assert_eq!(number(&show(&operated)), number(&first));
    operated.write(&plan(70_000, 9));
    let changes = operated.server.order(&["config", "reload"]);
    assert!(changes.starts_with("campaign ") && changes.ends_with(" changes\n"), "{changes}");
    let until = Instant::now() + PATIENCE;
    while !show(&operated).contains("9 prizes a second") {
        assert!(Instant::now() < until, "{}", show(&operated));
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(operated.issued_fen(), 70_000, "nobody won, so all of the budget is there, and 20 000 more");
    let said = operated.server.order(&["campaign", "set", "--rate", "11", "--add-fen", "1000"]);
    assert!(said.ends_with(": 11 prizes a second, 71000 fen to give out\n"), "{said}");
    operated.server.order(&["campaign", "stop"]);
    // What was stopped by hand does not begin again because the server does.
    operated.again(&[]);
    assert_eq!((show(&operated).as_str(), operated.issued_fen()), ("no campaign is running\n", 0));
    operated.end();
    let audit =
        Command::new(env!("CARGO_BIN_EXE_rp-server")).arg("audit").current_dir(&operated.server.folder).output();
    assert!(audit.expect("it was built").status.success());
}
