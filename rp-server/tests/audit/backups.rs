//! Backups, by the command and real files: what is copied is a ledger of its own, and whatever cuts it off loses nothing.

use std::fs;
use std::path::Path;
use std::sync::mpsc;

use rp_server::ledger::sqlite;
use rusqlite::Connection;

use crate::copies::{Beside, close, mark, name, project, projected, text};
use crate::disk::{Folder, commit, files};
use crate::world::World;

#[test]
fn a_backup_beside_a_writer_is_a_ledger_of_its_own() {
    let world = World::play(21, 9_000);
    let folder = Folder::new();
    let copy = Beside(folder.beside("copy"));
    let mut opened = folder.open();
    let (first, rest) = world.lines.split_at(3_000);
    commit(&mut opened, first);
    let mut copied = Vec::new();
    std::thread::scope(|scope| {
        let (made, seen) = mpsc::channel();
        let writer = scope.spawn(move || {
            let chunks = rest.chunks(64);
            let last = chunks.len() - 1;
            for (number, lines) in chunks.enumerate() {
                if number == last {
                    // However slow it is to copy, two are made beside the writer.
                    seen.iter().take(2).count();
                }
                commit(&mut opened, lines);
                if number % 16 == 0 {
                    project(&mut opened);
                }
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            close(opened);
        });
        while !writer.is_finished() {
            folder.backup(&copy.0);
            copied.push(folder.export(&copy.0));
            assert_eq!(folder.audited(&["--data", text(&copy.0)]) + 1, copied[copied.len() - 1].lines().count() as u64);
            // The writer may have ended meanwhile.
            let _ = made.send(());
        }
        writer.join().expect("all is written");
    });
    let said = folder.backup(&copy.0);
    assert!(said.contains(&format!("up to posting {},", world.lines.len())) && !said.contains(" 0 were"), "{said}");
    let all = folder.export(folder.path());
    assert!(copied.len() > 1 && copied.iter().all(|rows| all.starts_with(rows)), "{} backups", copied.len());
    assert_eq!(folder.export(&copy.0), all);
    let again = folder.backup(&copy.0);
    assert!(again.starts_with("copied state.db and 1 file of postings"), "{again}");

    let mut server = folder.open_at(&copy.0);
    assert_eq!(server.ledger.end().position, world.lines.len() as u64);
    project(&mut server);
    close(server);
    folder.refused(&["ledger", "backup", "--to", text(&copy.0)], 1, &["a server has run on the backup", "--to"]);
    assert_eq!(folder.export(&copy.0), all);
}

#[test]
fn a_killed_server_s_ledger_is_copied_whole() {
    let world = World::play(22, 4_000);
    let folder = Folder::new();
    let copy = Beside(folder.beside("copy"));
    let mut opened = folder.open();
    commit(&mut opened, &world.lines);
    mark(&mut opened);
    // As it is while a server lives: all of the last file is in its log.
    folder.backup(&copy.0);
    drop(opened);
    folder.backup(&copy.0);
    assert_eq!(folder.audited(&["--data", text(&copy.0)]), world.lines.len() as u64);
    close(folder.open_at(&copy.0));
}

#[test]
fn a_backup_goes_nowhere_else() {
    let lines = World::play(23, 3_000).lines;
    let (folder, other) = (projected(&lines), projected(&lines));
    let [copy, strange] = ["copy", "strange"].map(|name| Beside(folder.beside(name)));
    let to = |to: &Path| ["ledger", "backup", "--to", text(to)].map(str::to_owned);
    let refused = |folder: &Folder, dir: &Path, why: &[&str]| {
        let words = to(dir);
        folder.refused(&words.each_ref().map(String::as_str), 1, why);
    };
    refused(&folder, folder.path(), &["is the ledger itself"]);
    refused(&folder, other.path(), &["is no backup, and holds"]);
    fs::create_dir_all(&strange.0).expect("a folder");
    fs::write(strange.0.join("letters"), "precious").expect("a file");
    refused(&folder, &strange.0, &["is no backup, and holds letters"]);
    folder.backup(&copy.0);
    refused(&other, &copy.0, &["is a backup of another ledger"]);

    // The ledger is an older one than its backup.
    let mut opened = folder.open();
    commit(&mut opened, &[]);
    close(opened);
    let older = Beside(folder.beside("older"));
    folder.backup(&older.0);
    let mut opened = folder.open();
    let mut heads = opened.ledger.heads().clone();
    let mut posting = lines[0].posting();
    posting.sequence = heads.of(posting.set) + 1;
    heads.follow(posting.set, posting.sequence).expect("it follows");
    let mut bytes = vec![0; posting.len()];
    posting.put(&mut bytes);
    opened.ledger.commit(&bytes);
    close(opened);
    let newer = Beside(folder.beside("newer"));
    folder.backup(&newer.0);
    let before = folder.export(&newer.0);
    let restored = older.0.clone();
    let words = ["ledger", "backup", "--data", text(&restored), "--to", text(&newer.0)];
    folder.refused(&words, 1, &["which this ledger does not have", "older copy"]);
    assert_eq!(folder.export(&newer.0), before);
}

#[test]
fn what_is_damaged_is_not_copied_and_the_backup_before_stays() {
    let world = World::play(30, 6_000);
    let folder = projected(&world.lines[..3_000]);
    let copy = Beside(folder.beside("copy"));
    folder.backup(&copy.0);
    let before = folder.export(&copy.0);
    let mut opened = folder.open();
    commit(&mut opened, &world.lines[3_000..]);
    close(opened);
    folder.change("UPDATE posting SET fen = fen + 1 WHERE position = 20");
    let file = folder.file(&name(files(folder.path()) as u32 - 2));
    let open = Connection::open(file).expect("it is there");
    let sql = "UPDATE posting SET fen = fen + 1 WHERE position = (SELECT min(position) + 5 FROM posting)";
    assert_eq!(open.execute(sql, []).expect("it can be written"), 1);
    drop(open);
    let words = ["ledger", "backup", "--to", text(&copy.0)];
    folder.refused(&words, 1, &["the checksum of posting", "is wrong"]);
    assert_eq!(folder.export(&copy.0), before);
    assert!(!copy.0.join("backup.part").exists());
}

#[test]
fn a_backup_that_is_cut_off_leaves_the_one_before_or_is_completed() {
    let world = World::play(24, 6_000);
    let folder = projected(&world.lines[..4_000]);
    let copy = Beside(folder.beside("copy"));
    // Before there is any: what is there is no ledger, and no server takes it for a new one.
    fs::create_dir_all(copy.0.join("backup.part")).expect("a folder");
    fs::copy(folder.file(&name(1)), copy.0.join("backup.part").join(name(1))).expect("there is room");
    folder.refused(&["audit", "--data", text(&copy.0)], 2, &["there is no ledger"]);
    let place = folder.place_at(&copy.0);
    let refusal = sqlite::open(&place, &mut ()).err().expect("it is no ledger").to_string();
    assert!(refusal.contains("a backup into it was cut off"), "{refusal}");
    folder.backup(&copy.0);
    let first = folder.export(&copy.0);

    let mut opened = folder.open();
    commit(&mut opened, &world.lines[4_000..]);
    close(opened);
    // While the next is made.
    fs::create_dir_all(copy.0.join("backup.part")).expect("a folder");
    fs::write(copy.0.join("backup.part/state.db"), "half").expect("there is room");
    assert_eq!(folder.export(&copy.0), first);
    // While it is moved in: as made, and each of its files not yet moved.
    let whole = Beside(folder.beside("whole"));
    folder.backup(&whole.0);
    let moved = fs::read_dir(&whole.0).expect("a backup").count();
    for left in 0..=moved {
        let cut = Beside(folder.beside("cut"));
        copy_folder(&copy.0, &cut.0);
        let waiting = cut.0.join("backup.whole");
        fs::create_dir_all(&waiting).expect("a folder");
        let names = fs::read_dir(&whole.0).expect("a backup").map(|entry| entry.expect("an entry").file_name());
        for (at, name) in names.filter(|name| name != "lock").enumerate() {
            let to = if at < left { cut.0.join(&name) } else { waiting.join(&name) };
            fs::copy(whole.0.join(&name), to).expect("there is room");
        }
        if left % 2 == 0 {
            assert_eq!(folder.audited(&["--data", text(&cut.0)]), world.lines.len() as u64, "{left}");
            close(folder.open_at(&cut.0));
        } else {
            close(folder.open_at(&cut.0));
            assert_eq!(folder.audited(&["--data", text(&cut.0)]), world.lines.len() as u64, "{left}");
        }
    }
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("it is there") {
        let entry = entry.expect("an entry");
        if entry.file_type().expect("it has a type").is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).expect("there is room");
        }
    }
}
