//! What the gate does with each datagram, line by line: `--trace-gate`.
//!
//! For looking, not for load: the kernel drops lines when the ring is full. The kernel writes numbers of kinds and reasons;
//! here they get their names.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use aya::Ebpf;
use aya_log::EbpfLogger;
use rp_core::kind::Kind;
use rp_core::reason::Reason;
use tracing::warn;

const POLL: Duration = Duration::from_millis(20);

/// A thread that prints the trace until this is dropped.
pub struct Follower {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Hands each line of the trace to `sink`, on a thread of its own.
///
/// # Errors
/// When the object has no log, or no thread can be started.
pub fn follow(ebpf: &mut Ebpf, sink: impl Fn(&str) + Send + Sync + 'static) -> Result<Follower> {
    let mut logger = EbpfLogger::init_with_logger(ebpf, Sink(sink)).context("the kernel object has no log")?;
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let run = move || {
        // What is left to load is loaded by the thread that started this one.
        super::privilege::settle();
        while !stopped.load(Ordering::Relaxed) {
            logger.flush();
            std::thread::sleep(POLL);
        }
        logger.flush();
    };
    let thread = std::thread::Builder::new().name("gate-trace".to_string()).spawn(run);
    Ok(Follower { stop, thread: Some(thread.context("cannot start the thread of the gate's trace")?) })
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            warn!("the thread of the gate's trace panicked");
        }
    }
}

struct Sink<F>(F);

impl<F: Fn(&str) + Send + Sync> log::Log for Sink<F> {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        (self.0)(&name_numbers(&record.args().to_string()));
    }

    fn flush(&self) {}
}

/// `kind=4 reason=3` becomes `kind=shake reason=bad_version`.
fn name_numbers(line: &str) -> String {
    let name = |word: &str| {
        let (field, number) = word.split_once('=')?;
        let number: usize = number.parse().ok()?;
        let name = match field {
            "kind" => Kind::ALL.iter().find(|kind| kind.index() == number)?.name(),
            "reason" => Reason::ALL.iter().find(|reason| reason.index() == number)?.name(),
            _ => return None,
        };
        Some(format!("{field}={name}"))
    };
    line.split(' ').map(|word| name(word).unwrap_or_else(|| word.to_string())).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_get_their_names() {
        assert_eq!(name_numbers("gate drop reason=3 bytes=60"), "gate drop reason=bad_version bytes=60");
        assert_eq!(name_numbers("gate pass_on=1 kind=4 set=7"), "gate pass_on=1 kind=shake set=7");
        assert_eq!(name_numbers("kind=99 reason=x"), "kind=99 reason=x");
    }
}
