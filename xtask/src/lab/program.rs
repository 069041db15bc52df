//! A program that runs in the laboratory: started in a process group of its own, logged to a file, ended on drop.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::command::line_of;
use crate::signal::{self, Signal};

/// Lines of a log that an error quotes.
const LOG_TAIL_LINES: usize = 12;
/// The system takes a moment to free what a killed program held.
const KILL_LIMIT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(20);

/// A running program; dropping it kills its process group.
#[derive(Debug)]
pub struct Program {
    name: String,
    log: PathBuf,
    /// Where its part of the log begins.
    log_start: u64,
    child: Child,
    ended: Option<ExitStatus>,
}

impl Program {
    /// Starts `command`, with both outputs appended to `log`.
    ///
    /// # Errors
    /// When the log cannot be opened or the program cannot be started.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Result<Program> {
        let file = File::options().create(true).append(true).open(log);
        let file = file.with_context(|| format!("cannot open the log {}", log.display()))?;
        let log_start = file.metadata().with_context(|| format!("cannot look at {}", log.display()))?.len();
        let line = line_of(&command);
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).process_group(0);
        let child = command.spawn().with_context(|| format!("cannot start `{line}`"))?;
        Ok(Program { name: name.into(), log: log.into(), log_start, child, ended: None })
    }

    /// Its process id: `nsenter` and `setpriv` replace themselves by the program.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// When the system cannot say.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().with_context(|| format!("cannot wait for {}", self.name))?;
        }
        Ok(self.ended)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// After `limit`, or when this process is asked to end.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            signal::check()?;
            if started.elapsed() > limit {
                bail!("{} has not ended within {limit:?}; its log ends:\n{}", self.name, self.log_tail());
            }
            std::thread::sleep(POLL);
        }
    }

    /// Signals the program itself.
    pub fn signal(&mut self, signal: Signal) {
        if matches!(self.ended(), Ok(None)) {
            signal::send(self.pid(), signal);
        }
    }

    /// Ends it by SIGKILL, at once, and waits for the system to clean up.
    ///
    /// # Errors
    /// When it had ended before by itself; carries the end of its log.
    pub fn kill(&mut self) -> Result<()> {
        self.signal(Signal::Kill);
        let status = self.wait(KILL_LIMIT)?;
        if status.signal() != Some(libc::SIGKILL) {
            bail!("{} ended by itself ({status}); its log ends:\n{}", self.name, self.log_tail());
        }
        Ok(())
    }

    /// Asks it to end by SIGTERM and waits.
    ///
    /// # Errors
    /// When it has not ended within `limit`, or did not exit with 0 after it was asked.
    pub fn end(&mut self, limit: Duration) -> Result<()> {
        self.signal(Signal::Terminate);
        let status = self.wait(limit)?;
        if !status.success() && status.signal() != Some(libc::SIGTERM) {
            bail!("{} ended with {status}; its log ends:\n{}", self.name, self.log_tail());
        }
        Ok(())
    }

    /// Everything it has written.
    pub fn log(&self) -> String {
        let mut text = String::new();
        let read = File::open(&self.log).and_then(|mut file| {
            file.seek(SeekFrom::Start(self.log_start))?;
            file.read_to_string(&mut text)
        });
        // Without a log there is nothing to quote.
        read.map_or(String::new(), |_| text)
    }

    /// The last lines it has written.
    pub fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if matches!(self.ended(), Ok(None)) {
            signal::send_group(self.pid(), Signal::Kill);
            let _already_gone = self.child.wait();
        }
    }
}
