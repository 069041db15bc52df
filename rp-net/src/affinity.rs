//! CPUs: which ones this process may use, and which one a thread stays on.

use std::io;
use std::mem::{MaybeUninit, size_of};

/// The CPUs that the calling thread may run on, in rising order.
///
/// # Errors
/// What the kernel says.
pub fn allowed_cpus() -> io::Result<Vec<usize>> {
    let mut set = MaybeUninit::<libc::cpu_set_t>::zeroed();
    // SAFETY: the kernel writes at most the stated size into `set`; 0 is the calling thread.
    let code = unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), set.as_mut_ptr()) };
    if code != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: zeroed before, and any bits are a set.
    let set = unsafe { set.assume_init() };
    // SAFETY: `cpu` is below the set's size.
    Ok((0..libc::CPU_SETSIZE as usize).filter(|cpu| unsafe { libc::CPU_ISSET(*cpu, &set) }).collect())
}

/// Keeps the calling thread on one CPU.
///
/// # Errors
/// The CPU does not exist or is not allowed.
pub fn pin(cpu: usize) -> io::Result<()> {
    if cpu >= libc::CPU_SETSIZE as usize {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: an empty set is all zeros.
    let mut set = unsafe { MaybeUninit::<libc::cpu_set_t>::zeroed().assume_init() };
    // SAFETY: `cpu` is below the set's size.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: the kernel reads the stated size from `set`; 0 is the calling thread.
    let code = unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) };
    if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_thread_is_allowed_one_cpu() {
        std::thread::spawn(|| {
            let cpu = *allowed_cpus().expect("a list").last().expect("we run on some CPU");
            pin(cpu).expect("an allowed CPU");
            assert_eq!(allowed_cpus().expect("a list"), [cpu]);
        })
        .join()
        .expect("the thread does not panic");
    }

    #[test]
    fn a_cpu_that_does_not_exist_is_refused() {
        assert!(pin(1_000_000).is_err());
    }
}
