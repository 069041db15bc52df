//! Frames sent to many machines at once: the gate turns none of them, since the answer would come from all.

use rp_core::engine::Config;
use rp_core::kind::Kind;

use crate::alike::{Gated, SETS, Verdict, frame};
use crate::guest::Guest;

fn gated() -> (Gated, Guest) {
    let (idle_us, packet_life_us) = (300_000_000, 60_000_000);
    let mut gated = Gated::new(Config { sets: SETS, workers: 1, idle_us, packet_life_us, ..Config::default() });
    let mut guest = Guest::new(1);
    let challenge = gated.hear(guest.peer, &guest.hello()).expect("a challenge");
    guest.take(&gated.hear(guest.peer, &guest.login(&challenge)).expect("a welcome"));
    (gated, guest)
}

#[test]
#[ignore = "needs root"]
fn nothing_is_answered_in_the_name_of_a_group() {
    let (gated, guest) = gated();
    gated.tell_time();
    for datagram in [guest.hello(), guest.head(Kind::Ping, 1), guest.head(Kind::Shake, 2)] {
        let alone = frame(&guest.peer, &datagram);
        for group in [[0xff; 6], [1, 0, 0x5e, 0, 0, 1], [0x33, 0x33, 0, 0, 0, 1]] {
            let to_group = [&group[..], &alone[6..]].concat();
            assert!(matches!(gated.gate.run_frame(&to_group), Verdict::Up), "{group:02x?}");
        }
        assert!(matches!(gated.gate.run_frame(&alone), Verdict::Answer(_)), "the same to one machine");
    }
}
