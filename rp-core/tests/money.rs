//! Money through the door: packets, shares, notices and refunds, under repeats, over SETs and over workers.

#[path = "shared/guest.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod guest;
#[path = "shared/house.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod house;

use guest::{Answer, Guest};
use house::House;
use proptest::collection::vec;
use proptest::prelude::*;
use rp_core::engine::Config;
use rp_core::kind::Kind;
use rp_core::steer::set_of_user;
use rp_core::wire::*;

const START_FEN: u64 = 100_000;

/// Users who are logged in and hold [`START_FEN`] each.
fn company(house: &mut House, users: core::ops::RangeInclusive<u64>) -> Vec<Guest> {
    let mut guests: Vec<Guest> = users.map(Guest::new).collect();
    for guest in &mut guests {
        house.mint(guest.user, START_FEN);
        guest.log_in(house);
    }
    guests
}

fn packet_of(answer: Answer) -> u64 {
    match answer {
        Answer::Sent { packet, .. } => packet,
        other => panic!("no packet: {other:?}"),
    }
}

fn share_of(answer: Answer) -> u64 {
    match answer {
        Answer::Grabbed { share, .. } => share,
        other => panic!("no share: {other:?}"),
    }
}

#[test]
fn a_packet_goes_to_those_it_is_for_once_each() {
    let mut house = House::new();
    let mut guests = company(&mut house, 1..=12);
    let sets: Vec<u32> = guests.iter().map(|guest| set_of_user(guest.user, 8)).collect();
    assert!(sets.iter().any(|set| *set != sets[0]), "takers of several SETs: {sets:?}");
    let packet = packet_of(guests[0].send(&mut house, 1_000, 3, SPLIT_EQUAL, &[1, 2, 3, 4]));
    assert_eq!(guests[0].balance(&mut house), START_FEN - 1_000, "debited at send");
    // 334, 333, 333: the remainder goes to the first.
    for (taker, share) in [(1, 334), (2, 333), (0, 333)] {
        assert_eq!(share_of(guests[taker].grab(&mut house, packet)), share);
        assert_eq!(guests[taker].grab(&mut house, packet), Answer::No(Refusal::AlreadyYours, share as u32));
    }
    assert_eq!(guests[3].grab(&mut house, packet), Answer::No(Refusal::Empty, 0));
    assert_eq!(guests[4].grab(&mut house, packet), Answer::No(Refusal::NotForYou, 0));
    assert_eq!(guests[4].grab(&mut house, packet ^ 1 << 20), Answer::No(Refusal::UnknownPacket, 0));
    assert_eq!(guests[4].grab(&mut house, u64::MAX), Answer::No(Refusal::UnknownPacket, 0));
    let all: u64 = guests.iter_mut().map(|guest| guest.balance(&mut house)).sum();
    assert_eq!(all, 12 * START_FEN);
    house.audit();
}

#[test]
fn a_random_split_gives_all_of_it_and_a_fen_at_least() {
    let mut house = House::new();
    let mut guests = company(&mut house, 1..=20);
    let everybody: Vec<u64> = (1..=20).collect();
    for (total, shares) in [(20, 20), (21, 20), (300, 3), (20_000, 2), (40_000, 2), (1, 1)] {
        let packet = packet_of(guests[0].send(&mut house, total, shares, SPLIT_RANDOM, &everybody));
        let takers = &mut guests[..usize::from(shares)];
        let given: Vec<u64> = takers.iter_mut().map(|guest| share_of(guest.grab(&mut house, packet))).collect();
        assert_eq!(given.iter().sum::<u64>(), total, "{given:?}");
        assert!(given.iter().all(|share| (1..=20_000).contains(share)), "{given:?}");
    }
    house.audit();
}

#[test]
fn what_the_rules_forbid_is_malformed_and_uses_no_number() {
    let mut house = House::new();
    let mut guests = company(&mut house, 1..=2);
    let guest = &mut guests[0];
    // (total, shares, split, recipients)
    let rows: [(u64, u8, u8, &[u64]); 8] = [
        (0, 1, SPLIT_EQUAL, &[2]),
        (2, 3, SPLIT_EQUAL, &[2]),
        (20_001, 1, SPLIT_EQUAL, &[2]),
        (u64::MAX, 100, SPLIT_RANDOM, &[2]),
        (10, 0, SPLIT_EQUAL, &[2]),
        (200, 101, SPLIT_EQUAL, &[2]),
        (10, 1, 2, &[2]),
        (10, 1, SPLIT_EQUAL, &[]),
    ];
    for row in rows {
        let bytes = guest.send_bytes(1, row.0, row.1, row.2, row.3);
        assert_eq!(guest.settle(&mut house, 1, &bytes), Some(Answer::No(Refusal::Malformed, 0)), "{row:?}");
    }
    let bytes = guest.send_bytes(1, 10, 1, SPLIT_EQUAL, &[2]);
    assert!(matches!(guest.settle(&mut house, 1, &bytes), Some(Answer::Sent { .. })), "the number was free");
    guest.request = 1;
    assert_eq!(guest.send(&mut house, START_FEN, 10, SPLIT_EQUAL, &[2]), Answer::No(Refusal::Insufficient, 0));
    assert_eq!(guest.balance(&mut house), START_FEN - 10);
    house.audit();
}

#[test]
fn a_packet_is_told_until_it_is_acknowledged_also_over_sessions() {
    let mut house = House::new();
    let mut guests = company(&mut house, 1..=3);
    let packet = packet_of(guests[0].send(&mut house, 10, 1, SPLIT_EQUAL, &[2, 3]));
    // At once, then after 0.5, 1, 2 and 4 s: all within eight seconds.
    house.pass_ms(8_000);
    let told = guests[1].notices(&mut house);
    assert_eq!(told.len(), 5);
    for notice in &told {
        let is = (notice.notice, notice.about_type, notice.about, notice.from, notice.fen);
        assert_eq!(is, (1, NoticeType::Packet as u8, packet, 1, 10));
    }
    assert!(told.is_sorted_by(|a, b| a.counter < b.counter), "a new counter each time");
    guests[1].acknowledge(&mut house, 1);
    guests[1].acknowledge(&mut house, 1);
    // The third user goes away without a word, and hears of it in the next session.
    guests[2].ask(&mut house, Kind::Bye);
    guests[2].notices(&mut house);
    house.pass_ms(100_000);
    assert!(guests[1].notices(&mut house).is_empty() && guests[2].notices(&mut house).is_empty());
    guests[2].log_in(&mut house);
    house.pass_ms(100);
    assert_eq!(guests[2].notices(&mut house).len(), 1);
    house.audit();
}

#[test]
fn one_who_never_came_hears_of_his_packet_when_he_comes() {
    let mut house = House::new();
    let mut guests = company(&mut house, 1..=1);
    let packet = packet_of(guests[0].send(&mut house, 10, 2, SPLIT_EQUAL, &[50]));
    house.pass_ms(1_000);
    let mut stranger = Guest::new(50);
    stranger.log_in(&mut house);
    house.pass_ms(100);
    assert_eq!(stranger.notices(&mut house).first().map(|notice| notice.about), Some(packet));
    assert_eq!(share_of(stranger.grab(&mut house, packet)), 5);
    house.audit();
}

#[test]
fn what_nobody_took_comes_back_once() {
    let config = Config {
        sets: 8,
        workers: 2,
        worker: 0,
        idle_us: 900_000_000,
        packet_life_us: 60_000_000,
        ..Config::default()
    };
    let mut house = House::with(config);
    let mut guests = company(&mut house, 1..=3);
    let packet = packet_of(guests[0].send(&mut house, 300, 3, SPLIT_EQUAL, &[1, 2, 3]));
    house.pass_ms(59_000);
    assert_eq!(share_of(guests[1].grab(&mut house, packet)), 100);
    // A jump of the wall clock neither expires nor saves a packet.
    house.now.unix_us += 86_400_000_000;
    house.pass_ms(500);
    assert_eq!(guests[0].balance(&mut house), START_FEN - 300);
    house.now.unix_us -= 2 * 86_400_000_000;
    house.pass_ms(1_000);
    assert_eq!(guests[0].balance(&mut house), START_FEN - 100);
    assert_eq!(guests[2].grab(&mut house, packet), Answer::No(Refusal::Expired, 0));
    assert_eq!(guests[1].grab(&mut house, packet), Answer::No(Refusal::AlreadyYours, 100), "opened shares stay valid");
    let refund: Vec<_> = guests[0].notices(&mut house).into_iter().filter(|n| n.about_type == 3).collect();
    assert_eq!(refund.first().map(|n| (n.about, n.fen)), Some((packet, 200)));
    house.pass_ms(200_000);
    assert_eq!(guests[0].balance(&mut house), START_FEN - 100, "once");
    house.audit();
}

#[test]
fn a_packet_for_a_set_is_for_its_users_and_its_sender() {
    let mut house = House::new();
    let mut guests = company(&mut house, 1..=40);
    let set = set_of_user(2, 8);
    let request = 1;
    let bytes = guests[0].send_to_set_bytes(request, 100, 50, set as u16);
    let packet = packet_of(guests[0].settle(&mut house, request, &bytes).expect("answered"));
    guests[0].request = request;
    house.pass_ms(50);
    for guest in &mut guests {
        let is_there = set_of_user(guest.user, 8) == set;
        let is_told = guest.notices(&mut house).iter().any(|notice| notice.about == packet);
        assert_eq!(is_told, is_there && guest.user != 1, "user {}", guest.user);
        let expected = if is_there || guest.user == 1 { 2 } else { 0 };
        let share = match guest.grab(&mut house, packet) {
            Answer::Grabbed { share, .. } => share,
            Answer::No(Refusal::NotForYou, _) => 0,
            other => panic!("user {}: {other:?}", guest.user),
        };
        assert_eq!(share, expected, "user {}", guest.user);
    }
    house.audit();
}

#[test]
fn packets_for_a_whole_set_are_told_so_often_a_second_and_no_more() {
    const MOST: usize = rp_core::limits::SET_WIDE_TOLD_PER_SECOND_MAX as usize;
    let mut house = House::new();
    let mut guests = company(&mut house, 1..=40);
    let set = set_of_user(2, 8);
    // The sender empties each packet at once, so the limit of open ones is never met.
    for request in 0..3 * MOST as u64 {
        let bytes = guests[0].send_to_set_bytes(2 * request + 1, 1, 1, set as u16);
        let packet = packet_of(guests[0].settle(&mut house, 2 * request + 1, &bytes).expect("answered"));
        guests[0].request = 2 * request + 1;
        assert_eq!(share_of(guests[0].grab(&mut house, packet)), 1);
    }
    house.pass_ms(200);
    assert_eq!(guests[1].notices(&mut house).len(), MOST);
    house.audit();
}

/// One request of the property test: who, what, and how often it is repeated.
#[derive(Clone, Debug)]
struct Wish {
    who: usize,
    send: bool,
    fen: u64,
    shares: u8,
    split: u8,
    packet: usize,
    repeats: usize,
    relog: bool,
}

fn wish() -> impl Strategy<Value = Wish> {
    (0..6usize, any::<bool>(), 1..50_000u64, 1..5u8, 0..2u8, 0..20usize, 1..4usize, prop::bool::weighted(0.1)).prop_map(
        |(who, send, fen, shares, split, packet, repeats, relog)| Wish {
            who,
            send,
            fen,
            shares,
            split,
            packet,
            repeats,
            relog,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is asked, in whatever order and however often: a repeat gets the first answer, and every fen stays.
    #[test]
    fn a_retry_changes_nothing(wishes in vec(wish(), 1..80), life_s in 1..40u64) {
        let packet_life_us = life_s * 1_000_000;
        let mut house = House::with(Config { sets: 4, workers: 3, worker: 0, idle_us: 900_000_000, packet_life_us, ..Config::default() });
        let mut guests = company(&mut house, 1..=6);
        let mut packets = vec![0];
        for wish in wishes {
            let guest = &mut guests[wish.who];
            guest.request += 1;
            let number = guest.request;
            let mut answers = Vec::new();
            for repeat in 0..wish.repeats {
                if wish.relog && repeat > 0 {
                    guest.log_in(&mut house);
                }
                let bytes = if wish.send {
                    guest.send_bytes(number, wish.fen, wish.shares, wish.split, &[1, 2, 3, 4, 5])
                } else {
                    guest.grab_bytes(number, packets[wish.packet % packets.len()])
                };
                answers.push(guest.settle(&mut house, number, &bytes).expect("every request is answered"));
            }
            prop_assert!(answers.iter().all(|answer| *answer == answers[0]), "{:?}", answers);
            if let Answer::Sent { packet, .. } = answers[0] {
                packets.push(packet);
            }
            house.pass_ms(200);
        }
        house.audit();
        house.pass_ms(50_000);
        let all: u64 = guests.iter_mut().map(|guest| guest.balance(&mut house)).sum();
        prop_assert_eq!(all, 6 * START_FEN, "all packets have come to an end, and users hold everything");
        house.audit();
    }
}

#[test]
fn a_repeat_while_the_owner_decides_is_absorbed() {
    let mut house = House::new();
    let mut guests = company(&mut house, 1..=12);
    let home = set_of_user(1, 8);
    let taker = guests.iter().position(|guest| set_of_user(guest.user, 8) != home).expect("a user of another SET");
    let user = guests[taker].user;
    let packet = packet_of(guests[0].send(&mut house, 10, 1, SPLIT_EQUAL, &[user]));
    let (grab, peer) = (guests[taker].grab_bytes(1, packet), guests[taker].peer);
    let worker = set_of_user(user, 8) as usize % 2;
    // No note is carried between the two: the owner has not heard yet.
    for _ in 0..2 {
        assert_eq!(house.hear_at(worker, peer, &grab), (rp_core::engine::Outcome::Accepted, None));
    }
    house.carry();
    let answers = house.sent.iter().filter(|(bytes, _)| bytes[0] == Kind::Grabbed.first_byte()).count();
    assert_eq!(answers, 1);
    assert_eq!(guests[taker].balance(&mut house), START_FEN + 10);
    house.audit();
}

#[test]
fn a_user_who_never_acknowledges_has_a_bounded_list() {
    const MOST: usize = rp_core::limits::PACKET_NOTICES_PER_USER_MAX;
    let mut house = House::new();
    let mut guests = company(&mut house, 1..=2);
    for _ in 0..3 * MOST {
        guests[0].send(&mut house, 1, 1, SPLIT_EQUAL, &[2]);
    }
    house.pass_ms(40);
    assert_eq!(guests[1].notices(&mut house).len(), MOST);
    assert_eq!(house.count(|books| &books.notices_refused), 2 * MOST as u64);
    house.audit();
}
