//! What needs no root: words for refusals, and the slots of frames to be sent.

use super::*;

#[test]
fn what_the_kernel_refuses_is_told_with_its_remedy() {
    let text = |errno| explain(SocketError::SocketCreation(io::Error::from_raw_os_error(errno))).to_string();
    assert!(text(libc::EPERM).contains("CAP_NET_RAW"));
    assert!(text(libc::ENOBUFS).contains("ulimit -l"));
    assert!(text(libc::EAFNOSUPPORT).contains("CONFIG_XDP_SOCKETS"));
}

fn umem(frames: u32) -> Umem {
    let memory = UmemCfgBuilder { frame_count: frames, frame_size: FrameSize::TwoK, ..UmemCfgBuilder::default() };
    Umem::map(memory.build().expect("sizes that fit")).expect("memory")
}

#[test]
fn slots_are_kept_until_committed_and_leave_in_order() {
    let (mut umem, mut out) = (umem(2), Outgoing { waiting: Packets::new(2), current: None });
    out.slot(&mut umem).expect("one of two")[0] = 1;
    assert_eq!(out.slot(&mut umem).expect("the same")[0], 1);
    out.commit(60);
    out.slot(&mut umem).expect("the other")[0] = 2;
    out.commit(61);
    assert!(out.slot(&mut umem).is_none(), "both are on their way");
    let sent: Vec<(usize, u8)> = out.waiting.held.iter().map(|packet| (packet.len(), packet[0])).collect();
    assert_eq!(sent, [(60, 1), (61, 2)]);
}

#[test]
fn a_slot_holds_the_longest_datagram_behind_the_longest_headers() {
    let (mut umem, mut out) = (umem(1), Outgoing { waiting: Packets::new(1), current: None });
    // Ethernet, two VLAN tags, IPv6, UDP.
    assert!(out.slot(&mut umem).expect("one").len() >= 14 + 8 + 40 + 8 + rp_core::limits::DATAGRAM_MAX);
}
