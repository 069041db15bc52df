//! A disk that fails, at each of its writes and syncs in turn, or of its reads: SQLite over a file system that is the real one
//! until then.

use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Mutex, OnceLock};

use rp_server::ledger::{Heads, Outcome, Place, Vfs, sqlite, write_again};
use rusqlite::ffi;

use crate::house::{Folder, Line, Taken, commit, plain, read};

const NAME: &CStr = c"failing";

/// Writes and syncs that still succeed.
static LEFT: AtomicI64 = AtomicI64::new(i64::MAX);
/// Reads that still succeed.
static READABLE: AtomicI64 = AtomicI64::new(i64::MAX);
/// Is it one that fails, and none behind it?
static ONCE: AtomicBool = AtomicBool::new(false);
/// Journals that were deleted while the folder was not synced.
static LINGERING: AtomicI64 = AtomicI64::new(0);

/// There is one such disk.
static DISK: Mutex<()> = Mutex::new(());

/// The file system that stands behind, and the methods of its files: one table for those that are locked, one for logs.
struct Real {
    vfs: *mut ffi::sqlite3_vfs,
    tables: Mutex<HashMap<usize, Table>>,
}

#[derive(Clone, Copy)]
struct Table {
    real: &'static ffi::sqlite3_io_methods,
    failing: &'static ffi::sqlite3_io_methods,
}

// SAFETY: SQLite's own file system may be used from every thread, and lives for ever.
unsafe impl Send for Real {}
// SAFETY: as above.
unsafe impl Sync for Real {}

fn real() -> &'static Real {
    static REAL: OnceLock<Real> = OnceLock::new();
    REAL.get_or_init(|| {
        // SAFETY: the default file system is registered for ever.
        let vfs = unsafe { ffi::sqlite3_vfs_find(std::ptr::null()) };
        assert!(!vfs.is_null());
        Real { vfs, tables: Mutex::default() }
    })
}

/// The table of an open file, by either of its addresses.
fn table(methods: &'static ffi::sqlite3_io_methods) -> Table {
    let address = |methods: &ffi::sqlite3_io_methods| std::ptr::from_ref(methods).addr();
    let mut tables = real().tables.lock().expect("nobody panics here");
    if let Some(table) = tables.get(&address(methods)) {
        return *table;
    }
    let failing = ffi::sqlite3_io_methods { xRead: Some(read_at), xWrite: Some(write), xSync: Some(sync), ..*methods };
    let table = Table { real: methods, failing: Box::leak(Box::new(failing)) };
    tables.insert(address(methods), table);
    tables.insert(address(table.failing), table);
    table
}

/// Makes the file system known to SQLite, once.
fn register() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        // SAFETY: a copy of the default's description under another name, which is never freed.
        let code = unsafe {
            let mut vfs = Box::new(*real().vfs);
            vfs.zName = NAME.as_ptr();
            vfs.xOpen = Some(open);
            vfs.xDelete = Some(delete);
            vfs.pNext = std::ptr::null_mut();
            ffi::sqlite3_vfs_register(Box::into_raw(vfs), 0)
        };
        assert_eq!(code, ffi::SQLITE_OK);
    });
}

unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    let real = real();
    // SAFETY: SQLite's own arguments go to the file system that they are meant for. What it opened has methods of its own
    // that live for ever; they are exchanged for a copy that differs in three.
    unsafe {
        let open = (*real.vfs).xOpen.expect("a file system opens");
        let code = open(real.vfs, name, file, flags, out);
        if code == ffi::SQLITE_OK && !(*file).pMethods.is_null() {
            (*file).pMethods = table(&*(*file).pMethods).failing;
        }
        code
    }
}

unsafe extern "C" fn delete(_: *mut ffi::sqlite3_vfs, name: *const c_char, syncs_folder: c_int) -> c_int {
    let real = real();
    // SAFETY: SQLite's own arguments go to the file system that they are meant for; a name ends in zero.
    unsafe {
        let is_journal = CStr::from_ptr(name).to_bytes().ends_with(b"-journal");
        LINGERING.fetch_add(i64::from(is_journal && syncs_folder == 0), Ordering::Relaxed);
        let delete = (*real.vfs).xDelete.expect("a file system deletes");
        delete(real.vfs, name, syncs_folder)
    }
}

fn fails() -> bool {
    let left = LEFT.fetch_sub(1, Ordering::Relaxed);
    left == 0 || left < 0 && !ONCE.load(Ordering::Relaxed)
}

unsafe extern "C" fn read_at(file: *mut ffi::sqlite3_file, bytes: *mut c_void, len: c_int, at: i64) -> c_int {
    if READABLE.fetch_sub(1, Ordering::Relaxed) <= 0 {
        return ffi::SQLITE_IOERR_READ;
    }
    // SAFETY: SQLite's own arguments, to the method that the file had.
    unsafe {
        let read = table(&*(*file).pMethods).real.xRead.expect("files can do it");
        read(file, bytes, len, at)
    }
}

unsafe extern "C" fn write(file: *mut ffi::sqlite3_file, bytes: *const c_void, len: c_int, at: i64) -> c_int {
    if fails() {
        return ffi::SQLITE_IOERR_WRITE;
    }
    // SAFETY: SQLite's own arguments, to the method that the file had.
    unsafe {
        let write = table(&*(*file).pMethods).real.xWrite.expect("files can do it");
        write(file, bytes, len, at)
    }
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
    if fails() {
        return ffi::SQLITE_IOERR_FSYNC;
    }
    // SAFETY: SQLite's own arguments, to the method that the file had.
    unsafe {
        let sync = table(&*(*file).pMethods).real.xSync.expect("files can do it");
        sync(file, flags)
    }
}

/// Commits until the disk fails; returns what was acknowledged, and the group of an unknown outcome.
fn until_it_fails(place: &Place, heads: &mut Heads) -> (Vec<Line>, Vec<Line>) {
    let mut acknowledged = Vec::new();
    let Ok(mut opened) = sqlite::open(place, &mut ()) else { return (acknowledged, Vec::new()) };
    for seed in 0.. {
        let known = heads.clone();
        let group = plain(heads, 40, seed);
        let first = acknowledged.len() as u64 + 1;
        let lines = (first..).zip(rp_core::posting::each(&group)).map(|(at, posting)| Line::of(at, &posting));
        let lines: Vec<Line> = lines.collect();
        let outcome = opened.ledger.commit(&group);
        if let Outcome::Durable { .. } = outcome {
            acknowledged.extend(lines);
            continue;
        }
        if let Outcome::Failed(why) | Outcome::Unknown(why) = &outcome {
            assert!(!why.contains("damaged"), "a disk that fails is told as damage: {why}");
        }
        assert!(matches!(opened.ledger.commit(&group), Outcome::Failed(_)), "nothing is tried again");
        assert_eq!(opened.ledger.heads(), &known);
        *heads = known;
        let may_be_there = if matches!(outcome, Outcome::Unknown(_)) { lines } else { Vec::new() };
        return (acknowledged, may_be_there);
    }
    unreachable!("a disk fails some day")
}

/// Where a ledger is, on the disk that fails.
fn on_it(folder: &Folder) -> Place {
    let again = |_: &str, file: &Path| if fails() { Err(io::Error::other("no more")) } else { write_again(file) };
    let vfs = Vfs { name: NAME.to_str().expect("ASCII").to_owned(), write_again: again };
    Place { vfs: Some(vfs), segment_bytes: 100 << 10, ..folder.place() }
}

#[test]
fn no_journal_can_come_back_beside_a_log() {
    let _disk = DISK.lock().expect("the other tests went well");
    register();
    let folder = Folder::new();
    let place = on_it(&folder);
    LINGERING.store(0, Ordering::Relaxed);
    let mut opened = sqlite::open(&place, &mut ()).expect("an empty folder is a ledger");
    let mut heads = Heads::default();
    for seed in 0..20 {
        commit(&mut opened, &plain(&mut heads, 40, seed));
    }
    assert!(folder.files().len() > 3, "files were made: {:?}", folder.files());
    // One whose end the power undoes empties its file, and SQLite then deletes the log.
    assert_eq!(LINGERING.load(Ordering::Relaxed), 0, "journals that were deleted and may come back");
}

#[test]
fn whatever_write_or_sync_fails_nothing_acknowledged_is_lost() {
    let _disk = DISK.lock().expect("the other test went well");
    register();
    let (mut unknown, mut was_there) = (0, 0);
    for failing in 0..260 {
        let folder = Folder::new();
        let place = on_it(&folder);
        let mut heads = Heads::default();
        LEFT.store(failing, Ordering::Relaxed);
        let (mut expected, may_be_there) = until_it_fails(&place, &mut heads);
        LEFT.store(i64::MAX, Ordering::Relaxed);
        let mut taken = Taken::default();
        let mut opened = sqlite::open(&place, &mut taken).unwrap_or_else(|error| panic!("{failing}: {error:#}"));
        // The heads resolve what was unknown.
        unknown += usize::from(!may_be_there.is_empty());
        if may_be_there.last().is_some_and(|last| opened.ledger.heads().hold(last.set, last.sequence)) {
            was_there += 1;
            may_be_there.iter().for_each(|line| heads.follow(line.set, line.sequence).expect("it follows"));
            expected.extend(may_be_there);
        }
        assert!(taken.lines == expected, "{failing}: {} of {}", taken.lines.len(), expected.len());
        assert_eq!(opened.ledger.heads(), &heads, "{failing}");
        commit(&mut opened, &plain(&mut heads, 40, 1 << 30));
    }
    ONCE.store(true, Ordering::Relaxed);
    for failing in 0..260 {
        let folder = Folder::new();
        let place = on_it(&folder);
        LEFT.store(failing, Ordering::Relaxed);
        if let Ok(mut opened) = sqlite::open(&place, &mut ()) {
            let mut heads = Heads::default();
            let mut is_kept =
                |seed| matches!(opened.ledger.commit(&plain(&mut heads, 40, seed)), Outcome::Durable { .. });
            (0..20).take_while(|seed| is_kept(*seed)).for_each(drop);
        }
        LEFT.store(i64::MAX, Ordering::Relaxed);
        for name in folder.files().into_iter().filter(|name| name.ends_with(".db")) {
            // Version 2 at both places is a file with a log. In no other way is the end of a commit synced.
            let bytes = std::fs::read(folder.file(&name)).expect("it is there");
            let is_empty = bytes.len() < 3 * 4096;
            assert!(is_empty || bytes[18..20] == [2, 2], "{failing}: {name} is written without a log");
        }
    }
    ONCE.store(false, Ordering::Relaxed);
    println!("{unknown} outcomes were unknown, {was_there} of them there");
    assert!(unknown > 10, "syncs failed, too");
}

#[test]
fn a_start_whose_disk_fails_is_refused_and_loses_nothing() {
    let _disk = DISK.lock().expect("the other test went well");
    register();
    let before = Folder::new();
    let mut opened = sqlite::open(&on_it(&before), &mut ()).expect("an empty folder");
    let mut heads = Heads::default();
    for seed in 0..9 {
        commit(&mut opened, &plain(&mut heads, 40, seed));
    }
    let expected = read(&mut opened, 1);
    // As a crash leaves it: with a log in the last file, and another in the one before.
    let crashed = before.copy();
    drop(opened);
    let mut refused = 0;
    for failing in 0..80 {
        let folder = crashed.copy();
        let place = on_it(&folder);
        LEFT.store(failing, Ordering::Relaxed);
        let opened = sqlite::open(&place, &mut ());
        let has_failed = LEFT.load(Ordering::Relaxed) < 0;
        LEFT.store(i64::MAX, Ordering::Relaxed);
        if let Err(error) = &opened {
            assert!(error.to_string().contains("cannot be written"), "{failing}: {error:#}");
            refused += 1;
        }
        assert_eq!(opened.is_err(), has_failed, "{failing}: who could not take over does not serve");
        drop(opened);
        let mut taken = Taken::default();
        drop(sqlite::open(&place, &mut taken).unwrap_or_else(|error| panic!("{failing}: {error:#}")));
        assert!(taken.lines == expected, "{failing}: {} of {}", taken.lines.len(), expected.len());
    }
    assert!(refused > 20, "starts write: {refused}");
}

#[test]
fn a_disk_that_cannot_be_read_is_told_as_that_and_not_as_damage() {
    let _disk = DISK.lock().expect("the other test went well");
    register();
    let folder = Folder::new();
    let place = on_it(&folder);
    let mut opened = sqlite::open(&place, &mut ()).expect("an empty folder");
    let mut heads = Heads::default();
    for seed in 0..9 {
        commit(&mut opened, &plain(&mut heads, 40, seed));
    }
    let expected = read(&mut opened, 1);
    drop(opened);
    let mut refused = 0;
    for failing in 0..400 {
        READABLE.store(failing, Ordering::Relaxed);
        let opened = sqlite::open(&place, &mut ());
        READABLE.store(i64::MAX, Ordering::Relaxed);
        if let Err(error) = opened {
            let said = format!("{error:#}");
            let is_told = said.contains("cannot be read: reading ") || said.contains("cannot be written: ");
            assert!(is_told && !said.contains("damaged"), "{failing}: {said}");
            refused += 1;
        }
    }
    assert!(refused > 20, "starts read: {refused}");
    let mut taken = Taken::default();
    drop(sqlite::open(&place, &mut taken).expect("it was never damaged"));
    assert!(taken.lines == expected, "{} of {}", taken.lines.len(), expected.len());
}

#[test]
fn a_next_file_that_cannot_be_made_is_told_as_that() {
    let folder = Folder::new();
    let place = Place { segment_bytes: 100 << 10, ..folder.place() };
    let mut opened = sqlite::open(&place, &mut ()).expect("an empty folder");
    // The second is made at the start.
    std::fs::create_dir(folder.file("postings-000003.db")).expect("it is not there yet");
    let mut heads = Heads::default();
    let why = (0..200).find_map(|seed| match opened.ledger.commit(&plain(&mut heads, 40, seed)) {
        Outcome::Failed(why) => Some(why),
        _ => None,
    });
    let why = why.expect("the third file is needed");
    for words in ["no next file", "cannot be written: opening postings-000003.db: Is a directory", "mend the disk"] {
        assert!(why.contains(words), "{words}: {why}");
    }
    drop(opened);
    let refusal = sqlite::open(&place, &mut ()).err().map(|error| format!("{error:#}")).unwrap_or_default();
    assert!(!refusal.contains("is damaged"), "{refusal}");
}
