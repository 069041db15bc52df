//! Cables that behave like network cards: each end's receive work on a CPU of its own choice.
//!
//! A veth runs the receiver's work on the sender's CPU, and charges it there. With an XDP program at both ends and
//! threaded NAPI that work is done by kernel threads, which can be pinned and whose CPU time can be read.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::namespace::Namespace;
use crate::command;

/// Programs that make much ready attach theirs late, and an end without one has no NAPI.
const APPEAR_LIMIT: Duration = Duration::from_secs(30);

/// The kernel thread that does the receive work of one end of a cable.
#[derive(Clone, Copy, Debug)]
pub struct NapiThread {
    /// Its id.
    pub tid: u32,
}

/// Moves the receive work of `interface` to a kernel thread on `cpu`, and lets it sleep for `coalesce` after it found nothing:
/// interrupt coalescing. The interface has its XDP program, or gets it soon.
///
/// # Errors
/// When the kernel has no threaded NAPI, or the interface no NAPI.
pub fn quiet(namespace: &Namespace, interface: &str, cpu: usize, coalesce: Duration) -> Result<NapiThread> {
    let before = napi_threads(interface);
    // `ip netns exec` mounts the namespace's own /sys, which is what is needed here.
    let coalesce_ns = coalesce.as_nanos();
    let write = format!(
        "cd /sys/class/net/{interface} && echo 1 > threaded && echo {coalesce_ns} > gro_flush_timeout && echo 1 > \
         napi_defer_hard_irqs"
    );
    let since = Instant::now();
    while let Err(error) = command::run("ip", ["netns", "exec", namespace.name(), "sh", "-c", &write]) {
        if since.elapsed() > APPEAR_LIMIT {
            return Err(error.context(format!("{interface} has no NAPI: is its XDP program attached?")));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    loop {
        if let Some(tid) = napi_threads(interface).difference(&before).next() {
            command::run("taskset", ["-pc", &cpu.to_string(), &tid.to_string()])?;
            // A card's interrupt does not wait for a program's time slice either; a veth's ring of 256 slots is full
            // within one.
            command::run("chrt", ["--fifo", "--pid", "1", &tid.to_string()])?;
            return Ok(NapiThread { tid: *tid });
        }
        if since.elapsed() > APPEAR_LIMIT {
            bail!("{interface} has no threaded NAPI: is its XDP program attached?");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn napi_threads(interface: &str) -> BTreeSet<u32> {
    let prefix = format!("napi/{interface}-");
    let tids = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let tids = tids.filter_map(|entry| entry.file_name().to_string_lossy().parse::<u32>().ok());
    let is_ours =
        |tid: &u32| std::fs::read_to_string(format!("/proc/{tid}/comm")).is_ok_and(|name| name.starts_with(&prefix));
    tids.filter(is_ours).collect()
}
