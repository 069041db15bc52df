//! The sockets that are listened on: one of each address for each worker, and who picks among them without a gate.

use anyhow::Result;
use rp_net::socket::{Buffers, UdpSocket};
use tracing::warn;

use super::RunArgs;

/// Bytes of a socket's send buffer; replies leave at once, so it only smooths.
const SEND_BUFFER_BYTES: usize = 4 << 20;

impl RunArgs {
    /// Sockets by listen address and worker.
    pub(super) fn sockets(&self, workers: usize) -> Result<Vec<Vec<UdpSocket>>> {
        let receive_bytes = (self.receive_buffer as usize) << 20;
        let buffers = Buffers { receive_bytes, send_bytes: SEND_BUFFER_BYTES };
        self.listen.iter().map(|address| UdpSocket::listen(*address, workers, buffers)).collect()
    }

    pub(super) fn steer_without(&self, sockets: &[Vec<UdpSocket>], workers: usize, why: &str) -> &'static str {
        warn!("no XDP: {why}");
        warn!("  effect: every datagram climbs the whole network stack; no kernel counters for `rp-server pps`");
        let attach = |group: &Vec<UdpSocket>| rp_net::steer::attach(&group[0], self.sets as u32, workers as u32);
        match sockets.iter().try_for_each(attach) {
            Ok(()) => "cbpf",
            Err(error) => {
                warn!("no steering either ({error}): datagrams for other workers are dropped as mis-steered");
                "none"
            }
        }
    }
}

/// From sockets by address and worker to sockets by worker and address.
pub(super) fn by_worker(groups: Vec<Vec<UdpSocket>>) -> Vec<Vec<UdpSocket>> {
    let workers = groups.first().map_or(0, Vec::len);
    let mut workers: Vec<Vec<UdpSocket>> = (0..workers).map(|_| Vec::new()).collect();
    for group in groups {
        for (worker, socket) in workers.iter_mut().zip(group) {
            worker.push(socket);
        }
    }
    workers
}
