//! What the kernel must be and what this process must be allowed, checked before anything is tried, so that the refusal
//! names what is missing instead of an errno.

use anyhow::{Context, Result, bail};
use aya::util::KernelVersion;

use super::xsks::Transport;

/// cpumap with a program is of 5.9, and in skb mode of 5.15.
const OLDEST: KernelVersion = KernelVersion::new(5, 15, 0);
const CAP_NET_ADMIN: u32 = 12;
const CAP_NET_RAW: u32 = 13;
/// Locking memory beyond the limit.
pub const CAP_IPC_LOCK: u32 = 14;
/// Mounting, among much else.
pub const CAP_SYS_ADMIN: u32 = 21;
/// Without it the verifier takes no program that computes with packet pointers: every reader of VLANs and options does.
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

/// Checks kernel and capabilities.
///
/// # Errors
/// Names what is missing and the remedy.
pub fn check(transport: Transport) -> Result<()> {
    let (kernel, oldest) = kernel()?;
    if kernel < oldest {
        bail!(
            "Linux {} is too old for the gate: it needs {} or newer; --xdp off serves without",
            short(kernel),
            short(oldest)
        );
    }
    let missing = missing(transport)?;
    if !missing.is_empty() {
        bail!(
            "the gate needs {}: run as root, or grant them (setpriv, systemd); --xdp off serves without",
            missing.join(" and ")
        );
    }
    Ok(())
}

/// Gives up, in this thread and in those that it starts later, what only loading the programs and making AF_XDP sockets takes. The
/// thread that does so calls it then; each thread that was started before calls it first of all, for it would keep it.
pub fn settle() {
    for (capability, name) in
        [(CAP_PERFMON, "CAP_PERFMON"), (CAP_NET_RAW, "CAP_NET_RAW"), (CAP_IPC_LOCK, "CAP_IPC_LOCK")]
    {
        if let Err(error) = rp_net::proc::give_up(capability) {
            tracing::warn!("{name}, which is needed no more, cannot be given up: {error}");
        }
    }
}

/// The kernel's version, and the oldest that will do.
///
/// # Errors
/// The kernel does not say.
pub fn kernel() -> Result<(KernelVersion, KernelVersion)> {
    Ok((KernelVersion::current().context("cannot tell the kernel's version")?, OLDEST))
}

/// The capabilities that a gate needs and this process lacks.
///
/// # Errors
/// /proc cannot be read.
pub fn missing(transport: Transport) -> Result<Vec<&'static str>> {
    Ok(missing_of(effective()?, transport))
}

/// Has this process the capability of that number?
pub fn may(capability: u32) -> bool {
    effective().is_ok_and(|effective| effective & (1 << capability) != 0)
}

fn effective() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status").context("cannot read /proc/self/status")?;
    effective_of(&status).context("no CapEff in /proc/self/status")
}

/// Why a kernel that is new enough may still refuse the programs or their maps, and the way round it.
pub(super) const REFUSED: &str = "perhaps it was built without BPF, BTF, XDP or the BPF JIT (`zgrep BPF /proc/config.gz`), or a container's seccomp profile \
     forbids bpf() (--security-opt seccomp=unconfined); --xdp off serves without";

/// Major and minor number.
pub fn short(kernel: KernelVersion) -> String {
    let code = kernel.code();
    format!("{}.{}", code >> 16, code >> 8 & 0xff)
}

fn effective_of(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

fn missing_of(effective: u64, transport: Transport) -> Vec<&'static str> {
    let has = |capability: u32| effective & (1 << capability) != 0;
    let mut missing = Vec::new();
    if !has(CAP_BPF) && !has(CAP_SYS_ADMIN) {
        missing.push("CAP_BPF");
    }
    if !has(CAP_NET_ADMIN) {
        missing.push("CAP_NET_ADMIN");
    }
    if !has(CAP_PERFMON) && !has(CAP_SYS_ADMIN) {
        missing.push("CAP_PERFMON");
    }
    if transport == Transport::AfXdp && !has(CAP_NET_RAW) {
        missing.push("CAP_NET_RAW");
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let bits = |capabilities: &[u32]| capabilities.iter().fold(0, |bits, capability| bits | 1u64 << capability);
        let check = |capabilities: &[u32], missing: &[&str]| {
            assert_eq!(missing_of(bits(capabilities), Transport::Sockets), missing)
        };
        check(&[], &["CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON"]);
        check(&[CAP_BPF, CAP_PERFMON], &["CAP_NET_ADMIN"]);
        check(&[CAP_NET_ADMIN, CAP_PERFMON], &["CAP_BPF"]);
        check(&[CAP_BPF, CAP_NET_ADMIN], &["CAP_PERFMON"]);
        check(&[CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON], &[]);
        check(&[CAP_SYS_ADMIN, CAP_NET_ADMIN], &[]);
        let all = bits(&[CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON]);
        assert_eq!(missing_of(all, Transport::AfXdp), ["CAP_NET_RAW"]);
        assert_eq!(effective_of("Name:\tx\nCapEff:\t000001ffffffffff\n"), Some(0x1ff_ffff_ffff));
    }
}
