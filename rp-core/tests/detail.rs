//! DETAIL through the door: pages, best luck, the greeting, and who may read.

#[path = "shared/guest.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod guest;
#[path = "shared/house.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod house;

use guest::{Answer, Guest};
use house::House;
use rp_core::wire::*;

/// One page of a packet, as the guest gets it: from its own worker at once, or from the owner's.
fn page(house: &mut House, guest: &mut Guest, packet: u64, first: u8) -> Vec<u8> {
    let mut out = vec![0; Detail::LEN];
    Detail { flags: 0, session: guest.session, counter: 0, request: 8, packet, first }.put(&mut out);
    let ask = guest.close(out);
    house.sent.clear();
    let reply = house.hear(guest.peer, &ask).1;
    let reply = reply.or_else(|| house.sent.pop_front().map(|(bytes, _)| bytes));
    guest.open(&reply.expect("a DETAIL is answered"))
}

#[test]
fn the_detail_shows_who_took_what_page_by_page_and_the_best_luck() {
    let mut house = House::new();
    let mut guests: Vec<Guest> = (1..=61).map(Guest::new).collect();
    for guest in &mut guests {
        guest.log_in(&mut house);
    }
    house.mint(1, 10_000);
    let takers: Vec<u64> = (2..=61).collect();
    let Answer::Sent { packet, .. } = guests[0].send(&mut house, 10_000, 60, SPLIT_RANDOM, &takers) else {
        panic!("the packet is made");
    };
    let open = DetailPage::take(&page(&mut house, &mut guests[0], packet, 0)).expect("a page");
    assert_eq!((open.state, open.taken, open.best, open.left_fen), (PacketState::Open as u8, 0, u8::MAX, 10_000));
    let mut shares = Vec::new();
    for guest in &mut guests[1..] {
        let Answer::Grabbed { share, .. } = guest.grab(&mut house, packet) else { panic!("a share") };
        shares.push(share);
    }
    let best = *shares.iter().max().expect("sixty shares");
    // The sender is of one SET, some takers of others: the same page from every worker.
    for reader in [0, 1, 2, 3, 4, 5] {
        let mut rows = Vec::new();
        for first in [0, 40] {
            let bytes = page(&mut house, &mut guests[reader], packet, first);
            let page = DetailPage::take(&bytes).expect("a page");
            assert_eq!((page.state, page.shares, page.taken), (PacketState::Finished as u8, 60, 60));
            assert_eq!((page.total_fen, page.left_fen, page.sender), (10_000, 0, 1));
            assert_eq!(Some(usize::from(page.best)), shares.iter().position(|share| *share == best));
            let (listed, rest) = bytes[DetailPage::LEN..].split_at(ShareRow::LEN * usize::from(page.count));
            rows.extend(listed.chunks_exact(ShareRow::LEN).map(|row| ShareRow::take(row).expect("a row")));
            assert_eq!(&rest[..usize::from(page.greeting_len)], b"good luck");
        }
        assert_eq!(rows.iter().map(|row| row.user).collect::<Vec<_>>(), takers);
        assert_eq!(rows.iter().map(|row| u64::from(row.share_fen)).collect::<Vec<_>>(), shares);
    }
    house.audit();
}

#[test]
fn the_detail_is_for_sender_and_recipients_alone() {
    let mut house = House::new();
    let mut guests: Vec<Guest> = (1..=12).map(Guest::new).collect();
    for guest in &mut guests {
        guest.log_in(&mut house);
    }
    house.mint(1, 100);
    let Answer::Sent { packet, .. } = guests[0].send(&mut house, 100, 1, SPLIT_EQUAL, &[2]) else {
        panic!("the packet is made");
    };
    for guest in &mut guests[2..] {
        let refused = Refused::take(&page(&mut house, guest, packet, 0)).expect("a refusal");
        assert_eq!(refused.refusal, Refusal::NotForYou as u8, "user {}", guest.user);
        let refused = Refused::take(&page(&mut house, guest, packet ^ 1 << 20, 0)).expect("a refusal");
        assert_eq!(refused.refusal, Refusal::UnknownPacket as u8);
    }
}
