//! What every engine of the ledger must do, tried over each.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use rp_server::ledger::memory::MemoryStore;
use rp_server::ledger::{Heads, Opened, Outcome, Place, Projection, Restore, sqlite};

use crate::house::{self, Folder, Line, Taken, commit, plain, read, words};

/// A way to open one and the same ledger again.
trait Engine {
    fn fresh() -> Self;
    fn open(&self, restore: &mut dyn Restore) -> Opened;
    /// Lets a second owner in, where a lock keeps him out.
    fn unlock(&self) {}
}

impl Engine for MemoryStore {
    fn fresh() -> MemoryStore {
        MemoryStore::new(true)
    }

    fn open(&self, restore: &mut dyn Restore) -> Opened {
        MemoryStore::open(self, restore).expect("memory opens")
    }
}

impl Engine for Folder {
    fn fresh() -> Folder {
        Folder::new()
    }

    fn open(&self, restore: &mut dyn Restore) -> Opened {
        sqlite::open(&Place { is_inline: false, ..self.place() }, restore).expect("it is sound")
    }

    fn unlock(&self) {
        std::fs::remove_file(self.file("lock")).expect("there is a lock");
    }
}

macro_rules! over_every_engine {
    ($($name:ident)*) => {
        mod in_memory {
            $(#[test] fn $name() { super::$name::<super::MemoryStore>(); })*
        }
        mod on_disk {
            $(#[test] fn $name() { super::$name::<super::Folder>(); })*
        }
    };
}

over_every_engine! {
    what_is_read_back_is_what_was_committed
    a_gap_is_refused_and_leaves_all_as_it_was
    the_second_owner_ends_the_first
    projections_shorten_the_way_back
    a_reader_follows_the_writer
    a_mark_comes_back
}

fn what_is_read_back_is_what_was_committed<E: Engine>() {
    let groups = prop::collection::vec(prop::collection::vec(words(), 0..40), 1..12);
    let mut runner = TestRunner::new(Config { cases: 24, failure_persistence: None, ..Config::default() });
    let result = runner.run(&groups, |groups| {
        let engine = E::fresh();
        let (mut heads, mut expected) = (Heads::default(), Vec::new());
        let mut opened = engine.open(&mut ());
        for (number, of) in groups.iter().enumerate() {
            let group = house::group(&mut heads, of);
            let position = commit(&mut opened, &group);
            let first = expected.len() as u64 + 1;
            expected.extend((first..).zip(rp_core::posting::each(&group)).map(|(at, posting)| Line::of(at, &posting)));
            prop_assert_eq!(position, expected.len() as u64);
            prop_assert_eq!(opened.ledger.heads(), &heads);
            if number % 4 == 3 {
                opened.ledger.close().expect("there is room");
                opened = engine.open(&mut ());
            }
        }
        let middle = expected.len() / 2;
        prop_assert_eq!(&read(&mut opened, 1)[..], &expected[..]);
        prop_assert_eq!(&read(&mut opened, middle as u64 + 1)[..], &expected[middle..]);
        drop(opened);
        let mut taken = Taken::default();
        let opened = engine.open(&mut taken);
        prop_assert_eq!(&taken.lines, &expected);
        prop_assert_eq!(opened.ledger.heads(), &heads);
        Ok(())
    });
    result.unwrap_or_else(|failure| panic!("{failure}"));
}

fn a_gap_is_refused_and_leaves_all_as_it_was<E: Engine>() {
    let engine = E::fresh();
    let mut opened = engine.open(&mut ());
    let mut heads = Heads::default();
    commit(&mut opened, &plain(&mut heads, 30, 1));
    let (end, known) = (opened.ledger.end(), heads.clone());
    let _skipped = plain(&mut heads, 20, 2);
    for group in [plain(&mut heads, 20, 3), plain(&mut known.clone(), 20, 4).repeat(2)] {
        assert!(matches!(opened.ledger.commit(&group), Outcome::Failed(why) if why.contains("follows")));
        assert_eq!((opened.ledger.end(), opened.ledger.heads()), (end, &known));
        assert_eq!(read(&mut opened, 1).len(), 30);
    }
    assert_eq!(commit(&mut opened, &plain(&mut known.clone(), 20, 5)), 50, "it goes on");
    let one = plain(&mut known.clone(), 1, 0);
    let strange = rp_core::posting::Posting { set: 5000, sequence: 1, ..first_of(&one) };
    assert!(matches!(opened.ledger.commit(&house::bytes(&strange)), Outcome::Failed(why) if why.contains("no SET")));
}

fn first_of(group: &[u8]) -> rp_core::posting::Posting<'_> {
    rp_core::posting::each(group).next().expect("a posting")
}

fn the_second_owner_ends_the_first<E: Engine>() {
    let engine = E::fresh();
    let mut first = engine.open(&mut ());
    let mut heads = Heads::default();
    commit(&mut first, &plain(&mut heads, 30, 1));
    engine.unlock();
    let mut taken = Taken::default();
    let mut second = engine.open(&mut taken);
    assert_eq!(taken.lines.len(), 30);
    let group = plain(&mut heads, 10, 2);
    for _ in 0..2 {
        assert!(matches!(first.ledger.commit(&group), Outcome::Failed(why) if why.contains("opened")));
    }
    assert_eq!(first.ledger.end().position, 30);
    assert_eq!(commit(&mut second, &group), 40);
}

fn projections_shorten_the_way_back<E: Engine>() {
    let engine = E::fresh();
    let mut opened = engine.open(&mut ());
    let mut heads = Heads::default();
    for seed in 0..40 {
        commit(&mut opened, &plain(&mut heads, 50, seed));
    }
    let kept: Vec<Projection> = heads
        .iter()
        .map(|(set, sequence)| Projection { set, sequence, floor: 2000, bytes: vec![set as u8; 10_000] })
        .collect();
    for projection in &kept {
        opened.keeper.keep(&Projection { sequence: 1, floor: 1, ..projection.clone() }).expect("there is room");
        opened.keeper.keep(projection).expect("there is room");
    }
    assert_eq!(opened.keeper.projections().expect("they are sound"), kept);
    house::mark(&mut opened);
    commit(&mut opened, &plain(&mut heads, 50, 40));
    let behind = read(&mut opened, 2001);
    drop(opened);
    let mut taken = Taken::default();
    let opened = engine.open(&mut taken);
    assert_eq!((taken.projections, taken.lines), (kept, behind));
    assert_eq!(opened.ledger.heads(), &heads);
}

fn a_reader_follows_the_writer<E: Engine>() {
    let engine = E::fresh();
    let Opened { mut ledger, mut reader, keeper: _keeper, .. } = engine.open(&mut ());
    let writer = std::thread::spawn(move || {
        let mut heads = Heads::default();
        for seed in 0..300 {
            let outcome = ledger.commit(&plain(&mut heads, 100, seed));
            assert!(matches!(outcome, Outcome::Durable { .. }), "{outcome:?}");
        }
        ledger
    });
    let mut next = 1;
    while next <= 30_000 {
        let (from, is_all_there) = (next, writer.is_finished());
        let behind = reader.read(from, &mut |position, _| {
            assert_eq!(position, next);
            next += 1;
            Ok(())
        });
        assert_eq!(behind.expect("it is sound"), next);
        assert!(next > from || !is_all_there, "the reader misses {next}");
    }
    assert_eq!(next, 30_001);
    drop(writer.join().expect("it only writes"));
}

fn a_mark_comes_back<E: Engine>() {
    let engine = E::fresh();
    let mut opened = engine.open(&mut ());
    let mut heads = Heads::default();
    assert_eq!(opened.mark.end, opened.ledger.end());
    commit(&mut opened, &plain(&mut heads, 30, 1));
    house::mark(&mut opened);
    let end = opened.ledger.end();
    drop(opened);
    let opened = engine.open(&mut ());
    assert_eq!((opened.mark.end, &opened.mark.heads, opened.mark.time.ledger_ms), (end, &heads, 7));
}
