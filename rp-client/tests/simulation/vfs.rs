//! SQLite's file system over a [`Disk`]: the one file with unsafe code of the simulation (https://sqlite.org/vfs.html).
//!
//! All of it runs on one thread: whoever mounts a disk drops every connection to it before the mount. Shared memory is the
//! process's own, and gone with the last who maps it, as that of a dead server is.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard};

use rusqlite::ffi::{self, sqlite3_file, sqlite3_io_methods, sqlite3_vfs};

use crate::disk::{Disk, Failure};
use crate::locks::{Locks, SLOTS};

/// Longest path.
const PATH_MAX: c_int = 512;
/// What SQLite maps of shared memory at once.
const BLOCK_BYTES: c_int = 32 << 10;
/// As the system's own tells of itself: a write changes no byte beside it.
const POWERSAFE: c_int = ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE;
const SECTOR_BYTES: c_int = 4096;
/// A Julian day in milliseconds: no file says when it was written.
const TODAY: i64 = 212_000_000_000_000;

/// A block of shared memory, aligned for SQLite's words.
type Block = [u64; BLOCK_BYTES as usize / 8];

/// What all handles share.
pub struct State {
    pub disk: Disk,
    locks: BTreeMap<usize, Locks>,
    memory: BTreeMap<usize, Memory>,
    opened: u64,
}

/// The shared memory of one file, and who maps it.
#[derive(Default)]
struct Memory {
    blocks: Vec<*mut Block>,
    users: BTreeSet<u64>,
}

impl Drop for Memory {
    fn drop(&mut self) {
        for block in self.blocks.drain(..) {
            // SAFETY: it came from `Box::into_raw`, and nobody maps it any more.
            drop(unsafe { Box::from_raw(block) });
        }
    }
}

/// An open file, in room that SQLite gives.
#[repr(C)]
struct Handle {
    base: sqlite3_file,
    state: *const Mutex<State>,
    file: usize,
    number: u64,
    /// Its first sync is the folder's too.
    syncs_folder: bool,
}

/// A mounted disk; SQLite knows it by its name.
pub struct Mount {
    /// Kept where they are: SQLite and every handle point at them.
    _name: CString,
    vfs: *mut sqlite3_vfs,
    state: *mut Mutex<State>,
}

impl Mount {
    /// Mounts a disk. SQLite's own random numbers follow from the seed from here on, in the whole process.
    pub fn new(name: &str, disk: Disk, seed: u64) -> Mount {
        let name = CString::new(name).expect("a name without zeros");
        let state = State { disk, locks: BTreeMap::new(), memory: BTreeMap::new(), opened: 0 };
        let state = Box::into_raw(Box::new(Mutex::new(state)));
        let vfs = Box::into_raw(Box::new(sqlite3_vfs {
            iVersion: 2,
            szOsFile: size_of::<Handle>() as c_int,
            mxPathname: PATH_MAX,
            pNext: std::ptr::null_mut(),
            zName: name.as_ptr(),
            pAppData: state.cast(),
            xOpen: Some(open),
            xDelete: Some(delete),
            xAccess: Some(access),
            xFullPathname: Some(full_path),
            xDlOpen: None,
            xDlError: None,
            xDlSym: None,
            xDlClose: None,
            xRandomness: Some(randomness),
            xSleep: Some(sleep),
            xCurrentTime: Some(current_time),
            xGetLastError: Some(last_error),
            xCurrentTimeInt64: Some(current_time_ms),
            xSetSystemCall: None,
            xGetSystemCall: None,
            xNextSystemCall: None,
        }));
        // SAFETY: name, table and state live until `drop`, which takes the table back first.
        let registered = unsafe { ffi::sqlite3_vfs_register(vfs, 0) };
        assert_eq!(registered, ffi::SQLITE_OK, "SQLite takes a file system");
        let database: *mut ffi::sqlite3 = std::ptr::null_mut();
        // SAFETY: this control takes a number that is not zero, and a database or none.
        unsafe { ffi::sqlite3_test_control(ffi::SQLITE_TESTCTRL_PRNG_SEED, seed as c_int | 1, database) };
        Mount { _name: name, vfs, state }
    }

    /// The disk, while SQLite does nothing.
    pub fn state(&self) -> MutexGuard<'_, State> {
        // SAFETY: it lives until `drop`.
        unsafe { &*self.state }.lock().expect("nobody panics with the disk in hand")
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // SAFETY: no connection is left, so nobody but SQLite's list points at either.
        unsafe {
            ffi::sqlite3_vfs_unregister(self.vfs);
            drop(Box::from_raw(self.vfs));
            drop(Box::from_raw(self.state));
        }
    }
}

/// Writes what stands in a file of the disk of that name into the same places, and syncs it.
pub fn write_again(name: &str, file: &Path) -> io::Result<()> {
    let name = CString::new(name).expect("a name without zeros");
    // SAFETY: SQLite looks for a string, and what it finds under the name of a mount is that mount's.
    let state = unsafe { state_of(ffi::sqlite3_vfs_find(name.as_ptr())) };
    let disk = &mut state.lock().expect("nobody panics with the disk in hand").disk;
    disk.write_again(file.to_str().expect("paths of ours are text"))
        .map_err(|failure| io::Error::other(format!("{failure:?}")))
}

static METHODS: sqlite3_io_methods = sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(map_memory),
    xShmLock: Some(lock_memory),
    xShmBarrier: Some(barrier),
    xShmUnmap: Some(unmap_memory),
    xFetch: None,
    xUnfetch: None,
};

/// What SQLite is told of a failure: that of a write, read or sync is `io`.
fn code(failure: Failure, io: c_int) -> c_int {
    match failure {
        Failure::Missing => ffi::SQLITE_CANTOPEN,
        Failure::Full => ffi::SQLITE_FULL,
        Failure::Broken => io,
    }
}

fn told(result: Result<(), Failure>, io: c_int) -> c_int {
    result.map_or_else(|failure| code(failure, io), |()| ffi::SQLITE_OK)
}

fn busy_unless(is_free: bool) -> c_int {
    if is_free { ffi::SQLITE_OK } else { ffi::SQLITE_BUSY }
}

/// Does something with an open file.
///
/// # Safety
/// `file` is one that [`open`] opened, and is not closed.
unsafe fn with(file: *mut sqlite3_file, act: impl FnOnce(&mut Handle, &mut State) -> c_int) -> c_int {
    // SAFETY: `open` wrote a handle there, and SQLite uses a file on one thread at a time.
    let handle = unsafe { &mut *file.cast::<Handle>() };
    // SAFETY: the mount outlives every connection.
    let state = unsafe { &*handle.state };
    act(handle, &mut state.lock().expect("nobody panics with the disk in hand"))
}

/// The state behind a file system.
///
/// # Safety
/// `vfs` is that of a mount, which lives.
unsafe fn state_of<'a>(vfs: *mut sqlite3_vfs) -> &'a Mutex<State> {
    // SAFETY: a mount put its state there.
    unsafe { &*(*vfs).pAppData.cast::<Mutex<State>>() }
}

/// A path of SQLite's.
///
/// # Safety
/// `name` is a string that ends with zero.
unsafe fn path<'a>(name: *const c_char) -> &'a str {
    // SAFETY: the caller's word.
    unsafe { CStr::from_ptr(name) }.to_str().expect("paths of ours are text")
}

unsafe extern "C" fn open(
    vfs: *mut sqlite3_vfs,
    name: *const c_char,
    file: *mut sqlite3_file,
    flags: c_int,
    flags_out: *mut c_int,
) -> c_int {
    // SAFETY: SQLite calls it of a mounted file system.
    let mutex = unsafe { state_of(vfs) };
    let mut state = mutex.lock().expect("nobody panics with the disk in hand");
    state.opened += 1;
    let number = state.opened;
    let scratch = format!("scratch-{number}");
    // SAFETY: a name, where there is one, is a string.
    let name = if name.is_null() { &scratch } else { unsafe { path(name) } };
    let makes = flags & ffi::SQLITE_OPEN_CREATE != 0;
    let is_log = flags & (ffi::SQLITE_OPEN_MAIN_JOURNAL | ffi::SQLITE_OPEN_WAL) != 0;
    let opened = state.disk.open(name, makes);
    let methods: *const sqlite3_io_methods = if opened.is_ok() { &raw const METHODS } else { std::ptr::null() };
    let base = sqlite3_file { pMethods: methods };
    let handle = Handle { base, state: mutex, file: opened.unwrap_or_default(), number, syncs_folder: makes && is_log };
    // SAFETY: there is room for a handle, as the table says, and for the flags, where SQLite asks for them.
    unsafe {
        file.cast::<Handle>().write(handle);
        if !flags_out.is_null() {
            *flags_out = flags;
        }
    }
    opened.map_or_else(|failure| code(failure, ffi::SQLITE_CANTOPEN), |_| ffi::SQLITE_OK)
}

unsafe extern "C" fn delete(vfs: *mut sqlite3_vfs, name: *const c_char, with_folder: c_int) -> c_int {
    // SAFETY: SQLite calls it of a mounted file system, with a string.
    let (state, name) = unsafe { (state_of(vfs), path(name)) };
    let mut state = state.lock().expect("nobody panics with the disk in hand");
    match state.disk.delete(name, with_folder != 0) {
        Err(Failure::Missing) => ffi::SQLITE_IOERR_DELETE_NOENT,
        deleted => told(deleted, ffi::SQLITE_IOERR_DELETE),
    }
}

unsafe extern "C" fn access(vfs: *mut sqlite3_vfs, name: *const c_char, flags: c_int, out: *mut c_int) -> c_int {
    // SAFETY: SQLite calls it of a mounted file system, with a string.
    let (state, name) = unsafe { (state_of(vfs), path(name)) };
    let disk = &mut state.lock().expect("nobody panics with the disk in hand").disk;
    // To exist is to hold something, as it is for the system's own.
    let holds = |disk: &mut Disk| disk.open(name, false).is_ok_and(|file| disk.len(file) > 0);
    let is_there = disk.exists(name) && (flags != ffi::SQLITE_ACCESS_EXISTS || holds(disk));
    // SAFETY: SQLite gives room for the answer.
    unsafe { *out = c_int::from(is_there) };
    ffi::SQLITE_OK
}

unsafe extern "C" fn full_path(_: *mut sqlite3_vfs, name: *const c_char, room: c_int, out: *mut c_char) -> c_int {
    // SAFETY: SQLite gives a string.
    let bytes = unsafe { CStr::from_ptr(name) }.to_bytes_with_nul();
    if bytes.len() > room as usize {
        return ffi::SQLITE_CANTOPEN;
    }
    // SAFETY: there is room for `room` bytes, and it is not where the name is.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr().cast(), out, bytes.len()) };
    ffi::SQLITE_OK
}

unsafe extern "C" fn randomness(_: *mut sqlite3_vfs, _: c_int, _: *mut c_char) -> c_int {
    // SQLite asks its default file system, never this one.
    0
}

unsafe extern "C" fn sleep(_: *mut sqlite3_vfs, us: c_int) -> c_int {
    // Nobody else runs meanwhile.
    us
}

unsafe extern "C" fn current_time(_: *mut sqlite3_vfs, out: *mut f64) -> c_int {
    // SAFETY: SQLite gives room for the answer.
    unsafe { *out = TODAY as f64 / 86_400_000.0 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn current_time_ms(_: *mut sqlite3_vfs, out: *mut i64) -> c_int {
    // SAFETY: SQLite gives room for the answer.
    unsafe { *out = TODAY };
    ffi::SQLITE_OK
}

unsafe extern "C" fn last_error(_: *mut sqlite3_vfs, _: c_int, _: *mut c_char) -> c_int {
    0
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    let close = |handle: &mut Handle, state: &mut State| {
        let locks = state.locks.entry(handle.file).or_default();
        locks.lower(handle.number, 0);
        locks.unlock_slots(handle.number, 0..SLOTS);
        ffi::SQLITE_OK
    };
    // SAFETY: SQLite closes what it opened, once.
    unsafe { with(file, close) }
}

unsafe extern "C" fn read(file: *mut sqlite3_file, out: *mut c_void, len: c_int, at: i64) -> c_int {
    // SAFETY: SQLite gives room for `len` bytes, which hold something, if only what they held before.
    let out = unsafe { std::slice::from_raw_parts_mut(out.cast::<u8>(), len as usize) };
    let read = |handle: &mut Handle, state: &mut State| match state.disk.read(handle.file, at as usize, out) {
        Ok(read) if read == out.len() => ffi::SQLITE_OK,
        Ok(read) => {
            out[read..].fill(0);
            ffi::SQLITE_IOERR_SHORT_READ
        }
        Err(failure) => code(failure, ffi::SQLITE_IOERR_READ),
    };
    // SAFETY: the file is open.
    unsafe { with(file, read) }
}

unsafe extern "C" fn write(file: *mut sqlite3_file, bytes: *const c_void, len: c_int, at: i64) -> c_int {
    // SAFETY: SQLite gives `len` bytes.
    let bytes = unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), len as usize) };
    let write = |handle: &mut Handle, state: &mut State| {
        told(state.disk.write(handle.file, at as usize, bytes), ffi::SQLITE_IOERR_WRITE)
    };
    // SAFETY: the file is open.
    unsafe { with(file, write) }
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, len: i64) -> c_int {
    let cut = |handle: &mut Handle, state: &mut State| {
        told(state.disk.cut(handle.file, len as usize), ffi::SQLITE_IOERR_TRUNCATE)
    };
    // SAFETY: the file is open.
    unsafe { with(file, cut) }
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, _: c_int) -> c_int {
    let sync = |handle: &mut Handle, state: &mut State| {
        let synced = state.disk.sync(handle.file, handle.syncs_folder);
        handle.syncs_folder &= synced.is_err();
        told(synced, ffi::SQLITE_IOERR_FSYNC)
    };
    // SAFETY: the file is open.
    unsafe { with(file, sync) }
}

unsafe extern "C" fn file_size(file: *mut sqlite3_file, out: *mut i64) -> c_int {
    let size = |handle: &mut Handle, state: &mut State| {
        // SAFETY: SQLite gives room for the answer.
        unsafe { *out = state.disk.len(handle.file) as i64 };
        ffi::SQLITE_OK
    };
    // SAFETY: the file is open.
    unsafe { with(file, size) }
}

unsafe extern "C" fn lock(file: *mut sqlite3_file, level: c_int) -> c_int {
    let lock = |handle: &mut Handle, state: &mut State| {
        busy_unless(state.locks.entry(handle.file).or_default().raise(handle.number, level))
    };
    // SAFETY: the file is open.
    unsafe { with(file, lock) }
}

unsafe extern "C" fn unlock(file: *mut sqlite3_file, level: c_int) -> c_int {
    let unlock = |handle: &mut Handle, state: &mut State| {
        state.locks.entry(handle.file).or_default().lower(handle.number, level);
        ffi::SQLITE_OK
    };
    // SAFETY: the file is open.
    unsafe { with(file, unlock) }
}

unsafe extern "C" fn check_reserved_lock(file: *mut sqlite3_file, out: *mut c_int) -> c_int {
    let check = |handle: &mut Handle, state: &mut State| {
        // SAFETY: SQLite gives room for the answer.
        unsafe { *out = c_int::from(state.locks.entry(handle.file).or_default().is_reserved()) };
        ffi::SQLITE_OK
    };
    // SAFETY: the file is open.
    unsafe { with(file, check) }
}

unsafe extern "C" fn file_control(_: *mut sqlite3_file, _: c_int, _: *mut c_void) -> c_int {
    ffi::SQLITE_NOTFOUND
}

unsafe extern "C" fn sector_size(_: *mut sqlite3_file) -> c_int {
    SECTOR_BYTES
}

unsafe extern "C" fn device_characteristics(_: *mut sqlite3_file) -> c_int {
    POWERSAFE
}

unsafe extern "C" fn map_memory(
    file: *mut sqlite3_file,
    number: c_int,
    bytes: c_int,
    makes: c_int,
    out: *mut *mut c_void,
) -> c_int {
    assert!(bytes == BLOCK_BYTES && number >= 0, "SQLite maps blocks of one size");
    let map = |handle: &mut Handle, state: &mut State| {
        let memory = state.memory.entry(handle.file).or_default();
        memory.users.insert(handle.number);
        while makes != 0 && memory.blocks.len() <= number as usize {
            memory.blocks.push(Box::into_raw(Box::new([0; BLOCK_BYTES as usize / 8])));
        }
        let block = memory.blocks.get(number as usize).copied().unwrap_or(std::ptr::null_mut());
        // SAFETY: SQLite gives room for the answer.
        unsafe { *out = block.cast() };
        ffi::SQLITE_OK
    };
    // SAFETY: the file is open.
    unsafe { with(file, map) }
}

unsafe extern "C" fn lock_memory(file: *mut sqlite3_file, from: c_int, count: c_int, flags: c_int) -> c_int {
    let lock = |handle: &mut Handle, state: &mut State| {
        let slots = from as usize..(from + count) as usize;
        let locks = state.locks.entry(handle.file).or_default();
        if flags & ffi::SQLITE_SHM_UNLOCK != 0 {
            locks.unlock_slots(handle.number, slots);
            return ffi::SQLITE_OK;
        }
        busy_unless(locks.lock_slots(handle.number, slots, flags & ffi::SQLITE_SHM_EXCLUSIVE != 0))
    };
    // SAFETY: the file is open.
    unsafe { with(file, lock) }
}

unsafe extern "C" fn barrier(_: *mut sqlite3_file) {}

unsafe extern "C" fn unmap_memory(file: *mut sqlite3_file, _: c_int) -> c_int {
    let unmap = |handle: &mut Handle, state: &mut State| {
        let memory = state.memory.entry(handle.file).or_default();
        memory.users.remove(&handle.number);
        if memory.users.is_empty() {
            state.memory.remove(&handle.file);
        }
        ffi::SQLITE_OK
    };
    // SAFETY: the file is open.
    unsafe { with(file, unmap) }
}
