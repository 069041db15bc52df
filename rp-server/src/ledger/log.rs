//! The write-ahead log of the last file, read as bytes: is there anything behind the place where SQLite stops?
//!
//! SQLite ends a log silently at its first frame whose checksum is wrong, for a crash leaves such frames: those of the one
//! commit that was under way. Each commit is synced before the next begins, so a frame behind a later commit's tells that
//! the wrong one was once right, and what follows it was acknowledged. The mark would tell it too, but only up to the
//! second in which it was written. Format: <https://www.sqlite.org/fileformat2.html#the_write_ahead_log>.

use std::path::Path;

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// The first word of a log; its lowest bit says that checksums are over big-endian words.
const MAGIC: u32 = 0x377f_0682;

type Sum = (u32, u32);

/// Looks at a log; says from which byte on commits are lost, when any are.
///
/// # Errors
/// The log cannot be read.
pub fn lost_from(log: &Path) -> std::io::Result<Option<u64>> {
    let bytes = match std::fs::read(log) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let Some((header, frames)) = bytes.split_first_chunk::<HEADER>() else { return Ok(None) };
    Ok(match Log::of(header, frames) {
        Some(log) => log.lost_from(),
        // A log begins in an empty file, or in zeros, and its header is synced before its first frame.
        None => frames.iter().any(|byte| *byte != 0).then_some(0),
    })
}

struct Log<'a> {
    salts: &'a [u8],
    is_big_endian: bool,
    /// Checksum of the header, on which the first frame's stands.
    start: Sum,
    frame_bytes: usize,
    frames: &'a [u8],
}

impl<'a> Log<'a> {
    /// `None` when SQLite would take it for empty.
    fn of(header: &'a [u8; HEADER], frames: &'a [u8]) -> Option<Log<'a>> {
        let magic = word(header, 0);
        let is_big_endian = magic & 1 == 1;
        let start = add((0, 0), &header[..24], is_big_endian);
        let is_whole = magic & !1 == MAGIC && start == (word(header, 24), word(header, 28));
        let frame_bytes = FRAME_HEADER + word(header, 8) as usize;
        is_whole.then_some(Log { salts: &header[16..24], is_big_endian, start, frame_bytes, frames })
    }

    fn lost_from(&self) -> Option<u64> {
        let mut before = self.start;
        let mut wrong = None;
        // Behind a wrong frame: has a commit's last frame been seen?
        let mut is_committed = false;
        for (number, frame) in self.frames.chunks_exact(self.frame_bytes).enumerate() {
            let is_ours = frame[8..16] == *self.salts;
            let stands = is_ours && self.sum(before, frame) == stored(frame);
            match wrong {
                None if !stands => wrong = Some(number),
                Some(wrong) if stands && is_committed => {
                    return Some((HEADER + wrong * self.frame_bytes) as u64);
                }
                _ => {}
            }
            is_committed |= wrong.is_some() && is_ours && word(frame, 4) != 0;
            // What a frame says of itself carries on to the next, even when it is wrong.
            before = stored(frame);
        }
        None
    }

    fn sum(&self, before: Sum, frame: &[u8]) -> Sum {
        let sum = add(before, &frame[..8], self.is_big_endian);
        add(sum, &frame[FRAME_HEADER..], self.is_big_endian)
    }
}

fn stored(frame: &[u8]) -> Sum {
    (word(frame, 16), word(frame, 20))
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes[at..].first_chunk().map_or(0, |word| u32::from_be_bytes(*word))
}

fn add(sum: Sum, bytes: &[u8], is_big_endian: bool) -> Sum {
    let read = if is_big_endian { u32::from_be_bytes } else { u32::from_le_bytes };
    let (pairs, _) = bytes.as_chunks::<8>();
    pairs.iter().fold(sum, |(a, b), &[p, q, r, s, t, u, v, w]| {
        let a = a.wrapping_add(read([p, q, r, s])).wrapping_add(b);
        (a, b.wrapping_add(read([t, u, v, w])).wrapping_add(a))
    })
}
