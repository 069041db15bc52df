//! A real server over loopback, without root and without XDP: started in a folder of its own, asked, ended.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

const SERVER: &str = env!("CARGO_BIN_EXE_rp-server");

/// A running server with a realm key and an admin socket of its own.
pub struct Server {
    pub child: Child,
    pub folder: PathBuf,
    pub address: String,
}

impl Server {
    /// A server that listens on `host`, and is asked there.
    pub fn start(name: &str, host: &str, flags: &[&str]) -> Server {
        let folder = std::env::temp_dir().join(format!("rp-server-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("the folder for temporary files can be written");
        let child = Server::run(&folder, host, flags);
        let mut server = Server { child, folder, address: String::new() };
        server.wait();
        server.address = server.said("listening");
        server
    }

    /// Its process, at a free port; with two workers unless the flags say how many.
    pub fn run(folder: &Path, host: &str, flags: &[&str]) -> Child {
        let log = std::fs::File::create(folder.join("log")).expect("the folder is writable");
        Command::new(SERVER)
            .args(["run", "--xdp", "off", "--listen", &format!("{host}:0")])
            .args(if flags.contains(&"--workers") { &[][..] } else { &["--workers", "2"] })
            .args(flags)
            .current_dir(folder)
            .env("RP_ADMIN", folder.join("admin"))
            // Several run at once; who tests HTTP gives a flag.
            .env("RP_HTTP", "off")
            .stdout(log.try_clone().expect("a file has several handles"))
            .stderr(log)
            .spawn()
            .expect("the server was built for this test")
    }

    /// Waits until it serves.
    pub fn wait(&mut self) {
        let until = Instant::now() + Duration::from_secs(300);
        while !self.log().contains("serving") {
            let ended = self.child.try_wait().expect("it is our child");
            assert!(ended.is_none() && Instant::now() < until, "the server does not serve:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// What its start-up block says of this.
    pub fn said(&self, about: &str) -> String {
        let log = self.log();
        let said = log.lines().find_map(|line| line.trim().strip_prefix(about)?.strip_prefix(' '));
        said.unwrap_or_else(|| panic!("no {about} in the start-up block:\n{log}")).trim().to_owned()
    }

    /// What a command of rp-server prints.
    pub fn order(&self, words: &[&str]) -> String {
        let mut command = Command::new(SERVER);
        command.args(words).current_dir(&self.folder).env("RP_ADMIN", self.folder.join("admin"));
        let output = command.output().expect("the server was built for this test");
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("it prints text")
    }

    /// Sends it a signal, like `-TERM`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill is part of every system");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that was ended in order finds nothing left to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
