//! What the machine says of itself and of this process: time of its CPUs, of our threads, memory, files.
//!
//! All of it is read from /proc once a second, nothing is left open, and what cannot be read is left out.

use std::collections::BTreeMap;
use std::fs;

use serde::Serialize;

/// Microseconds of CPU time in a tick of /proc/stat.
const TICK_US: f64 = 10_000.0;

/// One reading.
#[derive(Default)]
pub struct Machine {
    /// By CPU, in ticks: busy, and in all.
    cpus: Vec<(usize, u64, u64)>,
    /// Nanoseconds on a CPU by thread.
    threads: BTreeMap<u32, (String, u64)>,
    /// The process.
    pub process: Process,
}

/// The process, as Prometheus' clients call its figures.
#[derive(Clone, Default)]
pub struct Process {
    /// CPU time, in seconds.
    pub cpu_s: f64,
    /// When it started, in seconds since 1970.
    pub start_s: f64,
    /// Memory that it can address.
    pub virtual_bytes: u64,
    /// Memory that it has.
    pub resident_bytes: u64,
    /// Open files.
    pub open_files: u64,
    /// Open files that it may have.
    pub files_max: u64,
}

/// How busy a CPU was.
#[derive(Clone, Serialize)]
pub struct CpuShare {
    /// Its number.
    pub cpu: usize,
    /// The part of the time in which it did something.
    pub busy_share: f64,
}

/// How much of a CPU a thread had.
#[derive(Clone, Serialize)]
pub struct ThreadShare {
    /// Its name; the process' first is `control`.
    pub name: String,
    /// The part of the time in which it ran.
    pub cpu_share: f64,
    /// All of it since its start, in seconds.
    #[serde(skip)]
    pub cpu_s: f64,
}

impl Machine {
    /// Reads.
    pub fn read() -> Machine {
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        Machine { cpus: cpus(&stat), threads: threads(), process: process(&stat) }
    }

    /// How busy the CPUs were since an earlier reading.
    pub fn busy_since(&self, earlier: &Machine) -> Vec<CpuShare> {
        let before = |cpu: usize| earlier.cpus.iter().find(|(number, ..)| *number == cpu);
        let share = |&(cpu, busy, all): &(usize, u64, u64)| {
            let &(_, busy_before, all_before) = before(cpu)?;
            let all = all.saturating_sub(all_before).max(1) as f64;
            Some(CpuShare { cpu, busy_share: rounded(busy.saturating_sub(busy_before) as f64 / all) })
        };
        self.cpus.iter().filter_map(share).collect()
    }

    /// How much the threads ran in so many seconds since an earlier reading.
    pub fn ran_since(&self, earlier: &Machine, seconds: f64) -> Vec<ThreadShare> {
        let share = |(tid, (name, ns)): (&u32, &(String, u64))| {
            let before = earlier.threads.get(tid).map_or(0, |(_, ns)| *ns);
            let cpu_share = rounded(ns.saturating_sub(before) as f64 / 1e9 / seconds);
            ThreadShare { name: name.clone(), cpu_share, cpu_s: *ns as f64 / 1e9 }
        };
        self.threads.iter().map(share).collect()
    }
}

fn rounded(share: f64) -> f64 {
    (share.min(1.0) * 10_000.0).round() / 10_000.0
}

/// Of each line `cpuN user nice system idle iowait irq softirq steal`: busy ticks, and all.
fn cpus(stat: &str) -> Vec<(usize, u64, u64)> {
    let one = |line: &str| {
        let (cpu, rest) = line.strip_prefix("cpu")?.split_once(' ')?;
        let ticks: Vec<u64> = rest.split_whitespace().take(8).filter_map(|word| word.parse().ok()).collect();
        let all = ticks.iter().sum();
        let idle = ticks.get(3)? + ticks.get(4)?;
        Some((cpu.parse().ok()?, all - idle, all))
    };
    stat.lines().filter_map(one).collect()
}

fn threads() -> BTreeMap<u32, (String, u64)> {
    let own = std::process::id();
    let one = |entry: std::io::Result<fs::DirEntry>| {
        let folder = entry.ok()?.path();
        let tid: u32 = folder.file_name()?.to_str()?.parse().ok()?;
        let schedstat = fs::read_to_string(folder.join("schedstat")).ok()?;
        let ns = schedstat.split_whitespace().next()?.parse().ok()?;
        let name = match tid == own {
            true => "control".to_string(),
            false => fs::read_to_string(folder.join("comm")).ok()?.trim().to_string(),
        };
        Some((tid, (name, ns)))
    };
    fs::read_dir("/proc/self/task").into_iter().flatten().filter_map(one).collect()
}

fn process(stat: &str) -> Process {
    let booted: f64 = stat.lines().find_map(|line| line.strip_prefix("btime ")?.parse().ok()).unwrap_or(0.0);
    let own = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name may hold anything but ends with the last parenthesis; field 3 comes first behind it.
    let fields: Vec<&str> = own.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3).and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
    let seconds = |ticks: u64| ticks as f64 * TICK_US / 1e6;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok());
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let files_max = limits.lines().find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next());
    Process {
        cpu_s: seconds(field(14) + field(15)),
        start_s: booted + seconds(field(22)),
        virtual_bytes: field(23),
        resident_bytes: resident.unwrap_or(0u64) * 1024,
        open_files: fs::read_dir("/proc/self/fd").map_or(0, |files| files.count() as u64),
        files_max: files_max.and_then(|word| word.parse().ok()).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_are_busy_when_they_are_neither_idle_nor_wait_for_a_disk() {
        let stat = "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 10 1 4 80 5 0 0 0 0 0\ncpu1 0 0 0 100 0 0 0 0 0 0\nintr 1 2\n";
        assert_eq!(cpus(stat), [(0, 15, 100), (1, 0, 100)]);
        let earlier = Machine { cpus: cpus(stat), ..Machine::default() };
        let later = "cpu0 60 1 4 130 5 0 0 0 0 0\ncpu1 0 0 0 200 0 0 0 0 0 0\ncpu2 1 0 0 1 0 0 0 0 0 0\n";
        let later = Machine { cpus: cpus(later), ..Machine::default() };
        let shares: Vec<(usize, f64)> =
            later.busy_since(&earlier).iter().map(|row| (row.cpu, row.busy_share)).collect();
        assert_eq!(shares, [(0, 0.5), (1, 0.0)]);
    }

    #[test]
    fn this_process_has_threads_memory_and_files() {
        let first = Machine::read();
        let until = rp_net::proc::thread_cpu_time() + std::time::Duration::from_millis(50);
        while rp_net::proc::thread_cpu_time() < until {
            std::hint::spin_loop();
        }
        let second = Machine::read();
        let ran: f64 = second.ran_since(&first, 1.0).iter().map(|thread| thread.cpu_share).sum();
        // Other tests run beside it.
        assert!(ran > 0.03, "{ran}");
        let Process { start_s, resident_bytes, virtual_bytes, open_files, files_max, .. } = second.process;
        assert!(start_s > 1e9 && resident_bytes > 1 << 20 && virtual_bytes > resident_bytes, "{start_s}");
        assert!((3..=files_max).contains(&open_files), "{open_files} of {files_max}");
    }
}
