//! The wish to stop: SIGINT, SIGTERM and SIGHUP become a flag that loops look at. A second SIGINT or SIGTERM ends the process
//! at once. And a nudge for one thread, which ends the system call that it is in.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

static REQUESTED: AtomicBool = AtomicBool::new(false);
static SEEN: AtomicU32 = AtomicU32::new(0);

const SIGNALS: [libc::c_int; 2] = [libc::SIGINT, libc::SIGTERM];

extern "C" fn request(signal: libc::c_int) {
    REQUESTED.store(true, Ordering::Relaxed);
    // SAFETY: signal() and a store to an atomic are all that is done here, and both are allowed in a handler.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}

/// From here on the first SIGINT or SIGTERM, and each SIGHUP, only sets the flag, and interrupts a wait.
///
/// # Errors
/// What the kernel says.
pub fn on_signals() -> io::Result<()> {
    let handler: extern "C" fn(libc::c_int) = request;
    SIGNALS.iter().try_for_each(|signal| handle(*signal, handler))?;
    heed_hang_ups()
}

extern "C" fn count(_signal: libc::c_int) {
    request_now();
}

/// From here on SIGINT and SIGTERM set the flag and are counted, and none of them ends the process: whoever looks at [`seen`] does,
/// once the terminal is as it was. SIGHUP sets the flag.
///
/// # Errors
/// What the kernel says.
pub fn count_signals() -> io::Result<()> {
    SIGNALS.iter().try_for_each(|signal| handle(*signal, count))?;
    heed_hang_ups()
}

extern "C" fn hang_up(_signal: libc::c_int) {
    REQUESTED.store(true, Ordering::Relaxed);
}

/// A terminal that goes away asks to stop; it is not counted, for both the kernel and a shell tell of it. Whoever runs under
/// nohup is not asked.
fn heed_hang_ups() -> io::Result<()> {
    // SAFETY: the action is read into zeroed memory of its type, and none is set.
    let ignored = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        let code = libc::sigaction(libc::SIGHUP, std::ptr::null(), &raw mut action);
        if code != 0 {
            return Err(io::Error::last_os_error());
        }
        action.sa_sigaction == libc::SIG_IGN
    };
    if ignored { Ok(()) } else { handle(libc::SIGHUP, hang_up) }
}

/// Asks to stop, as a signal would. Two stores to atomics, so that a handler may do it.
pub fn request_now() {
    REQUESTED.store(true, Ordering::Relaxed);
    SEEN.fetch_add(1, Ordering::Relaxed);
}

/// How often a stop was asked for since signals are counted.
pub fn seen() -> u32 {
    SEEN.load(Ordering::Relaxed)
}

fn handle(signal: libc::c_int, handler: extern "C" fn(libc::c_int)) -> io::Result<()> {
    // SAFETY: the action is zero but for a handler that does nothing a handler may not do; without SA_RESTART waits end
    // with EINTR.
    let code = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as libc::sighandler_t;
        libc::sigaction(signal, &raw const action, std::ptr::null_mut())
    };
    if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

extern "C" fn ignore(_signal: libc::c_int) {}

/// From here on threads of this process can be nudged.
///
/// # Errors
/// What the kernel says.
pub fn allow_nudges() -> io::Result<()> {
    handle(libc::SIGUSR1, ignore)
}

/// Ends the system call that a thread of this process is in; one that is just about to begin it needs another nudge.
pub fn nudge(thread_id: i32) {
    // SAFETY: a signal that is handled, to a thread of this process or to none.
    unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread_id, libc::SIGUSR1) };
}

/// Has a signal come?
pub fn requested() -> bool {
    REQUESTED.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_sets_the_flag_and_the_process_lives() {
        on_signals().expect("handlers");
        assert!(!requested());
        // SAFETY: a signal to ourselves, whose handler was just installed.
        unsafe { libc::raise(libc::SIGTERM) };
        assert!(requested());
    }

    #[test]
    fn a_nudge_ends_the_sleep_of_one_thread() {
        allow_nudges().expect("a handler");
        let (tell, told) = std::sync::mpsc::channel();
        let sleeper = std::thread::spawn(move || {
            tell.send(crate::proc::thread_id()).expect("the test waits");
            // SAFETY: waits for no descriptor at all.
            unsafe { libc::poll(std::ptr::null_mut(), 0, 60_000) }
        });
        let thread_id = told.recv().expect("it lives");
        while !sleeper.is_finished() {
            nudge(thread_id);
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        assert_eq!(sleeper.join().expect("it only sleeps"), -1, "interrupted, not timed out");
    }
}
