//! A network namespace of its own for the calling thread: nothing that a test attaches or sends reaches the machine.

use std::process::Command;

/// Moves the calling thread into a fresh network namespace with its loopback up; programs it starts are there too.
pub fn enter() {
    // SAFETY: unshare touches no memory; only this thread's network is another afterwards.
    let code = unsafe { libc::unshare(libc::CLONE_NEWNET) };
    assert_eq!(code, 0, "no network namespace: {}", std::io::Error::last_os_error());
    ip("link set lo up");
}

/// Runs `ip` and returns what it printed.
pub fn ip(words: &str) -> String {
    let output = Command::new("ip").args(words.split(' ')).output().expect("`ip` is installed");
    assert!(output.status.success(), "ip {words}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
