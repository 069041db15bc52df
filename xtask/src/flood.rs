//! Hostile bytes: datagrams of any content and length, sent as fast as a socket takes them.
//!
//! Half of them begin like requests of the protocol, so that they get past the first look. What comes back is held against
//! what was sent: before an address is proven, no answer may be larger than its request.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// Longest payload sent: beyond the protocol's limit, within one Ethernet frame over IPv6.
const PAYLOAD_MAX: u64 = 1400;
/// First bytes of version 1 requests, and lengths that some of them have.
const REQUEST_FIRST: u64 = 0x40;
const REQUEST_KINDS: u64 = 16;
const LENGTHS: [usize; 6] = [10, 18, 24, 40, 64, 128];

/// Flags of the hidden `cargo xtask flood`.
#[derive(clap::Args, Debug)]
pub struct FloodArgs {
    /// The port to flood.
    #[arg(long, value_name = "ADDR:PORT")]
    to: SocketAddr,
    /// Datagrams to send.
    #[arg(long, value_name = "COUNT", default_value_t = 100_000)]
    datagrams: u64,
    /// The same seed sends the same bytes.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl FloodArgs {
    /// Sends, and prints one line of JSON: `sent`, `received`, `largest_answer`, `bytes_sent`, `bytes_received`.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub fn run(self) -> Result<()> {
        let any = if self.to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any).context("cannot make a UDP socket")?;
        socket.connect(self.to).with_context(|| format!("no route to {}", self.to))?;
        socket.set_nonblocking(true)?;
        let mut flood = Flood { socket, random: Random(self.seed.max(1)), sent: (0, 0), received: (0, 0), largest: 0 };
        for _ in 0..self.datagrams {
            flood.send();
            flood.receive();
        }
        flood.listen(Duration::from_millis(300));
        println!(
            "{}",
            serde_json::json!({
                "sent": flood.sent.0, "bytes_sent": flood.sent.1,
                "received": flood.received.0, "bytes_received": flood.received.1, "largest_answer": flood.largest,
            })
        );
        Ok(())
    }
}

struct Flood {
    socket: UdpSocket,
    random: Random,
    /// Datagrams and bytes.
    sent: (u64, u64),
    received: (u64, u64),
    largest: usize,
}

impl Flood {
    fn send(&mut self) {
        let mut payload = [0u8; PAYLOAD_MAX as usize];
        let length = match self.random.below(2) {
            0 => LENGTHS[self.random.below(LENGTHS.len() as u64) as usize],
            _ => self.random.below(PAYLOAD_MAX + 1) as usize,
        };
        for chunk in payload[..length].chunks_mut(8) {
            chunk.copy_from_slice(&self.random.next().to_le_bytes()[..chunk.len()]);
        }
        if length > 0 && self.random.below(2) == 0 {
            payload[0] = (REQUEST_FIRST + self.random.below(REQUEST_KINDS)) as u8;
        }
        // A full queue or an ICMP error of an earlier datagram refuses one: it is not counted as sent.
        if self.socket.send(&payload[..length]).is_ok() {
            self.sent = (self.sent.0 + 1, self.sent.1 + length as u64);
        }
    }

    fn receive(&mut self) {
        let mut answer = [0u8; 2048];
        while let Ok(length) = self.socket.recv(&mut answer) {
            self.received = (self.received.0 + 1, self.received.1 + length as u64);
            self.largest = self.largest.max(length);
        }
    }

    fn listen(&mut self, quiet: Duration) {
        let since = Instant::now();
        while since.elapsed() < quiet {
            self.receive();
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// xorshift64: only has to reach odd corners, the same ones for the same seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}
