//! CPU time that others take: a hypervisor that lends cores away, a group's quota.

use super::finding::{Finding, as_root};

const CHECK: &str = "cpu time";
/// Of all CPU time since the machine started: more is felt in every latency.
const STOLEN_MAX_PERCENT: f64 = 2.0;

/// Do others have the CPUs?
pub fn time() -> Finding {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    judge(stolen_percent(&stat), quota().as_deref())
}

/// The quota of this process's own group (cgroup v2), in CPUs.
fn quota() -> Option<String> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let file = format!("/sys/fs/cgroup{}/cpu.max", own.trim_end_matches('/'));
    quota_of(&std::fs::read_to_string(file).ok()?)
}

/// `200000 100000` are two CPUs; `max 100000` is no limit.
fn quota_of(text: &str) -> Option<String> {
    let (quota, period) = text.trim().split_once(' ')?;
    let (quota, period): (f64, f64) = (quota.parse().ok()?, period.parse().ok()?);
    Some(format!("{:.1}", quota / period))
}

fn stolen_percent(stat: &str) -> Option<f64> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    // user, nice, system, idle, iowait, irq, softirq, steal; guests are in user already.
    let ticks: Vec<f64> = line.split_whitespace().take(8).filter_map(|word| word.parse().ok()).collect();
    let all: f64 = ticks.iter().sum();
    (all > 0.0 && ticks.len() == 8).then(|| 100.0 * ticks[7] / all)
}

fn judge(stolen_percent: Option<f64>, quota: Option<&str>) -> Finding {
    if let Some(quota) = quota {
        return Finding::warn(
            CHECK,
            format!("this process's group has {quota} CPUs, and stands still when they are used up"),
            as_root("systemctl set-property rp-server CPUQuota=") + "  # of a container: no --cpus",
        );
    }
    match stolen_percent {
        Some(percent) if percent > STOLEN_MAX_PERCENT => Finding::warn(
            CHECK,
            format!("the hypervisor gave {percent:.1} % of it to others since the machine started"),
            "vmstat 1  # column st; serve on a machine whose CPUs are its own",
        ),
        Some(percent) => Finding::pass(CHECK, format!("{percent:.1} % went to others since the machine started")),
        None => Finding::pass(CHECK, "the kernel does not say that any went to others"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict::{Pass, Warn};

    #[test]
    fn lent_cpus_and_quotas_are_warnings() {
        let stat = "cpu  100 0 100 700 0 0 0 100 0 0\ncpu0 1 2 3 4\n";
        assert_eq!(stolen_percent(stat), Some(10.0));
        assert_eq!(stolen_percent(""), None);
        assert_eq!(quota_of("150000 100000\n").as_deref(), Some("1.5"));
        assert_eq!(quota_of("max 100000\n"), None);
        for (percent, quota, verdict) in
            [(Some(0.1), None, Pass), (Some(10.0), None, Warn), (None, None, Pass), (None, Some("1.5"), Warn)]
        {
            assert_eq!(judge(percent, quota).verdict, verdict);
        }
    }
}
