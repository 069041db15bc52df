//! Running the machine's own tools: `ip`, `nsenter`, `cargo`.
//!
//! A tool that refuses becomes one sentence: what was tried and what it said. Long ones keep the terminal.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::signal::{self, Signal};

/// Lines of a tool's words that an error quotes.
const TAIL_LINES: usize = 20;
const POLL: Duration = Duration::from_millis(20);

/// The command line as a person would type it.
pub fn line_of(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// Runs a short tool and returns what it printed.
///
/// # Errors
/// When it cannot be started or fails; carries what it wrote to standard error.
pub fn read(command: &mut Command) -> Result<String> {
    let line = line_of(command);
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start `{line}`"))?;
    if !output.status.success() {
        bail!("`{line}` failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a short tool for its effect.
///
/// # Errors
/// As [`read`].
pub fn run<I: AsRef<OsStr>>(program: &str, args: impl IntoIterator<Item = I>) -> Result<()> {
    read(Command::new(program).args(args)).map(drop)
}

/// Runs a long tool that writes to this terminal, in a process group that an interrupt ends.
///
/// # Errors
/// When it cannot be started, fails, or this process was asked to end meanwhile.
pub fn show(command: &mut Command) -> Result<()> {
    let line = line_of(command);
    let status = supervise(start(command)?)?;
    if !status.success() {
        bail!("`{line}` failed ({status})");
    }
    Ok(())
}

/// Runs a long tool whose words matter only when it fails: then they are in the error.
///
/// # Errors
/// As [`show`].
pub fn hush(command: &mut Command) -> Result<()> {
    let line = line_of(command);
    let mut child = start(command.stdout(Stdio::piped()).stderr(Stdio::piped()))?;
    let out = child.stdout.take().map(BufReader::new).expect("stdout was just piped");
    let err = child.stderr.take().map(BufReader::new).expect("stderr was just piped");
    let (status, said) = std::thread::scope(|scope| {
        let out = scope.spawn(|| out.lines().map_while(Result::ok).collect::<Vec<_>>());
        let err = scope.spawn(|| err.lines().map_while(Result::ok).collect::<Vec<_>>());
        let status = supervise(child);
        let said = [out, err].map(|reader| reader.join().unwrap_or_default()).concat();
        (status, said)
    });
    let status = status?;
    if !status.success() {
        bail!("`{line}` failed ({status}): {}", said[said.len().saturating_sub(TAIL_LINES)..].join("\n"));
    }
    Ok(())
}

/// As [`show`], but hands each line of its standard output to `on_line`; returns whether it succeeded.
///
/// # Errors
/// When it cannot be started or this process was asked to end meanwhile.
pub fn follow(command: &mut Command, mut on_line: impl FnMut(&str) + Send) -> Result<bool> {
    let mut child = start(command.stdout(Stdio::piped()))?;
    let out = BufReader::new(child.stdout.take().expect("stdout was just piped"));
    let status = std::thread::scope(|scope| {
        scope.spawn(move || out.lines().map_while(Result::ok).for_each(|line| on_line(&line)));
        supervise(child)
    });
    status.map(|status| status.success())
}

fn start(command: &mut Command) -> Result<Child> {
    let line = line_of(command);
    command.stdin(Stdio::null()).process_group(0).spawn().with_context(|| format!("cannot start `{line}`"))
}

fn supervise(mut child: Child) -> Result<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait().context("cannot wait for a tool")? {
            return Ok(status);
        }
        if let Err(interrupted) = signal::check() {
            signal::send_group(child.id(), Signal::Terminate);
            child.wait().context("cannot wait for a tool")?;
            return Err(interrupted);
        }
        std::thread::sleep(POLL);
    }
}

/// The cargo that runs this workshop.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// The root of the workspace.
pub fn root() -> &'static std::path::Path {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies one level below the root")
}
