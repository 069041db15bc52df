//! Orders and flags at their edges, by a real server over loopback: without root and without XDP.

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rp_core::limits::ACCOUNTS_PER_SET_MAX;

const SERVER: &str = env!("CARGO_BIN_EXE_rp-server");
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(300);

/// A folder of one test; gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("rp-orders-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("the folder for temporary files can be written");
        Self(folder)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(SERVER);
        command.args(words).current_dir(&self.0).env("RP_ADMIN", self.0.join("admin")).env("RP_HTTP", "off");
        command
    }

    fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().expect("the server was built for this test")
    }

    /// Refused with exit code 1, and these words among those that say why.
    fn is_refused(&self, what: &str, words: &[&str], why: &[&str]) {
        let output = self.run(words);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{what}: {said}");
        assert!(why.iter().all(|why| said.contains(why)), "{what}: not {why:?} in: {said}");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A server that serves until the test ends.
struct Server<'a> {
    folder: &'a Folder,
    child: Child,
}

impl<'a> Server<'a> {
    fn start(folder: &'a Folder, flags: &[&str]) -> Self {
        let log = std::fs::File::create(folder.0.join("log")).expect("the folder is writable");
        Self::say_to(folder, flags, log.into(), Stdio::inherit())
    }

    fn say_to(folder: &'a Folder, flags: &[&str], output: Stdio, errors: Stdio) -> Self {
        let words = [&["run", "--xdp", "off", "--listen", "127.0.0.1:0"], flags].concat();
        let child = folder.command(&words).stdout(output).stderr(errors).spawn();
        let child = child.expect("the server was built for this test");
        let mut server = Self { folder, child };
        let until = Instant::now() + PATIENCE;
        while !folder.run(&["status"]).status.success() {
            let ended = server.child.try_wait().expect("it is our child");
            assert!(ended.is_none() && Instant::now() < until, "the server does not serve");
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }

    /// What `status` says once the sums have come from the workers.
    fn status_at_rest(&self) -> serde_json::Value {
        let until = Instant::now() + PATIENCE;
        loop {
            let printed = self.folder.run(&["status", "--json"]).stdout;
            let status: serde_json::Value = serde_json::from_slice(&printed).expect("it is JSON");
            if status["money"]["balanced"] == true {
                return status;
            }
            assert!(Instant::now() < until, "the books do not balance: {status}");
        }
    }
}

impl Server<'_> {
    /// Waits until so much is issued, and the sums have come.
    fn has_issued(&self, fen: u64) {
        let until = Instant::now() + PATIENCE;
        while self.status_at_rest()["money"]["issued_fen"] != fen {
            assert!(Instant::now() < until, "{}", self.status_at_rest());
        }
    }

    /// Ends it in order.
    fn end(mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").arg(pid).status().expect("there is a kill").success());
        assert!(self.child.wait().expect("it is our child").success());
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_last_user_of_all_gets_his_money_and_nobody_after_him() {
    let folder = Folder::new("mint");
    // One SET: no more workers than that are started unless they are asked for.
    let server = Server::start(&folder, &["--sets", "1"]);
    let last = format!("{}..={}", u64::MAX - 1, u64::MAX);
    let output = folder.run(&["mint", "--users", &last, "--fen", "5", "--order", "1"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "2 users got 5 fen each\n");
    server.has_issued(10);
    assert_eq!(server.status_at_rest()["workers"].as_array().map(Vec::len), Some(1));
    folder.is_refused("too much", &["mint", "--users", "1..=10", "--fen", "1000000000000000000"], &["counted"]);
    folder.is_refused("half the world", &["mint", "--users", "1..=4000000000", "--fen", "1"], &["users at once"]);
    // Two are there already.
    let (got, all) = (ACCOUNTS_PER_SET_MAX - 2, format!("1..={}", ACCOUNTS_PER_SET_MAX + 808));
    folder.is_refused("more than a SET has", &["mint", "--users", &all, "--fen", "1"], &[&got.to_string(), "--sets"]);
    server.has_issued(10 + got as u64);
}

#[test]
fn an_order_that_a_kill_cut_off_is_given_again_and_pays_nobody_twice() {
    let order = ["mint", "--users", "1..=300000", "--fen", "5", "--order", "7"];
    let said = |output: &Output| String::from_utf8_lossy(&output.stdout).into_owned();
    let cut_off = |folder: &Folder| {
        let server = Server::start(folder, &[]);
        std::thread::scope(|scope| {
            let asker = scope.spawn(|| folder.run(&order));
            let issued = || -> u64 {
                let status = serde_json::from_slice(&folder.run(&["status", "--json"]).stdout);
                status.map_or(0, |status: serde_json::Value| status["money"]["issued_fen"].as_u64().unwrap_or(0))
            };
            while issued() < 300_000 && !asker.is_finished() {}
            drop(server);
            asker.join().expect("it ends with the server")
        })
    };
    let folders = (0..5).map(|number| Folder::new(&format!("again-{number}")));
    let mut tries = folders.map(|folder| (cut_off(&folder), folder));
    // The kill may come after the order's end.
    let is_cut_off = |(output, _): &(Output, Folder)| !output.status.success();
    let (cut_off, folder) = tries.find(is_cut_off).expect("one of five is cut off");
    let why = String::from_utf8_lossy(&cut_off.stderr);
    assert!(!cut_off.status.success() && why.contains("the same command with --order 7 goes on"), "{why}");
    let server = Server::start(&folder, &[]);
    let rest = folder.run(&order);
    assert!(rest.status.success(), "{}", String::from_utf8_lossy(&rest.stderr));
    // The users served now, and those before; the order's number and the sum are small.
    let numbers =
        said(&rest).split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse::<u64>().ok()).collect::<Vec<_>>();
    let served: Vec<u64> = numbers.into_iter().filter(|n| *n > 7).collect();
    assert!(served.len() == 2 && served.iter().sum::<u64>() == 300_000, "some before, and the rest: {}", said(&rest));
    let done = "order 7 was carried out before, and nothing moved: 300000 users got 5 fen each\n";
    assert_eq!(said(&folder.run(&order)), done);
    let other = ["mint", "--users", "1..=300000", "--fen", "6", "--order", "7"];
    folder.is_refused("another order", &other, &["number 7 is of an order for other users, another sum"]);
    server.has_issued(5 * 300_000);
    let audit = folder.run(&["audit"]);
    assert!(audit.status.success(), "{}", String::from_utf8_lossy(&audit.stderr));
}

#[test]
fn an_order_without_a_number_is_given_one_and_who_was_refused_is_not_asked_again() {
    let folder = Folder::new("number");
    let _server = Server::start(&folder, &[]);
    let drawn = folder.run(&["mint", "--users", "1..=3", "--fen", "5"]);
    let said = String::from_utf8_lossy(&drawn.stdout);
    let number = said.strip_prefix("order ").and_then(|rest| rest.strip_suffix("\n3 users got 5 fen each\n"));
    let number = number.unwrap_or_else(|| panic!("{said}"));
    let again = folder.run(&["mint", "--users", "1..=3", "--fen", "5", "--order", number]);
    assert!(String::from_utf8_lossy(&again.stdout).contains("nothing moved: 3 users got 5 fen each"));
    let back = ["mint", "--users", "2..=5", "--fen", "4", "--back", "--order", "7"];
    let not = "gave 4 fen back each; the balance of 2 did not cover it, and they are not asked again";
    folder.is_refused("too poor", &back, &["2 users", not]);
    folder.is_refused(
        "a number of the far future",
        &["mint", "--users", "1", "--fen", "1", "--order", "1800000000000000000"],
        &["only the highest"],
    );
    assert!(folder.run(&["mint", "--users", "4..=5", "--fen", "9"]).status.success());
    folder.is_refused("rich since", &back, &["nothing moved: 2 users", not]);
    folder.is_refused("a number for nothing", &["mint", "--users", "1", "--fen", "0", "--order", "9"], &["nothing"]);
    for n in 0..64 {
        assert!(folder.run(&["mint", "--users", "1", "--fen", "1"]).status.success(), "{n}");
    }
    folder.is_refused("an old number", &back, &["number 7 is below", "nothing has moved"]);
}

#[test]
fn flags_that_cannot_be_are_refused_and_nothing_is_lost() {
    let folder = Folder::new("flags");
    let precious = folder.0.join("admin");
    std::fs::write(&precious, "a file of somebody").expect("the folder is writable");
    let run = ["run", "--xdp", "off", "--listen", "127.0.0.1:0"];
    folder.is_refused("an admin socket where a file is", &run, &["admin", "--admin"]);
    assert_eq!(std::fs::read(&precious).expect("it is still there"), b"a file of somebody");
    for (flags, why) in [
        (["--workers", "65"], "64 workers"),
        (["--workers", "0"], "1 ..= 64"),
        (["--sets", "0"], "--sets 0"),
        (["--sets", "911"], "910"),
        (["--sealing", "perhaps"], "--sealing"),
    ] {
        folder.is_refused(&flags.join(" "), &[&run[..], &flags].concat(), &[why]);
    }
}

#[test]
fn a_server_s_ledger_is_copied_and_archived_beside_it_and_it_starts_from_either() {
    let folder = Folder::new("copies");
    let said = |words: &[&str]| {
        let output = folder.run(words);
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let audited = |words: &[&str]| -> serde_json::Value {
        serde_json::from_str(&said(&[&["audit", "--json"], words].concat())).expect("it is JSON")
    };
    let server = Server::start(&folder, &[]);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| (0..3).for_each(|_| drop(said(&["mint", "--users", "1..=150000", "--fen", "5"]))));
        while !writer.is_finished() {
            said(&["ledger", "backup", "--to", "copy"]);
            assert_eq!(audited(&["--data", "copy"])["right"], true);
        }
        writer.join().expect("all have their money");
    });
    said(&["ledger", "backup", "--to", "copy"]);
    // Nothing is projected before two million postings, so all is needed.
    assert!(said(&["ledger", "archive", "--to", "old", "--keep", "0"]).starts_with("moved 0 files"));
    let all = 3 * 5 * 150_000;
    server.has_issued(all);
    server.end();

    let server = Server::start(&folder, &["--data", "copy"]);
    server.has_issued(all);
    server.end();
    let server = Server::start(&folder, &[]);
    server.has_issued(all);
    let moved = said(&["ledger", "archive", "--to", "old", "--keep", "0"]);
    assert!(!moved.starts_with("moved 0"), "{moved}");
    assert_eq!(folder.run(&["audit"]).status.code(), Some(2));
    said(&["mint", "--users", "1..=10", "--fen", "5"]);
    server.has_issued(all + 50);
    drop(server);
    // Killed, and without the archive.
    let server = Server::start(&folder, &[]);
    server.has_issued(all + 50);
    assert_eq!(audited(&["--archive", "old"])["figures"]["issued_fen"], all + 50);
}

/// A pipe whose reader is gone.
fn nobody() -> Stdio {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    writer.into()
}

#[test]
fn an_answer_that_nobody_reads_to_its_end_is_no_fault() {
    let folder = Folder::new("pipe");
    let _server = Server::start(&folder, &[]);
    for words in [&["status"][..], &["status", "--json"], &["timeline"], &["limits"], &["sessions", "--by-client"]] {
        let output = folder.command(words).stdout(nobody()).output().expect("the server was built for this test");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{words:?}");
        assert!(output.status.success(), "{words:?}");
    }
}

#[test]
fn a_server_that_nobody_listens_to_serves_on() {
    let folder = Folder::new("unheard");
    let server = Server::say_to(&folder, &["--realm-key", "new.key"], nobody(), nobody());
    folder.run(&["mint", "--users", "1..=10", "--fen", "5"]);
    server.has_issued(50);
    // Its last words are for nobody, too.
    server.end();
    let server = Server::say_to(&folder, &[], nobody(), nobody());
    server.has_issued(50);
    // And what it complains of: the admin socket of the first is at its place.
    let second = folder.command(&["run", "--xdp", "off", "--listen", "127.0.0.1:0"]).stderr(nobody()).status();
    assert_eq!(second.expect("the server was built for this test").code(), Some(1));
    assert_eq!(folder.command(&["audit", "--json"]).stdout(nobody()).status().expect("it was built").code(), Some(0));
    server.end();
}

#[test]
fn limits_and_the_deny_list_change_while_the_server_runs() {
    let folder = Folder::new("limits");
    let _server = Server::start(&folder, &["--session-rate", "7", "--deny", "192.0.2.0/24"]);
    let said = |words: &[&str]| {
        let output = folder.run(words);
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let limits = |flags: &[&str]| -> serde_json::Value {
        serde_json::from_str(&said(&[&["limits", "--json"], flags].concat())).expect("it is JSON")
    };
    assert_eq!((&limits(&[])["session_rate"], &limits(&[])["session_burst"]), (&7.into(), &40.into()));
    let changed = limits(&["--session-rate", "0", "--strangers-rate", "1000"]);
    assert_eq!((&changed["session_rate"], &changed["strangers_rate"]), (&0.into(), &1000.into()));
    assert_eq!(limits(&[])["strangers_rate"], 1000, "and it stays so");
    assert!(said(&["limits"]).contains("no limit"));
    assert_eq!(
        said(&["deny", "add", "2001:db8::7/32", "198.51.100.9"]),
        "192.0.2.0/24\n198.51.100.9/32\n2001:db8::/32\n"
    );
    assert_eq!(said(&["deny", "remove", "192.0.2.0/24", "198.51.100.9/32"]), "2001:db8::/32\n");
    assert_eq!(said(&["deny", "list"]), "2001:db8::/32\n");
    folder.is_refused("no prefix", &["deny", "add", "example"], &["no prefix"]);
    let many: Vec<String> = (0..=1024).map(|n| format!("10.{}.{}.1", n / 256, n % 256)).collect();
    let words: Vec<&str> = ["deny", "add"].into_iter().chain(many.iter().map(String::as_str)).collect();
    folder.is_refused("too many", &words, &["1024"]);
    assert_eq!(said(&["deny", "list"]), "2001:db8::/32\n", "nothing has changed");
}
