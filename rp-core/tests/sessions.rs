//! Sessions through the door: log-in, its repeats, its end; sequences; changes of address.

#[path = "shared/guest.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod guest;
#[path = "shared/house.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod house;

use guest::Guest;
use house::House;
use rp_core::clients::Clients as _;
use rp_core::engine::{Config, Outcome};
use rp_core::kind::Kind;
use rp_core::limits::SLOTS_PER_SET;
use rp_core::reason::Reason;
use rp_core::steer::{set_of_user, worker_of};
use rp_core::ticket::ROLE_AUDITOR;
use rp_core::wire::*;

fn is(reply: &[u8], kind: Kind) -> bool {
    reply[0] == kind.first_byte()
}

#[test]
fn the_same_nonce_gets_the_same_session() {
    let (mut house, mut guest) = (House::new(), Guest::new(7));
    let challenge = house.hear(guest.peer, &guest.hello()).1.expect("a HELLO is answered");
    let login = guest.login(&challenge);
    let first = Welcome::take(&house.hear(guest.peer, &login).1.expect("welcome")).expect("whole");
    house.pass_ms(500);
    let again = Welcome::take(&house.hear(guest.peer, &login).1.expect("welcome again")).expect("whole");
    assert_eq!(Welcome { server_time_us: first.server_time_us, ..again }, first);
    assert_eq!(house.count(|b| &b.sessions), 1);
    // Also once the session is in use.
    let welcome = house.hear(guest.peer, &login).1.expect("welcome a third time");
    guest.enter(&welcome);
    guest.ask(&mut house, Kind::Shake);
    let again = Welcome::take(&house.hear(guest.peer, &login).1.expect("welcome")).expect("whole");
    assert_eq!(again.session, first.session);
    assert_eq!(house.count(|b| &b.logins), 1);
    house.audit();
}

#[test]
fn goodbye_is_the_last_that_a_session_hears() {
    let mut house = House::new();
    let set = set_of_user(1, house.config.sets);
    let neighbour = (2..).find(|user| set_of_user(*user, house.config.sets) == set).expect("some user is");
    let (mut giver, mut taker) = (Guest::new(1), Guest::new(neighbour));
    giver.log_in(&mut house);
    taker.log_in(&mut house);
    house.mint(1, 100);
    house.carry();
    let worker = worker_of(set, house.config.workers) as usize;
    let gift = giver.send_bytes(1, 100, 1, SPLIT_EQUAL, &[neighbour]);
    assert_eq!(house.hear_unkept(worker, giver.peer, &gift), [], "nobody hears of money before it is on disk");
    for _ in 0..2 {
        assert_eq!(house.hear_unkept(worker, taker.peer, &taker.head(Kind::Bye, 1)), []);
    }
    house.carry();
    let heard = house.sent.iter().filter(|(_, to)| *to == taker.peer).map(|(bytes, _)| bytes[0]).collect::<Vec<_>>();
    assert_eq!(heard, [Kind::Notice, Kind::Goodbye, Kind::UnknownSession].map(Kind::first_byte));
    house.audit();
}

#[test]
fn the_old_session_lives_until_the_new_one_speaks() {
    let (mut house, mut old) = (House::new(), Guest::new(7));
    old.log_in(&mut house);
    let mut new = Guest::new(7);
    let welcome = new.knock(&mut house, 99);
    assert!(is(&old.ask(&mut house, Kind::Shake), Kind::Nothing));
    new.enter(&welcome);
    assert!(is(&new.ask(&mut house, Kind::Shake), Kind::Nothing));
    let gone = house.hear(old.peer, &old.head(Kind::Shake, 9)).1.expect("a hint");
    assert!(is(&gone, Kind::UnknownSession) && gone.len() == UNKNOWN_SESSION_LEN);
    assert_eq!(house.count(|b| &b.sessions), 1);
    // Log-ins that never speak replace each other.
    for nonce in 200..300 {
        new.knock(&mut house, nonce);
    }
    assert_eq!(house.count(|b| &b.sessions), 2);
    assert!(is(&new.ask(&mut house, Kind::Shake), Kind::Nothing));
    house.audit();
}

#[test]
fn a_false_log_in_is_dropped_for_its_reason_and_leaves_nothing() {
    let (mut house, guest) = (House::new(), Guest::new(7));
    let challenge = house.hear(guest.peer, &guest.hello()).1.expect("a HELLO is answered");
    let login = guest.login(&challenge);
    let other = Guest { peer: Peer { port: 9, ..guest.peer }, ..Guest::new(7) };
    other.is_dropped(&mut house, "another port", &login, Reason::BadCookie);
    // (what, first byte changed, reason). Bytes of the SET hash steer, so they are looked at below.
    let rows = [
        ("flags", 1, Reason::BadTag),
        ("nonce", 4, Reason::BadCookie),
        ("cookie's time", 14, Reason::ExpiredCookie),
        ("cookie", 16, Reason::BadCookie),
        ("realm", 24, Reason::BadTicket),
        ("ticket's nonce", 28, Reason::BadTicket),
        ("ticket", 52, Reason::BadTicket),
        ("ticket's end", 107, Reason::BadTicket),
        ("tag", 108, Reason::BadTag),
    ];
    for (what, at, reason) in rows {
        let mut bent = login.clone();
        bent[at] ^= 1;
        guest.is_dropped(&mut house, what, &bent, reason);
    }
    house.pass_ms(31_000);
    guest.is_dropped(&mut house, "too late", &login, Reason::ExpiredCookie);
    assert_eq!((house.count(|b| &b.sessions), house.count(|b| &b.accounts)), (0, 0));
    house.audit();
}

#[test]
fn a_set_hash_of_another_user_is_dropped() {
    let mut house = House::new();
    let twin = (8..).find(|user| set_of_user(*user, 8) == set_of_user(7, 8)).expect("SETs have many users");
    let (guest, mut liar) = (Guest::new(7), Guest::new(twin));
    (liar.peer, liar.nonce) = (guest.peer, guest.nonce);
    // The cookie does not hold the SET hash, so it is good; the ticket is another user's.
    let challenge = house.hear(guest.peer, &guest.hello()).1.expect("a HELLO is answered");
    let login = liar.login(&challenge);
    liar.is_dropped(&mut house, "a hash that is not the ticket's", &login, Reason::SetMismatch);
}

#[test]
fn an_expired_ticket_is_refused_by_type() {
    let (mut house, mut guest) = (House::new(), Guest::new(7));
    house.now.unix_us += 86_399_000_000;
    assert!(is(&guest.knock(&mut house, 1), Kind::Welcome), "the last second");
    house.now.unix_us += 1_000_000;
    let refused = guest.knock(&mut house, 2);
    let fields = LoginRefused::take(&refused).expect("whole");
    assert!(is(&refused, Kind::LoginRefused));
    assert_eq!((fields.refusal, fields.retry_after_ms), (Refusal::Expired as u8, 0));
}

#[test]
fn a_full_set_refuses_by_type_and_rests_its_slots() {
    let config =
        Config { sets: 1, workers: 1, worker: 0, idle_us: 300_000_000, packet_life_us: 1, ..Config::default() };
    let mut house = House::with(config);
    let mut guests: Vec<Guest> = (1..=SLOTS_PER_SET as u64).map(Guest::new).collect();
    for guest in &mut guests {
        guest.log_in(&mut house);
    }
    let mut late = Guest::new(1_000_000);
    let full = |house: &mut House, late: &mut Guest, nonce| {
        let refused = late.knock(house, nonce);
        assert!(is(&refused, Kind::LoginRefused));
        let fields = LoginRefused::take(&refused).expect("whole");
        assert!(fields.refusal == Refusal::Full as u8 && fields.retry_after_ms > 0);
    };
    full(&mut house, &mut late, 1);
    let first = guests[5].session;
    assert!(is(&guests[5].ask(&mut house, Kind::Bye), Kind::Goodbye));
    full(&mut house, &mut late, 2);
    house.pass_ms(1_000);
    let session = late.log_in(&mut house).session;
    assert_eq!(session & 0x3f_ffff, first & 0x3f_ffff, "the only free slot");
    assert_ne!(session, first, "in its next generation");
    assert_eq!(house.count(|b| &b.accounts), SLOTS_PER_SET as u64, "who left with nothing is forgotten");
    house.audit();
}

#[test]
fn log_ins_and_log_outs_leave_nothing_behind() {
    let mut house = House::new();
    for round in 0..20 {
        let mut guests: Vec<Guest> = (1..=1_000).map(|n| Guest::new(round * 1_000 + n)).collect();
        for guest in &mut guests {
            guest.log_in(&mut house);
        }
        guests.iter_mut().for_each(|guest| assert!(is(&guest.ask(&mut house, Kind::Bye), Kind::Goodbye)));
        house.pass_ms(1_000);
    }
    assert_eq!((house.count(|b| &b.sessions), house.count(|b| &b.accounts)), (0, 0));
    assert_eq!(house.count(|b| &b.logins), 20_000);
    assert_eq!(house.count(|b| &b.logouts), 20_000);
    house.audit();
}

#[test]
fn an_idle_session_ends_and_one_that_speaks_does_not() {
    let (mut house, mut quiet, mut loud) = (House::new(), Guest::new(1), Guest::new(2));
    quiet.log_in(&mut house);
    loud.log_in(&mut house);
    for _ in 0..4 {
        house.pass_ms(80_000);
        loud.ask(&mut house, Kind::Ping);
    }
    assert_eq!((house.count(|b| &b.sessions), house.count(|b| &b.idle_outs)), (1, 1));
    assert!(is(&house.hear(quiet.peer, &quiet.head(Kind::Ping, 2)).1.expect("a hint"), Kind::UnknownSession));
    assert!(is(&loud.ask(&mut house, Kind::Shake), Kind::Nothing));
    house.audit();
}

#[test]
fn a_sequence_rises_and_its_repeat_is_answered_alike() {
    let (mut house, mut guest) = (House::new(), Guest::new(7));
    guest.log_in(&mut house);
    let shake = guest.head(Kind::Shake, 10);
    let first = house.hear(guest.peer, &shake).1;
    assert_eq!(house.hear(guest.peer, &shake).1, first);
    assert!(first.is_some());
    guest.is_dropped(&mut house, "older", &guest.head(Kind::Shake, 9), Reason::StaleSequence);
    guest.is_dropped(&mut house, "zero", &guest.head(Kind::Shake, 0), Reason::StaleSequence);
    guest.is_dropped(&mut house, "older ping", &guest.head(Kind::Ping, 9), Reason::StaleSequence);
    guest.is_dropped(&mut house, "older bye", &guest.head(Kind::Bye, 9), Reason::StaleSequence);
    guest.sequence = u32::MAX - 1;
    assert!(is(&guest.ask(&mut house, Kind::Shake), Kind::Nothing), "the highest number there is");
    house.audit();
}

#[test]
fn a_new_address_must_echo_before_anything_is_done() {
    let (mut house, mut guest) = (House::new(), Guest::new(7));
    guest.log_in(&mut house);
    let home = guest.peer;
    guest.peer.port = 4_000;
    let grab = guest.grab_bytes(1, 0);
    for request in [guest.head(Kind::Shake, 5), guest.head(Kind::Ping, 6), guest.head(Kind::Bye, 7), grab] {
        let reply = house.hear(guest.peer, &request).1.expect("a challenge");
        assert!(is(&reply, Kind::PathChallenge) && reply.len() <= request.len());
    }
    let head = SessionHead::take(&guest.ask(&mut house, Kind::Shake)).expect("whole");
    let echo = guest.head(Kind::Echo, head.sequence);
    let thief = Guest { peer: Peer { port: 4_001, ..home }, ..Guest::new(7) };
    thief.is_dropped(&mut house, "another's token", &echo, Reason::BadEcho);
    let mut forged = echo.clone();
    forged[17] ^= 1;
    guest.is_dropped(&mut house, "a false tag", &forged, Reason::BadTag);
    assert!(is(&house.hear(guest.peer, &echo).1.expect("echoed"), Kind::Echoed));
    // The sequence of what was challenged was never used.
    guest.sequence = 1;
    assert!(is(&guest.ask(&mut house, Kind::Shake), Kind::Nothing));
    // Home again is a new address too, and an echo does not live for ever.
    guest.peer = home;
    assert!(is(&guest.ask(&mut house, Kind::Shake), Kind::PathChallenge));
    let head = SessionHead::take(&guest.ask(&mut house, Kind::Shake)).expect("whole");
    house.pass_ms(61_000);
    guest.is_dropped(&mut house, "a late echo", &guest.head(Kind::Echo, head.sequence), Reason::BadEcho);
    house.audit();
}

#[test]
fn a_late_copy_of_a_log_in_moves_no_session_that_has_spoken() {
    let (mut house, mut guest) = (House::new(), Guest::new(7));
    let challenge = house.hear(guest.peer, &guest.hello()).1.expect("a HELLO is answered");
    let login = guest.login(&challenge);
    let home = guest.peer;
    let welcome = house.hear(home, &login).1.expect("welcome");
    guest.enter(&welcome);
    guest.ask(&mut house, Kind::Shake);
    guest.peer.ip[15] ^= 1;
    let head = SessionHead::take(&guest.ask(&mut house, Kind::Shake)).expect("whole");
    assert!(is(&house.hear(guest.peer, &guest.head(Kind::Echo, head.sequence)).1.expect("echoed"), Kind::Echoed));
    assert!(is(&house.hear(home, &login).1.expect("the same welcome"), Kind::Welcome));
    assert!(is(&guest.ask(&mut house, Kind::Shake), Kind::Nothing), "it is where it was");
    house.audit();
}

#[test]
fn a_session_is_counted_at_the_address_where_it_is() {
    let (mut house, mut guest) = (House::new(), Guest::new(7));
    let at = |house: &House, peer: &Peer| {
        let row = house.board.clients().find(Origin::from(peer).ip);
        house.books.iter().map(|books| books.clients[row].sessions.read()).sum::<u64>()
    };
    guest.knock(&mut house, 9);
    let home = guest.peer;
    assert_eq!(at(&house, &home), 1);
    // The WELCOME was lost, and the client asks again under the same nonce from another address.
    guest.peer.ip[15] ^= 1;
    let welcome = guest.knock(&mut house, 9);
    assert_eq!((at(&house, &home), at(&house, &guest.peer)), (0, 1));
    guest.enter(&welcome);
    assert!(is(&guest.ask(&mut house, Kind::Bye), Kind::Goodbye));
    assert_eq!((at(&house, &home), at(&house, &guest.peer)), (0, 0));
    house.audit();
}

#[test]
fn hints_have_a_limit_and_datagrams_of_other_workers_a_reason() {
    let (mut house, guest) = (House::new(), Guest::new(7));
    let lost = guest.head(Kind::Shake, 1);
    let mut hinted = 0;
    while house.hear(guest.peer, &lost).0 == Outcome::Replied {
        hinted += 1;
        assert!(hinted < 10_000, "no limit");
    }
    guest.is_dropped(&mut house, "hints are used up", &lost, Reason::HintLimited);
    house.pass_ms(100);
    assert_eq!(house.hear(guest.peer, &lost).0, Outcome::Replied, "and come back");
    assert_eq!(house.hear_at(1, guest.peer, &lost).0, Outcome::Dropped(Reason::MisSteered));
    let beyond = Guest { session: 8 * SLOTS_PER_SET as u32, ..Guest::new(7) };
    beyond.is_dropped(&mut house, "a ninth SET", &beyond.head(Kind::Shake, 1), Reason::NoSuchSlot);
    house.audit();
}

#[test]
fn totals_are_for_auditors() {
    let (mut house, mut guest, mut auditor) = (House::new(), Guest::new(7), Guest::new(8));
    auditor.role = ROLE_AUDITOR;
    auditor.peer.ip = guest.peer.ip;
    guest.log_in(&mut house);
    auditor.log_in(&mut house);
    house.mint(7, 500);
    guest.is_dropped(&mut house, "not an auditor", &guest.head(Kind::Totals, 2), Reason::NotAuditor);
    house.pass_ms(100);
    let totals = TotalsAre::take(&auditor.ask(&mut house, Kind::Totals)).expect("whole");
    let word = |at: usize| u64::from_le_bytes(totals.words[8 * at..8 * at + 8].try_into().expect("eight bytes"));
    // Two log-ins of three requests, the refused TOTALS and the one that asks; less the first HELLO and LOGIN and their answers,
    // which a stranger sent: an address has a row once a session is there.
    assert_eq!((0..32).map(word).sum::<u64>(), 8 - 2);
    assert_eq!((32..64).map(word).sum::<u64>(), 6 - 2);
    assert_eq!((word(64), word(65), word(72)), (1, 0, 2));
    // Its sequence rises like any other: what somebody recorded brings nobody a page of numbers.
    let old = auditor.head(Kind::Totals, auditor.sequence - 1);
    auditor.is_dropped(&mut house, "an older one", &old, Reason::StaleSequence);
    assert!(house.hear(auditor.peer, &auditor.head(Kind::Totals, auditor.sequence)).1.is_some(), "the same again");
    assert_eq!((word(80), word(81), word(82), word(83), word(84)), (500, 500, 0, 0, 0));
    house.audit();
}

#[test]
fn log_ins_that_never_speak_hold_one_slot_and_come_once_a_second() {
    let (mut house, mut guest) = (House::new(), Guest::new(7));
    guest.log_in(&mut house);
    let mut welcomes = 0;
    for nonce in 0..100 {
        let answer = guest.knock(&mut house, nonce);
        if answer[0] == Kind::Welcome.first_byte() {
            welcomes += 1;
        } else {
            let refused = LoginRefused::take(&answer).expect("a refusal");
            assert_eq!(refused.refusal, Refusal::Full as u8);
            assert!((1..=1000).contains(&refused.retry_after_ms), "{}", refused.retry_after_ms);
        }
        house.pass_ms(100);
    }
    assert_eq!(welcomes, 10);
    assert_eq!(house.count(|books| &books.sessions), 2, "the one that speaks and the newest that does not");
    house.audit();
}
