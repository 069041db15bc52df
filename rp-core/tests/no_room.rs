//! A gate in plain memory, whose frames have no room for longer answers: what it lets up is paid for once.

#[path = "shared/guest.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod guest;
#[path = "shared/house.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod house;

use guest::Guest;
use house::{COOKIE_KEY, House};
use rp_core::bucket::Rate;
use rp_core::cookie::Baker;
use rp_core::engine::Config;
use rp_core::entry::Entry;
use rp_core::frame::{Ours, Verdict, classify};
use rp_core::gate::{Ground, Ruling, rule};
use rp_core::kind::Kind;
use rp_core::line::Line;
use rp_core::now::Now;
use rp_core::pot::Pot;
use rp_core::wire::Origin;

const BURST: u32 = 6;
const OURS: Ours = Ours { ports: [2015, 0, 0, 0], sets: 4 };

/// The house's memory as the gate sees it; only a session's own limit is small.
struct Yard<'a>(&'a House);

impl<'a> Ground for Yard<'a> {
    type Line = &'a Line;

    fn now(&self) -> Now {
        self.0.now
    }

    fn entry(&self, slot: u32) -> Option<Entry<&'a Line>> {
        Some(self.0.board.entry(slot as usize))
    }

    fn pot(&self, set: u32) -> Option<Pot<&'a Line>> {
        Some(self.0.board.pot(set as usize))
    }

    fn session_rate(&self) -> Rate {
        self.0.board.rules().session()
    }

    fn baker(&self) -> Baker {
        Baker::new(COOKIE_KEY, 0)
    }

    fn denies(&self, _: &Origin) -> bool {
        false
    }

    fn client(&self, _: &Origin) -> u16 {
        0
    }

    fn admit_stranger(&self) -> bool {
        true
    }

    fn admit_prefix(&self, _: &Origin) -> bool {
        true
    }

    fn admit_session(&self) -> Result<(), u32> {
        Ok(())
    }

    fn count_shake(&self, _: u64) {}
}

/// A datagram of the guest over IPv4; nothing behind it.
fn frame(guest: &Guest, datagram: &[u8]) -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x00, 0x45, 0];
    bytes.extend((28 + datagram.len() as u16).to_be_bytes());
    bytes.extend([0, 0, 0x40, 0, 64, 17, 0, 0]);
    bytes.extend(&guest.peer.ip[12..]);
    bytes.extend([10, 0, 0, 1]);
    for word in [guest.peer.port, 2015, 8 + datagram.len() as u16, 0] {
        bytes.extend(word.to_be_bytes());
    }
    bytes.extend(datagram);
    bytes
}

#[test]
fn a_ping_without_room_for_its_answer_takes_from_the_bucket_once() {
    let (idle_us, packet_life_us) = (300_000_000, 60_000_000);
    let config = Config { sets: 4, workers: 1, idle_us, packet_life_us, is_gated: true, ..Config::default() };
    let (mut house, mut guest) = (House::with(config), Guest::new(1));
    guest.log_in(&mut house);
    house.pass_ms(1_000);
    house.board.rules().set_session(Rate { interval: 1_000, burst: 1_000 * (BURST - 1) });
    let mut pongs = 0;
    for sequence in 1..=2 * BURST {
        let ping = guest.head(Kind::Ping, sequence);
        let mut bytes = frame(&guest, &ping);
        let Verdict::Request(request) = classify(&bytes[..], &OURS) else { panic!("a ping is a request") };
        assert_eq!(rule(&mut bytes[..], &request, &Yard(&house)).ruling, Ruling::Up);
        let reply = house.hear(guest.peer, &ping).1.expect("a session is answered");
        assert!([Kind::Pong, Kind::Busy].iter().any(|kind| reply[0] == kind.first_byte()), "{reply:02x?}");
        pongs += u32::from(reply[0] == Kind::Pong.first_byte());
    }
    assert_eq!(pongs, BURST);
}
