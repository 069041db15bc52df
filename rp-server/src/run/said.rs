//! What the server says at its start: what was asked, what became of it, what is missing and its effect.

use std::sync::Arc;

use rp_core::limits::SLOTS_PER_SET;
use rp_net::socket::UdpSocket;
use tracing::{info, warn};

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
        info!(version = env!("CARGO_PKG_VERSION"), "rp-server {}", env!("CARGO_PKG_VERSION"));
        for socket in sockets[0].iter() {
            info!(about = "listening", "{}", socket.local_address());
        }
        info!(about = "workers", "{} on CPU {}", cpus.len(), cpus.join(", "));
        info!(about = "sessions", "{} ({} SETs of {SLOTS_PER_SET})", self.sets * SLOTS_PER_SET, self.sets);
        match gate {
            Some(gate) => {
                gate.describe().iter().for_each(|line| info!(about = "gate", "{line}"));
                let cpus: Vec<u32> = sight.workers.iter().map(|worker| worker.cpu as u32).collect();
                gate.describe_steering(&cpus).iter().for_each(|line| info!(about = "steering", "{line}"));
                gate.describe_coalescing().iter().for_each(|line| info!(about = "coalescing", "{line}"));
            }
            None => {
                info!(about = "gate", "off; sockets chosen by {}", sight.gate.steering);
                if self.coalesce_us.is_some() {
                    info!(about = "coalescing", "not set: it is for the gate's interfaces, and there is no gate");
                }
            }
        }
        if let Some(line) = polling {
            info!(about = "busy poll", "{line}");
        }
        for xsk in &sight.xsks {
            let XskStatus { interface, queue, worker, mode } = &xsk.status;
            info!(about = "transport", "af-xdp: {interface} queue {queue} -> worker {worker} ({mode})");
        }
        let granted = sockets[0][0].receive_buffer_bytes().unwrap_or(0) / 2;
        let asked = (self.receive_buffer as usize) << 20;
        info!(
            about = "buffers",
            "{} MiB per socket{}",
            granted >> 20,
            if granted < asked {
                " (the system allows no more: run as root, or raise net.core.rmem_max; bursts may be lost)"
            } else {
                ""
            }
        );
        match self.sealing {
            true => info!(about = "sealing", "on: what bears money is encrypted, both ways"),
            false => warn!(about = "sealing", "OFF: money and user ids travel readable; for load tests only"),
        }
        info!(about = "ledger", "{ledger}");
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
