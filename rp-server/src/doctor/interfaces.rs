//! The interfaces of the gate: there, how XDP attaches, MTU, checksums, and receive queues against workers.

use anyhow::Result;
use rp_net::card;

use super::finding::{Finding, as_root, quoted};
use super::trial::{Took, Trial};
use crate::gate::interface::{self, Interface};
use crate::gate::{interrupts, steering};
use crate::run::Asked;

/// The interfaces that a gate would have.
pub fn choose(asked: &Asked) -> Result<Vec<Interface>> {
    if asked.wants_gate() { interface::choose(&asked.interfaces) } else { Ok(Vec::new()) }
}

/// All that is to be said of them.
pub fn all(asked: &Asked, chosen: &Result<Vec<Interface>>, trial: &Trial) -> Vec<Finding> {
    let names = chosen.as_ref().map(|all| all.iter().map(|one| one.name.as_str()).collect());
    let mut findings = vec![judge_names(names.map_err(|error| format!("{error:#}")), asked.wants_gate())];
    let worker_cpus: Vec<u32> = asked.worker_cpus.iter().flatten().map(|cpu| *cpu as u32).collect();
    for (index, interface) in chosen.iter().flatten().enumerate() {
        let name = interface.name.as_str();
        findings.push(judge_mode(name, &trial.took(index), card::mtu(name).ok()));
        if !worker_cpus.is_empty() {
            let queues = card::queues(name).unwrap_or(1);
            let all = interrupts::of(name);
            let pinning = interrupts::pinning(&all, &worker_cpus);
            findings.push(judge_queues(name, queues, &worker_cpus, &pinning));
            // A veth has none.
            if !all.is_empty() {
                let moves = interrupts::elsewhere(&all, &worker_cpus);
                let moves = moves.map(|elsewhere| interrupts::pinning(&elsewhere, &worker_cpus));
                findings.push(judge_interrupts(name, all.len(), moves.as_deref(), &pinning));
            }
        }
        findings.push(judge_checksums(name, card::driver(name).ok().as_deref()));
    }
    findings
}

fn judge_names(names: Result<Vec<&str>, String>, wants_gate: bool) -> Finding {
    let check = "interfaces";
    match names {
        _ if !wants_gate => Finding::pass(check, "not needed with --xdp off"),
        Ok(names) if names.is_empty() => {
            Finding::fail(check, "none is up besides loopback", "ip link  # shows the names; then: ip link set NAME up")
        }
        Ok(names) => Finding::pass(check, names.join(", ")),
        Err(error) => Finding::fail(check, error, "ip link  # shows the names; then: --interface NAME"),
    }
}

fn judge_mode(name: &str, took: &Took, mtu: Option<u32>) -> Finding {
    let check = format!("xdp {name}");
    let word = quoted(name);
    let mtu_words = mtu.map_or("MTU unknown".to_string(), |mtu| format!("MTU {mtu}"));
    match took {
        Took::Driver => Finding::pass(check, format!("driver mode, tried; {mtu_words}")),
        Took::Skb(why) if mtu.is_some_and(|mtu| mtu > 1500) => Finding::warn(
            check,
            format!("skb mode only, tried ({why}); {mtu_words}"),
            as_root(&format!("ip link set {word} mtu 1500")) + "  # both ends of a veth; if the driver has XDP",
        ),
        Took::Skb(why) => Finding::warn(
            check,
            format!("skb mode only, tried ({why}); {mtu_words}: each frame becomes an skb first"),
            format!("ethtool -i {word}  # shows the driver; serve by a card whose driver has native XDP"),
        ),
        Took::None(why) => Finding::fail(
            check,
            format!("none ({why}); {mtu_words}"),
            as_root(&format!("ip link set {word} mtu 1500")) + "  # or: --xdp auto, or another --interface",
        ),
        Took::Busy => Finding::warn(
            check,
            format!("another XDP program is attached, so ours was not tried; {mtu_words}"),
            format!(
                "ip link show {word}  # names it; stop its owner, or, of one that nobody holds: ip link set {word} xdp off"
            ),
        ),
        Took::Untried(why) => Finding::warn(
            check,
            format!("not tried: {why}; {mtu_words}"),
            as_root("rp-server doctor") + "  # when what is said above is mended",
        ),
    }
}

fn judge_queues(name: &str, queues: u32, worker_cpus: &[u32], pinning: &str) -> Finding {
    let (check, plan) = (format!("queues {name}"), steering::plan(name, queues, worker_cpus, pinning));
    let workers = worker_cpus.len();
    if queues as usize == workers {
        return Finding::pass(check, plan);
    }
    let word = quoted(name);
    let remedy = as_root(&format!("ethtool -L {word} combined {workers}"));
    Finding::warn(check, plan, format!("{remedy}  # or: --workers {queues}"))
}

/// `moves` are the commands that put those where they should be that are elsewhere, `pinning` those for all.
fn judge_interrupts(name: &str, count: usize, moves: Option<&str>, pinning: &str) -> Finding {
    let check = format!("interrupts {name}");
    let Some(moves) = moves else {
        return Finding::warn(check, format!("{count}; the kernel does not say on which CPUs"), as_root(pinning));
    };
    if moves.is_empty() {
        return Finding::pass(check, format!("{count}, each on the CPU of its worker"));
    }
    let few = moves.split("; ").count();
    Finding::warn(
        check,
        format!("{few} of {count} on another CPU than their worker's"),
        as_root(moves) + "  # irqbalance undoes it",
    )
}

fn judge_checksums(name: &str, driver: Option<&str>) -> Finding {
    let check = format!("checksums {name}");
    match driver {
        Some("veth") => Finding::warn(
            check,
            "a veth: if its other end leaves checksums to a card, AF_XDP drops them; that end cannot be seen from here",
            as_root("ethtool -K PEER tx off") + "  # at its other end",
        ),
        Some(driver) => Finding::pass(check, format!("{driver}: frames come with whole checksums")),
        None => Finding::pass(check, "the driver does not name itself; frames of cards come with whole checksums"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict::{Fail, Pass, Warn};

    #[test]
    fn what_an_interface_took_is_judged() {
        let check = |took: Took, mtu, verdict, words: &str| {
            let finding = judge_mode("eth0", &took, mtu);
            assert_eq!(finding.verdict, verdict, "{finding:?}");
            assert_eq!(finding.remedy.is_none(), verdict == Pass, "{finding:?}");
            let said = format!("{} {}", finding.found, finding.remedy.unwrap_or_default());
            assert!(said.contains(words), "{words} in {said}");
        };
        check(Took::Driver, Some(1500), Pass, "driver mode");
        check(Took::Skb("too large".into()), Some(9000), Warn, "mtu 1500");
        check(Took::Skb("no XDP".into()), Some(1500), Warn, "ethtool -i eth0");
        check(Took::None("refused".into()), Some(1500), Fail, "refused");
        check(Took::Busy, None, Warn, "ip link set eth0 xdp off");
        check(Took::Untried("no capability".into()), Some(1500), Warn, "no capability");
    }

    #[test]
    fn absent_interfaces_fail_and_few_queues_warn() {
        assert_eq!(judge_names(Err("there is no interface x".into()), true).verdict, Fail);
        assert_eq!(judge_names(Ok(Vec::new()), true).verdict, Fail);
        assert_eq!(judge_names(Ok(vec!["eth0"]), true).verdict, Pass);
        assert_eq!(judge_names(Ok(Vec::new()), false).verdict, Pass);
        let (few, enough) = (judge_queues("eth0", 1, &[0, 1], ""), judge_queues("eth0", 2, &[0, 1], ""));
        assert_eq!((few.verdict, enough.verdict), (Warn, Pass));
        assert!(few.remedy.is_some_and(|remedy| remedy.starts_with(&as_root("ethtool -L eth0 combined 2"))));
        let moves = "echo 0 > /proc/irq/40/smp_affinity_list; echo 1 > /proc/irq/41/smp_affinity_list";
        let (apart, home) =
            (judge_interrupts("eth0", 3, Some(moves), moves), judge_interrupts("eth0", 3, Some(""), moves));
        assert_eq!((apart.verdict, home.verdict), (Warn, Pass));
        assert_eq!(judge_interrupts("eth0", 3, None, moves).verdict, Warn);
        assert!(
            apart.found.starts_with("2 of 3") && apart.remedy.is_some_and(|remedy| remedy.starts_with(&as_root(moves)))
        );
        assert_eq!(judge_checksums("eth0", Some("veth")).verdict, Warn);
        assert_eq!(judge_checksums("eth0", Some("ixgbe")).verdict, Pass);
    }
}
