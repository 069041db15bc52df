//! The ledger's folder: on a disk that keeps what it says it has, how fast it syncs, and how much it may hold.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rp_core::limits::SLOTS_PER_SET;
use rp_net::disk;

use super::finding::{Finding, by_flag, quoted, with_rights};
use crate::run::Asked;

/// A group commit is a write of some pages and a sync.
const SYNCS: usize = 50;
const BLOCK: [u8; 4096] = [0; 4096];
/// Replies that speak of money wait for it: what is slower is felt.
const MEDIAN_MAX: Duration = Duration::from_millis(10);
const P99_MAX: Duration = Duration::from_millis(50);
/// Of a posting in a closed file, its indices included: 66 bytes and 43 % (docs/ARCHITECTURE.md, "What memory has forgotten").
const POSTING_BYTES: u64 = 100;
/// A night of a user: money given, some packets made and taken, a few prizes, acknowledgements.
const POSTINGS_PER_SESSION: u64 = 20;
/// Eight files in use; below that the ledger makes no indices, and near its end.
const LEAST_BYTES: u64 = 8 * (64 << 20);
const NOT_KEPT: &str = "--durability none keeps nothing";

/// Kinds of file systems (linux/magic.h), and whether what is there outlives the machine or the container.
const KINDS: [(u64, &str, Keeps); 17] = [
    (0xef53, "ext4", Keeps::Here),
    (0x5846_5342, "xfs", Keeps::Here),
    (0x9123_683e, "btrfs", Keeps::Here),
    (0xf2f5_2010, "f2fs", Keeps::Here),
    (0x2fc1_2fc1, "zfs", Keeps::Here),
    (0xca45_1a4e, "bcachefs", Keeps::Here),
    (0x0102_1994, "tmpfs", Keeps::Memory),
    (0x8584_58f6, "ramfs", Keeps::Memory),
    (0x794c_7630, "overlay", Keeps::Layer),
    (0x6969, "nfs", Keeps::Elsewhere),
    (0xff53_4d42, "cifs", Keeps::Elsewhere),
    (0xfe53_4d42, "smb2", Keeps::Elsewhere),
    (0x0102_1997, "9p", Keeps::Elsewhere),
    (0x00c3_6400, "ceph", Keeps::Elsewhere),
    (0x6573_5546, "fuse", Keeps::Elsewhere),
    (0x5346_414f, "afs", Keeps::Elsewhere),
    (0x0bd0_0bd0, "lustre", Keeps::Elsewhere),
];

/// Where a file system has what is written to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Keeps {
    Here,
    Memory,
    Layer,
    Elsewhere,
}

/// The nearest folder that exists: the folder itself, or the one that it would be made in.
pub fn nearest(dir: &Path) -> PathBuf {
    let absolute = std::path::absolute(dir).unwrap_or_else(|_| dir.to_path_buf());
    let there = absolute.ancestors().find(|folder| folder.is_dir()).map(Path::to_path_buf);
    there.unwrap_or_else(|| PathBuf::from("/"))
}

/// On a real disk, and ours to write to?
pub fn place(asked: &Asked) -> Finding {
    let Some(dir) = &asked.data else { return Finding::pass("ledger disk", NOT_KEPT) };
    let there = nearest(dir);
    judge_place(dir, disk::kind(&there), disk::may_write(&there))
}

fn judge_place(dir: &Path, kind: io::Result<u64>, may_write: io::Result<()>) -> Finding {
    let (check, word, dir) = ("ledger disk", quoted(dir), dir.display());
    let remedy = by_flag("--data DIR", "on a local disk (ext4, xfs)");
    if let Err(error) = may_write {
        let remedy = match error.kind() {
            ErrorKind::PermissionDenied => {
                let look = format!("ls -ld {word}  # shows whose it is; or a folder of your own: --data DIR");
                with_rights(&look, "or as the server's own user; or a folder of your own: --data DIR")
            }
            _ => by_flag("--data DIR", "a folder that can be written to"),
        };
        return Finding::fail(check, format!("this user may not write to {dir}: {error}"), remedy);
    }
    let kind = match kind {
        Ok(kind) => kind,
        Err(error) => return Finding::fail(check, format!("{dir}: {error}"), remedy),
    };
    match KINDS.iter().find(|row| row.0 == kind) {
        Some((_, name, Keeps::Here)) => Finding::pass(check, format!("{dir} is on {name}")),
        Some((_, name, Keeps::Memory)) => {
            Finding::fail(check, format!("{dir} is on {name}: all money is gone with the machine"), remedy)
        }
        Some((_, name, Keeps::Layer)) => Finding::fail(
            check,
            format!("{dir} is on {name}: all money is gone with the container"),
            format!("podman volume create red-packet  # or docker; then `podman run --volume red-packet:{dir} …`"),
        ),
        Some((_, name, Keeps::Elsewhere)) => {
            Finding::fail(check, format!("{dir} is on {name}: SQLite's log needs a disk of this machine"), remedy)
        }
        None => Finding::warn(
            check,
            format!("{dir} is on a file system of an unknown kind ({kind:#x})"),
            format!("stat -f {word}  # names it; or a folder on a local disk (ext4, xfs): --data DIR"),
        ),
    }
}

/// How long does a commit's sync take?
pub fn sync_time(asked: &Asked) -> Finding {
    let Some(dir) = &asked.data else { return Finding::pass("ledger sync", NOT_KEPT) };
    judge_sync(measure(&nearest(dir)), dir)
}

/// Syncs to a file that has no name any more, so that nothing is left whatever happens.
fn measure(folder: &Path) -> io::Result<Vec<Duration>> {
    let name = folder.join(format!(".doctor-{}", std::process::id()));
    let mut file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&name)?;
    std::fs::remove_file(&name)?;
    // As the ledger's log is: its room is there before it is written to.
    file.write_all(&BLOCK.repeat(SYNCS))?;
    file.sync_all()?;
    let mut times = Vec::with_capacity(SYNCS);
    for block in 0..SYNCS {
        let since = Instant::now();
        file.write_all_at(&BLOCK, (block * BLOCK.len()) as u64)?;
        file.sync_data()?;
        times.push(since.elapsed());
    }
    times.sort_unstable();
    Ok(times)
}

fn judge_sync(times: io::Result<Vec<Duration>>, dir: &Path) -> Finding {
    let check = "ledger sync";
    let times = match times {
        Ok(times) if !times.is_empty() => times,
        Ok(_) => return Finding::warn(check, "nothing was measured", "rp-server doctor  # again"),
        Err(error) => {
            return Finding::fail(
                check,
                format!("{}: {error}", dir.display()),
                by_flag("--data DIR", "a folder that can be written to"),
            );
        }
    };
    let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)];
    let (median, p99) = (at(50), at(99));
    let found = format!(
        "{SYNCS} writes of 4 KiB with fdatasync: median {:.2} ms, p99 {:.2} ms",
        median.as_secs_f64() * 1000.0,
        p99.as_secs_f64() * 1000.0
    );
    if median > MEDIAN_MAX || p99 > P99_MAX {
        let found = format!("{found}: every answer that speaks of money waits so long");
        return Finding::warn(
            check,
            found,
            by_flag("--data DIR", "on a faster disk (NVMe), or one that nobody else uses"),
        );
    }
    Finding::pass(check, found)
}

/// Is there room for a night?
pub fn room(asked: &Asked) -> Finding {
    let Some(dir) = &asked.data else { return Finding::pass("ledger room", NOT_KEPT) };
    judge_room(disk::free_bytes(&nearest(dir)), (asked.sets * SLOTS_PER_SET) as u64, dir)
}

fn judge_room(free: io::Result<u64>, sessions: u64, dir: &Path) -> Finding {
    let check = "ledger room";
    let remedy = format!(
        "rp-server ledger archive --data {} --to DIR  # moves closed files; or a folder on a larger disk: --data DIR",
        quoted(dir)
    );
    let free = match free {
        Ok(free) => free,
        Err(error) => return Finding::fail(check, format!("{}: {error}", dir.display()), remedy),
    };
    let needed = (sessions * POSTINGS_PER_SESSION * POSTING_BYTES).max(LEAST_BYTES);
    let found = format!(
        "{:.1} GB free; a night of {sessions} sessions x {POSTINGS_PER_SESSION} postings x {POSTING_BYTES} bytes is {:.1} GB",
        free as f64 / 1e9,
        needed as f64 / 1e9
    );
    match free {
        free if free >= needed => Finding::pass(check, found),
        free if free >= LEAST_BYTES => Finding::warn(check, found, remedy),
        _ => Finding::fail(check, found, remedy),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict::{self, Fail, Pass, Warn};

    #[test]
    fn a_ledger_wants_a_disk_of_this_machine() {
        let check = |kind, verdict: Verdict| {
            let finding = judge_place(Path::new("/data"), Ok(kind), Ok(()));
            assert_eq!(finding.verdict, verdict, "{finding:?}");
        };
        for (kind, verdict) in [
            (0xef53, Pass),
            (0x5846_5342, Pass),
            (0x0102_1994, Fail),
            (0x794c_7630, Fail),
            (0x6969, Fail),
            (0x1234, Warn),
        ] {
            check(kind, verdict);
        }
        let refused = || io::ErrorKind::PermissionDenied.into();
        let is_full = || io::ErrorKind::StorageFull.into();
        let rows = [(Ok(0xef53), Err(refused())), (Ok(0xef53), Err(is_full())), (Err(refused()), Ok(()))];
        for (kind, may_write) in rows {
            assert_eq!(judge_place(Path::new("/my data"), kind, may_write).verdict, Fail);
        }
    }

    #[test]
    fn slow_syncs_and_little_room_are_said() {
        let times = |median: u64, last: u64| {
            Ok([vec![Duration::from_millis(median); 49], vec![Duration::from_millis(last)]].concat())
        };
        for (times, verdict) in [
            (times(1, 2), Pass),
            (times(11, 12), Warn),
            (times(1, 51), Warn),
            (Ok(Vec::new()), Warn),
            (Err(io::ErrorKind::StorageFull.into()), Fail),
        ] {
            assert_eq!(judge_sync(times, Path::new("/data")).verdict, verdict);
        }
        for (free, verdict) in [(3 << 30, Pass), (1 << 30, Warn), (1 << 20, Fail)] {
            assert_eq!(judge_room(Ok(free), 1_179_648, Path::new("/my data")).verdict, verdict, "{free}");
        }
        assert_eq!(judge_room(Err(io::ErrorKind::NotFound.into()), 1, Path::new("/data")).verdict, Fail);
    }

    #[test]
    fn measuring_leaves_no_file() {
        let folder = std::env::temp_dir().join(format!("rp-doctor-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a temporary folder");
        let times = measure(&folder).expect("it can be written to");
        assert_eq!(times.len(), SYNCS);
        assert_eq!(nearest(&folder.join("not/yet")), folder);
        std::fs::remove_dir(&folder).expect("the folder is empty");
    }
}
