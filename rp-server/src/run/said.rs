//! What the server says at its start: what was asked, what became of it, what is missing and its effect.

use std::sync::Arc;

use rp_core::limits::SLOTS_PER_SET;
use rp_net::say;
use rp_net::socket::UdpSocket;

use super::RunArgs;
use crate::gate::Gate;
use crate::sight::{GateStatus, Sight, XskStatus};

impl RunArgs {
    /// The start-up block.
    pub(super) fn say(
        &self,
        sight: &Sight,
        gate: Option<&Gate>,
        sockets: &[Arc<[UdpSocket]>],
        polling: Option<&str>,
        ledger: &str,
    ) {
        let cpus: Vec<String> = sight.workers.iter().map(|worker| worker.cpu.to_string()).collect();
        say!("rp-server {}", env!("CARGO_PKG_VERSION"));
        for socket in sockets[0].iter() {
            say!("  listening   {}", socket.local_address());
        }
        say!("  workers     {} on CPU {}", cpus.len(), cpus.join(", "));
        say!("  sessions    {} ({} SETs of {SLOTS_PER_SET})", self.sets * SLOTS_PER_SET, self.sets);
        match gate {
            Some(gate) => {
                gate.describe().iter().for_each(|line| say!("  gate        {line}"));
                let cpus: Vec<u32> = sight.workers.iter().map(|worker| worker.cpu as u32).collect();
                gate.describe_steering(&cpus).iter().for_each(|line| say!("  steering    {line}"));
                gate.describe_coalescing().iter().for_each(|line| say!("  coalescing  {line}"));
            }
            None => {
                say!("  gate        off; sockets chosen by {}", sight.gate.steering);
                if self.coalesce_us.is_some() {
                    say!("  coalescing  not set: it is for the gate's interfaces, and there is no gate");
                }
            }
        }
        if let Some(line) = polling {
            say!("  busy poll   {line}");
        }
        for xsk in &sight.xsks {
            let XskStatus { interface, queue, worker, mode } = &xsk.status;
            say!("  transport   af-xdp: {interface} queue {queue} -> worker {worker} ({mode})");
        }
        let granted = sockets[0][0].receive_buffer_bytes().unwrap_or(0) / 2;
        let asked = (self.receive_buffer as usize) << 20;
        say!(
            "  buffers     {} MiB per socket{}",
            granted >> 20,
            if granted < asked {
                " (the system allows no more: run as root, or raise net.core.rmem_max; bursts may be lost)"
            } else {
                ""
            }
        );
        match self.sealing {
            true => say!("  sealing     on: what bears money is encrypted, both ways"),
            false => say!("  sealing     OFF: money and user ids travel readable; for load tests only"),
        }
        say!("  ledger      {ledger}");
    }
}

/// What became of the gate.
pub(super) fn gate_status(gate: Option<&Gate>, steering: &str) -> GateStatus {
    GateStatus {
        mode: gate.map_or("off".to_string(), |gate| gate.mode().to_string()),
        steering: steering.to_string(),
        interfaces: gate
            .map(|gate| gate.attached().iter().map(|attached| attached.name.clone()).collect())
            .unwrap_or_default(),
    }
}
