//! What bears money is sealed, both ways, as the WELCOME says: nothing of it can be read on the way, and nothing else is taken.

#[path = "shared/guest.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod guest;
#[path = "shared/house.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod house;

use std::collections::BTreeSet;

use guest::{Answer, Guest};
use house::House;
use rp_core::engine::Config;
use rp_core::engine::bank::Plan;
use rp_core::key::seal;
use rp_core::kind::Kind;
use rp_core::reason::Reason;
use rp_core::sealing::{SEALED_AT, close_money};
use rp_core::steer::set_of_user;
use rp_core::ticket::ROLE_AUDITOR;
use rp_core::wire::*;

fn unsealed() -> House {
    let (idle_us, packet_life_us) = (300_000_000, 86_400_000_000);
    House::with(Config { sets: 8, workers: 2, idle_us, packet_life_us, is_unsealed: true, ..Config::default() })
}

/// The same datagram without a seal, or with one, under a true tag.
fn turned(guest: &Guest, plain: &[u8], seals: bool) -> Vec<u8> {
    let mut bytes = plain.to_vec();
    bytes.resize(plain.len() + TRAILER, 0);
    close_money(&guest.key, guest.sealing.filter(|_| seals), &mut bytes, plain.len());
    bytes
}

fn balance_of(guest: &Guest, counter: u64) -> Vec<u8> {
    let mut out = vec![0; Balance::LEN];
    Balance { flags: 0, session: guest.session, counter, request: 5 }.put(&mut out);
    out
}

/// Bytes that must not be seen on the way: numbers as they are written, and words.
fn tells(datagram: &[u8], secrets: &[&[u8]]) -> bool {
    secrets.iter().any(|secret| datagram.windows(secret.len()).any(|part| part == *secret))
}

#[test]
fn nobody_on_the_way_reads_amounts_users_or_words() {
    const TOTAL: u64 = 0x0001_2345;
    let mut house = House::new();
    // Users with numbers that are not found by chance, one of them of another SET.
    let first = 0x1122_3344_5566_7701u64;
    let other = (first + 1..).find(|user| set_of_user(*user, 8) != set_of_user(first, 8)).expect("SETs differ");
    let (mut sender, mut taker) = (Guest::new(first), Guest::new(other));
    sender.role = ROLE_AUDITOR;
    for guest in [&mut sender, &mut taker] {
        house.mint(guest.user, 10 * TOTAL);
        guest.log_in(&mut house);
    }
    let mut seen = Vec::new();
    let mut say = |house: &mut House, guest: &Guest, bytes: Vec<u8>| {
        let reply = house.hear(guest.peer, &bytes).1;
        seen.push(bytes);
        seen.extend(reply.clone());
        let late: Vec<Vec<u8>> = house.sent.drain(..).map(|(bytes, _)| bytes).collect();
        seen.extend(late.clone());
        reply.or_else(|| late.into_iter().find(|bytes| bytes[0] != Kind::Notice.first_byte())).expect("answered")
    };
    let bytes = sender.send_bytes(1, TOTAL, 100, SPLIT_EQUAL, &[first, other]);
    let sent = Sent::take(&sender.open(&say(&mut house, &sender, bytes))).expect("a packet");
    let bytes = taker.grab_bytes(1, sent.packet);
    let grabbed = Grabbed::take(&taker.open(&say(&mut house, &taker, bytes))).expect("a share of another SET");
    let mut detail = vec![0; Detail::LEN];
    Detail { flags: 0, session: taker.session, counter: 0, request: 9, packet: sent.packet, first: 0 }.put(&mut detail);
    let bytes = taker.close(detail);
    let page = DetailPage::take(&taker.open(&say(&mut house, &taker, bytes))).expect("a page of another SET");
    assert_eq!((page.sender, page.total_fen, page.left_fen), (first, TOTAL, TOTAL - grabbed.share_fen));
    let bytes = taker.close(balance_of(&taker, 0));
    say(&mut house, &taker, bytes);
    let totals = sender.head(Kind::Totals, 9);
    say(&mut house, &sender, totals);
    house.pass_ms(700);
    seen.extend(house.sent.drain(..).map(|(bytes, _)| bytes));
    let number = |number: u64| number.to_le_bytes();
    let numbers = [first, other, TOTAL, sent.packet, sent.balance_fen, grabbed.balance_fen, page.left_fen].map(number);
    let secrets: Vec<&[u8]> = numbers.iter().map(|number| &number[..]).chain([&b"good luck"[..]]).collect();
    let kinds: BTreeSet<u8> = seen.iter().map(|bytes| bytes[0] & 0x3f).collect();
    assert!(kinds.len() >= 9, "every kind of them was seen: {kinds:?}");
    for bytes in &seen {
        assert!(!tells(bytes, &secrets), "{bytes:02x?}");
    }
    // And where nothing is sealed, all of it is there to be read.
    let (mut house, mut guest) = (unsealed(), Guest::new(first));
    house.mint(first, 10 * TOTAL);
    guest.log_in(&mut house);
    let bytes = guest.send_bytes(1, TOTAL, 100, SPLIT_EQUAL, &[first, other]);
    assert!(secrets.iter().filter(|secret| tells(&bytes, &[secret])).count() == 4);
    assert!(matches!(guest.settle(&mut house, 1, &bytes), Some(Answer::Sent { .. })));
}

#[test]
fn a_prize_is_sealed_too() {
    let (mut house, mut guest) = (House::new(), Guest::new(7));
    guest.log_in(&mut house);
    let plan = Plan { budget_fen: 50_000, rate: 100, from_fen: 77, to_fen: 77, per_user: 3 };
    assert!(house.bank.start(plan, house.now).is_ok());
    house.pass_ms(100);
    let reply = house.hear(guest.peer, &guest.head(Kind::Shake, 5)).1.expect("a prize");
    assert_eq!((reply[0], reply[1]), (Kind::Prize.first_byte(), FLAG_SEALED));
    assert!(!tells(&reply, &[&77u64.to_le_bytes()]));
    assert_eq!(Prize::take(&guest.open(&reply)).expect("whole").fen, 77);
    assert_eq!(guest.notices(&mut house).len(), 0);
    house.pass_ms(600);
    let (notice, _) = house.sent.front().expect("it was not acknowledged").clone();
    assert_eq!((notice[0], notice[1]), (Kind::Notice.first_byte(), FLAG_SEALED));
    assert_eq!(guest.notices(&mut house)[0].fen, 77);
}

#[test]
fn what_is_not_as_the_welcome_says_is_dropped_for_its_reason() {
    let (mut house, mut guest) = (House::new(), Guest::new(7));
    house.mint(7, 500);
    assert_eq!(guest.log_in(&mut house).flags, FLAG_SEALED);
    let plain = balance_of(&guest, 1);
    guest.is_dropped(&mut house, "unsealed", &turned(&guest, &plain, false), Reason::NotSealed);
    // The flag alone makes no seal.
    let mut flagged = turned(&guest, &plain, false);
    flagged[1] = FLAG_SEALED;
    seal(&guest.key, &mut flagged, plain.len() + SEAL_LEN);
    guest.is_dropped(&mut house, "a seal of zeros", &flagged, Reason::BadSeal);
    for flags in [2, 3, 0x80] {
        let mut bytes = turned(&guest, &plain, true);
        bytes[1] = flags;
        seal(&guest.key, &mut bytes, plain.len() + SEAL_LEN);
        guest.is_dropped(&mut house, "flags that mean nothing", &bytes, Reason::BadField);
    }
    // Nor has a shake a seal.
    let mut shake = guest.head(Kind::Shake, 9);
    shake[1] = FLAG_SEALED;
    seal(&guest.key, &mut shake, 10);
    guest.is_dropped(&mut house, "a shake that claims a seal", &shake, Reason::BadField);
    let dropped = |reason| house.books.iter().map(|books| books.dropped[reason].read()).sum::<u64>();
    assert_eq!([Reason::NotSealed, Reason::BadSeal, Reason::BadField].map(dropped), [1, 1, 4]);
    assert_eq!(guest.balance(&mut house), 500, "the session lives on");
    house.audit();
}

#[test]
fn a_server_that_does_not_seal_takes_no_seal() {
    let (mut house, mut guest) = (unsealed(), Guest::new(7));
    house.mint(7, 500);
    assert_eq!(guest.log_in(&mut house).flags, 0);
    assert_eq!(guest.balance(&mut house), 500);
    let plain = balance_of(&guest, 1);
    let other = Guest { key: guest.key, sealing: Some([1; 32]), ..Guest::new(7) };
    guest.is_dropped(&mut house, "sealed", &turned(&other, &plain, true), Reason::BadSeal);
    let reply = house.hear(guest.peer, &turned(&guest, &plain, false)).1.expect("answered");
    assert_eq!(reply[1], 0);
    assert_eq!(reply[reply.len() - TRAILER..][..SEAL_LEN], [0; SEAL_LEN]);
    house.audit();
}

#[test]
fn the_directions_share_no_nonce_and_neither_do_two_counters() {
    let mut seen = BTreeSet::new();
    for kind in [Kind::Grab, Kind::Grabbed] {
        for counter in [0u64, 1, 2, 1 << 32, 1 << 63] {
            let mut bytes = vec![0; 64 + TRAILER];
            bytes[0] = kind.first_byte();
            bytes[6..14].copy_from_slice(&counter.to_le_bytes());
            close_money(&[1; 16], Some([2; 32]), &mut bytes, 64);
            // The body is zeros, so this is the key stream.
            seen.insert(bytes[SEALED_AT..64].to_vec());
        }
    }
    assert_eq!(seen.len(), 10);
}

#[test]
fn a_new_session_has_another_key_and_what_was_sealed_in_the_old_is_no_good() {
    let (mut house, mut guest) = (House::new(), Guest::new(7));
    guest.log_in(&mut house);
    let (key, sealing) = (guest.key, guest.sealing);
    guest.log_in(&mut house);
    assert_ne!(guest.sealing, sealing);
    let thief = Guest { key: guest.key, sealing, ..Guest::new(7) };
    let old = turned(&thief, &balance_of(&guest, 1), true);
    assert_ne!(guest.key, key);
    guest.is_dropped(&mut house, "sealed under the key of the session before", &old, Reason::BadSeal);
}
