//! `rp-server xdp-pass`: lets every frame in at an interface, or sends it back as it came, until it is killed.
//!
//! A veth drops frames that XDP transmits or redirects to it unless its receiving end has an XDP program too, so the
//! laboratory gives its client ends this one. The mirror is what the benchmarks hold the gate against.

use std::path::PathBuf;

use anyhow::{Context, Result};
use aya::programs::{Xdp, XdpMode};
use clap::Args;
use rp_net::say;

use super::object::{self, Wanted};
use super::xsks::Transport;
use super::{interface, privilege};

/// Flags of `rp-server xdp-pass`.
#[derive(Args)]
pub struct PassArgs {
    /// Interface that gets the program; may be given several times
    #[arg(long, value_name = "NAME", required = true)]
    interface: Vec<String>,
    /// Send every UDP datagram back instead
    #[arg(long)]
    mirror: bool,
    /// Compiled kernel programs [default: bpf/gate.o beside the executable's folder]
    #[arg(long, value_name = "FILE")]
    gate_object: Option<PathBuf>,
}

impl PassArgs {
    /// Attaches the program in driver mode, says so in one line, and stays until killed.
    ///
    /// # Errors
    /// When it cannot be attached.
    pub fn run(self) -> Result<()> {
        privilege::check(Transport::Sockets)?;
        let interfaces = interface::choose(&self.interface)?;
        let wanted =
            Wanted { ports: &[0], sets: 1, workers: 1, listens: 0, has_xsks: false, trace: false, answers: None };
        let mut ebpf = object::open(&object::find(self.gate_object.as_deref())?, &wanted)?;
        let name = if self.mirror { "mirror" } else { "pass" };
        let program: &mut Xdp = ebpf.program_mut(name).with_context(|| format!("no program {name}"))?.try_into()?;
        program.load().with_context(|| format!("the kernel's verifier refused the program {name}"))?;
        for interface in &interfaces {
            let attached = program.attach_to_if_index(interface.index, XdpMode::Driver);
            attached
                .map_err(|error| anyhow::anyhow!(interface::explain(&error)))
                .with_context(|| format!("the program {name} does not attach to {}", interface.name))?;
        }
        say!("passing: {}", self.interface.join(" "));
        loop {
            std::thread::park();
        }
    }
}
