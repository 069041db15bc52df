//! Running the machine's own tools: `ip`, `nsenter`, `cargo`.
//!
//! A tool that refuses becomes one sentence: what was tried and what it said. Long ones keep the terminal.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::signal::{self, Signal};

/// Lines of a tool's words that an error quotes.
const TAIL_LINES: usize = 20;
/// No test is silent for so long.
pub const HANGS: Duration = Duration::from_secs(15 * 60);
/// What is asked to end has so long for it.
const GRACE: Duration = Duration::from_secs(5);
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

/// As [`show`], but hands each line of its standard output to `on_line`; returns whether it succeeded. One that prints no line
/// for as long as `silence` hangs, and is ended.
///
/// # Errors
/// When it cannot be started, hung, or this process was asked to end meanwhile.
pub fn follow(command: &mut Command, silence: Duration, mut on_line: impl FnMut(&str)) -> Result<bool> {
    let line = line_of(command);
    let mut child = start(command.stdout(Stdio::piped()))?;
    let out = BufReader::new(child.stdout.take().expect("stdout was just piped"));
    let (tell, told) = mpsc::channel();
    // Nobody waits for this thread: what the tool began may outlive it, and hold the pipe.
    std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
    let mut heard = Instant::now();
    loop {
        match told.recv_timeout(POLL) {
            Ok(said) => {
                on_line(&said);
                heard = Instant::now();
            }
            Err(RecvTimeoutError::Timeout) => {}
            // It has closed its output, and is about to end.
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(POLL),
        }
        if let Some(status) = child.try_wait().context("cannot wait for a tool")? {
            rest_of(&told, on_line);
            return Ok(status.success());
        }
        let hangs = heard.elapsed() > silence;
        if let Err(why) = signal::check() {
            end(&mut child)?;
            return Err(why);
        } else if hangs {
            end(&mut child)?;
            // A test is named on a line that ends with its verdict.
            rest_of(&told, on_line);
            bail!("`{line}` printed nothing for {} s and was ended: what it began last hangs", silence.as_secs());
        }
    }
}

/// What a tool that has ended said last; somebody whom it left behind may go on talking, and is not listened to for long.
fn rest_of(told: &mpsc::Receiver<String>, mut on_line: impl FnMut(&str)) {
    let until = Instant::now() + GRACE;
    while let left = until.saturating_duration_since(Instant::now())
        && !left.is_zero()
        && let Ok(said) = told.recv_timeout(left)
    {
        on_line(&said);
    }
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
            end(&mut child)?;
            return Err(interrupted);
        }
        std::thread::sleep(POLL);
    }
}

/// Ends a tool and what it began: asked first, and then not.
fn end(child: &mut Child) -> Result<()> {
    let leader = child.id();
    signal::send_group(leader, Signal::Terminate);
    let asked = Instant::now();
    // Not for ever: where nobody reaps orphans, they stay in the group.
    while signal::is_group_there(leader) && asked.elapsed() < 2 * GRACE {
        // Its number is nobody else's while somebody of the group is there.
        child.try_wait().context("cannot wait for a tool")?;
        if asked.elapsed() > GRACE {
            signal::send_group(leader, Signal::Kill);
        }
        std::thread::sleep(POLL);
    }
    child.wait().context("cannot wait for a tool").map(drop)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut sh = Command::new("sh");
        sh.args(["-c", script]);
        sh
    }

    #[test]
    fn who_falls_silent_is_ended_and_named() {
        let mut said = Vec::new();
        let silence = Duration::from_secs(4);
        // It ends when it is asked to; what it began does not.
        let deaf = "(trap '' TERM; exec sleep 600) & echo $!; printf 'test it ... '; wait";
        let hung = follow(&mut sh(deaf), silence, |line| said.push(line.to_owned()));
        let hung = hung.expect_err("nothing came").to_string();
        assert!(hung.contains("sleep 600") && hung.contains("hangs"), "{hung}");
        assert_eq!(said[1..], ["test it ... "]);
        let is_there = std::path::Path::new("/proc").join(&said[0]).join("exe").exists();
        assert!(!is_there, "process {} was left behind", said[0]);
        let talks = "for i in 1 2 3 4 5 6 7 8 9 10; do echo $i; sleep 0.5; done; exit 3";
        let mut lines = 0;
        let talking = follow(&mut sh(talks), silence, |_| lines += 1);
        assert!(!talking.expect("it goes on talking"), "its failure is its own");
        assert_eq!(lines, 10);
    }
}
