//! The gate's way past the stack: a request goes to the AF_XDP socket of its queue only when that is its worker's.

use std::os::fd::{AsFd as _, AsRawFd as _};

use aya::maps::{Array, XskMap};
use rp_core::frame::Verdict;
use rp_core::gate_counters::Place;
use rp_core::steer::xsk_index;
use rp_net::xsk::Xsk;

use crate::named_frames::rows;
use crate::{Bench, XDP_PASS};

/// XDP_REDIRECT of linux/bpf.h.
const XDP_REDIRECT: u32 = 4;
/// BPF_PROG_TEST_RUN lets frames come by the first queue of the loopback interface.
const LOOPBACK: u32 = 1;

#[test]
#[ignore = "needs root"]
fn a_request_goes_to_the_xsk_of_its_worker_alone() {
    let mut bench = Bench::told(false, true);
    let requests: Vec<_> = rows().into_iter().filter(|row| matches!(row.verdict, Verdict::Request(_))).collect();
    let mut check = |what: &str, owner: u32, xsk: Option<&Xsk>, action: u32, place: Place| {
        let index = xsk_index(LOOPBACK, 0).expect("a first queue has a place");
        let mut table: Array<_, u32> = bench.ebpf.map_mut("xsk_workers").expect("a map").try_into().expect("an array");
        table.set(index, owner, 0).expect("it has a place");
        if let Some(xsk) = xsk {
            let mut xsks: XskMap<_> = bench.ebpf.map_mut("xsks").expect("a map").try_into().expect("an xskmap");
            xsks.set(index, xsk.as_fd().as_raw_fd(), 0).expect("the socket is taken");
        }
        let before = bench.counts();
        for row in &requests {
            assert_eq!(bench.run(&row.bytes), action, "{what}: {}", row.name);
        }
        let counts = bench.counts().since(&before);
        assert_eq!(counts.place(place).datagrams, requests.len() as u64, "{what}");
        assert_eq!(counts.place(Place::Seen).datagrams, requests.len() as u64, "{what}");
    };
    check("no socket anywhere", 0, None, XDP_PASS, Place::PassedHere);
    check("a place without its socket", 1, None, XDP_PASS, Place::RedirectFailed);
    let xsk = Xsk::open(LOOPBACK, 0, 64).expect("loopback has a queue");
    assert_eq!(xsk.mode().name(), "copy", "no driver of loopback could do better");
    check("the socket of worker 0", 1, Some(&xsk), XDP_REDIRECT, Place::SentToXsk);
    check("the socket of another worker", 2, None, XDP_PASS, Place::PassedHere);
    let error = Xsk::open(LOOPBACK, 7, 64).err().expect("loopback has one queue").to_string();
    assert!(error.contains("no such queue"), "{error}");
}
