//! The way of requests to their workers, planned from what an interface offers, for the start-up block.
//!
//! A card shares datagrams out over its queues by address, the server by SET. So the gate answers on the CPU where a queue's
//! interrupt is, whichever it is, and only what goes up crosses to the CPU of its worker, unless it is there already.

use std::cmp::Ordering;

/// One line about an interface with so many receive queues, whose interrupts these commands would pin.
pub fn plan(interface: &str, queues: u32, worker_cpus: &[u32], pinning: &str) -> String {
    let workers = worker_cpus.len() as u32;
    let cpus = worker_cpus.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    let offer = format!("{interface}: {}, {}", count(queues, "queue"), count(workers, "worker"));
    let plan = match queues.cmp(&workers) {
        Ordering::Less => format!(
            "{offer}: the gate has {}; what goes up crosses to its worker's. `ethtool -L {interface} combined {workers}` \
             gives each of them a queue, if the card has as many",
            count(queues, "CPU")
        ),
        Ordering::Equal if workers == 1 => {
            format!("{offer}: nothing crosses CPUs while the queue's interrupt is on CPU {cpus}")
        }
        Ordering::Equal => format!(
            "{offer}: best with the interrupt of each queue on a worker's CPU of its own ({cpus}; \
             /proc/irq/N/smp_affinity_list); what goes up crosses unless it is there already"
        ),
        Ordering::Greater => format!(
            "{offer}: queues beyond the workers take CPUs from others; `ethtool -L {interface} combined {workers}`, and \
             their interrupts on CPU {cpus}, or more --workers"
        ),
    };
    // A veth has no interrupts.
    if pinning.is_empty() { plan } else { format!("{plan}. Each queue to its worker's CPU: `{pinning}`") }
}

fn count(number: u32, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_offered_is_set_beside_what_is_there() {
        let check = |queues, cpus: &[u32], words: &[&str]| {
            let line = plan("eth0", queues, cpus, "");
            assert!(words.iter().all(|word| line.contains(word)), "{words:?} in: {line}");
        };
        check(1, &[3], &["1 queue, 1 worker", "CPU 3"]);
        check(1, &[0, 1], &["1 queue, 2 workers", "the gate has 1 CPU;", "ethtool -L eth0 combined 2"]);
        check(4, &[0, 1, 2, 5], &["4 queues, 4 workers", "0, 1, 2, 5", "smp_affinity_list"]);
        check(16, &[0, 1], &["16 queues, 2 workers", "ethtool -L eth0 combined 2", "--workers"]);
        let pinned = plan("eth0", 1, &[3], "echo 3 > /proc/irq/38/smp_affinity_list");
        assert!(pinned.ends_with("`echo 3 > /proc/irq/38/smp_affinity_list`"), "{pinned}");
    }
}
