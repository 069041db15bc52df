//! Limits at the gate: strangers beyond theirs are not heard by any worker, sessions are told when to come back.

use aya::maps::LpmTrie;
use aya::maps::lpm_trie::Key;
use rp_core::clients::Clients as _;
use rp_core::engine::Config;
use rp_core::gate_counters::{ClientWord, Place};
use rp_core::kind::Kind;
use rp_core::reason::Reason;
use rp_core::rules::Limit;
use rp_core::wire::Origin;

use crate::alike::{Gated, SETS};
use crate::guest::Guest;

fn gated() -> Gated {
    let (idle_us, packet_life_us) = (300_000_000, 60_000_000);
    let mut gated = Gated::new(Config { sets: SETS, workers: 1, idle_us, packet_life_us, ..Config::default() });
    gated.house.pass_ms(1000);
    gated
}

/// Logs in through the gate.
fn log_in(gated: &mut Gated, user: u64) -> Guest {
    let mut guest = Guest::new(user);
    let challenge = gated.hear(guest.peer, &guest.hello()).expect("a HELLO is answered");
    let login = guest.login(&challenge);
    guest.enter(&gated.hear(guest.peer, &login).expect("a LOGIN is answered"));
    guest
}

fn dropped(gated: &Gated, reason: Reason) -> u64 {
    gated.counts().reason(reason).datagrams
}

#[test]
#[ignore = "needs root"]
fn strangers_beyond_their_limit_end_at_the_gate() {
    let mut gated = gated();
    let mut guest = log_in(&mut gated, 1);
    gated.house.board.rules().set_strangers(Limit::per_second(1000, 1, 20));
    gated.house.pass_ms(1000);
    let before = gated.house.books[0].received.total();
    let answered = (0..100).filter(|user| gated.hear(Guest::new(*user).peer, &Guest::new(*user).hello()).is_some());
    assert_eq!(answered.count(), 21, "one, and a burst of 20 ms");
    // So do false LOGINs, unknown sessions, and sessions' datagrams from elsewhere.
    let elsewhere = Guest::new(77).peer;
    let unknown = Guest { session: 3, ..Guest::new(5) };
    for bytes in [guest.head(Kind::Shake, 1), guest.grab_bytes(1, 1), unknown.head(Kind::Shake, 1)] {
        assert_eq!(gated.hear(elsewhere, &bytes), None);
    }
    assert_eq!(dropped(&gated, Reason::StrangerLimited), 79 + 3);
    assert_eq!(gated.house.books[0].received.total(), before, "no worker has heard of it");
    guest.sequence += 1;
    let reply = gated.hear(guest.peer, &guest.head(Kind::Shake, guest.sequence)).expect("sessions do not feel it");
    assert_eq!(reply[0], Kind::Nothing.first_byte());
}

#[test]
#[ignore = "needs root"]
fn who_is_held_back_at_the_gate_has_it_in_the_row_of_his_address() {
    let mut gated = gated();
    let guest = log_in(&mut gated, 1);
    let row = gated.house.board.clients().find(Origin::from(&guest.peer).ip);
    assert!(row > 0, "who has logged in has a row");
    let counted = |gated: &Gated| {
        let words = gated.house.board.gate_row(row);
        [ClientWord::received(Kind::Hello), ClientWord::received(Kind::Login), ClientWord::DROPPED]
            .map(|at| words[at.index()])
    };
    let challenge = gated.hear(guest.peer, &guest.hello()).expect("a HELLO is answered");
    let before = counted(&gated);
    let rules = gated.house.board.rules();
    rules.set_strangers(Limit::per_second(1, 1, 1));
    rules.set_prefix(Limit::per_second(1, 1, 1));
    gated.house.pass_ms(2000);
    // One of them is let in.
    (0..10).for_each(|_| drop(gated.hear(guest.peer, &guest.hello())));
    (0..10).for_each(|_| drop(gated.hear(guest.peer, &guest.login(&challenge))));
    let [hellos, logins, drops] = std::array::from_fn(|at| counted(&gated)[at] - before[at]);
    // Answers count as received, too; what went up is its worker's.
    assert_eq!((hellos, drops), (10, 9 + logins), "{logins} LOGINs ended here");
    assert!((9..=10).contains(&logins), "{logins}");
    // What is false may be said in his name.
    let before = counted(&gated);
    let (mut shake, mut login) = (guest.head(Kind::Shake, 1), guest.login(&challenge));
    (shake[17], login[20]) = (shake[17] ^ 1, login[20] ^ 1);
    assert_eq!([shake, login].map(|bytes| gated.hear(guest.peer, &bytes)), [None, None]);
    assert_eq!(counted(&gated), before);
}

#[test]
#[ignore = "needs root"]
fn false_cookies_and_tags_end_at_the_gate() {
    let mut gated = gated();
    let mut guest = log_in(&mut gated, 1);
    let before = gated.house.books[0].received.total();
    let challenge = gated.hear(guest.peer, &guest.hello()).expect("a HELLO is answered");
    let mut login = guest.login(&challenge);
    login[20] ^= 1;
    let mut shake = guest.head(Kind::Shake, 1);
    shake[17] ^= 1;
    let mut ping = guest.head(Kind::Ping, 1);
    ping[12] ^= 1;
    for (bytes, reason) in [(login, Reason::BadCookie), (shake, Reason::BadTag), (ping, Reason::BadTag)] {
        let earlier = dropped(&gated, reason);
        for _ in 0..50 {
            assert_eq!(gated.hear(guest.peer, &bytes), None);
        }
        assert_eq!(dropped(&gated, reason), earlier + 50);
    }
    assert_eq!(gated.house.books[0].received.total(), before, "no worker has heard of it");
    // And they have taken nothing from the session's bucket.
    guest.sequence += 1;
    let reply = gated.hear(guest.peer, &guest.head(Kind::Shake, guest.sequence)).expect("it is answered");
    assert_eq!(reply[0], Kind::Nothing.first_byte());
}

#[test]
#[ignore = "needs root"]
fn a_part_of_the_network_has_its_log_ins_and_a_denied_one_nothing() {
    let mut gated = gated();
    gated.house.board.rules().set_prefix(Limit::per_second(10, 1, 100));
    let welcome = |gated: &mut Gated, user: u64| {
        let guest = Guest::new(user);
        let challenge = gated.hear(guest.peer, &guest.hello()).expect("a HELLO is answered");
        gated.hear(guest.peer, &guest.login(&challenge)).is_some()
    };
    assert_eq!((1..=20).filter(|user| welcome(&mut gated, *user)).count(), 2, "all are in 10.0.0.0/24");
    assert_eq!(dropped(&gated, Reason::PrefixLimited), 18);
    gated.house.pass_ms(1000);
    assert!(welcome(&mut gated, 3));
    let list = gated.gate.ebpf.map_mut("denied").expect("the object has the list");
    let mut list: LpmTrie<_, [u8; 16], u8> = list.try_into().expect("it is a trie");
    let guest = Guest::new(4);
    list.insert(&Key::new(96 + 24, guest.peer.ip), 1, 0).expect("there is room");
    gated.house.board.rules().set_denied(1);
    assert_eq!(gated.hear(guest.peer, &guest.hello()), None);
    assert_eq!(dropped(&gated, Reason::Denied), 1);
    let mut elsewhere = guest.peer;
    elsewhere.ip[14] = 9;
    assert!(gated.hear(elsewhere, &guest.hello()).is_some(), "the next network is heard");
}

#[test]
#[ignore = "needs root"]
fn all_sessions_together_are_told_when_to_come_back() {
    let mut gated = gated();
    let mut guests: Vec<Guest> = (1..=30).map(|user| log_in(&mut gated, user)).collect();
    gated.house.board.rules().set_sessions(Limit::per_second(100, 1, 100));
    gated.house.pass_ms(1000);
    let before = gated.house.books[0].received.total();
    let kinds: Vec<u8> = guests
        .iter_mut()
        .map(|guest| gated.hear(guest.peer, &guest.head(Kind::Shake, 1)).expect("sessions are answered")[0])
        .collect();
    assert_eq!(kinds[..11], [Kind::Nothing.first_byte(); 11]);
    assert_eq!(kinds[11..], [Kind::Busy.first_byte(); 19]);
    assert_eq!(gated.house.books[0].received.total(), before);
    assert_eq!(gated.counts().place(Place::Answered).datagrams, 30 + 30, "HELLOs and shakes");
}
