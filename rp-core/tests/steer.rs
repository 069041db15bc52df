//! Steering: every kind finds the SET of its user, users spread evenly, and no session id leads out of the tables.

use proptest::prelude::*;
use rp_core::limits::{SETS_DEFAULT, SETS_MAX, SLOT_BITS, SLOTS_PER_SET};
use rp_core::steer::*;

#[path = "shared/story.rs"]
#[allow(dead_code, reason = "the story holds more than its datagrams")]
mod story;

#[test]
fn the_hash_of_a_user_is_what_the_document_says() {
    let rows = [
        (0, 0xe220, 226),
        (1, 0x910a, 145),
        (2, 0x9758, 151),
        (7, 0x63cb, 99),
        (1_000_000, 0x680d, 104),
        (u64::MAX, 0xe4d9, 228),
    ];
    for (user, hash, set) in rows {
        assert_eq!(set_hash(user), hash, "user {user}");
        assert_eq!(set_of_user(user, 256), set, "user {user}");
    }
}

fn fullest_and_emptiest(users: impl Iterator<Item = u64>, sets: u32) -> (usize, usize) {
    let mut count = vec![0; sets as usize];
    for user in users {
        count[set_of_user(user, sets) as usize] += 1;
    }
    (count.iter().copied().max().unwrap_or_default(), count.iter().copied().min().unwrap_or_default())
}

#[test]
fn a_million_users_fit_the_sets_however_they_are_numbered() {
    let sets = SETS_DEFAULT as u32;
    type Numbering = fn(u64) -> u64;
    let rows: [(&str, Numbering); 5] = [
        ("from one", |i| i + 1),
        ("from ten billion", |i| 10_000_000_000 + i),
        ("every 256th", |i| 256 * i),
        ("telephone numbers", |i| 13_800_000_000 + 97 * i),
        ("in the high bits", |i| i << 44),
    ];
    for (case, user) in rows {
        let (most, least) = fullest_and_emptiest((0..1_000_000).map(user), sets);
        assert!(most < SLOTS_PER_SET, "{case}: {most} users in one SET");
        // Mean 3 906, deviation 62: five of them, and what is left for chance over 256 SETs.
        assert!(most < 3_906 + 350 && least > 3_906 - 350, "{case}: {least} to {most}");
    }
}

#[test]
fn every_request_of_one_user_goes_to_the_same_set() {
    let set = set_of_user(story::USER, story::SETS);
    for scene in story::scenes().iter().filter(|scene| scene.kind.is_request()) {
        let head = scene.bytes.first_chunk().expect("no datagram is shorter than its head");
        assert_eq!(set_of(*head, story::SETS), set, "{}", scene.name);
    }
}

#[test]
fn a_session_id_names_its_set_in_every_generation() {
    for set in [0, 1, 99, 255, SETS_MAX as u32 - 1] {
        for slot in [0, 1, SLOTS_PER_SET as u32 - 1] {
            for generation in [0, 1, 1023] {
                let session = generation << SLOT_BITS | (set * SLOTS_PER_SET as u32 + slot);
                assert_eq!(set_of_session(session), set, "generation {generation}, slot {slot}");
            }
        }
    }
}

#[test]
fn workers_share_the_sets_evenly() {
    for workers in 1..=64 {
        let mut count = vec![0; workers as usize];
        (0..SETS_DEFAULT as u32).for_each(|set| count[worker_of(set, workers) as usize] += 1);
        let (most, least) = (count.iter().max(), count.iter().min());
        assert!(most.zip(least).is_some_and(|(most, least)| most - least <= 1), "{workers} workers: {count:?}");
    }
}

proptest! {
    #[test]
    fn a_hash_leads_to_a_set_that_exists(hash in any::<u16>(), sets in 1..=SETS_MAX as u32) {
        prop_assert!(set_of_hash(hash, sets) < sets);
    }

    /// A server may be told fewer SETs than a session id can name, never more.
    #[test]
    fn a_session_id_never_leads_further_than_the_ids_reach(session in any::<u32>()) {
        prop_assert!(set_of_session(session) as usize <= SETS_MAX);
    }

    /// Only HELLO and LOGIN are steered by hash, whatever their version and direction bits.
    #[test]
    fn the_head_alone_decides(first in any::<u8>(), flags in any::<u8>(), word in any::<u32>(), sets in 1..=SETS_MAX as u32) {
        let [a, b, c, d] = word.to_le_bytes();
        let set = set_of([first, flags, a, b, c, d], sets);
        let by_hash = matches!(first & 0x3f, 1 | 2);
        prop_assert_eq!(set, if by_hash { set_of_hash(word as u16, sets) } else { set_of_session(word) });
    }
}
