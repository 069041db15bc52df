//! Sleeping until a socket has datagrams, another thread calls, or time has come.
//!
//! A caller pays for a system call only when the sleeper really sleeps: the sleeper announces that it is about to, looks
//! once more for work, and only then waits. With both sides sequentially consistent, no call can be missed.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::socket::UdpSocket;

/// Wakes one [`Sleeper`] from any thread.
#[derive(Clone)]
pub struct Waker {
    shared: Arc<Shared>,
}

struct Shared {
    event: OwnedFd,
    asleep: AtomicBool,
}

/// Waits on sockets, on its [`Waker`]s and on time.
pub struct Sleeper {
    shared: Arc<Shared>,
    entries: Vec<libc::pollfd>,
}

impl Waker {
    /// Ends the sleep of its sleeper, the announced one too; does nothing while it is at work.
    pub fn wake(&self) {
        if self.shared.asleep.swap(false, Ordering::SeqCst) {
            let one = 1u64.to_ne_bytes();
            // SAFETY: eight bytes of a live array, to an eventfd that `shared` keeps open. It can only fail when its
            // counter is full, and then the sleeper is woken anyway.
            unsafe { libc::write(self.shared.event.as_raw_fd(), one.as_ptr().cast(), one.len()) };
        }
    }
}

impl Sleeper {
    /// A sleeper over these sockets, which must outlive its last wait.
    ///
    /// # Errors
    /// No file descriptor is left.
    pub fn new<'a>(sockets: impl IntoIterator<Item = &'a UdpSocket>) -> io::Result<Self> {
        // SAFETY: no pointers are passed.
        let raw = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if raw < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: just opened, and owned by no one else.
        let event = unsafe { OwnedFd::from_raw_fd(raw) };
        let entry = |fd: i32| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        let mut entries = vec![entry(event.as_raw_fd())];
        entries.extend(sockets.into_iter().map(|socket| entry(socket.as_fd().as_raw_fd())));
        Ok(Self { shared: Arc::new(Shared { event, asleep: AtomicBool::new(false) }), entries })
    }

    /// Sleeps on one more, which must outlive its last wait, too; it is the next in order.
    pub fn watch(&mut self, fd: BorrowedFd<'_>) {
        self.entries.push(libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 });
    }

    /// A handle for other threads.
    pub fn waker(&self) -> Waker {
        Waker { shared: self.shared.clone() }
    }

    /// Says that a sleep is near. After it, look once more for what wakers bring, then [`wait`](Self::wait).
    pub fn announce(&self) {
        self.shared.asleep.store(true, Ordering::SeqCst);
    }

    /// Takes an announcement back, when there was work after all.
    pub fn stay(&self) {
        self.shared.asleep.store(false, Ordering::SeqCst);
    }

    /// Sleeps until a socket can be read, a waker calls, a signal comes, or `timeout` is over; zero only looks. Returns
    /// whether a socket can be read. Without an announcement wakers do not end it.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn wait(&mut self, timeout: Duration) -> io::Result<bool> {
        let outcome = poll(&mut self.entries, timeout);
        self.stay();
        match outcome {
            Ok(0) => return Ok(false),
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return Ok(false),
            Err(e) => return Err(e),
        }
        if self.entries[0].revents != 0 {
            let mut count = [0u8; 8];
            // SAFETY: eight bytes of room, from an eventfd that `shared` keeps open.
            unsafe { libc::read(self.shared.event.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
        }
        Ok(self.entries[1..].iter().any(|entry| entry.revents != 0))
    }

    /// Could socket `i`, in the order given to [`new`](Self::new), be read when the last wait ended?
    pub fn readable(&self, i: usize) -> bool {
        self.entries[i + 1].revents != 0
    }
}

/// Waits until the socket takes datagrams again, `timeout_ms` at most.
pub(crate) fn writable(fd: BorrowedFd<'_>, timeout_ms: u32) -> io::Result<()> {
    let mut entry = [libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLOUT, revents: 0 }];
    match poll(&mut entry, Duration::from_millis(timeout_ms.into())) {
        Err(e) if e.kind() != io::ErrorKind::Interrupted => Err(e),
        _ => Ok(()),
    }
}

fn poll(entries: &mut [libc::pollfd], timeout: Duration) -> io::Result<usize> {
    let time = libc::timespec {
        tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    };
    // SAFETY: as many entries as stated, a time that outlives the call, and no signal mask.
    let count =
        unsafe { libc::ppoll(entries.as_mut_ptr(), entries.len() as libc::nfds_t, &raw const time, std::ptr::null()) };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn a_call_between_announcement_and_wait_is_not_missed() {
        let mut sleeper = Sleeper::new([]).expect("an eventfd");
        let waker = sleeper.waker();
        sleeper.announce();
        waker.wake();
        let start = Instant::now();
        assert!(!sleeper.wait(Duration::from_secs(20)).expect("a wait"));
        assert!(start.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn a_call_from_another_thread_ends_the_sleep() {
        let mut sleeper = Sleeper::new([]).expect("an eventfd");
        let waker = sleeper.waker();
        sleeper.announce();
        let start = Instant::now();
        let caller = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            waker.wake();
        });
        sleeper.wait(Duration::from_secs(20)).expect("a wait");
        assert!(start.elapsed() < Duration::from_secs(10));
        caller.join().expect("the caller does not panic");
    }

    #[test]
    fn one_call_wakes_once() {
        let mut sleeper = Sleeper::new([]).expect("an eventfd");
        let waker = sleeper.waker();
        sleeper.announce();
        waker.wake();
        sleeper.wait(Duration::ZERO).expect("a wait");
        sleeper.announce();
        let start = Instant::now();
        sleeper.wait(Duration::from_millis(30)).expect("a wait");
        assert!(start.elapsed() >= Duration::from_millis(29));
    }
}
