//! Signals: noticing that somebody wants this program to end, and ending the programs it started.
//!
//! The only `unsafe` of the workshop. SIGINT and SIGTERM set a flag that every wait looks at, so that an interrupt
//! unwinds through the same `Drop`s as an error and nothing stays behind.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, bail};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

extern "C" fn note_interrupt(_signal: libc::c_int) {
    INTERRUPTED.store(true, Ordering::Relaxed);
}

/// From here on SIGINT and SIGTERM no longer kill this process: [`check`] reports them.
pub fn watch() {
    let handler = note_interrupt as extern "C" fn(libc::c_int);
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: the handler only stores to an atomic, which POSIX allows in a handler, and it lives as long as the
        // program.
        unsafe { libc::signal(signal, handler as libc::sighandler_t) };
    }
}

/// # Errors
/// When SIGINT, SIGTERM or SIGHUP has arrived since [`watch`].
pub fn check() -> Result<()> {
    if INTERRUPTED.load(Ordering::Relaxed) {
        bail!("interrupted");
    }
    Ok(())
}

/// What [`send`] is asked to deliver.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signal {
    /// Please end: SIGINT, as from a keyboard.
    Interrupt,
    /// Please end: SIGTERM.
    Terminate,
    /// End at once: SIGKILL.
    Kill,
}

impl Signal {
    fn number(self) -> libc::c_int {
        match self {
            Signal::Interrupt => libc::SIGINT,
            Signal::Terminate => libc::SIGTERM,
            Signal::Kill => libc::SIGKILL,
        }
    }
}

/// Signals one process; a process that is already gone is not an error.
pub fn send(pid: u32, signal: Signal) {
    deliver(pid.cast_signed(), signal);
}

/// Signals the process group that `leader` leads.
pub fn send_group(leader: u32, signal: Signal) {
    deliver(-leader.cast_signed(), signal);
}

/// Is anybody of the process group that `leader` led still there?
pub fn is_group_there(leader: u32) -> bool {
    let group = -leader.cast_signed();
    assert!(group < -1, "0, -1 and 1 would reach processes that are not ours");
    // SAFETY: kill takes two integers and touches no memory of this process; signal 0 only asks.
    unsafe { libc::kill(group, 0) == 0 }
}

fn deliver(target: i32, signal: Signal) {
    assert!(target != 0 && target != -1 && target != 1, "0, -1 and 1 would reach processes that are not ours");
    // SAFETY: kill takes two integers and touches no memory of this process.
    unsafe { libc::kill(target, signal.number()) };
}

/// Does this process run as root?
pub fn is_root() -> bool {
    // SAFETY: geteuid takes nothing, cannot fail and touches no memory.
    unsafe { libc::geteuid() == 0 }
}
