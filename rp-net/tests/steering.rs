//! The classic BPF program against rp_core::steer: every datagram must reach the socket that the shared rule names.

use std::net::{SocketAddr, UdpSocket as Plain};
use std::time::{Duration, Instant};

use rp_core::steer::{HEAD_LEN, set_of, worker_of};
use rp_net::{Buffers, RecvBatch, UdpSocket, steer};

const BUFFERS: Buffers = Buffers { receive_bytes: 8 << 20, send_bytes: 1 << 20 };
/// Sent and taken in portions that an unprivileged buffer holds too.
const PORTION: usize = 50;
const PORTIONS: usize = 80;

/// SplitMix64, so that a failure repeats.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// A datagram of any bytes; half of them start like one of ours.
    fn datagram(&mut self) -> Vec<u8> {
        let len = HEAD_LEN + (self.next() % 60) as usize;
        let mut bytes: Vec<u8> = (0..len).map(|_| self.next() as u8).collect();
        if self.next().is_multiple_of(2) {
            bytes[0] = 0x40 | (self.next() % 14) as u8;
        }
        bytes
    }
}

fn check(at: &str, sets: u32, workers: u32, seed: u64) {
    let address: SocketAddr = at.parse().expect("a literal");
    let group = UdpSocket::listen(address, workers as usize, BUFFERS).expect("loopback is there");
    steer::attach(&group[0], sets, workers).expect("the kernel takes the program");
    let mut to = group[0].local_address();
    if to.ip().is_unspecified() {
        to.set_ip("127.0.0.1".parse().expect("a literal"));
    }
    // Several source ports, so that the kernel's own hash would spread them.
    let clients: Vec<Plain> = (0..4)
        .map(|_| {
            let any = if to.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
            Plain::bind(any).expect("a port is free")
        })
        .collect();
    let (mut draw, mut rx) = (Draw(seed), RecvBatch::new());
    let mut per_worker = vec![0; workers as usize];
    for _ in 0..PORTIONS {
        for i in 0..PORTION {
            clients[i % clients.len()].send_to(&draw.datagram(), to).expect("loopback takes it");
        }
        let (mut seen, deadline) = (0, Instant::now() + Duration::from_secs(5));
        while seen < PORTION {
            assert!(Instant::now() < deadline, "seed {seed}: {seen} of {PORTION} came");
            for (worker, socket) in group.iter().enumerate() {
                seen += rx.receive(socket).expect("a good socket");
                for i in 0..rx.len() {
                    let head = *rx.payload(i).first_chunk::<HEAD_LEN>().expect("drawn longer");
                    let expected = worker_of(set_of(head, sets), workers);
                    assert_eq!(
                        worker as u32, expected,
                        "seed {seed}, {sets} SETs, {workers} workers, head {head:02x?}"
                    );
                    per_worker[worker] += 1;
                }
            }
        }
    }
    assert!(per_worker.iter().all(|count| *count > 0), "seed {seed}: {per_worker:?}");
}

#[test]
fn every_datagram_reaches_the_worker_that_the_shared_rule_names() {
    for (at, sets, workers) in [
        ("127.0.0.1:0", 256, 1),
        ("127.0.0.1:0", 256, 2),
        ("127.0.0.1:0", 256, 3),
        ("[::]:0", 256, 4),
        ("[::1]:0", 910, 7),
        ("127.0.0.1:0", 5, 4),
    ] {
        check(at, sets, workers, 20_150_218 + u64::from(workers));
    }
}

#[test]
fn a_datagram_too_short_to_steer_reaches_worker_0() {
    let group = UdpSocket::listen("127.0.0.1:0".parse().expect("a literal"), 3, BUFFERS).expect("loopback is there");
    steer::attach(&group[0], 256, 3).expect("the kernel takes the program");
    let client = Plain::bind("127.0.0.1:0").expect("a port is free");
    for len in 0..4 {
        client.send_to(&[0x44, 0, 0xff, 0xff][..len], group[0].local_address()).expect("loopback takes it");
    }
    std::thread::sleep(Duration::from_millis(50));
    let mut rx = RecvBatch::new();
    let counts: Vec<usize> = group.iter().map(|socket| rx.receive(socket).expect("a good socket")).collect();
    assert_eq!(counts, [4, 0, 0]);
}
