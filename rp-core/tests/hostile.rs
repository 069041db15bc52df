//! Hostile bytes at the door: nothing falls over, nothing is amplified, every datagram is counted and every fen stays.

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
use rp_core::engine::{Config, Outcome};
use rp_core::key::seal;
use rp_core::kind::Kind;
use rp_core::reason::Reason;
use rp_core::sealing::{SEALED_AT, close_money};
use rp_core::wire::*;

/// One of each request of a proven session, and a log-in.
fn requests(house: &mut House, guest: &mut Guest) -> Vec<Vec<u8>> {
    let challenge = house.hear(guest.peer, &guest.hello()).1.expect("a HELLO is answered");
    let mut all = vec![guest.hello(), guest.login(&challenge)];
    all.extend([Kind::Ping, Kind::Shake, Kind::Bye, Kind::Echo, Kind::Totals].map(|kind| guest.head(kind, 9)));
    all.push(guest.send_bytes(1, 300, 3, SPLIT_RANDOM, &[1, 2, 3]));
    all.push(guest.grab_bytes(2, 1 << 16));
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Bytes out of nowhere, with every first byte and at every length.
    #[test]
    fn noise_is_dropped_for_a_reason(datagrams in vec((any::<u8>(), vec(any::<u8>(), 0..1400)), 200)) {
        let mut house = House::new();
        let stranger = Guest::new(1).peer;
        for (first, mut bytes) in datagrams {
            if let Some(byte) = bytes.first_mut() {
                *byte = 0x40 | first & 0x3f;
            }
            for worker in 0..2 {
                let (outcome, reply) = house.hear_at(worker, stranger, &bytes);
                prop_assert!(reply.is_none_or(|reply| reply.len() <= bytes.len()), "amplified");
                prop_assert!(outcome != Outcome::Accepted);
            }
        }
        prop_assert_eq!((house.count(|b| &b.sessions), house.count(|b| &b.accounts)), (0, 0));
        house.audit();
    }

    /// True datagrams with a piece changed, cut or added: no tag survives that.
    #[test]
    fn a_bent_datagram_does_nothing(
        bends in vec((0..9usize, any::<prop::sample::Index>(), 1..=255u8, 0..4u8), 100), moved in any::<bool>(),
    ) {
        let (mut house, mut guest) = (House::new(), Guest::new(7));
        house.mint(7, 1_000);
        guest.log_in(&mut house);
        let requests = requests(&mut house, &mut guest);
        let from = if moved { Peer { port: 9, ..guest.peer } } else { guest.peer };
        for (which, at, xor, how) in bends {
            let mut bytes = requests[which].clone();
            let at = at.index(bytes.len());
            match how {
                0 => bytes.truncate(at),
                1 => bytes.extend(&[xor; 7][..1 + at % 7]),
                _ => bytes[at] ^= xor,
            }
            let (outcome, reply) = house.hear(from, &bytes);
            // A HELLO is a stranger's: it has no tag, and any SET hash and nonce will do.
            let is_hello = bytes.first() == Some(&Kind::Hello.first_byte());
            let is_hint = reply.as_ref().is_some_and(|reply| reply[0] == Kind::UnknownSession.first_byte());
            prop_assert!(is_hello || is_hint || matches!(outcome, Outcome::Dropped(_)), "{:?}: {:?}", bytes, outcome);
            prop_assert!(reply.is_none_or(|reply| reply.len() <= bytes.len()), "amplified");
        }
        prop_assert_eq!(guest.balance(&mut house), 1_000);
        house.audit();
    }

    /// A proven user who tags whatever comes to his mind: refused or answered, never believed.
    #[test]
    fn a_proven_user_may_say_anything(
        words in vec((0..64u8, vec(any::<u8>(), 0..1300), any::<bool>()), 200), numbers in vec(0..90u64, 200),
        seals in vec(prop::bool::weighted(0.9), 200),
    ) {
        let mut house = House::new();
        let (mut guest, mut victim) = (Guest::new(7), Guest::new(8));
        for other in [&mut guest, &mut victim] {
            house.mint(other.user, 1_000);
            other.log_in(&mut house);
        }
        for (((number, mut bytes, fits), request), seals) in words.into_iter().zip(numbers).zip(seals) {
            if matches!(Kind::of_number(number), None | Some(Kind::Bye)) {
                continue;
            }
            // Lengths that pass are rare among random ones.
            let (shortest, longest) = Kind::of_number(number).map_or((1, 0), Kind::request_length);
            if fits && shortest <= longest {
                bytes.resize(shortest.max(bytes.len().min(longest)), 0);
            }
            if bytes.len() >= 32 {
                bytes[14..22].copy_from_slice(&request.to_le_bytes());
            }
            let body = bytes.len().saturating_sub(8);
            if body >= 6 {
                bytes[0] = 0x40 | number;
                bytes[1] = 0;
                bytes[2..6].copy_from_slice(&guest.session.to_le_bytes());
                let is_money = Kind::of_number(number).is_some_and(Kind::bears_money);
                match bytes.len().checked_sub(TRAILER) {
                    Some(end) if is_money && seals && end >= SEALED_AT => {
                        close_money(&guest.key, guest.sealing, &mut bytes, end);
                    }
                    _ => {
                        seal(&guest.key, &mut bytes, body);
                    }
                }
            }
            house.hear(guest.peer, &bytes);
            house.pass_ms(5);
        }
        prop_assert_eq!(victim.balance(&mut house), 1_000, "nobody pays for another");
        house.audit();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// A piece of what is sealed changed, and the tag made anew: whoever has the one key has not the other.
    #[test]
    fn a_bent_seal_under_a_true_tag_does_nothing(
        bends in vec((7..9usize, any::<prop::sample::Index>(), 1..=255u8), 100),
    ) {
        let (mut house, mut guest) = (House::new(), Guest::new(7));
        house.mint(7, 1_000);
        guest.log_in(&mut house);
        let requests = requests(&mut house, &mut guest);
        for (which, at, xor) in bends {
            let mut bytes = requests[which].clone();
            let end = bytes.len() - TAG_LEN;
            // Behind kind, flags and session: the counter is bound by the seal, and all that follows it.
            let at = 6 + at.index(end - 6);
            bytes[at] ^= xor;
            seal(&guest.key, &mut bytes, end);
            guest.is_dropped(&mut house, "a bent seal", &bytes, Reason::BadSeal);
            house.pass_ms(50);
        }
        prop_assert_eq!(house.books.iter().map(|books| books.dropped[Reason::BadSeal].read()).sum::<u64>(), 100);
        prop_assert_eq!(guest.balance(&mut house), 1_000);
        house.audit();
    }
}

#[test]
fn a_datagram_of_another_session_is_no_good() {
    let (mut house, mut guest, mut other) = (House::new(), Guest::new(7), Guest::new(8));
    guest.log_in(&mut house);
    other.log_in(&mut house);
    // The other's session under one's own key, from one's own address.
    guest.session = other.session;
    guest.is_dropped(&mut house, "another's session", &guest.head(Kind::Shake, 5), Reason::BadTag);
    // And the reply that one got, sent back as a request.
    let reply = other.ask(&mut house, Kind::Shake);
    other.is_dropped(&mut house, "a reply as a request", &reply, Reason::UnknownKind);
    let mut turned = reply;
    turned[0] = Kind::Shake.first_byte();
    other.is_dropped(&mut house, "a reply turned into a request", &turned, Reason::BadTag);
    house.audit();
}

/// An acknowledged notice leaves its block behind while a queue still names it, and the next packet of the user writes his
/// own words into it.
#[test]
fn words_of_a_user_are_never_taken_for_a_notice() {
    let packet_life_us = 60_000_000;
    let mut house = House::with(Config {
        sets: 1,
        workers: 1,
        worker: 0,
        idle_us: 900_000_000,
        packet_life_us,
        ..Config::default()
    });
    let mut guest = Guest::new(7);
    house.mint(7, 1_000);
    guest.log_in(&mut house);
    for _ in 0..3 {
        guest.send(&mut house, 1, 1, SPLIT_EQUAL, &[7]);
    }
    house.pass_ms(100);
    assert_eq!(guest.notices(&mut house).len(), 3);
    // The next packet takes three blocks, the newest free one first: for its answer, its takers and its recipients.
    for notice in 1..=3 {
        guest.acknowledge(&mut house, notice);
    }
    // What a waiting notice looks like, as a list of users: number, words, type and flag, account.
    guest.send(&mut house, 1, 1, SPLIT_EQUAL, &[1, 8, 8, 8, 8, 0xffff << 32, 0]);
    house.pass_ms(5_000);
    assert!(guest.notices(&mut house).is_empty(), "no packet was for this user");
    house.audit();
}

/// One SET on one worker, and a campaign that releases a prize every 10 ms.
fn small_house() -> House {
    let packet_life_us = 60_000_000;
    let mut house = House::with(Config {
        sets: 1,
        workers: 1,
        worker: 0,
        idle_us: 900_000_000,
        packet_life_us,
        ..Config::default()
    });
    let plan = rp_core::engine::bank::Plan { budget_fen: 50_000, rate: 100, from_fen: 1, to_fen: 99, per_user: 3 };
    assert!(house.bank.start(plan, house.now).is_ok());
    house
}

/// A user of that house sends, takes and wins as ever.
fn is_served(house: &mut House, user: u64) {
    let mut guest = Guest::new(user);
    house.mint(user, 100);
    guest.log_in(house);
    let Answer::Sent { packet, .. } = guest.send(house, 100, 1, SPLIT_EQUAL, &[user]) else { panic!("no packet") };
    assert!(matches!(guest.grab(house, packet), Answer::Grabbed { share: 100, .. }));
    house.pass_ms(20);
    assert_eq!(guest.ask(house, Kind::Shake)[0], Kind::Prize.first_byte());
    house.audit();
}

#[test]
fn news_for_those_who_never_come_takes_nobodys_room() {
    let mut house = small_house();
    for user in 1..=4_000 {
        house.mint(user, 1);
    }
    let mut guest = Guest::new(5_000);
    house.mint(guest.user, 1);
    guest.log_in(&mut house);
    for request in (1..=64).step_by(2) {
        let bytes = guest.send_to_set_bytes(request, 1, 1, 0);
        let Some(Answer::Sent { packet, .. }) = guest.settle(&mut house, request, &bytes) else { panic!("no packet") };
        guest.request = request;
        assert!(matches!(guest.grab(&mut house, packet), Answer::Grabbed { share: 1, .. }));
    }
    assert!(house.count(|books| &books.notices_refused) > 0, "not all users' lists fit");
    is_served(&mut house, 6_000);
}

#[test]
fn the_answers_of_all_users_fit() {
    let mut house = small_house();
    for user in 1..=4_500 {
        let mut guest = Guest::new(user);
        guest.log_in(&mut house);
        for _ in 0..17 {
            assert_eq!(guest.grab(&mut house, 9 << 16), Answer::No(Refusal::UnknownPacket, 0));
        }
    }
    is_served(&mut house, 6_000);
}

/// Everything that a house sends in a busy minute.
fn minute() -> Vec<(Vec<u8>, Peer)> {
    let mut house = House::new();
    let plan = rp_core::engine::bank::Plan { budget_fen: 50_000, rate: 50, from_fen: 1, to_fen: 99, per_user: 3 };
    assert!(house.bank.start(plan, house.now).is_ok());
    let mut guests: Vec<Guest> = (1..=30).map(Guest::new).collect();
    let mut all = Vec::new();
    for guest in &mut guests {
        house.mint(guest.user, 10_000);
        guest.log_in(&mut house);
    }
    for round in 0..60u64 {
        for guest in &mut guests {
            all.push((guest.ask(&mut house, Kind::Shake), guest.peer));
            if guest.user % 10 == round % 10 {
                guest.send(&mut house, 100, 7, SPLIT_RANDOM, &[1, 2, 3, 4, 5, 6, 7]);
            }
        }
        house.pass_ms(1_000);
        all.extend(house.sent.drain(..));
    }
    house.audit();
    all
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let (one, two) = (minute(), minute());
    assert!(one.len() > 2_000 && one.iter().any(|(bytes, _)| bytes[0] == Kind::Prize.first_byte()));
    assert!(one == two);
}
