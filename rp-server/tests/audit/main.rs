//! The audit takes what is right, however it came about, and names the rule of what is wrong.

mod archives;
mod backups;
mod copies;
mod disk;
mod engine;
mod faults;
#[path = "../../../rp-core/tests/shared/guest.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod guest;
#[path = "../../../rp-core/tests/shared/house.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod house;
mod play;
mod story;
mod told;
mod world;

use rp_core::posting::{Account, Act};
use rp_server::audit::fault::Fault;
use rp_server::audit::figures::Figures;
use rp_server::audit::model::Model;

use world::{Line, SETS, World};

/// Follows a history to its end.
fn audit(lines: &[Line]) -> Result<Figures, Fault> {
    let mut model = Model::new(SETS);
    for (at, line) in lines.iter().enumerate() {
        model.take(at as u64 + 1, &line.posting())?;
    }
    model.figures()
}

/// The figures of a world are those of its audit.
fn agree(seed: u64, world: &World) {
    let told = "RP_SEED repeats one: cargo test -p rp-server --test audit histories";
    let figures = audit(&world.lines).unwrap_or_else(|fault| panic!("seed {seed}: {fault}; {told}"));
    let users: u64 = world.users.values().map(|user| user.balance).sum();
    let open: u64 = world.packets.values().map(|packet| packet.left).sum();
    let campaigns: u64 = world.campaigns.iter().map(|campaign| campaign.left).sum();
    let kept = (world.issued, users, open, campaigns);
    let found = (figures.issued_fen, figures.users.fen, figures.open.fen, figures.campaigns.fen);
    assert_eq!(found, kept, "seed {seed}; {told}");
    let shares: u64 = world.packets.values().map(|packet| packet.takers.len() as u64).sum();
    let counts = (world.lines.len() as u64, world.packets.len() as u64, shares);
    assert_eq!((figures.postings, figures.made.count, figures.shares), counts, "seed {seed}; {told}");
    let transit = kept.0 - users - open - campaigns;
    assert_eq!(figures.transit.fen, transit, "seed {seed}; {told}");
    assert_eq!(figures.transit.count > 0, !world.lanes().is_empty(), "seed {seed}; {told}");
}

#[test]
fn histories_that_are_right_are_taken() {
    let one = std::env::var("RP_SEED").ok().and_then(|seed| seed.parse().ok());
    for seed in one.map_or(0..400, |seed: u64| seed..seed + 1) {
        let mut world = World::play(seed, 600);
        agree(seed, &world);
        world.settle();
        agree(seed, &world);
        assert!(world.lanes().is_empty(), "seed {seed}");
    }
}

#[test]
fn histories_hold_every_act_and_every_way_a_packet_ends() {
    let world = World::play(1, 3_000);
    for act in Act::ALL {
        assert!(world.lines.iter().any(|line| line.head.act == *act), "{act:?}");
    }
    let figures = audit(&world.lines).expect("it is right");
    let ends = [figures.taken.count, figures.refunded.count, figures.open.count, figures.transit.count];
    assert!(ends.iter().all(|count| *count > 0), "{ends:?}");
}

#[test]
fn every_start_of_a_history_is_right_by_itself() {
    let world = World::play(2, 600);
    for end in 0..world.lines.len() {
        audit(&world.lines[..end]).unwrap_or_else(|fault| panic!("the first {end}: {fault}"));
    }
}

#[test]
fn whatever_money_a_posting_changes_shows() {
    // One fen more in any posting that moves money, one by one: never is it taken.
    let world = World::play(3, 250);
    for at in 0..world.lines.len() {
        let mut lines = world.lines.clone();
        // Money that the last postings send abroad is missed by nobody yet.
        let moves = lines[at].posting().accounts().is_some_and(|(_, credit)| credit != Account::Transit);
        if moves && !matches!(lines[at].head.act, Act::Sent | Act::Won | Act::Started) {
            lines[at].head.fen += 1;
            assert!(audit(&lines).is_err(), "line {at}: {:?}", lines[at].head);
        }
    }
}
