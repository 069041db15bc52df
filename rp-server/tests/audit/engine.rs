//! What the engine writes, the audit takes: users of a whole server, which dies and starts again now and then.

use rand_core::SeedableRng as _;
use rp_core::engine::Config;
use rp_core::engine::bank::Plan;
use rp_core::engine::split::below;
use rp_core::kind::Kind;
use rp_core::posting::{Act, each};
use rp_core::wire::{SPLIT_EQUAL, SPLIT_RANDOM};
use rp_server::audit::model::Model;

use crate::guest::{Answer, Guest};
use crate::house::House;
use crate::world::Rng;

const USERS: u64 = 24;
const SETS: u32 = 8;
/// Steps between two deaths of the server.
const LIFE: u64 = 120;

fn step(house: &mut House, guests: &mut [Guest], packets: &mut Vec<u64>, rng: &mut Rng) {
    let mut draw = |n| below(n, rng);
    let guest = &mut guests[draw(USERS) as usize];
    match draw(16) {
        0..4 => {
            let (fen, to) = (3 + draw(900), [draw(USERS) + 1, draw(USERS) + 1, draw(USERS) + 1]);
            let split = if draw(2) == 0 { SPLIT_EQUAL } else { SPLIT_RANDOM };
            if let Answer::Sent { packet, .. } = guest.send(house, fen, 1 + draw(3) as u8, split, &to) {
                packets.push(packet);
            }
        }
        4 => {
            guest.request += 1;
            let bytes = guest.send_to_set_bytes(guest.request, 500, 3, draw(u64::from(SETS)) as u16);
            if let Some(Answer::Sent { packet, .. }) = guest.settle(house, guest.request, &bytes) {
                packets.push(packet);
            }
        }
        5..10 => {
            let packet = packets.get(draw(packets.len() as u64 + 1) as usize).copied().unwrap_or(77);
            guest.grab(house, packet);
        }
        10..12 => drop(guest.ask(house, Kind::Shake)),
        12 => house.mint(guest.user, 1 + draw(500)),
        13 => {
            assert!(house.bank.withdraw(guest.user, 1 + draw(3_000), house.now));
            house.carry();
        }
        14 => {
            for notice in guest.notices(house) {
                guest.acknowledge(house, notice.notice);
            }
        }
        _ => house.pass_ms(200),
    }
}

fn play(seed: u64) -> House {
    let mut rng = Rng::seed_from_u64(seed);
    let (idle_us, packet_life_us) = (300_000_000, 1_000_000);
    let mut house = House::with(Config { sets: SETS, workers: 2, idle_us, packet_life_us, ..Config::default() });
    let mut guests: Vec<Guest> = (1..=USERS).map(Guest::new).collect();
    for guest in &mut guests {
        house.mint(guest.user, 2_000);
    }
    let plan = Plan { budget_fen: 20_000, rate: 200, from_fen: 10, to_fen: 309, per_user: 3 };
    house.bank.start(plan, house.now).expect("the plan is one");
    let mut packets = Vec::new();
    for life in 0..3 {
        for guest in &mut guests {
            guest.log_in(&mut house);
        }
        for _ in 0..LIFE {
            step(&mut house, &mut guests, &mut packets, &mut rng);
        }
        house = house.restarted(1 + life);
        house.pass_ms(100);
    }
    house.stop_campaign();
    house.pass_ms(2_000);
    house
}

#[test]
fn what_the_engine_writes_is_right() {
    let mut acts = Vec::new();
    for seed in 0..20 {
        let house = play(seed);
        let mut model = Model::new(SETS);
        for (at, posting) in each(&house.ledger).enumerate() {
            model.take(at as u64 + 1, &posting).unwrap_or_else(|fault| panic!("seed {seed}: {fault}"));
            acts.push(posting.act);
        }
        let figures = model.figures().unwrap_or_else(|fault| panic!("seed {seed}: {fault}"));
        assert_eq!((figures.transit.count, figures.untold), (0, 0), "seed {seed}: {figures}");
        assert_eq!(figures.issued_fen, house.bank_books.issued_fen.read(), "seed {seed}");
        assert_eq!(figures.open.fen, house.count(|books| &books.open.fen), "seed {seed}");
    }
    // A SET that is full, or has no room for news, is another test's.
    let rare = [Act::Bounced, Act::Untold];
    let unseen: Vec<_> = Act::ALL.iter().filter(|act| !rare.contains(act) && !acts.contains(act)).collect();
    assert!(unseen.is_empty(), "{unseen:?}");
}
