//! A real rp-server on loopback, without root and without XDP, that ends with the test.

use std::io::{BufRead, BufReader};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The server's program, built beside ours: cargo makes only the programs of the package it tests.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let folder = Path::new(env!("CARGO_BIN_EXE_rp-client")).parent().expect("a program has a folder");
        let target = folder.parent().expect("profiles have folders of their own");
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--bin", "rp-server", "--target-dir"]).arg(target);
        if folder.ends_with("release") {
            cargo.arg("--release");
        }
        // Where all packages are at hand, crates have the features that they have for the tests, and none is made anew.
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let status = cargo.current_dir(root).status().expect("cargo runs the tests, so it runs");
        assert!(status.success(), "building rp-server failed: {cargo:?}");
        folder.join("rp-server")
    })
}

/// A folder of this test's own, removed when it is dropped.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("rp-loopback-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left behind is the system's to clean up.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub struct Server {
    child: Child,
    pub folder: Folder,
    pub port: u16,
}

/// A port that was free a moment ago, at `ip`.
pub fn free_port(ip: &str) -> u16 {
    let socket = UdpSocket::bind((ip, 0)).expect("a port is free");
    socket.local_addr().expect("it is bound").port()
}

/// Waits for what a busy machine may do late.
pub fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(120), "not in two minutes: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl Server {
    /// Starts a server at `ip` with two workers, and waits until it serves.
    pub fn start(ip: &str) -> Self {
        Self::start_with(ip, &[])
    }

    /// The same with flags.
    pub fn start_with(ip: &str, flags: &[&str]) -> Self {
        let (folder, port) = (Folder::new(), free_port(ip));
        let listen = if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") };
        let mut command = Command::new(program());
        command.args(["--listen", &listen, "--xdp", "off", "--workers", "2"]).args(flags).arg("--realm-key");
        command.arg(folder.file("realm.key")).arg("--admin").arg(folder.file("admin.sock"));
        command.arg("--data").arg(folder.file("ledger"));
        // Its snapshots are shown where only this test finds them, and no two servers want one port.
        command.arg("--http").arg(format!("unix:{}", folder.file("http.sock").display()));
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().expect("the server's program starts");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let serves = lines.any(|line| line.expect("text").contains("serving"));
        assert!(serves, "the server ended instead of serving");
        // Its later words must go somewhere, or it would wait for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, folder, port }
    }

    pub fn order(&self, words: &[&str]) -> Output {
        let mut command = Command::new(program());
        let output = command.args(words).arg("--admin").arg(self.folder.file("admin.sock")).output();
        let output = output.expect("the server's program starts");
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        output
    }

    /// What a command says that needs the realm key and no running server.
    pub fn key_order(&self, words: &[&str]) -> String {
        let output = Command::new(program()).args(words).arg("--realm-key").arg(self.folder.file("realm.key")).output();
        String::from_utf8(output.expect("the server's program starts").stdout).expect("text")
    }

    /// Shakes that it has received.
    pub fn shakes(&self) -> u64 {
        self.status()["received"]["shake"].as_u64().unwrap_or_default()
    }

    pub fn status(&self) -> Value {
        serde_json::from_slice(&self.order(&["status", "--json"]).stdout).expect("status is JSON")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself, which the test has noticed then.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
