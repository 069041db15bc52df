//! One line per second: what happened in it. On a terminal progress is drawn over itself while users log in.

use std::io::{IsTerminal, Write};

use super::sums::Sums;
use crate::conductor::Conductor;
use crate::fleet::Fleet;

/// Lines of load say how long the run will still take when a phase begins and then this often, in seconds.
const LEFT_EVERY_S: u64 = 10;

/// The lines.
pub struct Lines {
    terminal: bool,
    drawn: bool,
    start_us: u64,
    /// When what is left was last said, in seconds from the start, and in which phase.
    said: (u64, Option<usize>),
    last: Sums,
}

impl Lines {
    /// Begins at `now_us`, in microseconds since 1970.
    pub fn new(now_us: u64) -> Self {
        Self {
            terminal: std::io::stdout().is_terminal(),
            drawn: false,
            start_us: now_us,
            said: (0, None),
            last: Sums::default(),
        }
    }

    /// Prints the line of the second that has ended.
    pub fn print(&mut self, now_us: u64, fleet: &Fleet, conductor: &Conductor) {
        let (now, last) = (Sums::of(fleet), self.last);
        self.last = now;
        let elapsed = (now_us - self.start_us) / 1_000_000;
        let stage = conductor.stage_name();
        let progress = conductor.progress(now_us, fleet);
        let mut line = format!("{elapsed:>4} s  {stage:<22}");
        if now.due == last.due && now.answered == last.answered {
            let users = fleet.count();
            line += &format!("  sessions {:>8} of {users}  +{}/s", now.up, now.up.saturating_sub(last.up));
            line += &format!("  again {}", fleet.login.retries);
            match (progress.begins_in_s, progress.left_s) {
                (0, Some(left_s)) if left_s > 0 => line += &format!("  about {left_s} s left"),
                (wait_s, _) if wait_s > 0 => line += &format!("  begins in {wait_s} s"),
                _ => {}
            }
        } else {
            line += &format!("  due {:>6}  sent {:>6}", now.due - last.due, now.sent.saturating_sub(last.sent));
            line += &format!("  answered {:>6}", now.answered - last.answered);
            // At the turn of a phase most answers are still those of the phase before.
            if let Some(record) = fleet.records.iter().max_by_key(|record| record.latency_second_us.len()) {
                let at = |share: f64| record.latency_second_us.value_at_quantile(share);
                line += &format!("  p50 {:>5} us  p99 {:>6} us", at(0.5), at(0.99));
            }
            line += &format!("  prizes {:>4}", now.prizes - last.prizes);
            line += &format!("  sent {:>3} taken {:>3}", now.packets - last.packets, now.shares - last.shares);
            let (said_s, said_in) = self.said;
            if (progress.number != said_in || elapsed >= said_s + LEFT_EVERY_S)
                && let Some(left_s) = progress.whole_left_s.filter(|left_s| *left_s > 0)
            {
                self.said = (elapsed, progress.number);
                line += &format!("  about {left_s} s left");
            }
            for (name, count) in [
                ("again", now.retries - last.retries),
                ("refused", now.refused - last.refused),
                ("lost", now.lost - last.lost),
            ] {
                if count > 0 {
                    line += &format!("  {name} {count}");
                }
            }
        }
        self.show(&line, now.due == last.due);
    }

    /// Progress is drawn over, if there is a terminal to draw on; lines of load stay.
    fn show(&mut self, line: &str, passing: bool) {
        let mut out = std::io::stdout().lock();
        let over = if self.drawn { "\r\x1b[K" } else { "" };
        self.drawn = self.terminal && passing;
        let end = if self.drawn { "" } else { "\n" };
        // A closed pipe must not end a run.
        let _ = write!(out, "{over}{line}{end}").and_then(|()| out.flush());
    }
}
