//! What this machine is and what its CPUs did: read from /proc, for figures that name where they were taken.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// What a figure's reader must know of the machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Machine {
    /// CPUs that this process may use.
    pub cpus: usize,
    /// The processor's name.
    pub model: String,
    /// Kernel release.
    pub kernel: String,
    /// Mitigations against the processor's leaks are on.
    pub mitigations: bool,
    /// Memory, in MiB.
    pub memory_mib: u64,
}

impl Machine {
    /// This machine.
    pub fn here() -> Machine {
        Machine {
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            model: field_of("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".into()),
            kernel: text_of("/proc/sys/kernel/osrelease").trim().into(),
            mitigations: !text_of("/proc/cmdline").contains("mitigations=off"),
            memory_mib: kib_of("/proc/meminfo", "MemTotal") / 1024,
        }
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mitigations = if self.mitigations { "on" } else { "off" };
        let Machine { cpus, model, kernel, memory_mib, .. } = self;
        write!(f, "{cpus} CPUs ({model}), {memory_mib} MiB, Linux {kernel}, mitigations {mitigations}")
    }
}

/// Wall clock, in whole microseconds since 1970.
pub fn unix_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    u64::try_from(since.as_micros()).expect("microseconds fit for half a million years")
}

/// Sleeps until the next whole second of the wall clock begins.
pub fn sleep_to_the_next_second() {
    std::thread::sleep(Duration::from_micros(1_000_000 - unix_us() % 1_000_000));
}

/// Idle time of one CPU since boot, in nanoseconds; the kernel gives it in ticks of 10 ms.
pub fn idle_ns_of(cpu: usize) -> u64 {
    let text = text_of("/proc/stat");
    let name = format!("cpu{cpu} ");
    let ticks: Vec<u64> = match text.lines().find_map(|line| line.strip_prefix(&name)) {
        Some(rest) => rest.split(' ').filter_map(|word| word.parse().ok()).collect(),
        None => return 0,
    };
    // user nice system idle iowait ...
    ticks.iter().skip(3).take(2).sum::<u64>() * 10_000_000
}

/// CPU time of all threads of a process, in nanoseconds, as the scheduler counts it; 0 when it is gone.
pub fn cpu_ns_of(pid: u32) -> u64 {
    threads_of(pid).iter().map(|tid| cpu_ns_of_thread(*tid)).sum()
}

/// CPU time of one thread, in nanoseconds.
pub fn cpu_ns_of_thread(tid: u32) -> u64 {
    let text = text_of(&format!("/proc/{tid}/schedstat"));
    text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0)
}

/// Time that the kernel programs which a process holds have run, in nanoseconds; 0 while their time is not taken.
pub fn programs_ns_of(pid: u32) -> u64 {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fdinfo")).into_iter().flatten().flatten();
    let mut times: Vec<(u64, u64)> = Vec::new();
    for text in entries.map(|entry| text_of(&entry.path().to_string_lossy())) {
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        if let (Some(id), Some(ns)) = (field("prog_id:"), field("run_time_ns:")) {
            times.push((id, ns));
        }
    }
    // Links name the program that they attach, too.
    times.sort_unstable();
    times.dedup_by_key(|(id, _)| *id);
    times.iter().map(|(_, ns)| ns).sum()
}

/// Takes the time of all kernel programs while this lives: some 20 ns of each run.
#[derive(Debug)]
pub struct ProgramTimes {
    before: String,
}

const STATS_ENABLED: &str = "/proc/sys/kernel/bpf_stats_enabled";

impl ProgramTimes {
    /// Begins; none where the system does not allow it.
    pub fn take() -> Option<ProgramTimes> {
        let before = std::fs::read_to_string(STATS_ENABLED).ok()?;
        std::fs::write(STATS_ENABLED, "1").ok()?;
        Some(ProgramTimes { before })
    }
}

impl Drop for ProgramTimes {
    fn drop(&mut self) {
        let _the_system_keeps_counting = std::fs::write(STATS_ENABLED, self.before.trim());
    }
}

fn threads_of(pid: u32) -> Vec<u32> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_string_lossy().parse().ok()).collect()
}

/// Anonymous resident memory of a process, in bytes.
pub fn anonymous_bytes_of(pid: u32) -> u64 {
    kib_of(&format!("/proc/{pid}/status"), "RssAnon") * 1024
}

/// Time that the hypervisor took from this machine's CPUs since boot, and all time, both in clock ticks.
pub fn stolen_ticks() -> (u64, u64) {
    let text = text_of("/proc/stat");
    let ticks: Vec<u64> = text.lines().next().unwrap_or("").split(' ').filter_map(|word| word.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal; guest time is already in user.
    (ticks.get(7).copied().unwrap_or(0), ticks.iter().take(8).sum())
}

fn text_of(path: &str) -> String {
    std::fs::read_to_string(Path::new(path)).unwrap_or_default()
}

fn field_of(path: &str, field: &str) -> Option<String> {
    let text = text_of(path);
    let line = text.lines().find(|line| line.split(':').next().is_some_and(|name| name.trim() == field))?;
    line.split_once(':').map(|(_, value)| value.trim().to_owned())
}

fn kib_of(path: &str, field: &str) -> u64 {
    field_of(path, field).and_then(|value| value.split(' ').next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_cpu_and_memory() {
        let before = cpu_ns_of(std::process::id());
        let kept: Vec<u8> = (0..8 << 20).map(|n| (n % 251) as u8).collect();
        assert!(cpu_ns_of(std::process::id()) > before, "filling {} bytes costs time", kept.len());
        assert!(anonymous_bytes_of(std::process::id()) > kept.len() as u64);
        assert!(stolen_ticks().1 > 0);
    }
}
