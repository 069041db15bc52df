//! What a process can know of itself: thread id, CPU time, memory, stolen time, and a wish for exact timers.

use std::io;
use std::time::Duration;

/// The kernel's id of the calling thread, as in /proc/PID/task.
pub fn thread_id() -> i32 {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::gettid() }
}

/// CPU time that the calling thread has used.
pub fn thread_cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one timespec. It cannot fail for the calling thread's clock; the time then stays zero.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The kernel's monotonic clock, which its programs read too.
pub fn monotonic_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one timespec, and this clock is always there.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The kernel's clock since the machine started, which goes on while it sleeps.
pub fn boot_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one timespec, and this clock is always there.
    unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Which start of the machine this is: the kernel draws 128 bits at each.
///
/// # Errors
/// /proc cannot be read.
pub fn boot_id() -> io::Result<[u8; 16]> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    let id = u128::from_str_radix(&digits, 16).map_err(io::Error::other)?;
    Ok(id.to_be_bytes())
}

/// Lets the calling thread's waits end within a microsecond of their time instead of fifty.
///
/// # Errors
/// What the kernel says.
pub fn exact_timers() -> io::Result<()> {
    // SAFETY: PR_SET_TIMERSLACK takes nanoseconds and touches no memory.
    let code = unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1000, 0, 0, 0) };
    if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Lets others go first where they and the calling thread want the same CPU: it gets a tenth of what each of them gets.
pub fn give_way() {
    // SAFETY: touches no memory; 0 is the calling thread, and everybody may ask for less. It cannot fail then.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 10) };
}

/// Gives memory that was freed back to the system, after work that needed much for a moment.
pub fn give_memory_back() {
    // SAFETY: takes no memory of ours and may be called by any thread at any time; other C libraries have nothing like it.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Takes a capability from the calling thread for good, and from the threads that it makes later. Who has it not loses nothing.
///
/// # Errors
/// What the kernel says.
pub fn give_up(capability: u32) -> io::Result<()> {
    /// _LINUX_CAPABILITY_VERSION_3: sets of 64 bits, in two halves.
    const VERSION: u32 = 0x2008_0522;
    // Version, and the calling thread.
    let mut header = [VERSION, 0];
    // Effective, permitted, inheritable; the lower halves first.
    let mut sets = [[0u32; 3]; 2];
    // SAFETY: the kernel reads two words of `header` and writes, in this version, six words to `sets`.
    if unsafe { libc::syscall(libc::SYS_capget, header.as_mut_ptr(), sets.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    for set in &mut sets[capability as usize / 32] {
        *set &= !(1 << (capability % 32));
    }
    // SAFETY: the kernel reads two words of `header` and, in this version, six of `sets`.
    let code = unsafe { libc::syscall(libc::SYS_capset, header.as_mut_ptr(), sets.as_ptr()) };
    if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Anonymous resident memory of this process, in bytes.
///
/// # Errors
/// /proc cannot be read.
pub fn rss_anon_bytes() -> io::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|word| word.parse::<u64>().ok())
        .ok_or_else(|| io::Error::other("no RssAnon in /proc/self/status"))?;
    Ok(kib * 1024)
}

/// CPU time that the hypervisor gave to others, over all CPUs, in clock ticks of 10 ms.
///
/// # Errors
/// /proc cannot be read.
pub fn stolen_ticks() -> io::Result<u64> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    stat.lines()
        .next()
        .and_then(|line| line.split_whitespace().nth(8))
        .and_then(|word| word.parse().ok())
        .ok_or_else(|| io::Error::other("no stolen time in /proc/stat"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capability_that_was_given_up_is_gone_for_the_threads_behind() {
        let effective = || {
            let status = std::fs::read_to_string("/proc/thread-self/status").expect("/proc is there");
            let line =
                status.lines().find_map(|line| line.strip_prefix("CapEff:")).expect("it is told").trim().to_string();
            u64::from_str_radix(&line, 16).expect("it is a number in hex")
        };
        let before = effective();
        std::thread::spawn(move || {
            give_up(38).expect("everybody may have less");
            let behind = std::thread::spawn(effective).join().expect("the thread does not panic");
            assert_eq!((effective(), behind), (before & !(1 << 38), before & !(1 << 38)));
        })
        .join()
        .expect("the thread does not panic");
    }

    #[test]
    fn work_takes_cpu_time_and_memory_is_seen() {
        let before = thread_cpu_time();
        let mut block = vec![1u8; 16 << 20];
        for byte in &mut block {
            *byte = std::hint::black_box(byte.wrapping_mul(3));
        }
        assert!(thread_cpu_time() > before);
        assert!(rss_anon_bytes().expect("/proc is there") > 16 << 20);
        assert!(thread_id() > 0);
        assert!(stolen_ticks().is_ok() && exact_timers().is_ok());
    }
}
