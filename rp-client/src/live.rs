//! One line per second: what happened in it. On a terminal progress is drawn over itself while users log in.

use std::io::{IsTerminal, Write};

use clap::ValueEnum;

use crate::conductor::Conductor;
use crate::fleet::Fleet;

/// What is seen of a run while it goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Style {
    /// A view that fills the terminal.
    Full,
    /// A line for each second.
    Lines,
    /// Nothing.
    Off,
}

/// Sums of all phases, to be compared with those of a second ago.
#[derive(Clone, Copy, Default)]
struct Sums {
    due: u64,
    sent: u64,
    answered: u64,
    refused: u64,
    lost: u64,
    retries: u64,
    prizes: u64,
    packets: u64,
    shares: u64,
    up: u64,
}

impl Sums {
    fn of(fleet: &Fleet) -> Self {
        let mut sums = Self {
            prizes: fleet.books.prizes.count,
            packets: fleet.books.packets.count,
            shares: fleet.books.shares.count,
            up: fleet.up.into(),
            ..Self::default()
        };
        for shakes in fleet.records.iter().map(|record| &record.shakes) {
            sums.due += shakes.due;
            sums.sent += shakes.sent;
            sums.answered += shakes.answered;
            sums.refused += shakes.refused;
            sums.lost += shakes.lost;
            sums.retries += shakes.retries;
        }
        sums
    }
}

/// The line.
pub struct Live {
    terminal: bool,
    drawn: bool,
    next_us: u64,
    start_us: u64,
    last: Sums,
}

impl Live {
    /// Begins at `now_us`, in microseconds since 1970.
    pub fn new(now_us: u64) -> Self {
        let next_us = (now_us / 1_000_000 + 1) * 1_000_000;
        Self {
            terminal: std::io::stdout().is_terminal(),
            drawn: false,
            next_us,
            start_us: now_us,
            last: Sums::default(),
        }
    }

    /// When the next line is due.
    pub fn next_us(&self) -> u64 {
        self.next_us
    }

    /// Prints the line of the second that has ended.
    pub fn print(&mut self, now_us: u64, fleet: &Fleet, conductor: &Conductor) {
        self.next_us = (now_us / 1_000_000 + 1) * 1_000_000;
        let (now, last) = (Sums::of(fleet), self.last);
        self.last = now;
        let elapsed = (now_us - self.start_us) / 1_000_000;
        let stage = conductor.stage_name();
        let mut line = format!("{elapsed:>4} s  {stage:<22}");
        if now.due == last.due && now.answered == last.answered {
            let users = fleet.count();
            line += &format!("  sessions {:>8} of {users}  +{}/s", now.up, now.up.saturating_sub(last.up));
            line += &format!("  again {}", fleet.login.retries);
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
