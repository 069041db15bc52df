//! Archives, by the command and real files: what is moved away is found again, and whatever cuts it off loses nothing.

use std::fs;

use rp_core::posting::Posting;
use rp_server::ledger::{Outcome, sqlite};
use rusqlite::Connection;

use crate::copies::{Beside, close, mark, name, project, projected, text};
use crate::disk::{commit, files};
use crate::world::World;

#[test]
fn what_is_archived_is_audited_where_it_is() {
    let world = World::play(25, 10_000);
    let folder = projected(&world.lines[..8_000]);
    let archive = Beside(folder.beside("archive"));
    let before = folder.export(folder.path());
    let count = files(folder.path());
    let said = folder.archive(&archive.0, "1");
    let moved = files(&archive.0);
    assert!(moved > 2 && said.contains(&format!("moved {moved} files of postings")), "{moved} of {count}: {said}");
    assert_eq!(files(folder.path()), count - moved);

    // The server starts as ever, and goes on.
    let mut opened = folder.open();
    commit(&mut opened, &world.lines[8_000..]);
    let wanted = format!("postings-000001.db to {}", name(moved as u32));
    folder.refused(&["audit"], 2, &[&wanted, "are archived", "--archive"]);
    folder.refused(&["ledger", "export"], 1, &[&wanted, "--archive"]);
    folder.refused(&["audit", "--archive", "/nowhere"], 2, &["there is no folder /nowhere"]);
    let with = ["--archive", text(&archive.0)];
    assert_eq!(folder.audited(&with), world.lines.len() as u64);
    let rows = folder.done(&[&["ledger", "export"], &with[..]].concat());
    assert!(rows.starts_with(&before));
    project(&mut opened);
    // Beside its server, to a folder of its own; then all are read from both.
    let second = Beside(folder.beside("second"));
    folder.archive(&second.0, "0");
    assert!(files(&second.0) > 0);
    close(opened);
    close(folder.open());
    let both = [&with[..], &["--archive", text(&second.0)]].concat();
    assert_eq!(folder.audited(&both), world.lines.len() as u64);
    folder.refused(&[&["audit"], &with[..]].concat(), 2, &[&name(moved as u32 + 1), "are archived"]);
    // A copy of such a ledger is one, too.
    let copy = Beside(folder.beside("copy"));
    assert!(folder.backup(&copy.0).contains("are archived and not in it"));
    close(folder.open_at(&copy.0));
    let words = [&["--data", text(&copy.0)], &both[..]].concat();
    assert_eq!(folder.audited(&words), world.lines.len() as u64);
    let last = world.lines.len().to_string();
    assert_eq!(folder.done(&["ledger", "export", "--from", &last]).lines().count(), 2, "no archive is asked for");
}

#[test]
fn a_set_that_begins_behind_the_archive_needs_nothing_of_it() {
    let world = World::play(29, 8_000);
    let folder = projected(&world.lines);
    let archive = Beside(folder.beside("archive"));
    folder.archive(&archive.0, "0");
    let mut opened = folder.open();
    let posting = Posting { set: 9, sequence: 1, ..world.lines[0].posting() };
    let mut bytes = vec![0; posting.len()];
    posting.put(&mut bytes);
    let position = world.lines.len() as u64 + 1;
    assert_eq!(opened.ledger.commit(&bytes), Outcome::Durable { position });
    mark(&mut opened);
    close(opened);
    let opened = folder.open();
    assert_eq!((opened.ledger.end().position, opened.ledger.heads().of(9)), (position, 1));
}

#[test]
fn an_archive_that_is_cut_off_is_completed() {
    let world = World::play(26, 8_000);
    let folder = projected(&world.lines);
    let archive = Beside(folder.beside("archive"));
    // While the first is copied, and behind it.
    fs::create_dir_all(archive.0.join("archive.part")).expect("a folder");
    fs::write(archive.0.join("archive.part").join(name(2)), "half").expect("there is room");
    fs::copy(folder.file(&name(1)), archive.0.join(name(1))).expect("there is room");
    assert_eq!(folder.audited(&[]), world.lines.len() as u64);
    folder.archive(&archive.0, "1");
    let moved = files(&archive.0) as u32;
    let with = ["--archive", text(&archive.0)];
    assert_eq!(folder.audited(&with), world.lines.len() as u64);
    // Noted, and not yet removed; removed, but for what SQLite keeps beside it.
    fs::copy(archive.0.join(name(moved)), folder.file(&name(moved))).expect("there is room");
    fs::write(folder.file(&format!("{}-wal", name(1))), "").expect("there is room");
    assert_eq!(folder.audited(&with), world.lines.len() as u64);
    close(folder.open());
    folder.archive(&archive.0, "1");
    assert!(!folder.file(&name(moved)).exists() && !folder.file(&format!("{}-wal", name(1))).exists());
    assert_eq!(folder.audited(&with), world.lines.len() as u64);
    assert!(!archive.0.join("archive.part").exists());
}

#[test]
fn damage_in_an_archive_and_files_that_are_not_its_own_are_found() {
    let world = World::play(27, 8_000);
    let folder = projected(&world.lines);
    let archive = Beside(folder.beside("archive"));
    folder.archive(&archive.0, "0");
    let moved = files(&archive.0) as u32;
    let with = ["audit", "--archive", text(&archive.0)];
    for (file, sql) in [
        (1, "UPDATE posting SET fen = fen + 1 WHERE position = 20"),
        (moved, "UPDATE posting SET hash = hash + 1 WHERE position = (SELECT max(position) FROM posting)"),
        (moved, "DELETE FROM posting WHERE position = (SELECT max(position) FROM posting)"),
        (2, "UPDATE segment SET closed = 0"),
    ] {
        let kept = fs::read(archive.0.join(name(file))).expect("it is there");
        let open = Connection::open(archive.0.join(name(file))).expect("it is there");
        assert_eq!(open.execute(sql, []).expect("it can be written"), 1, "{sql}");
        drop(open);
        folder.refused(&with, 1, &["all is right up to position"]);
        fs::write(archive.0.join(name(file)), kept).expect("there is room");
    }
    let aside = archive.0.join("aside");
    fs::rename(archive.0.join(name(2)), &aside).expect("it is there");
    folder.refused(&with, 2, &["postings-000002.db of the ledger", "are archived"]);
    fs::copy(archive.0.join(name(1)), archive.0.join(name(2))).expect("there is room");
    folder.refused(&with, 1, &["it is segment 1, under another name"]);
    fs::rename(&aside, archive.0.join(name(2))).expect("it is there");
    assert_eq!(folder.audited(&with[1..]), world.lines.len() as u64);
    // A file that is not archived is missing as ever.
    let gone = folder.path().join(name(moved + 1));
    fs::remove_file(&gone).expect("it is there");
    folder.refused(&with, 1, &[&name(moved + 1), "it is missing, and the file before it is closed"]);
    let refusal = sqlite::open(&folder.place_at(folder.path()), &mut ()).err().expect("it is missing").to_string();
    assert!(refusal.contains("is missing"), "{refusal}");
}

#[test]
fn what_a_start_needs_stays_and_lost_projections_want_the_archive_back() {
    let world = World::play(28, 8_000);
    let folder = projected(&world.lines);
    let archive = Beside(folder.beside("archive"));
    let state = Connection::open(folder.file("state.db")).expect("it is there");
    state.execute_batch("CREATE TEMP TABLE kept AS SELECT * FROM projection; DELETE FROM projection").expect("room");
    let said = folder.archive(&archive.0, "0");
    assert!(said.starts_with("moved 0 files") && said.contains("reads from posting 1 on"), "{said}");
    state.execute_batch("INSERT INTO projection SELECT * FROM kept").expect("room");
    assert!(folder.archive(&archive.0, "0").contains("closed stay, and"));
    close(folder.open());

    state.execute_batch("DELETE FROM projection").expect("room");
    drop(state);
    let refused = || format!("{:#}", sqlite::open(&folder.place_at(folder.path()), &mut ()).err().expect("no SET"));
    let refusal = refused();
    for words in ["state.db has no projection of SET", "postings-000001.db to", "copy them back into"] {
        assert!(refusal.contains(words), "{refusal}");
    }
    for number in 1..=files(&archive.0) as u32 {
        assert!(refused().contains("copy"), "not before all are back");
        fs::copy(archive.0.join(name(number)), folder.file(&name(number))).expect("there is room");
    }
    let opened = folder.open();
    assert_eq!(opened.ledger.end().position, world.lines.len() as u64);
    close(opened);
    assert_eq!(folder.audited(&[]), world.lines.len() as u64);
}
