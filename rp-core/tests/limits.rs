//! Limits without a gate: each lets its rate through, tells sessions when to come back, and strangers nothing.

#[path = "shared/guest.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod guest;
#[path = "shared/house.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod house;

use guest::Guest;
use house::House;
use rp_core::bucket::Rate;
use rp_core::engine::{Config, Outcome};
use rp_core::kind::Kind;
use rp_core::prefix::Prefix;
use rp_core::reason::Reason;
use rp_core::rules::Limit;
use rp_core::wire::SessionHead;

/// One worker, so that its part of a limit is all of it.
fn house() -> House {
    let config = Config { sets: 4, workers: 1, idle_us: 300_000_000, packet_life_us: 60_000_000, ..Config::default() };
    House::with(config)
}

/// How many of `tries` at one moment were not dropped as `reason`.
fn passed(house: &mut House, tries: u32, reason: Reason, mut ask: impl FnMut(&mut House, u32) -> Outcome) -> u32 {
    let mut passed = 0;
    for number in 0..tries {
        match ask(house, number) {
            Outcome::Dropped(why) => assert_eq!(why, reason),
            _ => passed += 1,
        }
    }
    passed
}

#[test]
fn a_session_that_asks_too_fast_is_told_when_to_come_back() {
    let (mut house, mut guest) = (house(), Guest::new(1));
    guest.log_in(&mut house);
    house.pass_ms(1000);
    house.board.rules().set_session(Rate { interval: 100, burst: 400 });
    let mut answers = Vec::new();
    for _ in 0..20 {
        let next = guest.sequence + 1;
        let bytes = guest.head(Kind::Shake, next);
        let reply = house.hear(guest.peer, &bytes).1.expect("a session is answered");
        answers.push(reply[0] & 0x3f);
        if reply[0] == Kind::Busy.first_byte() {
            let busy = SessionHead::take(&reply).expect("a head");
            assert_eq!((busy.sequence, busy.flags), (next, 2), "wait two tenths, more than 100 ms");
        } else {
            guest.sequence = next;
        }
    }
    assert_eq!(answers.iter().filter(|kind| **kind == Kind::Nothing as u8).count(), 5, "one, and a burst of four");
    // The number that was refused is not used up.
    house.pass_ms(200);
    assert_eq!(guest.ask(&mut house, Kind::Shake)[0], Kind::Nothing.first_byte());
    // Other kinds take from the same bucket.
    house.pass_ms(1000);
    let grabs = (0..20).map(|number| guest.grab_bytes(number + 1, 1)).collect::<Vec<_>>();
    let busy = grabs
        .iter()
        .filter(|bytes| house.hear(guest.peer, bytes).1.is_some_and(|reply| reply[0] == Kind::Busy.first_byte()));
    assert_eq!(busy.count(), 15);
    house.audit();
}

#[test]
fn all_sessions_together_have_a_limit_too() {
    let mut house = house();
    let mut guests: Vec<Guest> = (1..=50).map(Guest::new).collect();
    for guest in &mut guests {
        guest.log_in(&mut house);
    }
    house.board.rules().set_sessions(Limit::per_second(100, 1, 100));
    house.pass_ms(1000);
    let kinds: Vec<u8> = guests.iter_mut().map(|guest| guest.ask(&mut house, Kind::Shake)[0]).collect();
    let answered = kinds.iter().filter(|kind| **kind == Kind::Nothing.first_byte()).count();
    assert_eq!(answered, 11, "one, and 100 ms at 100 a second");
    assert!(kinds[answered..].iter().all(|kind| *kind == Kind::Busy.first_byte()));
}

#[test]
fn strangers_share_a_limit_and_hear_nothing_beyond_it() {
    let mut house = house();
    house.board.rules().set_strangers(Limit::per_second(1000, 1, 20));
    house.pass_ms(1000);
    let hello = |house: &mut House, number: u32| {
        let guest = Guest::new(u64::from(number));
        house.hear(guest.peer, &guest.hello()).0
    };
    assert_eq!(passed(&mut house, 100, Reason::StrangerLimited, hello), 21);
    // A session does not feel it.
    house.pass_ms(100);
    let mut guest = Guest::new(1);
    guest.log_in(&mut house);
    house.pass_ms(100);
    passed(&mut house, 100, Reason::StrangerLimited, hello);
    assert_eq!(guest.ask(&mut house, Kind::Shake)[0], Kind::Nothing.first_byte());
}

#[test]
fn a_part_of_the_network_has_its_log_ins_and_no_more() {
    let mut house = house();
    house.board.rules().set_prefix(Limit::per_second(10, 1, 100));
    let log_in = |house: &mut House, user: u64, net: [u8; 3]| {
        let mut guest = Guest::new(user);
        guest.peer.ip[12..15].copy_from_slice(&net);
        let challenge = house.hear(guest.peer, &guest.hello()).1.expect("a HELLO is answered");
        house.hear(guest.peer, &guest.login(&challenge)).0
    };
    house.pass_ms(1000);
    let first = passed(&mut house, 20, Reason::PrefixLimited, |house, n| log_in(house, 1 + u64::from(n), [10, 9, 8]));
    assert_eq!(first, 2);
    // Others do not feel it, and a false cookie takes nothing.
    assert_eq!(log_in(&mut house, 100, [10, 9, 7]), Outcome::Replied);
    let mut liar = Guest::new(200);
    liar.peer.ip[12..15].copy_from_slice(&[10, 9, 6]);
    let false_challenge = house.hear(Guest::new(201).peer, &Guest::new(201).hello()).1.expect("answered");
    let lie = liar.login(&false_challenge);
    assert_eq!(passed(&mut house, 50, Reason::BadCookie, |house, _| house.hear(liar.peer, &lie).0), 0);
    assert_eq!(log_in(&mut house, 200, [10, 9, 6]), Outcome::Replied);
    house.pass_ms(1000);
    assert_eq!(log_in(&mut house, 300, [10, 9, 8]), Outcome::Replied, "and time brings it back");
}

#[test]
fn who_is_on_the_deny_list_is_not_heard() {
    let mut house = house();
    let (mut guest, mut other) = (Guest::new(1), Guest::new(2));
    guest.log_in(&mut house);
    other.log_in(&mut house);
    house.board.deny(&[Prefix::new([0xfd; 16], 64), Prefix::new(guest.peer.ip, 128)]);
    guest.is_dropped(&mut house, "denied", &guest.head(Kind::Shake, 2), Reason::Denied);
    guest.is_dropped(&mut house, "denied", &guest.hello(), Reason::Denied);
    assert_eq!(other.ask(&mut house, Kind::Shake)[0], Kind::Nothing.first_byte());
    house.board.deny(&[]);
    assert_eq!(guest.ask(&mut house, Kind::Shake)[0], Kind::Nothing.first_byte());
}
