//! Campaigns through the door: released evenly, won once, capped, and given back to the last fen.

#[path = "shared/guest.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod guest;
#[path = "shared/house.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod house;

use guest::Guest;
use house::House;
use rp_core::engine::Outcome;
use rp_core::engine::bank::{PRIZES_OUT_MAX, Plan, PlanError};
use rp_core::kind::Kind;
use rp_core::wire::*;

const PLAN: Plan = Plan { budget_fen: 1_000_000, rate: 100, from_fen: 10, to_fen: 309, per_user: 3 };

fn guests(house: &mut House, count: u64) -> Vec<Guest> {
    let mut guests: Vec<Guest> = (1..=count).map(Guest::new).collect();
    for guest in &mut guests {
        guest.log_in(house);
    }
    guests
}

/// A shake; the prize, acknowledged, or none.
fn shake(house: &mut House, guest: &mut Guest) -> Option<Prize> {
    let reply = guest.ask(house, Kind::Shake);
    if reply[0] == Kind::Nothing.first_byte() {
        return None;
    }
    let prize = Prize::take(&reply).expect("nothing or a prize");
    assert_eq!((reply[0], prize.sequence), (Kind::Prize.first_byte(), guest.sequence));
    guest.acknowledge(house, prize.notice);
    Some(prize)
}

#[test]
fn prizes_are_released_evenly_and_all_are_won() {
    let mut house = House::new();
    let mut guests = guests(&mut house, 400);
    assert!(house.bank.start(PLAN, house.now).is_ok());
    let mut per_tenth = Vec::new();
    let mut sum = 0;
    for _ in 0..50 {
        let before = house.bank_books.released.count.read();
        // Everybody shakes ten times a second.
        for part in 0..10 {
            for guest in guests.iter_mut().skip(part).step_by(10) {
                sum += shake(&mut house, guest).map_or(0, |prize| prize.fen);
            }
            house.pass_ms(10);
        }
        per_tenth.push(house.bank_books.released.count.read() - before);
    }
    assert!(per_tenth.iter().all(|count| (8..=12).contains(count)), "{per_tenth:?}");
    let won = house.count(|b| &b.prizes.count);
    assert!((480..=500).contains(&won), "{won} of 500");
    let held: u64 = guests.iter_mut().map(|guest| guest.balance(&mut house)).sum();
    assert_eq!((sum, sum), (held, house.count(|b| &b.prizes.fen)));
    house.audit();
}

#[test]
fn a_user_wins_no_more_than_his_share_and_the_rest_goes_on() {
    let mut house = House::new();
    let mut guests = guests(&mut house, 2);
    assert!(house.bank.start(PLAN, house.now).is_ok());
    let mut wins = [0; 2];
    for round in 0..600 {
        // The second comes late: what the first may not have must reach him, whichever SET it was released to.
        for (guest, won) in guests.iter_mut().zip(&mut wins).take(if round < 300 { 1 } else { 2 }) {
            *won += u32::from(shake(&mut house, guest).is_some());
        }
        house.pass_ms(10);
    }
    assert_eq!(wins, [3, 3]);
    // Another campaign, another three; a new log-in changes nothing of it.
    house.stop_campaign();
    house.audit();
    let books = &house.bank_books;
    let (released, withdrawn) = (books.released.count.read(), books.withdrawn.count.read());
    assert!(withdrawn > 0, "prizes waited that both were no longer allowed to win");
    assert_eq!(released, 6 + withdrawn, "each prize was won or withdrawn");
    assert_eq!(books.released.fen.read(), house.count(|b| &b.prizes.fen) + books.withdrawn.fen.read());
    assert!(house.bank.start(PLAN, house.now).is_ok());
    for _ in 0..300 {
        guests[0].log_in(&mut house);
        wins[0] += u32::from(shake(&mut house, &mut guests[0]).is_some());
        house.pass_ms(10);
    }
    assert_eq!(wins[0], 6);
    house.audit();
}

#[test]
fn the_budget_is_never_overdrawn_and_what_is_left_goes_back() {
    let mut house = House::new();
    let mut guests = guests(&mut house, 100);
    let plan = Plan { budget_fen: 1_000, rate: 1_000, ..PLAN };
    assert!(house.bank.start(plan, house.now).is_ok());
    assert_eq!(house.bank.start(plan, house.now), Err(PlanError::Running));
    let mut sum = 0;
    for _ in 0..200 {
        for guest in &mut guests {
            sum += shake(&mut house, guest).map_or(0, |prize| prize.fen);
        }
        house.pass_ms(10);
        house.audit();
    }
    assert!(sum <= 1_000 && sum > 1_000 - 10, "{sum}: less than the smallest prize is left");
    house.stop_campaign();
    house.pass_ms(2_000);
    assert_eq!(house.bank_books.issued_fen.read(), sum, "what was not given out is no longer issued");
    assert_eq!(house.count(|b| &b.campaign_fen) + house.bank_books.campaign_fen.read(), 0);
    house.audit();
}

#[test]
fn a_plan_that_cannot_be_is_refused() {
    let mut house = House::new();
    let rows = [
        ("no rate", Plan { rate: 0, ..PLAN }, PlanError::Empty),
        ("free prizes", Plan { from_fen: 0, ..PLAN }, PlanError::Empty),
        ("from above to", Plan { from_fen: 310, ..PLAN }, PlanError::Empty),
        ("a budget below one prize", Plan { budget_fen: 9, ..PLAN }, PlanError::Empty),
        ("nobody may win", Plan { per_user: 0, ..PLAN }, PlanError::Empty),
        ("too fast", Plan { rate: 1_000_001, ..PLAN }, PlanError::TooLarge),
        ("more than can be counted", Plan { budget_fen: u64::MAX, ..PLAN }, PlanError::TooLarge),
    ];
    for (name, plan, error) in rows {
        assert_eq!(house.bank.start(plan, house.now), Err(error), "{name}");
        assert_eq!(house.bank_books.issued_fen.read(), 0, "{name}");
    }
}

#[test]
fn a_prize_whose_answer_is_lost_is_told_again() {
    let mut house = House::new();
    let mut guest = guests(&mut house, 1).remove(0);
    assert!(house.bank.start(PLAN, house.now).is_ok());
    let won = loop {
        house.pass_ms(10);
        let reply = guest.ask(&mut house, Kind::Shake);
        if reply[0] == Kind::Prize.first_byte() {
            break Prize::take(&reply).expect("whole");
        }
    };
    let again = house.hear(guest.peer, &guest.head(Kind::Shake, won.sequence)).1.expect("answered alike");
    let again = Prize::take(&guest.open(&again)).expect("whole");
    assert!(again.counter > won.counter, "a new counter for each transmission");
    assert_eq!(Prize { counter: won.counter, ..again }, won);
    house.pass_ms(600);
    let notices = guest.notices(&mut house);
    assert_eq!(notices.iter().map(|n| (n.notice, n.fen)).collect::<Vec<_>>(), [(won.notice, won.fen)]);
    guest.acknowledge(&mut house, won.notice);
    house.pass_ms(60_000);
    assert!(guest.notices(&mut house).is_empty());
    assert_eq!(guest.balance(&mut house), won.fen);
    house.audit();
}

#[test]
fn a_late_copy_of_a_shake_brings_no_prize_of_an_earlier_session() {
    let mut house = House::new();
    let mut guest = guests(&mut house, 1).remove(0);
    assert!(house.bank.start(Plan { rate: 1_000, ..PLAN }, house.now).is_ok());
    let mut won = Vec::new();
    for _ in 0..2 {
        guest.log_in(&mut house);
        house.pass_ms(50);
        let reply = house.hear(guest.peer, &guest.head(Kind::Shake, 100)).1.expect("answered");
        won.push(Prize::take(&guest.open(&reply)).expect("a prize waits").notice);
    }
    assert_eq!(won, [1, 2]);
    guest.acknowledge(&mut house, 2);
    assert_eq!(house.hear(guest.peer, &guest.head(Kind::Shake, 100)), (Outcome::Accepted, None));
    house.audit();
}

#[test]
fn nobody_there_holds_the_campaign_up_and_no_flood_follows() {
    let mut house = House::new();
    assert!(house.bank.start(Plan { budget_fen: u64::MAX / 4, rate: 1_000, ..PLAN }, house.now).is_ok());
    house.pass_ms(60_000);
    let released = house.bank_books.released.count.read();
    assert_eq!(released, PRIZES_OUT_MAX, "60 000 were due; what nobody takes is kept, and that has a limit");
    house.audit();
    // Sixty users come for a tenth of a second: new prizes leave at their rate, not those of half a minute at once.
    let mut guests = guests(&mut house, 60);
    for _ in 0..20 {
        for guest in &mut guests {
            shake(&mut house, guest);
        }
        house.pass_ms(5);
    }
    let won = house.count(|books| &books.prizes.count);
    assert_eq!(won, 180, "three for each");
    assert!(house.bank_books.released.count.read() <= released + 101);
    house.stop_campaign();
    house.pass_ms(5);
    assert_eq!(house.bank_books.issued_fen.read(), house.count(|books| &books.prizes.fen));
    house.audit();
}

#[test]
fn prizes_of_any_size_may_move_for_ever() {
    let mut house = House::new();
    let mut guest = guests(&mut house, 1).remove(0);
    let half = i64::MAX as u64 / 2;
    let plan = Plan { budget_fen: 2 * half, rate: 1, from_fen: half, to_fen: half, per_user: 1 };
    assert!(house.bank.start(plan, house.now).is_ok());
    // The first prize is his; the second finds nobody else and comes back to his SET every second.
    for _ in 0..200 {
        house.pass_ms(100);
        shake(&mut house, &mut guest);
    }
    house.audit();
    assert!(house.count(|books| &books.prizes_back.count) > 10);
    house.stop_campaign();
    house.pass_ms(100);
    house.audit();
    assert_eq!((guest.balance(&mut house), house.bank_books.issued_fen.read()), (half, half));
}

#[test]
fn untaken_prizes_move_to_where_people_shake() {
    let mut house = House::new();
    // All of one SET: an eighth of the prizes is released to it, and the others come over.
    let users = (1..).filter(|user| rp_core::steer::set_of_user(*user, 8) == 3).take(9);
    let mut guests: Vec<Guest> = users.map(Guest::new).collect();
    for guest in &mut guests {
        guest.log_in(&mut house);
    }
    let plan = Plan { budget_fen: 100_000, rate: 20, from_fen: 1, to_fen: 99, per_user: 3 };
    assert!(house.bank.start(plan, house.now).is_ok());
    for _ in 0..200 {
        house.pass_ms(20);
        guests.iter_mut().for_each(|guest| drop(guest.ask(&mut house, Kind::Shake)));
    }
    assert_eq!(house.count(|books| &books.prizes.count), 27, "all that these users may win");
    house.audit();
}
