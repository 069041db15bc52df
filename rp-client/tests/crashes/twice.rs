//! Two faults after one another, at every place: a write or a sync fails, which ends the server; a new one starts, or is cut
//! off while it does; then the power goes. What the first server acknowledged is there, and no start is refused.

use std::sync::PoisonError;

use rp_core::posting::{Act, BANK, POSTING_MAX, Posting};
use rp_server::ledger::{Mark, Opened, Outcome, Place, Projection, Time, Vfs, sqlite};

use crate::disk::{Disk, Fault};
use crate::vfs::{self, Mount};

const GROUPS: u64 = 24;
const SEGMENT_BYTES: u64 = 120 << 10;

/// Commits groups, of which some close a file, beside a keeper who keeps; until something fails. Returns how many postings
/// were acknowledged.
fn evening(opened: &mut Opened, groups: u64) -> u64 {
    let mut acknowledged = opened.ledger.end().position;
    for number in 0..groups {
        let mut group = Vec::new();
        for row in 1..=1 + number % 3 * 7 {
            let user = (number << 8 | row).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let sequence = acknowledged + row;
            let posting = Posting {
                set: BANK,
                sequence,
                credit: user,
                fen: row,
                hash: !user,
                ..Posting::new(Act::Minted, number)
            };
            let mut bytes = [0; POSTING_MAX];
            let len = posting.put(&mut bytes);
            group.extend_from_slice(&bytes[..len]);
        }
        let Outcome::Durable { position } = opened.ledger.commit(&group) else { return acknowledged };
        acknowledged = position;
        let end = opened.ledger.end();
        let mark = Mark { end, heads: opened.ledger.heads().clone(), time: Time::default() };
        let kept = match number % 4 {
            0 => opened.keeper.mark(&mark),
            1 => opened.keeper.keep(&Projection {
                set: BANK,
                sequence: position,
                floor: position,
                bytes: vec![1; 9_000],
            }),
            _ => Ok(()),
        };
        if kept.is_err() {
            return acknowledged;
        }
    }
    acknowledged
}

fn crash(mount: &Mount, is_power_out: bool) {
    mount.state().disk.crash(is_power_out);
}

/// An evening whose deed `broken` fails, a start of which `gone` deeds are done, and a loss of power. Says whether either
/// fault came too late.
fn play(broken: u64, gone: u64) -> (bool, bool) {
    let _alone = crate::ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let name = format!("rp-twice-{}-{broken}-{gone}", std::process::id());
    let seed = broken << 16 | gone;
    let mount = Mount::new(&name, Disk::new(seed), seed);
    let dir = std::env::temp_dir().join(&name);
    let vfs = Some(Vfs { name, write_again: vfs::write_again });
    let place = Place { vfs, segment_bytes: SEGMENT_BYTES, is_inline: true, ..Place::new(&dir) };
    let open = |what: &str| {
        sqlite::open(&place, &mut ()).unwrap_or_else(|error| panic!("{what}, {broken} and {gone}: {error:#}"))
    };

    let mut opened = open("first");
    evening(&mut opened, 5);
    mount.state().disk.arm(broken, Fault::Broken);
    let acknowledged = evening(&mut opened, GROUPS);
    let has_broken = mount.state().disk.disarm();
    if gone.is_multiple_of(2) {
        // Killed, where the others end as they can.
        mount.state().disk.stop();
    }
    drop(opened);
    crash(&mount, false);

    mount.state().disk.arm(gone, Fault::Gone);
    let second = sqlite::open(&place, &mut ()).map(|mut opened| evening(&mut opened, 1 + gone % 5));
    let is_gone = mount.state().disk.disarm();
    mount.state().disk.stop();
    let acknowledged = second.map_or(acknowledged, |second| second.max(acknowledged));
    crash(&mount, true);

    let third = open("third").ledger.end().position;
    assert!(third >= acknowledged, "{broken} and {gone}: {acknowledged} acknowledged, {third} there");
    let _gone = std::fs::remove_dir_all(&dir);
    (has_broken, is_gone)
}

#[test]
fn a_broken_disk_and_then_no_power() {
    let mut after_both = 0;
    for broken in 0.. {
        // Every deed of the evening, and of the start some.
        let found = [broken % 31, 31 + broken % 97, 200 + broken % 211].map(|gone| play(broken, gone));
        after_both += found.iter().filter(|found| **found == (true, true)).count();
        if !found[0].0 {
            println!("{broken} deeds, {after_both} times two faults");
            assert!(broken > 100 && after_both > 200, "{broken} deeds, {after_both} times two faults");
            return;
        }
    }
}
