//! One finding: what was looked at, what was found, and what mends it.

use std::fmt;

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
        let (check, found) = (check.into(), found.into());
        Finding { check, verdict: Verdict::Warn, found, remedy: Some(remedy.into()) }
    }

    /// Not as it must be.
    pub fn fail(check: impl Into<String>, found: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding { verdict: Verdict::Fail, ..Finding::warn(check, found, remedy) }
    }
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
    use super::*;

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
