//! What this process may: capabilities, locked memory, open files.

use rp_core::limits::WORKERS_MAX;

use super::finding::{Finding, as_root, with_rights};
use crate::gate::privilege::{self, CAP_IPC_LOCK};
use crate::gate::xsks::Transport;
use crate::run::Asked;

/// Room for frames of a worker's AF_XDP sockets, and what its queues send from (docs/ARCHITECTURE.md, "Past the stack").
const XSK_WORKER_BYTES: u64 = 16 << 20;
const XSK_QUEUE_BYTES: u64 = 4 << 20;
/// Maps, pins, ledger, admin socket, and those who ask.
const FILES_BESIDES: u64 = 256;
/// Sockets, alarms, queues and maps of a worker, for each address listened on.
const FILES_OF_WORKER: u64 = 8;

/// CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON, and CAP_NET_RAW where it is needed.
pub fn capabilities(asked: &Asked) -> Finding {
    let user = std::fs::metadata("/proc/self").map_or(0, |of| std::os::unix::fs::MetadataExt::uid(&of));
    match privilege::missing(asked.transport) {
        Ok(missing) => judge_capabilities(&missing, user, asked),
        Err(error) => Finding::warn("capabilities", format!("{error:#}"), as_root("mount -t proc proc /proc")),
    }
}

fn judge_capabilities(missing: &[&str], user: u32, asked: &Asked) -> Finding {
    if !asked.wants_gate() {
        return Finding::pass("capabilities", format!("uid {user}; none needed with --xdp off"));
    }
    if missing.is_empty() {
        return Finding::pass("capabilities", format!("uid {user} has those that the gate needs"));
    }
    Finding::fail(
        "capabilities",
        format!("uid {user} lacks {}", missing.join(" and ")),
        with_rights(
            "grep Cap /proc/self/status  # what is left to root here; of a container: --cap-add BPF, NET_ADMIN, PERFMON",
            "the packaged unit has them",
        ),
    )
}

/// Memory that AF_XDP locks.
pub fn locked_memory(asked: &Asked) -> Finding {
    let needed = XSK_WORKER_BYTES * asked.workers() as u64 + XSK_QUEUE_BYTES * asked.workers() as u64;
    let unlimited = privilege::may(CAP_IPC_LOCK);
    judge_locked(soft_limit("Max locked memory").filter(|_| !unlimited), needed, asked.transport)
}

fn judge_locked(limit: Option<u64>, needed: u64, transport: Transport) -> Finding {
    let check = "locked memory";
    match limit {
        _ if transport == Transport::Sockets => Finding::pass(check, "not needed without --transport af-xdp"),
        None => Finding::pass(check, "not limited"),
        Some(limit) if limit >= needed => {
            Finding::pass(check, format!("{} MiB; AF_XDP needs some {}", limit >> 20, needed >> 20))
        }
        Some(limit) => Finding::fail(
            check,
            format!("{} KiB; AF_XDP needs some {} MiB", limit >> 10, needed >> 20),
            "ulimit -l unlimited  # in a unit: LimitMEMLOCK=infinity",
        ),
    }
}

/// Files that the process may have open.
pub fn open_files(asked: &Asked) -> Finding {
    let each = FILES_OF_WORKER * asked.listen.len().max(1) as u64;
    let needed = FILES_BESIDES + each * asked.workers().min(WORKERS_MAX) as u64;
    judge_files(soft_limit("Max open files"), needed)
}

fn judge_files(limit: Option<u64>, needed: u64) -> Finding {
    match limit {
        Some(limit) if limit < needed => Finding::fail(
            "open files",
            format!("{limit} may be open; a server of these flags opens up to {needed}"),
            format!("ulimit -n {}  # in a unit: LimitNOFILE=", needed.next_power_of_two()),
        ),
        Some(limit) => Finding::pass("open files", format!("{limit} may be open; needed up to {needed}")),
        None => Finding::pass("open files", "not limited"),
    }
}

/// A soft limit of this process; none where there is none.
fn soft_limit(name: &str) -> Option<u64> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    limit_of(&limits, name)
}

fn limit_of(limits: &str, name: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict::{Fail, Pass};

    #[test]
    fn limits_are_read_as_the_kernel_writes_them() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max open files            1024                 1048576              files     \n\
                      Max locked memory         unlimited            unlimited            bytes     \n";
        assert_eq!(limit_of(limits, "Max open files"), Some(1024));
        assert_eq!(limit_of(limits, "Max locked memory"), None);
    }

    #[test]
    fn what_is_short_fails_and_names_the_limit_to_set() {
        for (limit, needed, verdict) in [(Some(1024), 272, Pass), (None, 272, Pass), (Some(256), 2304, Fail)] {
            let finding = judge_files(limit, needed);
            assert_eq!(finding.verdict, verdict, "{limit:?}");
            assert_eq!(finding.remedy.is_some_and(|remedy| remedy.contains("ulimit -n 4096")), verdict == Fail);
        }
        let rows = [
            (Some(8 << 20), Transport::AfXdp, Fail),
            (Some(64 << 20), Transport::AfXdp, Pass),
            (None, Transport::AfXdp, Pass),
            (Some(0), Transport::Sockets, Pass),
        ];
        for (limit, transport, verdict) in rows {
            assert_eq!(judge_locked(limit, 20 << 20, transport).verdict, verdict, "{limit:?}");
        }
    }
}
