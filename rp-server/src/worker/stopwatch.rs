//! How long answers take, by the looks at the clock that the worker takes anyway.
//!
//! A batch ends at the next look after its replies were handed over. What its postings hold back is marked with the time of
//! the batch, and counted when the disk has them. Marks have a limit; beyond it the last one stands for what comes after.

use std::collections::VecDeque;

use rp_core::engine::journal::Journal;

use super::Face;

/// Turns of the loop whose replies wait for the disk and are told apart.
const MARKS_MAX: usize = 1024;

/// One worker's.
pub(super) struct Stopwatch<'a> {
    face: &'a Face,
    /// A batch under way: when it was received, and its datagrams.
    batch: Option<(u64, u64)>,
    /// Replies that waited at the last look.
    held: usize,
    marks: VecDeque<Mark>,
}

/// Replies held back in one turn.
struct Mark {
    /// The posting that the last of them waits for.
    after: u64,
    since_us: u64,
    replies: u64,
}

impl<'a> Stopwatch<'a> {
    pub(super) fn new(face: &'a Face) -> Self {
        Self { face, batch: None, held: 0, marks: VecDeque::with_capacity(MARKS_MAX) }
    }

    /// A batch was received at this time; the one before has left.
    pub(super) fn begin(&mut self, mono_us: u64, datagrams: usize) {
        self.end(mono_us);
        self.batch = (datagrams > 0).then_some((mono_us, datagrams as u64));
    }

    /// What was under way has left by this time.
    pub(super) fn end(&mut self, mono_us: u64) {
        if let Some((since_us, datagrams)) = self.batch.take() {
            self.face.answer_times.count(mono_us.saturating_sub(since_us), datagrams);
        }
    }

    /// What waits by now: what came to it came since this time.
    pub(super) fn hold(&mut self, since_us: u64, journal: &Journal) {
        self.mark(since_us, journal.held(), journal.written());
    }

    fn mark(&mut self, since_us: u64, held: usize, written: u64) {
        let replies = held.saturating_sub(self.held) as u64;
        self.held = held;
        if replies == 0 {
            return;
        }
        let is_full = self.marks.len() == MARKS_MAX;
        match self.marks.back_mut().filter(|_| is_full) {
            Some(last) => (last.after, last.replies) = (written, last.replies + replies),
            None => self.marks.push_back(Mark { after: written, since_us, replies }),
        }
    }

    /// So many postings are on disk, and what waited for them leaves now; so many replies still wait.
    pub(super) fn release(&mut self, mono_us: u64, durable: u64, held: usize) {
        self.held = held;
        while let Some(mark) = self.marks.pop_front_if(|mark| mark.after <= durable) {
            self.face.durable_times.count(mono_us.saturating_sub(mark.since_us), mark.replies);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_takes_until_the_next_look_and_a_reply_until_the_disk_has_what_it_speaks_of() {
        let face = Face::default();
        let mut watch = Stopwatch::new(&face);
        watch.begin(1000, 3);
        watch.begin(1020, 0);
        watch.begin(1030, 2);
        watch.end(1040);
        watch.end(9000);
        let times = face.answer_times.read();
        assert_eq!((times.count(), times.sum_us, times.longest()), (5, 3 * 20 + 2 * 10, Some(20)));
        watch.mark(1000, 4, 7);
        watch.mark(1030, 4, 7);
        watch.mark(1050, 5, 8);
        watch.release(1500, 6, 5);
        assert_eq!(face.durable_times.read().count(), 0);
        watch.release(1510, 7, 1);
        watch.mark(1600, 2, 9);
        watch.release(1700, 9, 0);
        let times = face.durable_times.read();
        assert_eq!((times.count(), times.sum_us), (6, 4 * 510 + 650 + 100));
        (0..2 * MARKS_MAX).for_each(|held| watch.mark(2000, held + 1, 10 + held as u64));
        watch.release(3000, u64::MAX, 0);
        assert_eq!(face.durable_times.read().count(), 6 + 2 * MARKS_MAX as u64);
    }
}
