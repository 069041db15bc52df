//! What a server leaves behind: nothing when it ends, and after kill -9 only pins, which the next start removes.

use std::io::{BufRead as _, BufReader};
use std::net::UdpSocket;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use crate::namespace::{self, ip};

const PATIENCE: Duration = Duration::from_secs(60);

/// A folder for pins that is gone after the test.
pub struct PinFolder(PathBuf);

impl PinFolder {
    pub fn new(name: &str) -> PinFolder {
        PinFolder(std::env::temp_dir().join(format!("rp-pins-{name}-{}", std::process::id())))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    fn is_mounted(&self) -> bool {
        let mounts = std::fs::read_to_string("/proc/self/mounts").expect("mounts can be read");
        mounts.lines().any(|line| line.split(' ').nth(1).is_some_and(|point| Path::new(point) == self.0))
    }
}

impl Drop for PinFolder {
    fn drop(&mut self) {
        // Gone with the gate that made it, unless a test failed in between.
        let _gone = std::fs::remove_dir(&self.0);
        for extension in ["key", "sock"] {
            let _gone = std::fs::remove_file(self.0.with_extension(extension));
        }
    }
}

/// A server on loopback, and what it prints.
struct Served {
    child: Child,
    lines: Receiver<String>,
}

impl Served {
    fn start(pin: &PinFolder, flags: &[&str]) -> Served {
        let file = |name: &str| pin.path().with_extension(name);
        let mut command = Command::new(env!("CARGO_BIN_EXE_rp-server"));
        command.args([
            "run",
            "--listen",
            "127.0.0.1:2015",
            "--interface",
            "lo",
            "--xdp",
            "skb",
            "--sets",
            "2",
            "--durability",
            "none",
        ]);
        command.args(["--workers", "2", "--receive-buffer", "1"]).args(flags).arg("--pin").arg(pin.path());
        command.arg("--realm-key").arg(file("key")).arg("--admin").arg(file("sock")).args(["--http", "off"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        // SAFETY: prctl is async-signal-safe; the server shall not outlive a failed test.
        unsafe {
            command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            });
        }
        let mut child = command.spawn().expect("rp-server starts");
        let (sender, lines) = mpsc::channel();
        let out = BufReader::new(child.stdout.take().expect("a pipe"));
        let err = BufReader::new(child.stderr.take().expect("a pipe"));
        let other = sender.clone();
        std::thread::spawn(move || out.lines().map_while(Result::ok).for_each(|line| drop(sender.send(line))));
        std::thread::spawn(move || err.lines().map_while(Result::ok).for_each(|line| drop(other.send(line))));
        let served = Served { child, lines };
        served.wait_for("serving");
        served
    }

    /// Waits for a line with these words.
    fn wait_for(&self, words: &str) -> String {
        let (deadline, mut said) = (Instant::now() + PATIENCE, String::new());
        while let Ok(line) = self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            if line.contains(words) {
                return line;
            }
            said.push_str(&line);
            said.push('\n');
        }
        panic!("the server never said '{words}', only:\n{said}");
    }

    fn end(mut self, signal: libc::c_int) -> Vec<String> {
        // SAFETY: kill touches no memory, and the child is ours and not reaped yet.
        assert_eq!(unsafe { libc::kill(self.child.id() as i32, signal) }, 0);
        self.child.wait().expect("it ends");
        self.lines.iter().collect()
    }
}

fn send_one_false_datagram() {
    let client = UdpSocket::bind("127.0.0.1:0").expect("a client's socket");
    client.send_to(&[0xc1; 18], "127.0.0.1:2015").expect("loopback takes it");
}

fn remove_files(pin: &PinFolder) {
    std::fs::remove_file(pin.path().with_extension("key")).expect("the server made a key");
    // The socket of a killed server is still there; that of an ended one is not.
    let _gone = std::fs::remove_file(pin.path().with_extension("sock"));
}

#[test]
#[ignore = "needs root"]
fn a_start_after_kill_9_finds_everything_clean() {
    namespace::enter();
    let pin = PinFolder::new("killed");
    let pps = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rp-server"));
        command.args(["pps", "--once", "--json", "--pin"]).arg(pin.path()).output().expect("rp-server starts")
    };
    let first = Served::start(&pin, &[]);
    send_one_false_datagram();
    assert!(pps().status.success());
    first.end(libc::SIGKILL);
    assert!(!ip("-d link show lo").contains("xdp"), "the kernel took the gate away");
    assert!(pin.path().join("gate_counters").exists(), "kill -9 leaves pins");
    let dead = pps();
    assert!(String::from_utf8_lossy(&dead.stderr).contains("was killed"), "{dead:?}");
    let second = Served::start(&pin, &[]);
    assert!(ip("-d link show lo").contains("xdp"));
    let text = String::from_utf8(pps().stdout).expect("text");
    let counts: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(counts["reasons"]["bad_version"]["datagrams"], 0, "counters start anew");
    second.end(libc::SIGTERM);
    assert!(!ip("-d link show lo").contains("xdp"));
    assert!(!pin.is_mounted() && !pin.path().exists(), "nothing is left, not even the mount of the killed one");
    remove_files(&pin);
}

#[test]
#[ignore = "needs root"]
fn a_server_prints_what_its_gate_does_only_when_asked() {
    namespace::enter();
    let pin = PinFolder::new("traced");
    let traced = Served::start(&pin, &["--trace-gate"]);
    send_one_false_datagram();
    let line = traced.wait_for("gate drop");
    assert!(line.contains("reason=bad_version"), "{line}");
    traced.end(libc::SIGTERM);
    let silent = Served::start(&pin, &[]);
    send_one_false_datagram();
    // The trace is read every 20 ms.
    std::thread::sleep(Duration::from_millis(300));
    let lines = silent.end(libc::SIGTERM);
    assert!(lines.iter().all(|line| !line.contains("gate drop")), "{lines:?}");
    remove_files(&pin);
}
