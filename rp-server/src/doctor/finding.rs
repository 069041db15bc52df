//! One finding: what was looked at, what was found, and what mends it.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::fs::MetadataExt as _;

use serde::Serialize;

/// How grave it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    /// As it should be, or not needed.
    Pass,
    /// A server would serve, but worse than it might.
    Warn,
    /// A server would not start, or not as it was asked to, or lose what it must keep.
    Fail,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Verdict::Pass => "PASS",
            Verdict::Warn => "WARN",
            Verdict::Fail => "FAIL",
        })
    }
}

/// What one check found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub check: String,
    /// How grave it is.
    pub verdict: Verdict,
    /// What is there.
    pub found: String,
    /// The command that mends it, for a shell: what else might do stands behind a `#`. None on PASS.
    pub remedy: Option<String>,
}

impl Finding {
    /// As it should be.
    pub fn pass(check: impl Into<String>, found: impl Into<String>) -> Finding {
        Finding { check: check.into(), verdict: Verdict::Pass, found: found.into(), remedy: None }
    }

    /// Not as it might be.
    pub fn warn(check: impl Into<String>, found: impl Into<String>, remedy: impl Into<String>) -> Finding {
        let (check, found, remedy) = (check.into(), found.into(), remedy.into());
        #[cfg(test)]
        tests::is_a_command(&remedy);
        Finding { check, verdict: Verdict::Warn, found, remedy: Some(remedy) }
    }

    /// Not as it must be.
    pub fn fail(check: impl Into<String>, found: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding { verdict: Verdict::Fail, ..Finding::warn(check, found, remedy) }
    }
}

/// A remedy that is another flag for the server: to be tried by this command, which starts none.
pub fn by_flag(flag: &str, why: &str) -> String {
    format!("rp-server doctor {flag}  # {why}; beside your other flags, and for `run` the same")
}

/// A command that only root may give, as this user gives it.
pub fn as_root(command: &str) -> String {
    as_root_by(is_root(), command)
}

/// What mends that this user may not do something: to ask as root, or, for root whose rights were taken, this.
pub fn with_rights(for_root: &str, why: &str) -> String {
    if is_root() { for_root.to_owned() } else { format!("sudo rp-server doctor  # with the same flags; {why}") }
}

/// Where the kernel does not say who this is, as root.
fn is_root() -> bool {
    std::fs::metadata("/proc/self").map_or(true, |of| of.uid() == 0)
}

fn as_root_by(is_root: bool, command: &str) -> String {
    match is_root {
        true => command.to_owned(),
        // Nor may anybody else write to where it writes.
        false if command.contains(['>', '|']) => format!("sudo sh -c {}", quoted(command)),
        false => format!("sudo {command}"),
    }
}

/// A name as a shell takes it for one word.
pub fn quoted(name: impl AsRef<OsStr>) -> String {
    let name = name.as_ref().to_string_lossy();
    // Only a NUL has no quotes, and no name has one.
    shlex::try_quote(&name).map_or_else(|_| name.to_string(), |quoted| quoted.to_string())
}

/// For people: a line each, the remedy below it, and the sum at the end.
pub fn lines(findings: &[Finding]) -> Vec<String> {
    let width = findings.iter().map(|finding| finding.check.len()).max().unwrap_or(0);
    let mut lines = Vec::new();
    for Finding { check, verdict, found, remedy } in findings {
        lines.push(format!("{verdict}  {check:width$}  {found}"));
        lines.extend(remedy.iter().map(|remedy| format!("      {:width$}  -> {remedy}", "")));
    }
    let count = |verdict| findings.iter().filter(|finding| finding.verdict == verdict).count();
    lines.push(format!("{} PASS, {} WARN, {} FAIL", count(Verdict::Pass), count(Verdict::Warn), count(Verdict::Fail)));
    lines
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use clap::Parser as _;

    use super::*;
    use crate::cli::Cli;

    /// Can this be pasted? Asked of each remedy of each finding that a test makes.
    pub(super) fn is_a_command(remedy: &str) {
        let is_read = Command::new("sh").args(["-n", "-c", remedy]).status();
        assert!(is_read.is_ok_and(|status| status.success()), "no shell takes it: {remedy}");
        let mut words = shlex::split(remedy).expect("a shell takes it");
        words.retain(|word| word != "sudo");
        assert!(!words.starts_with(&["systemctl".into(), "start".into()]), "it would start a server: {remedy}");
        if words.first().is_some_and(|word| word == "rp-server") {
            assert_ne!(words.get(1).map(String::as_str), Some("run"), "it would start a server: {remedy}");
            Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{remedy}: {error}"));
        }
    }

    #[test]
    fn who_is_not_root_becomes_it_for_a_command() {
        let set = "echo 1 > /proc/irq/40/smp_affinity_list";
        for (is_root, command, expected) in [
            (true, "mount -t proc proc /proc", "mount -t proc proc /proc"),
            (false, "mount -t proc proc /proc", "sudo mount -t proc proc /proc"),
            (true, set, set),
            (false, set, "sudo sh -c 'echo 1 > /proc/irq/40/smp_affinity_list'"),
        ] {
            assert_eq!(as_root_by(is_root, command), expected);
        }
    }

    #[test]
    fn a_name_is_one_word_and_does_nothing() {
        for name in ["/var/lib/red-packet", "a b", "$(reboot)", "it's", "#x", "-"] {
            let words = shlex::split(&format!("{} # more", quoted(name)));
            assert_eq!(words, Some(vec![name.to_owned()]));
        }
    }

    #[test]
    fn a_finding_is_a_line_and_its_remedy_another() {
        let findings = [Finding::pass("one", "is well"), Finding::fail("another", "is not", "mend it")];
        let lines = lines(&findings);
        assert_eq!(
            lines,
            ["PASS  one      is well", "FAIL  another  is not", "               -> mend it", "1 PASS, 0 WARN, 1 FAIL"]
        );
        assert!(Verdict::Pass < Verdict::Warn && Verdict::Warn < Verdict::Fail);
    }
}
