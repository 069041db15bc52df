//! What a driver says of the frames that an XDP program told it to transmit.
//!
//! A veth counts each once, when its bulk is handed to the other end: in `xdp_tx` what was taken there, in `xdp_tx_errors` what
//! was not, because that end's ring was full or it has no XDP program.

use std::ops::Add;

use anyhow::{Context, Result};

use super::namespace::Namespace;
use crate::{command, setup};

/// Frames since the interface was made.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Transmitted {
    /// Taken by the other end.
    pub sent: u64,
    /// Thrown away.
    pub errors: u64,
}

impl Add for Transmitted {
    type Output = Transmitted;

    fn add(self, other: Transmitted) -> Transmitted {
        Transmitted { sent: self.sent + other.sent, errors: self.errors + other.errors }
    }
}

/// Of all queues of an interface.
///
/// # Errors
/// There is no ethtool, or the driver has no such counters.
pub fn transmitted(namespace: &Namespace, interface: &str) -> Result<Transmitted> {
    let ethtool = setup::find_program("ethtool").context("there is no ethtool; `cargo xtask setup` installs it")?;
    let text = command::read(namespace.command(ethtool).args(["-S", interface]))?;
    read(&text).with_context(|| format!("the driver of {interface} does not count XDP_TX"))
}

/// From lines like `rx_queue_0_xdp_tx: 12`.
fn read(text: &str) -> Option<Transmitted> {
    let sum = |end: &str| {
        let counts = text.lines().filter_map(|line| line.trim().split_once(": "));
        counts
            .filter(|(name, _)| name.ends_with(end))
            .map(|(_, count)| count.parse::<u64>().ok())
            .reduce(|a, b| Some(a? + b?))
    };
    Some(Transmitted { sent: sum("_xdp_tx")??, errors: sum("_xdp_tx_errors")?? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_queues_count() {
        let text = "NIC statistics:\n     peer_ifindex: 2\n     rx_queue_0_xdp_tx: 12\n     rx_queue_0_xdp_tx_errors: 1\n     \
                    tx_queue_0_xdp_xmit: 99\n     rx_queue_1_xdp_tx: 30\n     rx_queue_1_xdp_tx_errors: 0\n";
        assert_eq!(read(text), Some(Transmitted { sent: 42, errors: 1 }));
        assert_eq!(read("NIC statistics:\n     rx_packets: 7\n"), None);
    }
}
