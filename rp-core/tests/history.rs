//! What memory does not hold is answered from the ledger: packets that were forgotten, as if they were not, and histories.

#[path = "shared/guest.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod guest;
#[path = "shared/house.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod house;

use guest::{Answer, Guest};
use house::House;
use rp_core::engine::bank::Plan;
use rp_core::engine::{Config, Outcome};
use rp_core::kind::Kind;
use rp_core::limits::{ASKS_MAX, HISTORY_PAGE_ROWS, PACKETS_PER_SET_MAX};
use rp_core::posting::Act;
use rp_core::wire::*;

const START_FEN: u64 = 1_000_000;

fn house() -> House {
    let (idle_us, packet_life_us) = (300_000_000, 60_000_000);
    House::with(Config { sets: 8, workers: 2, idle_us, packet_life_us, keeps_postings: true, ..Config::default() })
}

fn company(house: &mut House, users: u64) -> Vec<Guest> {
    let mut guests: Vec<Guest> = (1..=users).map(Guest::new).collect();
    for guest in &mut guests {
        house.mint(guest.user, START_FEN);
        guest.log_in(house);
    }
    guests
}

/// Asks, and is answered at once or from the ledger: `true` when it was from there. The answer is opened.
fn read(house: &mut House, guest: &mut Guest, ask: Vec<u8>) -> (bool, Vec<u8>) {
    let ask = guest.close(ask);
    house.sent.retain(|(_, to)| *to != guest.peer);
    let reply = house.hear(guest.peer, &ask).1;
    let is_late = reply.is_none();
    let is_page = |bytes: &[u8]| bytes[0] != Kind::Notice.first_byte();
    let late =
        house.sent.iter().find(|(bytes, to)| *to == guest.peer && is_page(bytes)).map(|(bytes, _)| bytes.clone());
    (is_late, guest.open(&reply.or(late).expect("it is answered")))
}

/// A page of a packet but for what is new with each transmission, and whether it came from the ledger.
fn page(house: &mut House, guest: &mut Guest, packet: u64, first: u8) -> (bool, Vec<u8>) {
    let mut out = vec![0; Detail::LEN];
    Detail { flags: 0, session: guest.session, counter: 0, request: 8, packet, first }.put(&mut out);
    let (is_late, mut bytes) = read(house, guest, out);
    bytes.truncate(bytes.len() - TRAILER);
    bytes[2..14].fill(0);
    (is_late, bytes)
}

/// A page of a history: its rows and where the next begins.
fn history(house: &mut House, guest: &mut Guest, before: u64) -> (Vec<HistoryRow>, u64) {
    let mut out = vec![0; History::LEN];
    History { flags: 0, session: guest.session, counter: 0, request: 9, before }.put(&mut out);
    let (_, bytes) = read(house, guest, out);
    assert_eq!(bytes[0], Kind::HistoryPage.first_byte(), "{:?}", Refused::take(&bytes));
    let page = HistoryPage::take(&bytes).expect("a page");
    assert_eq!((page.request, page.session), (9, guest.session));
    let rows = bytes[HistoryPage::LEN..bytes.len() - TRAILER].chunks_exact(HistoryRow::LEN);
    assert_eq!(rows.len(), usize::from(page.count));
    (rows.map(|row| HistoryRow::take(row).expect("a row")).collect(), page.next)
}

/// The whole of it, page by page.
fn whole(house: &mut House, guest: &mut Guest) -> Vec<HistoryRow> {
    let (mut all, mut next) = history(house, guest, 0);
    while next != 0 {
        assert_eq!(all.len() % HISTORY_PAGE_ROWS, 0, "a page with another behind it is full");
        let (rows, further) = history(house, guest, next);
        assert!(further < next && !rows.is_empty());
        all.extend(rows);
        next = further;
    }
    all
}

/// Packets of user 1 that are over, in every way there is.
fn over(house: &mut House, guests: &mut [Guest]) -> Vec<u64> {
    let made = |answer: Answer| {
        let Answer::Sent { packet, .. } = answer else { panic!("{answer:?}") };
        packet
    };
    let equal = made(guests[0].send(house, 1_000, 3, SPLIT_EQUAL, &[1, 2, 3, 4]));
    let random = made(guests[0].send(house, 9_000, 45, SPLIT_RANDOM, &(1..=45).collect::<Vec<_>>()));
    let late = made(guests[0].send(house, 500, 4, SPLIT_RANDOM, &[2, 3, 4, 5]));
    let untaken = made(guests[0].send(house, 7, 1, SPLIT_EQUAL, &[2]));
    let set = rp_core::steer::set_of_user(9, house.config.sets) as u16;
    guests[0].request += 1;
    let request = guests[0].request;
    let wide = guests[0].send_to_set_bytes(request, 10, 1, set);
    let wide = made(guests[0].settle(house, request, &wide).expect("a SEND is answered"));
    guests[8].grab(house, wide);
    for guest in &mut guests[1..4] {
        guest.grab(house, equal);
    }
    for guest in &mut guests[..45] {
        guest.grab(house, random);
    }
    guests[2].grab(house, late);
    house.pass_ms(61_000);
    vec![equal, random, late, untaken, wide]
}

#[test]
fn a_forgotten_packet_is_read_as_if_it_was_not() {
    let mut house = house();
    let mut guests = company(&mut house, 50);
    let packets = over(&mut house, &mut guests);
    let readers = [0, 1, 2, 8, 44, 48, 49];
    let read_all = |house: &mut House, guests: &mut [Guest], is_forgotten: bool| {
        let mut pages = Vec::new();
        for (packet, reader, first) in packets
            .iter()
            .flat_map(|packet| readers.map(|reader| (*packet, reader)))
            .flat_map(|(packet, reader)| [0, 2, 40, 255].map(|first| (packet, reader, first)))
        {
            let (is_late, bytes) = page(house, &mut guests[reader], packet, first);
            assert!(is_late || !is_forgotten || guests[reader].user != 1, "it was not forgotten");
            pages.push(bytes);
        }
        pages
    };
    let before = read_all(&mut house, &mut guests, false);
    let kinds = |kind: Kind| before.iter().filter(|bytes| bytes[0] == kind.first_byte()).count();
    assert!(kinds(Kind::DetailPage) > 40 && kinds(Kind::Refused) > 20, "some may read, and some may not");
    for _ in 0..PACKETS_PER_SET_MAX {
        assert!(matches!(guests[0].send(&mut house, 1, 1, SPLIT_EQUAL, &[2]), Answer::Sent { .. }));
    }
    assert_eq!(read_all(&mut house, &mut guests, true), before);
    let mut house = house.restarted(3);
    for guest in &mut guests {
        guest.log_in(&mut house);
    }
    assert_eq!(read_all(&mut house, &mut guests, true), before, "a new start forgets alike");
    // What never was is looked for when it could have been.
    let unknown = |house: &mut House, guest: &mut Guest, packet| {
        let (is_late, bytes) = page(house, guest, packet, 0);
        (is_late, Refused::take(&bytes).map(|refused| (refused.refusal, refused.kind)))
    };
    let refused = Some((Refusal::UnknownPacket as u8, Kind::Detail as u8));
    assert_eq!(unknown(&mut house, &mut guests[0], packets[0] ^ 1), (true, refused), "another row");
    assert_eq!(unknown(&mut house, &mut guests[0], packets[0] + (1 << 40)), (false, refused), "a later number");
    assert_eq!(unknown(&mut house, &mut guests[0], packets[0] | 0xffff), (false, refused), "a row beyond all");
    house.audit();
}

/// A user, and what his history must say, newest first.
struct Diary {
    guest: Guest,
    rows: Vec<(Act, u64, u64)>,
}

impl Diary {
    fn note(&mut self, act: Act, about: u64, fen: u64) {
        self.rows.insert(0, (act, about, fen));
    }
}

#[test]
fn a_history_is_what_moved_the_users_money_newest_first() {
    let mut house = house();
    let mut diaries: Vec<Diary> = company(&mut house, 6)
        .into_iter()
        .map(|guest| Diary { guest, rows: vec![(Act::Deposited, 0, START_FEN)] })
        .collect();
    let plan = Plan { budget_fen: 2_000, rate: 100, from_fen: 1, to_fen: 99, per_user: 3 };
    house.bank.start(plan, house.now).expect("none runs");
    for round in 0..60 {
        let Answer::Sent { packet, .. } = diaries[0].guest.send(&mut house, 90, 4, SPLIT_RANDOM, &[1, 2, 3, 4]) else {
            panic!("it is made")
        };
        diaries[0].note(Act::Sent, packet, 90);
        let takers = 1 + round % 4;
        for diary in diaries.iter_mut().take(takers) {
            let Answer::Grabbed { share, .. } = diary.guest.grab(&mut house, packet) else { panic!("a share") };
            diary.note(Act::Taken, packet, share);
        }
        house.pass_ms(10);
        for diary in &mut diaries {
            let reply = diary.guest.ask(&mut house, Kind::Shake);
            if reply[0] == Kind::Prize.first_byte() {
                let prize = Prize::take(&reply).expect("it is whole");
                diary.note(Act::Won, prize.about, prize.fen);
            }
        }
        if round % 10 == 9 && takers < 4 {
            house.pass_ms(61_000);
            for refund in diaries[0].guest.notices(&mut house) {
                diaries[0].guest.acknowledge(&mut house, refund.notice);
            }
        }
    }
    house.stop_campaign();
    house.pass_ms(61_000);
    assert!(house.bank.withdraw(2, 300, house.now), "the bank asks for it");
    assert!(house.bank.withdraw(3, u64::MAX, house.now), "the bank asks for it");
    house.carry();
    diaries[1].note(Act::Withdrawn, 0, 300);
    let mut house = house.restarted(1);
    for Diary { guest, rows } in &mut diaries {
        guest.log_in(&mut house);
        let all = whole(&mut house, guest);
        let told = all.iter().filter(|row| row.act != Act::Refunded as u8);
        let told: Vec<_> = told.map(|row| (Act::of_number(row.act).expect("an act"), row.about, row.fen)).collect();
        assert_eq!(&told, rows, "user {}", guest.user);
        assert!(all.is_sorted_by_key(|row| std::cmp::Reverse(row.at_ms)) && all.iter().all(|row| row.at_ms > 0));
        let sum: i64 = all.iter().map(|row| if gives(row.act) { -(row.fen as i64) } else { row.fen as i64 }).sum();
        assert_eq!(sum as u64, guest.balance(&mut house), "a history comes to the balance");
        assert_eq!(history(&mut house, guest, 1), (vec![], 0), "nothing stands before the first");
        assert_eq!(
            history(&mut house, guest, u64::MAX),
            history(&mut house, guest, 0),
            "nothing stands behind the last"
        );
    }
    let of_sender = whole(&mut house, &mut diaries[0].guest);
    assert!(of_sender.iter().any(|row| row.act == Act::Refunded as u8), "packets came back");
    assert!(of_sender.len() > 2 * HISTORY_PAGE_ROWS, "{} rows", of_sender.len());
    house.audit();
}

fn gives(act: u8) -> bool {
    [Act::Sent as u8, Act::Withdrawn as u8].contains(&act)
}

#[test]
fn who_asks_more_than_can_wait_is_told_to_come_later() {
    let mut house = house();
    let places = ASKS_MAX * house.config.workers as usize;
    let mut guests = company(&mut house, places as u64 + 1);
    house.is_unread = true;
    let ask = |guest: &mut Guest| {
        let mut out = vec![0; History::LEN];
        History { flags: 0, session: guest.session, counter: 0, request: 5, before: 0 }.put(&mut out);
        guest.close(out)
    };
    let is_taken = |house: &mut House, guest: &mut Guest| {
        let more = ask(guest);
        let (outcome, Some(reply)) = house.hear(guest.peer, &more) else { return true };
        let refused = Refused::take(&guest.open(&reply)).expect("it is whole");
        let why = (outcome, refused.refusal, refused.kind);
        assert_eq!(why, (Outcome::Replied, Refusal::Busy as u8, Kind::History as u8));
        assert!(refused.retry_after_ms > 0 && refused.request == 5);
        false
    };
    let mut waiting = 0;
    for guest in &mut guests {
        waiting += usize::from(is_taken(&mut house, guest));
        // One at a time: nobody takes all the places.
        assert!(!is_taken(&mut house, guest), "a second question while the first waits");
    }
    assert!((ASKS_MAX..=places).contains(&waiting), "{waiting} wait in {places} places");
    house.is_unread = false;
    house.carry();
    let pages = house.sent.iter().filter(|(bytes, _)| bytes[0] == Kind::HistoryPage.first_byte());
    assert_eq!(pages.count(), waiting, "the others are answered");
    assert_eq!(house.count(|books| &books.sent[Kind::HistoryPage]), waiting as u64);
    house.audit();
}

#[test]
fn a_server_that_keeps_nothing_says_so() {
    let mut house = House::new();
    let mut guest = company(&mut house, 1).remove(0);
    let mut out = vec![0; History::LEN];
    History { flags: 0, session: guest.session, counter: 0, request: 5, before: 0 }.put(&mut out);
    let (is_late, bytes) = read(&mut house, &mut guest, out);
    let refused = Refused::take(&bytes).expect("a refusal");
    assert_eq!((is_late, refused.refusal, refused.kind), (false, Refusal::NotKept as u8, Kind::History as u8));
}

#[test]
fn an_answer_from_the_ledger_goes_to_the_session_that_asked_and_to_nobody_behind_it() {
    type Leave = fn(&mut House, &mut Guest);
    let stay: Leave = |_, _| {};
    let end: Leave = |house, guest| drop(guest.ask(house, Kind::Bye));
    let log_in: Leave = |house, guest| {
        guest.log_in(house);
    };
    let log_in_elsewhere: Leave = |house, guest| {
        guest.peer.port += 1;
        guest.log_in(house);
    };
    let move_on: Leave = |house, guest| {
        guest.peer.port += 1;
        let ping = guest.head(Kind::Ping, guest.sequence + 1);
        let challenge = house.hear(guest.peer, &ping).1.expect("a challenge");
        let sequence = SessionHead::take(&challenge).expect("it is whole").sequence;
        let echo = guest.head(Kind::Echo, sequence);
        assert_eq!(house.hear(guest.peer, &echo).1.expect("echoed")[0], Kind::Echoed.first_byte());
    };
    for (name, leave, is_late) in [
        ("stays", stay, false),
        ("says BYE", end, true),
        ("logs in again", log_in, true),
        ("logs in elsewhere", log_in_elsewhere, true),
        ("moves", move_on, true),
    ] {
        let mut house = house();
        let mut guest = company(&mut house, 1).remove(0);
        let asked_at = guest.peer;
        let mut out = vec![0; History::LEN];
        History { flags: 0, session: guest.session, counter: 0, request: 9, before: 0 }.put(&mut out);
        let ask = guest.close(out);
        house.is_unread = true;
        assert_eq!(house.hear(guest.peer, &ask).0, Outcome::Accepted);
        leave(&mut house, &mut guest);
        house.sent.clear();
        house.is_unread = false;
        house.pass_ms(10);
        let pages = house.sent.iter().filter(|(bytes, _)| bytes[0] == Kind::HistoryPage.first_byte());
        let to: Vec<Peer> = pages.map(|(_, to)| *to).collect();
        assert_eq!((to, house.late), (if is_late { vec![] } else { vec![asked_at] }, u64::from(is_late)), "{name}");
    }
}
