//! Running the machine's own tools: `ip`, `nsenter`, `cargo`.
//!
//! A tool that refuses becomes one sentence: what was tried and what it said. Long ones keep the terminal.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::signal::{self, Signal};

/// Lines of a tool's words that an error quotes.
const TAIL_LINES: usize = 20;
/// No test is silent for so long, nor is the building of all of them.
pub const HANGS: Duration = Duration::from_secs(15 * 60);
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
pub fn follow(command: &mut Command, silence: Duration, mut on_line: impl FnMut(&str) + Send) -> Result<bool> {
    let line = line_of(command);
    let mut child = start(command.stdout(Stdio::piped()))?;
    let out = BufReader::new(child.stdout.take().expect("stdout was just piped"));
    let heard = Mutex::new(Instant::now());
    let status = std::thread::scope(|scope| {
        scope.spawn(|| {
            for line in out.lines().map_while(Result::ok) {
                on_line(&line);
                *heard.lock().expect("nobody panics with it") = Instant::now();
            }
        });
        supervise_while(child, || {
            if heard.lock().expect("nobody panics with it").elapsed() > silence {
                bail!(
                    "`{line}` printed nothing for {} minutes and was ended: what it began last hangs",
                    silence.as_secs() / 60
                );
            }
            Ok(())
        })
    });
    status.map(|status| status.success())
}

fn start(command: &mut Command) -> Result<Child> {
    let line = line_of(command);
    command.stdin(Stdio::null()).process_group(0).spawn().with_context(|| format!("cannot start `{line}`"))
}

fn supervise(child: Child) -> Result<ExitStatus> {
    supervise_while(child, || Ok(()))
}

/// Waits for a child, and ends it when `may_go_on` says why it may not.
fn supervise_while(mut child: Child, may_go_on: impl Fn() -> Result<()>) -> Result<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait().context("cannot wait for a tool")? {
            return Ok(status);
        }
        if let Err(why) = signal::check().and_then(|()| may_go_on()) {
            signal::send_group(child.id(), Signal::Terminate);
            child.wait().context("cannot wait for a tool")?;
            return Err(why);
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
        let quick = Duration::from_millis(300);
        let hung = follow(&mut sh("echo begun; sleep 600"), quick, |line| said.push(line.to_owned()));
        let hung = hung.expect_err("nothing came").to_string();
        assert!(hung.contains("sleep 600") && hung.contains("hangs"), "{hung}");
        assert_eq!(said, ["begun"]);
        let talking = follow(&mut sh("for i in 1 2 3 4 5; do echo $i; sleep 0.1; done; exit 3"), HANGS, |_| ());
        assert!(!talking.expect("it goes on talking"), "its failure is its own");
    }
}
