//! Socket buffers: what is granted is asked of a socket that is made as the server makes its own.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Result;
use rp_net::socket::{Buffers, UdpSocket};

use super::finding::{Finding, as_root};
use crate::run::Asked;

/// Are they granted as large as they were asked for?
pub fn sockets(asked: &Asked) -> Finding {
    judge(granted(asked.receive_bytes), asked.receive_bytes)
}

fn granted(receive_bytes: usize) -> Result<usize> {
    // Port 0 is any that is free.
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let socket = UdpSocket::unconnected(address, Buffers { receive_bytes, send_bytes: receive_bytes.min(4 << 20) })?;
    // The kernel doubles what it grants, for its own book-keeping.
    Ok(socket.receive_buffer_bytes()? / 2)
}

fn judge(granted: Result<usize>, asked: usize) -> Finding {
    let check = "socket buffers";
    match granted {
        Ok(granted) if granted >= asked => {
            Finding::pass(check, format!("{} MiB granted to a socket, as asked", granted >> 20))
        }
        Ok(granted) => Finding::warn(
            check,
            format!("{} KiB granted of {} MiB: bursts may be lost", granted >> 10, asked >> 20),
            as_root(&format!("sysctl -w net.core.rmem_max={asked}")) + "  # or grant CAP_NET_ADMIN",
        ),
        Err(error) => Finding::fail(check, format!("{error:#}"), as_root("ip link set lo up")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict::{Fail, Pass, Warn};

    #[test]
    fn less_than_asked_is_a_warning() {
        for (granted, verdict) in
            [(Ok(64 << 20), Pass), (Ok(212_992), Warn), (Err(anyhow::anyhow!("no loopback")), Fail)]
        {
            assert_eq!(judge(granted, 64 << 20).verdict, verdict);
        }
    }
}
