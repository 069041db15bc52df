//! What is seen of a run while it goes on: a view that fills the terminal, a line for each second, or nothing.
//!
//! The loop that sends only copies a few hundred numbers for it, five times a second; the view is drawn by a thread of its own,
//! so that a slow terminal keeps nobody waiting.

pub mod lines;
pub mod picture;
pub mod screen;
pub mod sums;
pub mod view;

use std::io::IsTerminal;

use clap::ValueEnum;

use crate::conductor::Conductor;
use crate::fleet::Fleet;
use lines::Lines;
use picture::Painter;
use screen::Screen;

/// Time between two pictures, in microseconds.
const PICTURE_US: u64 = 200_000;

/// What is seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Style {
    /// A view that fills the terminal.
    Full,
    /// A line for each second.
    Lines,
    /// Nothing.
    Off,
}

enum Seen {
    Full(Box<(Screen, Painter)>),
    Lines(Lines),
    Off,
}

/// What is seen, and when it is shown again.
pub struct Live {
    seen: Seen,
    /// The second's end.
    next_us: u64,
    picture_us: u64,
}

impl Live {
    /// Begins at `now_us`, in microseconds since 1970. Without a style it is the view where there is a terminal, else lines. `title`
    /// says what is run.
    ///
    /// # Errors
    /// The view was asked for by name, and there is no terminal.
    pub fn new(style: Option<Style>, title: &str, now_us: u64) -> anyhow::Result<Self> {
        let is_terminal = std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
        let style = style.unwrap_or(if is_terminal { Style::Full } else { Style::Lines });
        let seen = match style {
            Style::Full => Seen::Full(Box::new((Screen::begin()?, Painter::new(title, now_us)))),
            Style::Lines => Seen::Lines(Lines::new(now_us)),
            Style::Off => Seen::Off,
        };
        Ok(Self { seen, next_us: (now_us / 1_000_000 + 1) * 1_000_000, picture_us: now_us })
    }

    /// Has a second ended?
    pub fn is_second(&self, now_us: u64) -> bool {
        now_us >= self.next_us
    }

    /// When there is something to show again.
    pub fn next_us(&self) -> u64 {
        if matches!(self.seen, Seen::Full(_)) { self.next_us.min(self.picture_us) } else { self.next_us }
    }

    /// A second has ended; its latencies are still apart.
    pub fn turn_second(&mut self, now_us: u64, fleet: &Fleet, conductor: &Conductor) {
        self.next_us = (now_us / 1_000_000 + 1) * 1_000_000;
        match &mut self.seen {
            Seen::Full(full) => full.1.turn_second(fleet),
            Seen::Lines(lines) => lines.print(now_us, fleet, conductor),
            Seen::Off => {}
        }
    }

    /// Shows a new picture, if it is time for one.
    pub fn glance(&mut self, now_us: u64, fleet: &Fleet, conductor: &Conductor) {
        if let Seen::Full(full) = &mut self.seen
            && now_us >= self.picture_us
        {
            self.picture_us = now_us + PICTURE_US;
            let (screen, painter) = &mut **full;
            screen.show(painter.paint(now_us, fleet, conductor));
        }
    }
}
