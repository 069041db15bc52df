//! Metrics of the server as a process, of the machine, and of the snapshot that all of them are of.

use super::{Metric, counter, gauge};
use crate::snapshot::ThreadShare;

pub(super) const METRICS: &[Metric] = &[
    gauge("redpacket_snapshot_timestamp_seconds", &[], "The second at which all of this was counted.", |all, to| {
        to.is(all.unix_s);
    }),
    gauge("redpacket_build_info", &["version"], "1; the server's version.", |_, to| {
        to.add(&[&env!("CARGO_PKG_VERSION")], 1);
    }),
    gauge("redpacket_gate_info", &["mode", "steering", "transport"], "1; how datagrams come in.", |all, to| {
        let status = &all.status;
        to.add(&[&status.gate.mode, &status.gate.steering, &status.transport], 1);
    }),
    gauge("redpacket_sealing", &[], "1 if what bears money is sealed.", |all, to| to.is(u8::from(all.status.sealing))),
    gauge("redpacket_uptime_seconds", &[], "Time since the start.", |all, to| to.is(all.status.uptime_s)),
    gauge("redpacket_memory_anonymous_bytes", &[], "Anonymous pages of the process.", |all, to| {
        to.is(all.status.memory.rss_anon_bytes);
    }),
    gauge("redpacket_kernel_maps_bytes", &[], "Memory of the kernel's maps.", |all, to| {
        to.is(all.status.memory.maps_bytes)
    }),
    gauge("redpacket_cpu_busy_ratio", &["cpu"], "How busy a CPU of the machine was in the last second.", |all, to| {
        all.cpus.iter().for_each(|row| to.add(&[&row.cpu], row.busy_share));
    }),
    counter("redpacket_thread_cpu_seconds_total", &["thread"], "CPU time of a thread of the server.", |all, to| {
        // Threads of one name are one series.
        let mut threads: Vec<&ThreadShare> = all.threads.iter().collect();
        threads.sort_by(|a, b| a.name.cmp(&b.name));
        for group in threads.chunk_by(|a, b| a.name == b.name) {
            to.add(&[&group[0].name], group.iter().map(|thread| thread.cpu_s).sum::<f64>());
        }
    }),
    counter("process_cpu_seconds_total", &[], "CPU time of the process.", |all, to| to.is(all.process.cpu_s)),
    gauge("process_start_time_seconds", &[], "When the process started.", |all, to| to.is(all.process.start_s)),
    gauge("process_resident_memory_bytes", &[], "Memory that the process has.", |all, to| {
        to.is(all.process.resident_bytes);
    }),
    gauge("process_virtual_memory_bytes", &[], "Memory that the process can address.", |all, to| {
        to.is(all.process.virtual_bytes);
    }),
    gauge("process_open_fds", &[], "Open files.", |all, to| to.is(all.process.open_files)),
    gauge("process_max_fds", &[], "Open files that it may have.", |all, to| to.is(all.process.files_max)),
];
