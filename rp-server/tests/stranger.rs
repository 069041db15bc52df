//! A stranger's client against the real server: docs/examples/client.py, written from docs/PROTOCOL.md alone.
//!
//! Over loopback, without root and without XDP. Needs python3 (its standard library only) and fails where that is missing.
//! What is asked and what must be answered stands in stranger.py.

#[path = "shared/server.rs"]
mod server;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use server::Server;

impl Server {
    /// Ends it as an operator does, and starts it again on its ledger.
    fn restart(&mut self, flags: &[&str]) {
        self.end();
        self.child = Server::run(&self.folder, "127.0.0.1", flags);
        self.wait();
        self.address = self.said("listening");
    }

    fn mint(&self) {
        self.order(&["mint", "--users", "7..=10", "--fen", "100000"]);
    }

    /// `USER:TICKET:SECRET`, from what `rp-server ticket` prints.
    fn ticket(&self, user: u64) -> String {
        let printed = self.order(&["ticket", "--user", &user.to_string()]);
        let field = |name: &str| {
            let line = printed.lines().find(|line| line.starts_with(name)).expect("it prints ticket and secret");
            line.split_whitespace().nth(1).expect("a name and a value").to_owned()
        };
        format!("{user}:{}:{}", field("ticket"), field("secret"))
    }

    /// Runs an evening of stranger.py with these users.
    fn evening(&self, evening: &str, users: &[u64]) {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let output = Command::new("python3")
            .arg(here.join("tests/stranger.py"))
            .args([evening, &self.address])
            .current_dir(&self.folder)
            .args(users.iter().map(|user| self.ticket(*user)))
            .env("PYTHONPATH", here.join("../docs/examples"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .output()
            .expect("this test needs python3: install it (Debian, Ubuntu: apt-get install python3)");
        let told = String::from_utf8_lossy(&output.stdout);
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{evening}: {complaint}\nthe server says:\n{}", self.log());
        assert!(told.contains(&format!("{evening}: as the document says")), "{told}");
    }

    /// Stops the server and looks at its last words.
    fn stop(mut self) {
        let until = Instant::now() + Duration::from_secs(120);
        let status = loop {
            let status = self.order(&["status", "--json"]);
            let status: serde_json::Value = serde_json::from_str(&status).expect("it is JSON");
            // Each worker adds its sums to the books when it goes round.
            if status["money"]["balanced"] == true {
                break status;
            }
            assert!(Instant::now() < until, "{status}");
        };
        assert_eq!(status["dropped"]["mis_steered"], 0, "{status}");
        self.end();
        assert!(self.log().contains("books balanced"), "{}", self.log());
    }

    fn end(&mut self) {
        self.signal("-TERM");
        let ended = self.child.wait().expect("it is our child");
        assert!(ended.success(), "{ended}\n{}", self.log());
    }
}

#[test]
fn a_strangers_money_is_as_the_document_says() {
    let server = Server::start("money", "127.0.0.1", &["--sets", "16"]);
    server.mint();
    server.evening("money", &[7, 8, 9, 10]);
    server.stop();
}

#[test]
fn it_is_so_over_ipv6_too() {
    let server = Server::start("six", "[::1]", &["--sets", "5"]);
    server.mint();
    server.evening("money", &[7, 8, 9, 10]);
    server.stop();
}

/// The client's socket is connected, so it hears only replies that leave from the address it asked.
#[test]
fn it_is_so_at_any_address_of_a_server_that_listens_on_all() {
    let mut server = Server::start("all", "[::]", &["--sets", "16"]);
    server.address = server.address.replace("[::]", "127.0.0.2");
    server.mint();
    server.evening("money", &[7, 8, 9, 10]);
    server.stop();
}

#[test]
fn a_strangers_luck_is_as_the_document_says() {
    let server = Server::start("luck", "127.0.0.1", &["--sets", "4"]);
    server.order(&[
        "campaign",
        "start",
        "--budget-fen",
        "1000000",
        "--rate",
        "20",
        "--from-fen",
        "10",
        "--to-fen",
        "309",
    ]);
    server.evening("luck", &[11, 12]);
    server.order(&["campaign", "stop"]);
    server.stop();
}

#[test]
fn a_stranger_seals_nothing_where_the_welcome_says_so() {
    let server = Server::start("unsealed", "127.0.0.1", &["--sets", "4", "--packet-life", "2", "--sealing", "off"]);
    assert!(server.log().contains("sealing     OFF"), "{}", server.log());
    server.mint();
    server.evening("late", &[7, 8]);
    server.stop();
}

/// One SET, so that its memory is soon full; in clear, for the stranger is slow to seal.
#[test]
fn what_memory_forgets_the_ledger_tells_and_a_restart_changes_nothing() {
    let flags = ["--sets", "1", "--workers", "1", "--sealing", "off", "--session-rate", "0"];
    let mut server = Server::start("remember", "127.0.0.1", &flags);
    server.mint();
    server.evening("remembering", &[7, 8, 9, 10]);
    server.restart(&flags);
    server.evening("remembered", &[7, 8, 9, 10]);
    server.stop();
}

#[test]
fn a_strangers_late_packet_comes_back() {
    let server = Server::start("late", "127.0.0.1", &["--sets", "4", "--packet-life", "2"]);
    server.mint();
    server.evening("late", &[7, 8]);
    server.stop();
}
