//! Where datagrams come in, and its closing when the server ends: what has reached a socket by then is read and answered,
//! what comes later is thrown away by the kernel and counted as lost there. So all that is left to do has an end, and every
//! datagram is counted in one place.

use std::sync::Arc;

use aya::maps::{MapData, XskMap};
use rp_net::socket::UdpSocket;
use tracing::warn;

/// All ways in.
pub struct Intake {
    /// By worker.
    pub sockets: Vec<Arc<[UdpSocket]>>,
    /// What the gate sends past the stack goes by this table, at these places.
    pub xsks: Option<(XskMap<MapData>, Vec<u32>)>,
}

impl Intake {
    /// Closes them. A way that cannot be closed stays open, and what comes by it in the end is in no book.
    pub fn close(&mut self) {
        if let Some((table, places)) = &mut self.xsks {
            for place in places {
                // The gate then sends up the stack, to sockets that are closed.
                if let Err(error) = table.unset(*place) {
                    warn!("the gate keeps an AF_XDP socket: {error}");
                }
            }
        }
        for socket in self.sockets.iter().flat_map(|sockets| sockets.iter()) {
            if let Err(error) = socket.close_intake() {
                warn!("{} still takes datagrams: {error}", socket.local_address());
            }
        }
    }
}
