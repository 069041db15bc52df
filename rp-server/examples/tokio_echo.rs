//! An echo by tokio's UdpSocket over IPv4, on one thread: a baseline of the benchmarks.
//!
//! `tokio_echo ADDR:PORT`. Ends by SIGTERM.
#![allow(missing_docs)]

use anyhow::{Context, Result};
use rp_net::{Buffers, UdpSocket};

const PAYLOAD: usize = 2048;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let address = std::env::args().nth(1).context("usage: tokio_echo IPV4:PORT")?;
    // The same buffers as every other subject: the default holds some fifty datagrams.
    let buffers = Buffers { receive_bytes: 32 << 20, send_bytes: 8 << 20 };
    let socket = UdpSocket::unconnected(address.parse().context("usage: tokio_echo IPV4:PORT")?, buffers)?;
    let socket = tokio::net::UdpSocket::from_std(socket.into_std()).context("handing the socket to tokio")?;
    let mut payload = vec![0; PAYLOAD];
    loop {
        let (len, peer) = socket.recv_from(&mut payload).await?;
        socket.send_to(&payload[..len], peer).await?;
    }
}
