//! How well the system's clock is kept: by whom it is disciplined the kernel does not know, but how far off it may be.

use std::io;
use std::mem::MaybeUninit;

/// What the kernel knows of its clock (adjtimex, RFC 5905's kernel model).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Discipline {
    /// Somebody keeps it: NTP, PTP or the hypervisor.
    pub is_synchronised: bool,
    /// What is still to be corrected, in microseconds.
    pub offset_us: i64,
    /// How far off it may be at most, in microseconds; grows until it is set right again.
    pub error_max_us: i64,
}

/// Asks; changes nothing, and needs no privilege.
///
/// # Errors
/// What the kernel says.
pub fn of_clock() -> io::Result<Discipline> {
    let mut told = MaybeUninit::<libc::timex>::zeroed();
    // SAFETY: `modes` is zero, so the kernel only writes, one value of this type, to where it is asked to.
    let state = unsafe { libc::adjtimex(told.as_mut_ptr()) };
    if state < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: zeroed before, and of integers alone, for which every bit pattern is a value.
    let told = unsafe { told.assume_init() };
    let to_us = if told.status & libc::STA_NANO != 0 { 1000 } else { 1 };
    Ok(Discipline {
        is_synchronised: state != libc::TIME_ERROR && told.status & libc::STA_UNSYNC == 0,
        offset_us: told.offset / to_us,
        error_max_us: told.maxerror,
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn anybody_may_ask() {
        let told = super::of_clock().expect("the kernel answers");
        assert!(told.error_max_us >= 0);
    }
}
