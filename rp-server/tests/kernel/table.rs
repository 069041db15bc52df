//! The table of named frames, run through the loaded gate.

use aya::maps::CpuMap;
use rp_core::frame::Verdict;
use rp_core::gate_counters::Place;

use crate::named_frames::rows;
use crate::{Bench, expected, put_worker_on};

/// XDP_REDIRECT of linux/bpf.h.
const XDP_REDIRECT: u32 = 4;

#[test]
#[ignore = "needs root"]
fn the_verifier_accepts_all_programs() {
    let bench = Bench::new(true);
    let mut names: Vec<&str> = bench.ebpf.programs().map(|(name, _)| name).collect();
    names.sort_unstable();
    assert_eq!(names, ["gate", "gate_cpu", "pass", "select"]);
    for (name, program) in bench.ebpf.programs() {
        assert!(program.fd().is_ok(), "{name} is not loaded");
    }
}

#[test]
#[ignore = "needs root"]
fn named_frames_get_their_action_and_their_counters() {
    let bench = Bench::new(false);
    for row in rows() {
        let before = bench.counts();
        let (action, counts) = expected(&row.bytes);
        assert_eq!(bench.run(&row.bytes), action, "{}", row.name);
        assert_eq!(bench.counts().since(&before), counts, "{}", row.name);
    }
}

#[test]
#[ignore = "needs root"]
fn a_request_goes_to_the_cpu_of_its_worker() {
    let mut bench = Bench::new(false);
    let here = crate::bind_to_first_cpu();
    let elsewhere = core_affinity_of_another(here);
    put_worker_on(&mut bench.ebpf, elsewhere);
    let requests: Vec<_> = rows().into_iter().filter(|row| matches!(row.verdict, Verdict::Request(_))).collect();
    assert!(!requests.is_empty());
    for row in &requests {
        // No queue to that CPU yet: it passes where it is, and that is counted.
        assert_eq!(bench.run(&row.bytes), crate::XDP_PASS, "{}", row.name);
    }
    let failed = bench.counts();
    assert_eq!(failed.place(Place::RedirectFailed).datagrams, requests.len() as u64);
    assert_eq!(failed.place(Place::SentToCpu).datagrams, 0);
    let mut queues: CpuMap<_> = bench.ebpf.map_mut("cpus").expect("a map").try_into().expect("a cpumap");
    queues.set(elsewhere, 64, None, 0).expect("the kernel makes a queue");
    for row in &requests {
        assert_eq!(bench.run(&row.bytes), XDP_REDIRECT, "{}", row.name);
    }
    let sent = bench.counts().since(&failed);
    assert_eq!(sent.place(Place::SentToCpu).datagrams, requests.len() as u64);
    assert_eq!(sent.place(Place::RedirectFailed).datagrams, 0);
}

fn core_affinity_of_another(here: u32) -> u32 {
    let cpus = aya::util::online_cpus().expect("CPUs are known");
    cpus.into_iter().find(|cpu| *cpu != here).expect("this test needs two CPUs")
}
