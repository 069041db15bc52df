//! The first signal ends a run with its report; the second ends the program at once, with the terminal as it was.

use std::time::Duration;

use anyhow::{Context, Result};
use rp_net::{complain, stop};

use crate::ending;
use crate::live::screen;

/// The second signal is looked for this often, whatever the rest of the program does.
const LOOK: Duration = Duration::from_millis(50);

/// From here on signals are counted, and the second is acted on.
///
/// # Errors
/// What the kernel says.
pub fn watch() -> Result<()> {
    stop::count_signals().context("handling signals")?;
    let thread = std::thread::Builder::new().name("breaking".into());
    thread.spawn(wait_for_the_second).context("starting a thread")?;
    Ok(())
}

fn wait_for_the_second() {
    while stop::seen() < 2 {
        std::thread::sleep(LOOK);
    }
    screen::restore();
    complain!("rp-client: ended by a second signal, without a report");
    std::process::exit(ending::BROKEN_OFF.into());
}
