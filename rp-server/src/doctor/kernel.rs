//! The kernel: its version, its type information, and whether it compiles BPF programs.

use std::path::Path;

use super::finding::{Finding, as_root, by_flag};
use super::trial::Trial;
use crate::gate::privilege;
use crate::run::Asked;

const BTF: &str = "/sys/kernel/btf/vmlinux";
const JIT: &str = "/proc/sys/net/core/bpf_jit_enable";

/// New enough for the gate?
pub fn version(asked: &Asked) -> Finding {
    match privilege::kernel() {
        Ok((kernel, oldest)) => {
            judge_version(kernel >= oldest, &privilege::short(kernel), &privilege::short(oldest), asked.wants_gate())
        }
        Err(error) => Finding::warn("kernel", format!("{error:#}"), "uname -r"),
    }
}

fn judge_version(is_new: bool, kernel: &str, oldest: &str, wants_gate: bool) -> Finding {
    let found = format!("Linux {kernel}; the gate needs {oldest} or newer");
    match (is_new, wants_gate) {
        (true, _) => Finding::pass("kernel", found),
        (false, false) => Finding::pass("kernel", format!("{found}, and --xdp off does without")),
        (false, true) => Finding::fail(
            "kernel",
            found,
            by_flag("--xdp off", "slower; or install and boot a newer kernel, on Debian the one of backports"),
        ),
    }
}

/// Does the kernel have type information?
pub fn btf(asked: &Asked) -> Finding {
    judge_btf(Path::new(BTF).exists(), asked.wants_gate())
}

fn judge_btf(is_there: bool, wants_gate: bool) -> Finding {
    match (is_there, wants_gate) {
        (true, _) => Finding::pass("btf", BTF),
        (false, false) => Finding::pass("btf", "none; not needed with --xdp off"),
        (false, true) => Finding::warn(
            "btf",
            format!("there is no {BTF}: counters may have no names for bpftool"),
            "uname -r  # boot a kernel with CONFIG_DEBUG_INFO_BTF=y, as those of Debian are",
        ),
    }
}

/// Does it compile BPF programs, or interpret them?
pub fn jit(asked: &Asked, trial: &Trial) -> Finding {
    // Other network namespaces than the first do not show the switch; a program that was loaded tells all the same.
    let switch = std::fs::read_to_string(JIT).ok().map(|text| text.trim() != "0");
    judge_jit(trial.is_compiled().or(switch), asked.wants_gate())
}

fn judge_jit(is_on: Option<bool>, wants_gate: bool) -> Finding {
    match (is_on, wants_gate) {
        (_, false) => Finding::pass("bpf jit", "not needed with --xdp off"),
        (Some(true), _) => Finding::pass("bpf jit", "on"),
        (Some(false), _) => Finding::warn(
            "bpf jit",
            "off: the kernel interprets the gate, which costs several times as much",
            as_root("sysctl -w net.core.bpf_jit_enable=1"),
        ),
        (None, _) => Finding::warn(
            "bpf jit",
            "cannot be told from here",
            as_root("sysctl net.core.bpf_jit_enable") + "  # in the first network namespace",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict::{Fail, Pass, Warn};

    #[test]
    fn old_kernels_fail_only_who_wants_a_gate() {
        for (is_new, wants_gate, verdict) in [(true, true, Pass), (false, true, Fail), (false, false, Pass)] {
            let finding = judge_version(is_new, "5.10", "5.15", wants_gate);
            assert_eq!(finding.verdict, verdict);
            assert!(finding.found.contains("5.10") && finding.found.contains("5.15"));
        }
        for (is_there, wants_gate, verdict) in [(true, true, Pass), (false, true, Warn), (false, false, Pass)] {
            assert_eq!(judge_btf(is_there, wants_gate).verdict, verdict);
        }
        let rows = [(Some(true), true, Pass), (Some(false), true, Warn), (None, true, Warn), (None, false, Pass)];
        for (is_on, wants_gate, verdict) in rows {
            assert_eq!(judge_jit(is_on, wants_gate).verdict, verdict, "{is_on:?}");
        }
    }
}
