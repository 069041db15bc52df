//! Batches over loopback, through the door: round trips, the address that replies leave from, odd lengths, bursts, drops.

use std::net::{SocketAddr, UdpSocket as Plain};
use std::time::{Duration, Instant};

use rp_core::limits::{DATAGRAM_MAX, RX_SLOTS};
use rp_net::{Buffers, Local, RecvBatch, SendBatch, Sent, Sleeper, UdpSocket, address_of, peer_of};

const BUFFERS: Buffers = Buffers { receive_bytes: 1 << 20, send_bytes: 1 << 20 };

fn address(text: &str) -> SocketAddr {
    text.parse().expect("a literal")
}

fn listener(text: &str) -> UdpSocket {
    UdpSocket::listen(address(text), 1, BUFFERS).expect("loopback is there").remove(0)
}

/// A client that takes datagrams from `to` alone, as any NAT or firewall would.
fn client(to: SocketAddr) -> Plain {
    let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = Plain::bind(any).expect("a port is free");
    socket.connect(to).expect("loopback is reachable");
    socket.set_read_timeout(Some(Duration::from_secs(5))).expect("a time-out");
    socket
}

/// Waits for `count` datagrams in all and hands each batch to `each`.
fn receive(socket: &UdpSocket, rx: &mut RecvBatch, count: usize, mut each: impl FnMut(&RecvBatch)) {
    let mut sleeper = Sleeper::new([socket]).expect("an eventfd");
    let (mut seen, deadline) = (0, Instant::now() + Duration::from_secs(5));
    while seen < count {
        assert!(Instant::now() < deadline, "{seen} of {count} datagrams came");
        sleeper.wait(Duration::from_millis(100)).expect("a wait");
        seen += rx.receive(socket).expect("a good socket");
        each(rx);
    }
    assert_eq!(seen, count);
}

fn echo(socket: &UdpSocket, rx: &RecvBatch, tx: &mut SendBatch) {
    for i in 0..rx.len() {
        let (payload, peer, local) = rx.datagram(i);
        tx.slot()[..payload.len()].copy_from_slice(payload);
        tx.commit(payload.len(), &peer, &local);
    }
    let sent = tx.flush(socket).expect("a good socket");
    assert_eq!((sent.sent, sent.failed, sent.errno), (rx.len(), 0, None));
}

fn check_round_trip(bound: &str, asked: &str) {
    let server = listener(bound);
    let mut to = address(asked);
    to.set_port(server.local_address().port());
    let client = client(to);
    client.send(b"luck").expect("loopback takes it");
    let (mut rx, mut tx) = (RecvBatch::new(), SendBatch::new());
    receive(&server, &mut rx, 1, |rx| {
        if rx.is_empty() {
            return;
        }
        let (_, peer, local) = rx.datagram(0);
        assert_eq!(address_of(&peer), client.local_addr().expect("bound"), "peer, asked {asked} at {bound}");
        if server.local_address().ip().is_unspecified() {
            assert_eq!(local.ip, peer_of(to).ip, "local, asked {asked} at {bound}");
            assert_ne!(local.interface, 0);
        } else {
            assert_eq!(local, Local::default());
        }
        echo(&server, rx, &mut tx);
    });
    let mut buffer = [0; 16];
    let len = client.recv(&mut buffer).unwrap_or_else(|e| panic!("reply from {asked}, bound to {bound}: {e}"));
    assert_eq!(&buffer[..len], b"luck");
}

#[test]
fn replies_leave_from_the_address_that_was_asked() {
    for (bound, asked) in [
        ("[::]:0", "127.0.0.1:0"),
        ("[::]:0", "127.0.0.2:0"),
        ("[::]:0", "[::1]:0"),
        ("0.0.0.0:0", "127.0.0.1:0"),
        ("0.0.0.0:0", "127.0.0.3:0"),
        ("127.0.0.2:0", "127.0.0.2:0"),
        ("[::1]:0", "[::1]:0"),
    ] {
        check_round_trip(bound, asked);
    }
}

#[test]
fn one_batch_serves_sockets_of_both_families_in_turn() {
    let (mut rx, mut tx) = (RecvBatch::new(), SendBatch::new());
    let servers = [listener("127.0.0.1:0"), listener("[::]:0"), listener("[::1]:0"), listener("0.0.0.0:0")];
    for turn in 0..3u8 {
        for server in &servers {
            let mut to = server.local_address();
            match to.ip().to_string().as_str() {
                "::" => to.set_ip(address("[::1]:0").ip()),
                "0.0.0.0" => to.set_ip(address("127.0.0.9:0").ip()),
                _ => {}
            }
            let client = client(to);
            client.send(&[turn; 18]).expect("loopback takes it");
            receive(server, &mut rx, 1, |rx| echo(server, rx, &mut tx));
            let mut buffer = [0; 32];
            assert_eq!(client.recv(&mut buffer).expect("a reply"), 18);
            assert_eq!(buffer[..18], [turn; 18]);
        }
    }
}

#[test]
fn empty_and_over_long_datagrams_are_seen_as_what_they_are() {
    let server = listener("127.0.0.1:0");
    let client = client(server.local_address());
    let sizes = [0, 1, 18, DATAGRAM_MAX, DATAGRAM_MAX + 1, DATAGRAM_MAX + 2, 9000];
    for size in sizes {
        client.send(&vec![7; size]).expect("loopback takes it");
    }
    let mut lengths = Vec::new();
    receive(&server, &mut RecvBatch::new(), sizes.len(), |rx| {
        lengths.extend((0..rx.len()).map(|i| rx.payload(i).len()));
    });
    assert_eq!(lengths, sizes.map(|size| size.min(DATAGRAM_MAX + 1)));
}

#[test]
fn a_burst_of_64_is_taken_whole_and_answered_whole() {
    let server = listener("127.0.0.1:0");
    let client = UdpSocket::towards(server.local_address(), None, BUFFERS).expect("loopback is reachable");
    let (mut rx, mut tx) = (RecvBatch::new(), SendBatch::new());
    for round in 0..50u32 {
        for i in 0..RX_SLOTS as u32 {
            tx.slot()[..8].copy_from_slice(&u64::from(round * 64 + i).to_le_bytes());
            tx.commit(8, &Default::default(), &Local::default());
        }
        assert!(tx.is_full());
        assert_eq!(tx.flush(&client).expect("a good socket").sent, RX_SLOTS);
        receive(&server, &mut rx, RX_SLOTS, |rx| echo(&server, rx, &mut tx));
        let mut sum = 0;
        receive(&client, &mut rx, RX_SLOTS, |rx| {
            for i in 0..rx.len() {
                let (payload, peer, _) = rx.datagram(i);
                assert_eq!(address_of(&peer), server.local_address());
                sum += u64::from_le_bytes(payload.try_into().expect("eight bytes"));
            }
        });
        let first = u64::from(round) * 64;
        assert_eq!(sum, (first..first + 64).sum::<u64>());
    }
    assert_eq!(server.overflow().expect("SO_MEMINFO"), 0);
    assert_eq!(client.overflow().expect("SO_MEMINFO"), 0);
}

#[test]
fn joined_datagrams_arrive_one_by_one_and_none_is_lost() {
    let server = listener("127.0.0.1:0");
    let client = UdpSocket::towards(server.local_address(), None, BUFFERS).expect("loopback is reachable");
    let mut tx = SendBatch::joining();
    for round in 0..50usize {
        // One length, then up to five mixed, the largest more than one send takes; the last rounds have one datagram.
        let (count, lengths) = (if round < 48 { 64 } else { 1 }, 1 + round % 5);
        let mut expected: Vec<Vec<u8>> = (0..count).map(|i| vec![i as u8; 1 + i % lengths * 307]).collect();
        for bytes in &expected {
            tx.slot()[..bytes.len()].copy_from_slice(bytes);
            tx.commit(bytes.len(), &Default::default(), &Local::default());
        }
        assert_eq!(tx.flush(&client).expect("a good socket"), Sent { sent: count, failed: 0, errno: None });
        let mut arrived = Vec::new();
        receive(&server, &mut RecvBatch::new(), count, |rx| {
            arrived.extend((0..rx.len()).map(|i| rx.payload(i).to_vec()));
        });
        // In order within a length.
        expected.sort_by_key(Vec::len);
        assert_eq!(arrived, expected);
    }
}

#[test]
fn the_longest_datagrams_are_joined_as_far_as_the_kernel_takes_them() {
    let server = listener("[::1]:0");
    let client = UdpSocket::towards(server.local_address(), None, BUFFERS).expect("loopback is reachable");
    let mut tx = SendBatch::joining();
    for _ in 0..RX_SLOTS {
        tx.commit(DATAGRAM_MAX, &Default::default(), &Local::default());
    }
    assert_eq!(tx.flush(&client).expect("a good socket"), Sent { sent: RX_SLOTS, failed: 0, errno: None });
    receive(&server, &mut RecvBatch::new(), RX_SLOTS, |_| {});
}

#[test]
fn empty_datagrams_are_never_joined() {
    let server = listener("127.0.0.1:0");
    let client = UdpSocket::towards(server.local_address(), None, BUFFERS).expect("loopback is reachable");
    let mut tx = SendBatch::joining();
    for len in [0, 7, 0, 7] {
        tx.commit(len, &Default::default(), &Local::default());
    }
    assert_eq!(tx.flush(&client).expect("a good socket").sent, 4);
    let mut lengths = Vec::new();
    receive(&server, &mut RecvBatch::new(), 4, |rx| lengths.extend((0..rx.len()).map(|i| rx.payload(i).len())));
    assert_eq!(lengths, [0, 0, 7, 7]);
}

#[test]
fn the_drop_counter_counts_what_a_full_buffer_loses() {
    let small = Buffers { receive_bytes: 4096, send_bytes: 1 << 20 };
    let server = UdpSocket::listen(address("127.0.0.1:0"), 1, small).expect("loopback is there").remove(0);
    let client = client(server.local_address());
    const SENT: usize = 500;
    for _ in 0..SENT {
        client.send(&[1; 18]).expect("loopback takes it");
    }
    let (mut rx, mut received) = (RecvBatch::new(), 0);
    loop {
        match rx.receive(&server).expect("a good socket") {
            0 => break,
            count => received += count,
        }
    }
    let lost = server.overflow().expect("SO_MEMINFO") as usize;
    assert!(lost > 0 && received > 0);
    assert_eq!(received + lost, SENT);
}

#[test]
fn a_datagram_that_cannot_be_sent_is_skipped_and_counted() {
    let server = listener("0.0.0.0:0");
    let good = Plain::bind("127.0.0.1:0").expect("a port is free");
    good.set_read_timeout(Some(Duration::from_secs(5))).expect("a time-out");
    let peer = peer_of(good.local_addr().expect("bound"));
    let nobody = Local { ip: peer_of(address("203.0.113.9:0")).ip, interface: 0 };
    let mut tx = SendBatch::new();
    for (i, local) in [Local::default(), nobody, Local::default()].iter().enumerate() {
        tx.slot()[0] = i as u8;
        tx.commit(1, &peer, local);
    }
    let sent = tx.flush(&server).expect("a good socket");
    assert_eq!((sent.sent, sent.failed), (2, 1));
    assert!(sent.errno.is_some());
    let mut buffer = [9; 4];
    for expected in [0, 2] {
        assert_eq!(good.recv(&mut buffer).expect("it was sent"), 1);
        assert_eq!(buffer[0], expected);
    }
}

#[test]
fn a_port_that_is_taken_is_refused_even_when_its_owner_would_share() {
    let first = listener("127.0.0.1:0");
    let error = UdpSocket::listen(first.local_address(), 1, BUFFERS).err().expect("the port is taken");
    let text = format!("{error:#}");
    assert!(text.contains("choose another") && text.contains("in use"), "{text}");
}

#[test]
fn buffers_are_as_large_as_the_system_lets_them_be() {
    let server = listener("127.0.0.1:0");
    let limit: usize = std::fs::read_to_string("/proc/sys/net/core/rmem_max")
        .expect("/proc is there")
        .trim()
        .parse()
        .expect("a number");
    let granted = server.receive_buffer_bytes().expect("an option");
    assert!(granted >= 2 * BUFFERS.receive_bytes.min(limit), "{granted} of {limit}");
}

#[test]
fn what_comes_to_a_closed_intake_is_counted_and_what_waits_is_read() {
    let server = listener("127.0.0.1:0");
    let client = client(server.local_address());
    let send = |count: usize| {
        for _ in 0..count {
            client.send(b"luck").expect("loopback takes it");
        }
    };
    send(3);
    server.close_intake().expect("anyone may");
    send(5);
    let mut batch = RecvBatch::new();
    assert_eq!(batch.receive(&server).expect("it is open"), 3);
    assert_eq!((batch.receive(&server).expect("it is open"), server.overflow().expect("it is known")), (0, 5));
}
