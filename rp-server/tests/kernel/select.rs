//! From loopback through the gate in skb mode, between CPUs and into the sockets: each datagram to its SET's worker.

use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::{Duration, Instant};

use rp_core::gate_counters::Place;
use rp_core::kind::Kind;
use rp_core::reason::Reason;
use rp_core::steer::{HEAD_LEN, set_of, worker_of};
use rp_server::gate::xsks::Transport;
use rp_server::gate::{self, GateConfig, Mode, Started, XdpChoice};
use socket2::{Domain, Protocol, Socket, Type};

use crate::leftovers::PinFolder;
use crate::namespace;

const PORT: u16 = 2015;
const SETS: u32 = 256;
const WORKERS: usize = 4;
const DATAGRAMS: u32 = 3600;

/// A reuseport group.
pub fn group(address: SocketAddr, count: usize) -> Vec<UdpSocket> {
    let socket = |_| {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP)).expect("a socket");
        socket.set_reuse_port(true).expect("reuseport");
        socket.set_recv_buffer_size(8 << 20).expect("a large buffer");
        socket.bind(&address.into()).expect("the address is free");
        let socket = UdpSocket::from(socket);
        socket.set_nonblocking(true).expect("not blocking");
        socket
    };
    (0..count).map(socket).collect()
}

/// The gate on loopback, with `workers` workers over the CPUs.
pub fn config(pin: &PinFolder, workers: usize) -> GateConfig {
    let cpus = aya::util::online_cpus().expect("CPUs are known");
    GateConfig {
        object: None,
        interfaces: vec!["lo".to_string()],
        xdp: XdpChoice::Skb,
        transport: Transport::Sockets,
        coalesce_us: None,
        ports: vec![PORT],
        sets: SETS,
        worker_cpus: cpus.into_iter().cycle().take(workers).collect(),
        pin: Some(pin.path().to_path_buf()),
        trace: false,
        answers: None,
    }
}

/// Requests of all kinds for SETs all over; every tenth is false, and says so.
fn datagram(number: u32) -> (Vec<u8>, bool) {
    let kinds: Vec<Kind> = Kind::ALL.iter().copied().filter(|kind| kind.request_length().1 > 0).collect();
    let kind = kinds[number as usize % kinds.len()];
    let mut bytes = vec![0; kind.request_length().0];
    bytes[0] = kind.first_byte();
    let session = number.wrapping_mul(0x9e37_79b9) % (SETS * 4608);
    bytes[2..6].copy_from_slice(&session.to_le_bytes());
    let is_false = number % 10 == 9;
    if is_false {
        bytes.push(0);
        bytes[0] = 0xc1;
    }
    (bytes, is_false)
}

/// Reads until so many came, and then nothing for a while; checks where each datagram landed and returns how many came.
fn drain(workers: &[UdpSocket], expected: u64) -> Vec<u64> {
    let mut received = vec![0; workers.len()];
    let (begun, mut quiet_since) = (Instant::now(), Instant::now());
    let mut bytes = [0; 2048];
    let is_to_come = |received: &[u64]| received.iter().sum::<u64>() < expected && begun.elapsed().as_secs() < 60;
    while is_to_come(&received) || quiet_since.elapsed() < Duration::from_millis(300) {
        for (worker, socket) in workers.iter().enumerate() {
            while let Ok(len) = socket.recv(&mut bytes) {
                let head = *bytes[..len].first_chunk::<HEAD_LEN>().expect("only requests pass the gate");
                assert_eq!(worker_of(set_of(head, SETS), workers.len() as u32) as usize, worker, "{head:02x?}");
                received[worker] += 1;
                quiet_since = Instant::now();
            }
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    received
}

#[test]
#[ignore = "needs root"]
fn every_datagram_reaches_the_socket_of_its_worker() {
    namespace::enter();
    let pin = PinFolder::new("select");
    let v4: SocketAddr = ([127, 0, 0, 1], PORT).into();
    let v6: SocketAddr = ([0, 0, 0, 0, 0, 0, 0, 1], PORT).into();
    let groups = [group(v4, WORKERS), group(v6, WORKERS)];
    let fds: Vec<Vec<BorrowedFd<'_>>> =
        groups.iter().map(|group| group.iter().map(|socket| socket.as_fd()).collect()).collect();
    let Started::On(gate) = gate::start(&config(&pin, WORKERS), &fds).expect("the gate starts") else {
        panic!("the gate is off");
    };
    assert_eq!(gate.mode(), Mode::Skb);
    let mut sent_right = 0;
    for (address, group) in [v4, v6].into_iter().zip(&groups) {
        let client = UdpSocket::bind(SocketAddr::new(address.ip(), 0)).expect("a client's socket");
        for number in 0..DATAGRAMS {
            let (bytes, is_false) = datagram(number);
            client.send_to(&bytes, address).expect("loopback takes it");
            sent_right += u64::from(!is_false);
        }
        let expected = u64::from(DATAGRAMS * 9 / 10);
        let received = drain(group, expected);
        assert_eq!(received.iter().sum::<u64>(), expected, "{received:?}");
        assert!(received.iter().all(|count| *count > 300), "every worker had some: {received:?}");
    }
    let reading = gate.counters().read().expect("the counters can be read");
    let counts = reading.total();
    let at = |place| counts.place(place).datagrams;
    assert_eq!(counts.reason(Reason::BadVersion).datagrams, u64::from(2 * DATAGRAMS / 10));
    assert_eq!(at(Place::Seen), at(Place::NotOurs) + counts.dropped() + at(Place::PassedHere) + at(Place::SentToCpu));
    assert_eq!(at(Place::PassedHere) + at(Place::SentToCpu), sent_right);
    assert_eq!(at(Place::CpuPassed), at(Place::SentToCpu), "nothing is lost between CPUs");
    assert_eq!((at(Place::Selected), at(Place::SelectFallback)), (sent_right, 0));
    assert_eq!(reading.workers.iter().map(|row| row.datagrams).sum::<u64>(), sent_right);
}
