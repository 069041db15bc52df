//! The table of named frames, run through the loaded gate.

use aya::maps::CpuMap;
use aya::programs::{TestRun as _, TestRunOptions, Xdp};
use rp_core::frame::Verdict;
use rp_core::gate_counters::Place;

use crate::named_frames::rows;
use crate::{Bench, expected, put_worker_on};

/// XDP_REDIRECT of linux/bpf.h.
const XDP_REDIRECT: u32 = 4;
/// XDP_TX of the same.
const XDP_TX: u32 = 3;

#[test]
#[ignore = "needs root"]
fn the_verifier_accepts_all_programs() {
    let mut bench = Bench::new(true);
    // A server has no use for it.
    mirror(&mut bench);
    let mut names: Vec<&str> = bench.ebpf.programs().map(|(name, _)| name).collect();
    names.sort_unstable();
    assert_eq!(names, ["gate", "gate_cpu", "mirror", "pass", "select"]);
    for (name, program) in bench.ebpf.programs() {
        assert!(program.fd().is_ok(), "{name} is not loaded");
    }
}

fn mirror(bench: &mut Bench) -> &Xdp {
    let mirror: &mut Xdp = bench.ebpf.program_mut("mirror").expect("it is there").try_into().expect("it is XDP");
    mirror.load().expect("the verifier accepts it");
    mirror
}

#[test]
#[ignore = "needs root"]
fn the_mirror_sends_datagrams_back_and_nothing_else() {
    let mut bench = Bench::new(false);
    let mirror = mirror(&mut bench);
    let run = |frame: &[u8]| {
        let (mut options, mut out) = (TestRunOptions::new(), vec![0; frame.len()]);
        options.data_in = Some(frame);
        options.data_out = Some(&mut out);
        let action = mirror.test_run(options).expect("the kernel runs it").return_value;
        (action, out)
    };
    let mut frame: Vec<u8> = (0..60).collect();
    frame[12..15].copy_from_slice(&[0x08, 0x00, 0x45]);
    frame[23] = 17;
    let (action, back) = run(&frame);
    assert_eq!(action, XDP_TX);
    let swapped = [&frame[6..12], &frame[..6], &frame[12..26], &frame[30..34], &frame[26..30], &frame[36..38]].concat();
    assert_eq!(back[..36], swapped, "addresses change places");
    assert_eq!((&back[36..38], &back[38..]), (&frame[34..36], &frame[38..]), "ports, too, and nothing else");
    frame[23] = 6;
    assert_eq!(run(&frame), (crate::XDP_PASS, frame.clone()));
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
