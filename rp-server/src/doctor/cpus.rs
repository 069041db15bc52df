//! CPUs: those this process may use against the workers asked for, those kept free for it, and how they are clocked.

use std::collections::BTreeMap;

use super::finding::{Finding, as_root, by_flag};
use crate::run::Asked;

/// Has each worker a CPU of its own?
pub fn workers(asked: &Asked) -> Finding {
    let allowed = rp_net::affinity::allowed_cpus().map_or(0, |cpus| cpus.len());
    let isolated = std::fs::read_to_string("/sys/devices/system/cpu/isolated").unwrap_or_default();
    judge_workers(&asked.worker_cpus, allowed, isolated.trim())
}

fn judge_workers(worker_cpus: &Result<Vec<usize>, String>, allowed: usize, isolated: &str) -> Finding {
    let cpus = match worker_cpus {
        Ok(cpus) => cpus,
        Err(error) => {
            return Finding::fail(
                "cpus",
                error.clone(),
                by_flag("--workers 1", "or more, up to as many as there are --sets"),
            );
        }
    };
    let names = cpus.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
    let isolated = if isolated.is_empty() { "none is isolated".to_string() } else { format!("isolated: {isolated}") };
    let found = format!("workers: {} on CPU {names}; this process may use {allowed}, {isolated}", cpus.len());
    if cpus.len() > allowed {
        return Finding::warn(
            "cpus",
            format!("{found}: workers share CPUs"),
            by_flag(&format!("--workers {allowed}"), "one on each"),
        );
    }
    Finding::pass("cpus", found)
}

/// Do the workers' CPUs run at full clock?
pub fn governor(asked: &Asked) -> Finding {
    let governor = |cpu: &usize| {
        let file = format!("/sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor");
        Some(std::fs::read_to_string(file).ok()?.trim().to_string())
    };
    let governors: Vec<String> = asked.worker_cpus.iter().flatten().filter_map(governor).collect();
    judge_governor(&governors)
}

fn judge_governor(governors: &[String]) -> Finding {
    if governors.is_empty() {
        return Finding::pass("governor", "none: firmware or hypervisor sets the clock");
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for governor in governors {
        *counts.entry(governor).or_default() += 1;
    }
    let found = counts.iter().map(|(name, count)| format!("{name} on {count}")).collect::<Vec<_>>().join(", ");
    if counts.keys().all(|name| *name == "performance") {
        return Finding::pass("governor", found);
    }
    Finding::warn(
        "governor",
        format!("{found}: CPUs slow down between bursts"),
        as_root("echo performance | tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict::{Fail, Pass, Warn};

    #[test]
    fn workers_want_a_cpu_each_and_full_clock() {
        for (cpus, allowed, verdict) in
            [(Ok(vec![0, 1]), 2, Pass), (Ok(vec![0, 1, 0]), 2, Warn), (Err("--workers 0: no".to_string()), 2, Fail)]
        {
            assert_eq!(judge_workers(&cpus, allowed, "").verdict, verdict, "{cpus:?}");
        }
        let check = |governors: &[&str], verdict| {
            let governors: Vec<String> = governors.iter().map(|name| (*name).to_string()).collect();
            assert_eq!(judge_governor(&governors).verdict, verdict, "{governors:?}");
        };
        check(&[], Pass);
        check(&["performance", "performance"], Pass);
        check(&["performance", "schedutil"], Warn);
    }
}
