//! `--trace-gate`: a line for each datagram when it is on, and not even an instruction when it is off.

use std::sync::mpsc;
use std::time::Duration;

use aya::programs::Xdp;
use rp_server::gate::trace;

use crate::Bench;
use crate::named_frames::rows;

fn frame(name: &str) -> Vec<u8> {
    rows().into_iter().find(|row| row.name == name).expect("the table has it").bytes
}

/// Instructions of the gate that the verifier left.
fn instructions(bench: &Bench) -> u32 {
    let gate: &Xdp = bench.ebpf.program("gate").expect("there is a gate").try_into().expect("it is XDP");
    gate.info().expect("the kernel tells").size_translated().expect("root may know") / 8
}

#[test]
#[ignore = "needs root"]
fn a_traced_gate_tells_what_it_did_with_each_datagram() {
    let mut bench = Bench::new(true);
    let (lines, traced) = mpsc::channel();
    let follower = trace::follow(&mut bench.ebpf, move |line| lines.send(line.to_string()).expect("the test listens"));
    let _follower = follower.expect("the trace can be followed");
    let check = |name: &str, words: &[&str]| {
        bench.run(&frame(name));
        let line = traced.recv_timeout(Duration::from_secs(120)).expect("a line comes");
        assert!(words.iter().all(|word| line.contains(word)), "{name}: {line}");
    };
    check("a shake over IPv4", &["gate pass_on=", "kind=shake", "set=7", "worker=0", "bytes=60"]);
    check("another version", &["gate drop", "reason=bad_version", "bytes=60"]);
    check("a first IPv6 fragment", &["gate drop", "reason=fragment"]);
}

#[test]
#[ignore = "needs root"]
fn a_silent_gate_traces_nothing_and_is_shorter() {
    let mut bench = Bench::new(false);
    let (lines, traced) = mpsc::channel();
    let follower = trace::follow(&mut bench.ebpf, move |line| lines.send(line.to_string()).expect("the test listens"));
    for row in rows() {
        bench.run(&row.bytes);
    }
    // Ending the follower reads the ring to its end.
    drop(follower.expect("the trace can be followed"));
    assert_eq!(traced.try_recv().ok(), None);
    let (silent, traced) = (instructions(&bench), instructions(&Bench::new(true)));
    println!("gate: {silent} instructions silent, {traced} traced");
    assert!(silent < traced / 2, "tracing is still in the silent gate: {silent} of {traced} instructions");
}
