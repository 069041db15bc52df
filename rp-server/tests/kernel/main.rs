//! The kernel programs in a real kernel: the verifier, named frames, host against kernel, sockets, tracing, pins.
//!
//! All of it needs root and the object of `cargo xtask build-ebpf`; `cargo xtask test` builds it and runs them. What lacks
//! either fails. Nothing leaves the network namespaces that the tests make.

mod alike;
mod budget;
mod difference;
mod groups;
#[path = "../../../rp-core/tests/shared/guest.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod guest;
mod hammer;
#[path = "../../../rp-core/tests/shared/house.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod house;
mod leftovers;
mod limits;
mod loading;
#[path = "../../../rp-core/tests/named_frames/mod.rs"]
mod named_frames;
mod namespace;
mod passing;
mod past;
mod reading;
mod select;
mod table;
mod trace;

use aya::Ebpf;
use aya::maps::Array;
use aya::programs::{TestRun as _, TestRunOptions, Xdp};
use rp_core::frame::{Verdict, classify};
use rp_core::gate_counters::{Counts, Place, RowIndex};
use rp_server::gate::counters::CounterMaps;
use rp_server::gate::object::{self, Wanted};

/// XDP_DROP and XDP_PASS of linux/bpf.h.
const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;

/// A loaded gate that nothing is attached to, and its counters.
struct Bench {
    ebpf: Ebpf,
    maps: CounterMaps,
}

impl Bench {
    /// The gate for the table's ports and SETs, with one worker on the CPU that this thread is then bound to, so that
    /// requests pass where they are.
    fn new(trace: bool) -> Bench {
        Bench::told(trace, false)
    }

    /// The same, with or without AF_XDP sockets.
    fn told(trace: bool, has_xsks: bool) -> Bench {
        let ours = named_frames::OURS;
        let wanted =
            Wanted { ports: &ours.ports[..2], sets: ours.sets, workers: 1, listens: 1, has_xsks, trace, answers: None };
        let path = object::find(None).expect("`cargo xtask build-ebpf` was run");
        let mut ebpf = object::load(&path, &wanted).expect("the verifier accepts all programs");
        let maps = CounterMaps::take(&mut ebpf).expect("the object has the counters");
        put_worker_on(&mut ebpf, bind_to_first_cpu());
        Bench { ebpf, maps }
    }

    /// What the gate does with a frame.
    fn run(&self, frame: &[u8]) -> u32 {
        let gate: &Xdp = self.ebpf.program("gate").expect("there is a gate").try_into().expect("it is XDP");
        let mut options = TestRunOptions::new();
        options.data_in = Some(frame);
        gate.test_run(options).expect("the kernel runs the gate").return_value
    }

    fn counts(&self) -> Counts {
        self.maps.read().expect("the counters can be read").total()
    }
}

fn put_worker_on(ebpf: &mut Ebpf, cpu: u32) {
    let map = ebpf.map_mut("worker_cpus").expect("the object has the table");
    let mut table: Array<_, u32> = map.try_into().expect("it is an array of u32");
    table.set(0, cpu, 0).expect("there is a worker 0");
}

/// Binds this thread to the first CPU it may use.
fn bind_to_first_cpu() -> u32 {
    bind_to_cpu(0)
}

/// Binds this thread to one of the CPUs it may use; they are counted round.
fn bind_to_cpu(number: usize) -> u32 {
    let cpus = core_affinity::get_core_ids().expect("CPUs are known");
    let cpu = cpus[number % cpus.len()];
    assert!(core_affinity::set_for_current(cpu));
    cpu.id as u32
}

/// What the host says should become of a frame: the action, and the counters.
fn expected(frame: &[u8]) -> (u32, Counts) {
    let mut counts = Counts::default();
    let mut count = |index| counts.count(index, frame.len() as u64);
    count(RowIndex::of_place(Place::Seen));
    let action = match classify(frame, &named_frames::OURS) {
        Verdict::NotOurs => {
            count(RowIndex::of_place(Place::NotOurs));
            XDP_PASS
        }
        Verdict::Drop(reason) => {
            count(RowIndex::of_reason(reason));
            XDP_DROP
        }
        Verdict::Request(request) => {
            count(RowIndex::of_kind(request.kind));
            count(RowIndex::of_place(Place::PassedHere));
            count(RowIndex::of_up(request.kind));
            XDP_PASS
        }
    };
    (action, counts)
}
