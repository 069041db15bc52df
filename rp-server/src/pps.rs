//! Packets per second by kind, reason and CPU, from the pinned counters of a running server: a card's screen.

pub mod report;
mod screen;

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;

use crate::gate::counters::{CounterMaps, Reading};
use crate::gate::pins;

/// Flags of `rp-server pps`.
#[derive(Args)]
pub struct PpsArgs {
    /// Print the totals since the server's start and end
    #[arg(long)]
    once: bool,
    /// Seconds to show [default: until interrupted]
    #[arg(long, value_name = "N", conflicts_with = "once")]
    seconds: Option<u64>,
    /// One JSON object a line: totals, and rates over the last second
    #[arg(long)]
    json: bool,
    /// Folder where the server pinned its counters
    #[arg(long, value_name = "DIR", env = "RP_PIN")]
    pin: Option<PathBuf>,
}

/// Two readings and the time between them; the first is zero when only totals are asked for.
pub struct Interval {
    earlier: Reading,
    later: Reading,
    length: Option<Duration>,
}

impl PpsArgs {
    /// Shows the counters.
    ///
    /// # Errors
    /// When no server with a gate runs here, or it ended meanwhile.
    pub fn run(self) -> Result<()> {
        let dir = pins::find(self.pin.as_deref())?;
        let maps = CounterMaps::open(&dir)?;
        let mut earlier = maps.read()?;
        if self.once {
            return self.show(&Interval { earlier: Reading::default(), later: earlier, length: None });
        }
        let mut then = Instant::now();
        let mut next = then;
        for _ in 0..self.seconds.unwrap_or(u64::MAX) {
            next += Duration::from_secs(1);
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
            // The maps live on in our hands when the server ends; its lock does not.
            pins::find(self.pin.as_deref()).context("the server ended")?;
            let (later, now) = (maps.read()?, Instant::now());
            self.show(&Interval { earlier, later: later.clone(), length: Some(now - then) })?;
            (earlier, then) = (later, now);
        }
        Ok(())
    }

    fn show(&self, interval: &Interval) -> Result<()> {
        let mut out = std::io::stdout().lock();
        let written = if self.json {
            writeln!(out, "{}", report::object(interval))
        } else {
            let clear = if out.is_terminal() && !self.once { "\x1b[H\x1b[J" } else { "" };
            writeln!(out, "{clear}{}", screen::draw(interval))
        };
        match written.and_then(|()| out.flush()) {
            // `pps | head` ends here.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
            other => other.context("cannot write"),
        }
    }
}
