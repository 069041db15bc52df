//! The wish to stop: SIGINT and SIGTERM become a flag that loops look at. A second signal ends the process at once.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

static REQUESTED: AtomicBool = AtomicBool::new(false);

const SIGNALS: [libc::c_int; 2] = [libc::SIGINT, libc::SIGTERM];

extern "C" fn request(signal: libc::c_int) {
    REQUESTED.store(true, Ordering::Relaxed);
    // SAFETY: signal() and a store to an atomic are all that is done here, and both are allowed in a handler.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}

/// From here on the first SIGINT or SIGTERM only sets the flag, and interrupts a wait.
///
/// # Errors
/// What the kernel says.
pub fn on_signals() -> io::Result<()> {
    let handler: extern "C" fn(libc::c_int) = request;
    for signal in SIGNALS {
        // SAFETY: the action is zero but for a handler that does nothing a handler may not do; without SA_RESTART waits
        // end with EINTR.
        let code = unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = handler as libc::sighandler_t;
            libc::sigaction(signal, &raw const action, std::ptr::null_mut())
        };
        if code != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
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
}
