//! The server dies and starts again from its ledger: nobody is paid twice, nobody loses a fen, and every answer is the same.

#[path = "shared/guest.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod guest;
#[path = "shared/house.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod house;

use guest::{Answer, Guest};
use house::House;
use rp_core::engine::bank::{OrderError, Plan, Progress, Running, Standing};
use rp_core::kind::Kind;
use rp_core::posting::{self, Act};
use rp_core::wire::*;

const START_FEN: u64 = 100_000;

fn company(house: &mut House, users: u64) -> Vec<Guest> {
    let mut guests: Vec<Guest> = (1..=users).map(Guest::new).collect();
    for guest in &mut guests {
        house.mint(guest.user, START_FEN);
        guest.log_in(house);
    }
    guests
}

/// Packets to everybody, taken by some, by more than there are shares, and by some for whom they are not.
fn doings(house: &mut House, guests: &mut [Guest]) -> Vec<(u64, u64, Vec<u8>, Answer)> {
    let mut asked = Vec::new();
    let mut packets = Vec::new();
    let users: Vec<u64> = guests.iter().map(|guest| guest.user).collect();
    for (at, guest) in guests.iter_mut().enumerate().take(4) {
        guest.request += 1;
        let (split, shares) = (at as u8 % 2, 2 + at as u8);
        let bytes = guest.send_bytes(guest.request, 1_000 + at as u64, shares, split, &users[at..]);
        let answer = guest.settle(house, guest.request, &bytes).expect("a SEND is answered");
        let Answer::Sent { packet, .. } = answer else { panic!("{answer:?}") };
        packets.push(packet);
        asked.push((guest.user, guest.request, guest.open(&bytes), answer));
    }
    for packet in packets {
        for guest in guests.iter_mut() {
            guest.request += 1;
            let bytes = guest.grab_bytes(guest.request, packet);
            let answer = guest.settle(house, guest.request, &bytes).expect("a GRAB is answered");
            asked.push((guest.user, guest.request, guest.open(&bytes), answer));
        }
    }
    asked
}

/// The same request, opened before, under a new session.
fn again(guest: &mut Guest, bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes[..bytes.len() - TRAILER].to_vec();
    bytes[1] = 0;
    bytes[2..6].copy_from_slice(&guest.session.to_le_bytes());
    guest.close(bytes)
}

#[test]
fn a_retry_after_a_restart_gets_the_same_answer_and_moves_nothing() {
    let mut house = House::new();
    let mut guests = company(&mut house, 9);
    let asked = doings(&mut house, &mut guests);
    house.audit();
    for workers in [1, 2, 3] {
        let mut house = house.restarted(workers);
        for guest in &mut guests {
            let welcome = guest.log_in(&mut house);
            assert_eq!(welcome.request_highest, guest.request, "the highest number is kept");
        }
        let before: Vec<u64> = guests.iter_mut().map(|guest| guest.balance(&mut house)).collect();
        for (user, request, bytes, answer) in &asked {
            let guest = &mut guests[*user as usize - 1];
            let bytes = again(guest, bytes);
            assert_eq!(guest.settle(&mut house, *request, &bytes), Some(*answer), "user {user}, request {request}");
        }
        let (user, request, bytes, _) = &asked[asked.len() - 1];
        let guest = &mut guests[*user as usize - 1];
        let mut other = bytes.clone();
        other[22] ^= 1;
        let other = again(guest, &other);
        assert_eq!(guest.settle(&mut house, *request, &other), Some(Answer::No(Refusal::Conflict, 0)));
        let after: Vec<u64> = guests.iter_mut().map(|guest| guest.balance(&mut house)).collect();
        assert_eq!(before, after, "retries move nothing");
        house.audit();
    }
}

#[test]
fn money_that_arrives_twice_is_booked_once() {
    let mut house = House::new();
    house.repeats = true;
    let mut guests = company(&mut house, 9);
    let balances =
        |guests: &mut [Guest], house: &mut House| -> u64 { guests.iter_mut().map(|g| g.balance(house)).sum() };
    assert_eq!(balances(&mut guests, &mut house), 9 * START_FEN, "each deposit came twice");
    doings(&mut house, &mut guests);
    assert!(house.bank.withdraw(1, 500, house.now), "the bank asks for it");
    house.carry();
    assert_eq!(house.bank_books.issued_fen.read(), 9 * START_FEN - 500, "it was paid back once");
    let postings = || posting::each(&house.ledger);
    let handed = postings().filter(|posting| posting.act == Act::Handed).count();
    assert!(handed > 0, "no share went abroad");
    assert_eq!(postings().filter(|posting| posting.act == Act::Received).count(), handed);
    house.audit();
}

#[test]
fn what_an_order_has_done_is_known_after_a_restart() {
    /// What a bank folds of orders when there was none: number and hash of the one at work, and how many are kept; then what
    /// the last campaign gave back.
    const NO_ORDERS_LEN: usize = 8 + 8 + 1 + 8;
    let mut house = House::new();
    house.mint(2, 100);
    let (sequence, bytes) = house.bank.fold();
    let of_old = &bytes[..bytes.len() - NO_ORDERS_LEN];
    House::new().bank.unfold(sequence, of_old, house.now).expect("orders had no numbers when it was folded");
    assert_eq!(house.bank.take_up(9, 1), Ok(Progress::default()));
    for user in 1..=3 {
        assert!(house.bank.withdraw(user, 50, house.now), "the bank asks for it");
    }
    house.carry();
    for mut again in [house.restarted(1), house.restarted(3), house.unfolded()] {
        assert_eq!(again.bank.take_up(9, 1), Ok(Progress { asked_to: 3, refused: 2 }));
        assert_eq!(again.bank.take_up(9, 2), Err(OrderError::Conflict));
    }
    house.audit();
}

#[test]
fn every_moment_of_the_ledger_is_one_to_start_from() {
    let mut house = House::new();
    let mut guests = company(&mut house, 6);
    let plan = Plan { budget_fen: 20_000, rate: 200, from_fen: 1, to_fen: 99, per_user: 3 };
    house.bank.start(plan, house.now).expect("none runs");
    for _ in 0..20 {
        house.pass_ms(20);
        for guest in &mut guests {
            guest.ask(&mut house, Kind::Shake);
        }
    }
    doings(&mut house, &mut guests);
    house.stop_campaign();
    house.audit();
    let whole = std::mem::take(&mut house.ledger);
    let mut end = 0;
    for (count, posting) in posting::each(&whole).enumerate() {
        end += posting.len();
        house.ledger = whole[..end].to_vec();
        let mut house = house.restarted(1 + count as u32 % 3);
        house.pass_ms(2_000);
        if house.bank.campaign().is_some() {
            house.stop_campaign();
        }
        house.audit();
        let held = house.count(|b| &b.users_fen) + house.count(|b| &b.open.fen);
        assert_eq!(held, house.bank_books.issued_fen.read(), "after posting {count}, {:?}", posting.act);
    }
    let acts: std::collections::HashSet<Act> = posting::each(&whole).map(|posting| posting.act).collect();
    for act in [Act::Won, Act::Handed, Act::Received, Act::Taken, Act::Refused, Act::Told, Act::Closed] {
        assert!(acts.contains(&act), "no {} among {} postings", act.name(), posting::each(&whole).count());
    }
}

#[test]
fn what_was_not_seen_is_told_again_and_what_was_seen_is_not() {
    let mut house = House::new();
    let mut guests = company(&mut house, 3);
    let Answer::Sent { packet, .. } = guests[0].send(&mut house, 10, 1, SPLIT_EQUAL, &[2, 3]) else {
        panic!("no packet")
    };
    house.pass_ms(100);
    let notice = guests[1].notices(&mut house)[0].notice;
    guests[1].acknowledge(&mut house, notice);
    let mut house = house.restarted(2);
    for guest in &mut guests {
        guest.log_in(&mut house);
    }
    house.pass_ms(1_000);
    assert_eq!(guests[1].notices(&mut house).len(), 0, "it was seen");
    let told = guests[2].notices(&mut house);
    assert_eq!((told[0].about, told[0].fen, told[0].from), (packet, 10, 1));
    assert!(matches!(guests[2].grab(&mut house, packet), Answer::Grabbed { share: 10, .. }));
    house.audit();
}

#[test]
fn a_campaign_goes_on_with_what_is_left_and_the_cap_holds() {
    let mut house = House::new();
    let mut guests = company(&mut house, 4);
    let plan = Plan { budget_fen: 12, rate: 100, from_fen: 1, to_fen: 1, per_user: 3 };
    let number = house.bank.start(plan, house.now).expect("none runs");
    let mut won = 0;
    while won < 5 {
        house.pass_ms(10);
        won += guests[..2].iter_mut().map(|guest| usize::from(guest_wins(guest, &mut house))).sum::<usize>();
    }
    let mut house = house.restarted(2);
    let left = house.bank.campaign().map(|(number, plan, _)| (number, plan.budget_fen));
    assert_eq!(left, Some((number, 12 - won as u64)));
    for guest in &mut guests {
        guest.log_in(&mut house);
    }
    let mut wins = [0; 4];
    for _ in 0..300 {
        house.pass_ms(10);
        for (guest, wins) in guests.iter_mut().zip(&mut wins) {
            *wins += u32::from(guest_wins(guest, &mut house));
        }
    }
    assert!(wins[0] + wins[1] <= 6 - won as u32, "three in all for each, {won} before: {wins:?}");
    assert_eq!(wins.iter().sum::<u32>() + won as u32, 12, "the whole budget is won: {wins:?}");
    house.audit();
}

#[test]
fn what_a_campaign_gave_back_and_its_number_are_known_after_a_restart() {
    let mut house = House::new();
    assert_eq!(house.bank.standing(), Standing { newest: 0, running: None });
    assert_eq!(house.unfolded().bank.standing().newest, 0, "one that had none knows that it had none");
    let plan = Plan { budget_fen: 12, rate: 100, from_fen: 1, to_fen: 1, per_user: 3 };
    let number = house.bank.start(plan, house.now).expect("none runs");
    let mut guest = company(&mut house, 1).remove(0);
    while !guest_wins(&mut guest, &mut house) {
        house.pass_ms(10);
    }
    for again in [house.restarted(1), house.unfolded()] {
        let running = Running { number, plan, is_stopped: false };
        assert_eq!(again.bank.standing(), Standing { newest: number, running: Some(running) }, "as it began");
    }
    house.stop_campaign();
    for again in [&house, &house.restarted(3), &house.unfolded()] {
        assert_eq!(again.bank.standing(), Standing { newest: number, running: None });
        assert_eq!(again.bank.closed_fen(), 11);
    }
}

fn guest_wins(guest: &mut Guest, house: &mut House) -> bool {
    let reply = guest.ask(house, Kind::Shake);
    let prize = (reply[0] == Kind::Prize.first_byte()).then(|| Prize::take(&reply).expect("it is whole"));
    if let Some(prize) = prize {
        guest.acknowledge(house, prize.notice);
    }
    prize.is_some()
}

#[test]
fn a_packet_expires_at_its_time_whatever_the_clock_of_the_machine_shows() {
    let mut house = House::new();
    let mut guests = company(&mut house, 2);
    guests[0].send(&mut house, 10, 1, SPLIT_EQUAL, &[2]);
    house.pass_ms(3_600_000);
    // The machine was started anew: its monotonic clock begins at zero, the ledger's goes on.
    house.now.mono_us = 0;
    let mut house = house.restarted(1);
    house.shards[0].set_clock(3_601_000);
    house.pass_ms(22 * 3_600_000);
    assert_eq!(house.count(|b| &b.refunded.count), 0);
    house.pass_ms(3_602_000);
    assert_eq!(house.count(|b| &b.refunded.count), 1);
    house.audit();
}
