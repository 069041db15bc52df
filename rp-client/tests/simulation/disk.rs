//! A disk in memory that forgets like a real one: what was not synced is kept, lost or torn when the power fails.
//!
//! Files hold what is synced and the writes since; the folder holds its own changes since it was synced. A fuse lets one
//! write of its life fail, or stops everything from there on, as if the process were gone.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

/// What a disk writes whole or not at all; a torn write may also end within one.
const SECTOR: usize = 512;

/// What a fuse does when it blows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The process is gone: nothing is read or written any more.
    Gone,
    /// No room: this write and all later ones fail, each somewhere in its middle.
    Full,
    /// This write, or sync, fails; what a failed sync should have kept may be lost at any time.
    Broken,
}

/// Why the disk did not do it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// There is no such file.
    Missing,
    /// There is no room.
    Full,
    /// It failed.
    Broken,
}

/// One change of a file since it was synced.
#[derive(Clone)]
enum Write {
    At(usize, Vec<u8>),
    Cut(usize),
}

/// One file, by whatever name.
#[derive(Default)]
struct File {
    shown: Vec<u8>,
    synced: Vec<u8>,
    writes: Vec<Write>,
}

/// The disk.
pub struct Disk {
    files: Vec<File>,
    /// As the system shows it.
    names: BTreeMap<String, usize>,
    /// As it is synced.
    synced_names: BTreeMap<String, usize>,
    /// Names given and taken since.
    changes: Vec<(String, Option<usize>)>,
    rng: ChaCha8Rng,
    fuse: Option<(u64, Fault)>,
    /// The fuse that blew.
    pub blown: Option<Fault>,
    /// Writes, syncs and deletions so far.
    pub deeds: u64,
}

impl Write {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Write::Cut(len) => bytes.truncate(*len),
            Write::At(at, new) => {
                let end = at + new.len();
                bytes.resize(bytes.len().max(end), 0);
                bytes[*at..end].copy_from_slice(new);
            }
        }
    }
}

impl Disk {
    /// An empty disk, whose fate follows from the seed.
    pub fn new(seed: u64) -> Disk {
        Disk {
            files: Vec::new(),
            names: BTreeMap::new(),
            synced_names: BTreeMap::new(),
            changes: Vec::new(),
            rng: ChaCha8Rng::seed_from_u64(seed),
            fuse: None,
            blown: None,
            deeds: 0,
        }
    }

    /// After so many more deeds comes this.
    pub fn arm(&mut self, deeds: u64, fault: Fault) {
        self.fuse = Some((deeds, fault));
    }

    /// The fuse that did not blow is taken out; says whether it did.
    pub fn disarm(&mut self) -> bool {
        self.fuse = None;
        self.blown.is_some()
    }

    /// Nothing is written any more.
    pub fn stop(&mut self) {
        self.blown = Some(Fault::Gone);
    }

    /// Finds a file, or makes it.
    pub fn open(&mut self, name: &str, makes: bool) -> Result<usize, Failure> {
        self.is_there()?;
        if let Some(file) = self.names.get(name) {
            return Ok(*file);
        }
        if !makes {
            return Err(Failure::Missing);
        }
        let file = self.files.len();
        self.files.push(File::default());
        self.rename(name, Some(file));
        Ok(file)
    }

    pub fn exists(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    pub fn len(&self, file: usize) -> usize {
        self.files[file].shown.len()
    }

    /// Reads as much as there is.
    pub fn read(&self, file: usize, at: usize, out: &mut [u8]) -> Result<usize, Failure> {
        self.is_there()?;
        let shown = self.files[file].shown.get(at..).unwrap_or(&[]);
        let len = shown.len().min(out.len());
        out[..len].copy_from_slice(&shown[..len]);
        Ok(len)
    }

    pub fn write(&mut self, file: usize, at: usize, bytes: &[u8]) -> Result<(), Failure> {
        match self.deed() {
            None => self.change(file, Write::At(at, bytes.to_vec())),
            Some(Fault::Gone) => return Err(Failure::Broken),
            Some(fault) => {
                let half = self.rng.next_u64() as usize % (bytes.len() + 1);
                self.change(file, Write::At(at, bytes[..half].to_vec()));
                return Err(if fault == Fault::Full { Failure::Full } else { Failure::Broken });
            }
        }
        Ok(())
    }

    pub fn cut(&mut self, file: usize, len: usize) -> Result<(), Failure> {
        if matches!(self.deed(), Some(Fault::Gone | Fault::Broken)) {
            return Err(Failure::Broken);
        }
        self.change(file, Write::Cut(len));
        Ok(())
    }

    /// Makes a file durable, and the folder too if asked.
    pub fn sync(&mut self, file: usize, with_folder: bool) -> Result<(), Failure> {
        match self.deed() {
            None | Some(Fault::Full) => {}
            Some(Fault::Gone) => return Err(Failure::Broken),
            Some(Fault::Broken) => {
                // The system gives up on what it could not write: a later sync says nothing of it.
                self.survive(file);
                return Err(Failure::Broken);
            }
        }
        let File { synced, writes, .. } = &mut self.files[file];
        writes.drain(..).for_each(|write| write.apply(synced));
        if with_folder {
            self.sync_folder();
        }
        Ok(())
    }

    /// Writes what a file shows into the same places, and syncs it.
    pub fn write_again(&mut self, name: &str) -> Result<(), Failure> {
        let file = match self.open(name, false) {
            Ok(file) if self.len(file) > 0 => file,
            Ok(_) | Err(Failure::Missing) => return Ok(()),
            Err(failure) => return Err(failure),
        };
        self.write(file, 0, &self.files[file].shown.clone())?;
        self.sync(file, false)
    }

    pub fn delete(&mut self, name: &str, with_folder: bool) -> Result<(), Failure> {
        if matches!(self.deed(), Some(Fault::Gone | Fault::Broken)) {
            return Err(Failure::Broken);
        }
        if !self.exists(name) {
            return Err(Failure::Missing);
        }
        self.rename(name, None);
        if with_folder {
            self.sync_folder();
        }
        Ok(())
    }

    /// Everybody who had a file open is gone; with the power also what the disk did not have. Then all is mended.
    pub fn crash(&mut self, is_power_out: bool) {
        (self.fuse, self.blown) = (None, None);
        if !is_power_out {
            return;
        }
        for file in 0..self.files.len() {
            self.survive(file);
            self.files[file].shown = self.files[file].synced.clone();
        }
        for (name, file) in std::mem::take(&mut self.changes) {
            if self.rng.next_u32().is_multiple_of(2) {
                put(&mut self.synced_names, &name, file);
            }
        }
        self.names = self.synced_names.clone();
    }

    /// Logs that hold something while their file is missing or empty: SQLite would delete them, so a server refuses them.
    pub fn orphans(&self) -> Vec<&str> {
        let holds = |name: &str| self.names.get(name).is_some_and(|file| !self.files[*file].shown.is_empty());
        let logs = self.names.keys().filter(|name| holds(name));
        logs.filter(|name| name.strip_suffix("-wal").is_some_and(|file| !holds(file))).map(String::as_str).collect()
    }

    /// Of all files as they are shown.
    pub fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for (name, file) in &self.names {
            (name.rsplit('/').next(), &self.files[*file].shown).hash(&mut hasher);
        }
        hasher.finish()
    }

    /// Each unsynced write of a file comes through, whole or torn, or does not.
    fn survive(&mut self, file: usize) {
        let writes = std::mem::take(&mut self.files[file].writes);
        // Some crashes keep nearly all, some nearly nothing.
        let luck = self.rng.next_u32() % 5;
        for write in writes {
            let fate = self.rng.next_u32() % 4;
            if fate >= luck {
                continue;
            }
            match write {
                Write::At(at, bytes) if self.rng.next_u32().is_multiple_of(4) => self.tear(file, at, &bytes),
                write => write.apply(&mut self.files[file].synced),
            }
        }
    }

    /// Any of a write's sectors come through, and one of them in part.
    fn tear(&mut self, file: usize, at: usize, bytes: &[u8]) {
        let mut from = 0;
        while from < bytes.len() {
            let to = (from + SECTOR - (at + from) % SECTOR).min(bytes.len());
            let to_kept = match self.rng.next_u32() % 8 {
                0..3 => from,
                3..7 => to,
                _ => from + self.rng.next_u64() as usize % (to - from),
            };
            Write::At(at + from, bytes[from..to_kept].to_vec()).apply(&mut self.files[file].synced);
            from = to;
        }
    }

    fn change(&mut self, file: usize, write: Write) {
        let file = &mut self.files[file];
        write.apply(&mut file.shown);
        file.writes.push(write);
    }

    fn rename(&mut self, name: &str, file: Option<usize>) {
        put(&mut self.names, name, file);
        self.changes.push((name.to_owned(), file));
    }

    fn sync_folder(&mut self) {
        self.changes.clear();
        self.synced_names = self.names.clone();
    }

    /// One more deed: what hinders it.
    fn deed(&mut self) -> Option<Fault> {
        if let Some(fault @ (Fault::Gone | Fault::Full)) = self.blown {
            return Some(fault);
        }
        self.deeds += 1;
        let (left, fault) = self.fuse.as_mut()?;
        if *left > 0 {
            *left -= 1;
            return None;
        }
        let fault = *fault;
        (self.fuse, self.blown) = (None, Some(fault));
        Some(fault)
    }

    fn is_there(&self) -> Result<(), Failure> {
        if self.blown == Some(Fault::Gone) { Err(Failure::Broken) } else { Ok(()) }
    }
}

fn put(names: &mut BTreeMap<String, usize>, name: &str, file: Option<usize>) {
    match file {
        Some(file) => names.insert(name.to_owned(), file),
        None => names.remove(name),
    };
}
