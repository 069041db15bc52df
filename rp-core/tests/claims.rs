//! Claims whose datagrams are lost on their way up: their prizes are won by others, all of them, and none twice.

#[path = "shared/guest.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod guest;
#[path = "shared/house.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod house;

use guest::Guest;
use house::House;
use rand_chacha::ChaCha12Rng;
use rand_core::{RngCore, SeedableRng};
use rp_core::answer::{self, Step};
use rp_core::engine::Config;
use rp_core::engine::bank::Plan;
use rp_core::entry::State;
use rp_core::kind::Kind;
use rp_core::limits::SLOT_BITS;
use rp_core::steer::set_of_session;

const PRIZES: u64 = 10_000;
const GUESTS: u64 = 400;

/// A house behind a gate that answers, and loses one in four of what it lets up.
struct Lossy {
    house: House,
    rng: ChaCha12Rng,
    /// Claims that were lost.
    lost: u64,
}

impl Lossy {
    fn new() -> Lossy {
        let (idle_us, packet_life_us) = (3_600_000_000, 60_000_000);
        let config = Config { sets: 4, workers: 1, idle_us, packet_life_us, is_gated: true, ..Config::default() };
        Lossy { house: House::with(config), rng: ChaCha12Rng::seed_from_u64(7), lost: 0 }
    }

    /// A shake under the next sequence, as the gate decides it; its answer, if it was not lost.
    fn shake(&mut self, guest: &mut Guest) -> Option<Vec<u8>> {
        guest.sequence += 1;
        let board = self.house.board.clone();
        let entry = board.entry((guest.session & ((1 << SLOT_BITS) - 1)) as usize);
        let pot = board.pot(set_of_session(guest.session) as usize);
        let asks = (guest.session, guest.sequence);
        let now = self.house.now;
        match answer::shake(&entry, &pot, asks, board.rules().session(), now.mono_ms()) {
            Step::Up => {}
            step => {
                assert!(matches!(step, Step::Answer | Step::AnswerNew), "{step:?}");
                pot.shake(now.unix_s());
                return None;
            }
        }
        if self.rng.next_u32().is_multiple_of(4) {
            self.lost += u64::from(entry.status().state() == State::Won);
            return None;
        }
        self.house.hear(guest.peer, &guest.head(Kind::Shake, guest.sequence)).1
    }
}

#[test]
fn prizes_of_lost_claims_are_won_by_others() {
    let mut lossy = Lossy::new();
    let mut guests: Vec<Guest> = (1..=GUESTS).map(Guest::new).collect();
    for guest in &mut guests {
        guest.log_in(&mut lossy.house);
    }
    let plan = Plan { budget_fen: PRIZES, rate: 500, from_fen: 1, to_fen: 1, per_user: 255 };
    lossy.house.bank.start(plan, lossy.house.now).expect("none is running");
    let mut answered_prizes = 0;
    let mut quiet_ms = 0;
    while quiet_ms < 8_000 {
        let before = lossy.house.count(|books| &books.prizes.count);
        for guest in &mut guests {
            if let Some(reply) = lossy.shake(guest) {
                answered_prizes += u64::from(reply[0] == Kind::Prize.first_byte());
            }
            for notice in guest.notices(&mut lossy.house) {
                guest.acknowledge(&mut lossy.house, notice.notice);
            }
        }
        lossy.house.pass_ms(20);
        let won = lossy.house.count(|books| &books.prizes.count);
        quiet_ms = if won == before && won > 0 { quiet_ms + 20 } else { 0 };
    }
    assert!(lossy.lost > PRIZES / 20, "{} claims were lost", lossy.lost);
    assert_eq!(lossy.house.count(|books| &books.prizes.count), PRIZES, "of {} lost claims", lossy.lost);
    assert_eq!(answered_prizes, PRIZES, "each prize was told to one shake, and to no other");
    lossy.house.audit();
}
