//! Tickets: what is sealed comes back whole, and nothing but it does.

use proptest::prelude::*;
use rp_core::ticket::{ROLE_AUDITOR, ROLE_USER, Realm, RealmKey, Sealed, Ticket};
use rp_core::wire::TICKET_LEN;

#[path = "shared/story.rs"]
#[allow(dead_code, reason = "the story holds more than its ticket")]
mod story;

fn ticket() -> Ticket {
    Ticket { user: 7, secret: [0x11; 16], issued_s: 1_000, expires_s: 2_000, role: ROLE_AUDITOR }
}

fn sealed() -> Sealed {
    Realm::new(5, &[1; 32]).seal(&ticket(), &[2; 24])
}

#[test]
fn a_ticket_opens_under_its_realm_alone() {
    assert_eq!(Realm::new(5, &[1; 32]).open(&sealed()), Some(ticket()));
    assert_eq!(Realm::new(6, &[1; 32]).open(&sealed()), None, "another id, the same key");
    assert_eq!(Realm::new(5, &[3; 32]).open(&sealed()), None, "the same id, another key");
}

#[test]
fn a_ticket_with_any_bit_turned_stays_shut() {
    for bit in 0..8 * TICKET_LEN {
        let mut bent = sealed();
        bent[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(Realm::new(5, &[1; 32]).open(&bent), None, "bit {bit}");
        // A key change keeps both realms alive: the number in clear cannot be bent to the other one either.
        let mut moved = bent;
        moved[..4].copy_from_slice(&6u32.to_le_bytes());
        assert_eq!(Realm::new(6, &[1; 32]).open(&moved), None, "bit {bit}, moved to another realm");
    }
}

#[test]
fn a_ticket_tells_nothing_in_clear_but_realm_and_nonce() {
    let sealed = sealed();
    assert_eq!(sealed[..4], 5u32.to_le_bytes());
    assert_eq!(sealed[4..28], [2; 24]);
    for at in 28..TICKET_LEN - 8 {
        assert_ne!(sealed[at..at + 8], 7u64.to_le_bytes(), "the user in clear at {at}");
        assert_ne!(sealed[at..at + 8], [0x11; 8], "the secret in clear at {at}");
    }
}

/// Computed by another implementation of XChaCha20-Poly1305 (see docs/PROTOCOL.md, "Minting tickets").
#[test]
fn the_ticket_of_the_story_is_as_another_implementation_seals_it() {
    let text = include_str!("shared/ticket.hex");
    let elsewhere: Vec<u8> = text
        .split_ascii_whitespace()
        .flat_map(|line| line.as_bytes().chunks(2).map(|two| u8::from_str_radix(&String::from_utf8_lossy(two), 16)))
        .collect::<Result<_, _>>()
        .expect("the file holds hex");
    assert_eq!(story::ticket().to_vec(), elsewhere);
}

proptest! {
    #[test]
    fn any_line_is_a_realm_key_or_none(line in "\\PC{0,80}", id in any::<u32>(), key in any::<[u8; 32]>()) {
        let _ = RealmKey::parse(&line);
        // Characters of two bytes, so that the digits do not end where bytes do.
        let _ = RealmKey::parse(&format!("{id} {}", "é".repeat(32)));
        let written = RealmKey { id, key }.to_string();
        prop_assert!(RealmKey::parse(&written).is_some_and(|read| read.id == id && read.key == key));
    }

    #[test]
    fn what_is_sealed_is_opened(
        id in any::<u32>(), key in any::<[u8; 32]>(), nonce in any::<[u8; 24]>(), user in any::<u64>(),
        secret in any::<[u8; 16]>(), issued_s in any::<u32>(), expires_s in any::<u32>(),
        role in prop_oneof![Just(ROLE_USER), Just(ROLE_AUDITOR), any::<u8>()],
    ) {
        let (realm, ticket) = (Realm::new(id, &key), Ticket { user, secret, issued_s, expires_s, role });
        prop_assert_eq!(realm.open(&realm.seal(&ticket, &nonce)), Some(ticket));
    }

    #[test]
    fn any_other_bytes_stay_shut(head in any::<[u8; 32]>(), rest in any::<[u8; 32]>(), last in any::<[u8; 20]>()) {
        let mut bytes: Sealed = [0; TICKET_LEN];
        bytes[..32].copy_from_slice(&head);
        bytes[32..64].copy_from_slice(&rest);
        bytes[64..].copy_from_slice(&last);
        bytes[..4].copy_from_slice(&5u32.to_le_bytes());
        prop_assert_eq!(Realm::new(5, &[1; 32]).open(&bytes), None);
    }
}
