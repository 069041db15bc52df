//! The cookie: good for its maker, its address and its nonce, inside its window, and for nothing else.

use proptest::prelude::*;
use rp_core::cookie::{Baker, COOKIE_LEN, Cookie};
use rp_core::limits::{COOKIE_LIFE_S, COOKIE_ROTATE_S};
use rp_core::reason::Reason;
use rp_core::wire::{Origin, Peer};

const NONCE: u64 = 0x0102_0304_0506_0708;
/// The first second of a period of the secret.
const PERIOD_S: u32 = 27_000_000 * COOKIE_ROTATE_S;

fn baker() -> Baker {
    Baker::new([0x5a; 16], 1)
}

fn peer() -> Peer {
    Peer { ip: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1], port: 40_000 }
}

#[test]
fn a_cookie_lives_from_its_second_to_the_last_of_its_life() {
    use Reason::ExpiredCookie;
    // (the case, made, comes back, verdict)
    let rows = [
        ("in its own second", PERIOD_S, PERIOD_S, Ok(())),
        ("a second later", PERIOD_S, PERIOD_S + 1, Ok(())),
        ("in its last second", PERIOD_S, PERIOD_S + COOKIE_LIFE_S, Ok(())),
        ("a second too late", PERIOD_S, PERIOD_S + COOKIE_LIFE_S + 1, Err(ExpiredCookie)),
        ("a year too late", PERIOD_S, PERIOD_S + 31_536_000, Err(ExpiredCookie)),
        ("a second early: from the future", PERIOD_S, PERIOD_S - 1, Err(ExpiredCookie)),
        ("a year early", PERIOD_S, PERIOD_S - 31_536_000, Err(ExpiredCookie)),
        ("over a change of the secret", PERIOD_S - 1, PERIOD_S, Ok(())),
        ("over a change, last second", PERIOD_S - 1, PERIOD_S - 1 + COOKIE_LIFE_S, Ok(())),
        ("over a change, too late", PERIOD_S - 1, PERIOD_S + COOKIE_LIFE_S, Err(ExpiredCookie)),
        ("last second of a period, from its first", PERIOD_S, PERIOD_S + COOKIE_ROTATE_S - 1, Err(ExpiredCookie)),
        ("over the wrap of 32 bits", u32::MAX, COOKIE_LIFE_S - 1, Ok(())),
        ("over the wrap, too late", u32::MAX, COOKIE_LIFE_S, Err(ExpiredCookie)),
    ];
    for (case, made_s, back_s, verdict) in rows {
        let cookie = baker().bake(&Origin::from(&peer()), NONCE, made_s);
        assert_eq!(baker().check(&cookie, &Origin::from(&peer()), NONCE, back_s), verdict, "{case}");
    }
}

#[test]
fn a_cookie_is_good_for_one_server_address_port_and_nonce() {
    let cookie = baker().bake(&Origin::from(&peer()), NONCE, PERIOD_S);
    let check = |case: &str, by: Baker, from: Peer, nonce: u64| {
        assert_eq!(by.check(&cookie, &Origin::from(&from), nonce, PERIOD_S), Err(Reason::BadCookie), "{case}");
    };
    check("another server", Baker::new([0x5a; 16], 2), peer(), NONCE);
    check("the same server after a restart", Baker::new([0x5b; 16], 1), peer(), NONCE);
    check("another port", baker(), Peer { port: 40_001, ..peer() }, NONCE);
    for bit in 0..64 {
        check("another nonce", baker(), peer(), NONCE ^ (1 << bit));
    }
    for at in 0..16 {
        let mut from = peer();
        from.ip[at] ^= 1;
        check("another address", baker(), from, NONCE);
    }
}

#[test]
fn a_cookie_with_any_bit_turned_is_refused() {
    let cookie = baker().bake(&Origin::from(&peer()), NONCE, PERIOD_S);
    for bit in 0..8 * COOKIE_LEN {
        let mut bent = cookie;
        bent[bit / 8] ^= 1 << (bit % 8);
        assert!(baker().check(&bent, &Origin::from(&peer()), NONCE, PERIOD_S).is_err(), "bit {bit}");
    }
}

#[test]
fn a_cookie_redated_into_the_window_is_false() {
    let old = baker().bake(&Origin::from(&peer()), NONCE, PERIOD_S);
    let mut redated: Cookie = old;
    redated[..4].copy_from_slice(&(PERIOD_S + 100).to_le_bytes());
    assert_eq!(baker().check(&redated, &Origin::from(&peer()), NONCE, PERIOD_S + 100), Err(Reason::BadCookie));
}

#[test]
fn the_secret_differs_from_period_to_period() {
    let here = baker().bake(&Origin::from(&peer()), NONCE, PERIOD_S);
    let next = baker().bake(&Origin::from(&peer()), NONCE, PERIOD_S + COOKIE_ROTATE_S);
    let mut hashes = [here, next].map(|cookie| u64::from_le_bytes(*cookie.last_chunk().expect("12 bytes end in 8")));
    hashes.sort_unstable();
    assert_ne!(hashes[0], hashes[1]);
}

proptest! {
    #[test]
    fn a_cookie_is_good_exactly_inside_its_window(
        master in any::<[u8; 16]>(), server in any::<u32>(), ip in any::<[u8; 16]>(), port in any::<u16>(),
        nonce in any::<u64>(), made_s in any::<u32>(), age_s in -100i64..100,
    ) {
        let (baker, peer) = (Baker::new(master, server), Origin::from(&Peer { ip, port }));
        let cookie = baker.bake(&peer, nonce, made_s);
        let back_s = made_s.wrapping_add(age_s as u32);
        let good = (0..=i64::from(COOKIE_LIFE_S)).contains(&age_s);
        prop_assert_eq!(baker.check(&cookie, &peer, nonce, back_s).is_ok(), good);
    }
}
