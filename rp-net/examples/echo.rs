//! A bare recvmmsg/sendmmsg echo over IPv4: what the system calls alone cost, as the baseline of the benchmarks.
//!
//! `echo ADDR:PORT [--cpu N] [--seconds N] [--batch N]`; a batch of 1 is plain recvfrom and sendto. Prints its thread id first; at the end, or on SIGTERM, what it echoed and
//! what its socket dropped. No protocol, no steering, no address of arrival: plain libc, batches of 64.
#![allow(missing_docs)]

use std::io;
use std::mem::zeroed;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rp_net::{Buffers, UdpSocket, affinity, proc, stop};

const BATCH: usize = 64;
const PAYLOAD: usize = 2048;

struct Arguments {
    address: SocketAddr,
    cpu: Option<usize>,
    life: Option<Duration>,
    batch: usize,
}

fn arguments() -> Result<Arguments> {
    let mut words = std::env::args().skip(1);
    let usage = "usage: echo IPV4:PORT [--cpu N] [--seconds N] [--batch N]";
    let address = words.next().context(usage)?.parse().context(usage)?;
    let mut parsed = Arguments { address, cpu: None, life: None, batch: BATCH };
    while let Some(flag) = words.next() {
        let value: u64 = words.next().and_then(|word| word.parse().ok()).context(usage)?;
        match flag.as_str() {
            "--cpu" => parsed.cpu = Some(value as usize),
            "--batch" => parsed.batch = (value as usize).clamp(1, BATCH),
            "--seconds" => parsed.life = Some(Duration::from_secs(value)),
            _ => bail!(usage),
        }
    }
    Ok(parsed)
}

fn main() -> Result<()> {
    let arguments = arguments()?;
    if let Some(cpu) = arguments.cpu {
        affinity::pin(cpu).with_context(|| format!("pinning to CPU {cpu}"))?;
    }
    stop::on_signals()?;
    let buffers = Buffers { receive_bytes: 32 << 20, send_bytes: 8 << 20 };
    let socket = UdpSocket::unconnected(arguments.address, buffers)?;
    println!("tid {} address {}", proc::thread_id(), socket.local_address());
    let start = Instant::now();
    let goes_on = || !stop::requested() && arguments.life.is_none_or(|life| start.elapsed() < life);
    let fd = socket.as_fd().as_raw_fd();
    let (received, sent) =
        if arguments.batch == 1 { serve_plainly(fd, goes_on) } else { serve(fd, arguments.batch, goes_on) };
    println!(
        "received {received} sent {sent} dropped {} cpu_us {}",
        socket.overflow()?,
        proc::thread_cpu_time().as_micros()
    );
    Ok(())
}

/// Until something waits, a tenth of a second at most.
fn wait(fd: i32) {
    let mut entry = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: one live entry.
    unsafe { libc::poll(&raw mut entry, 1, 100) };
}

fn serve_plainly(fd: i32, mut goes_on: impl FnMut() -> bool) -> (u64, u64) {
    let mut payload = [0u8; PAYLOAD];
    let (mut received, mut sent) = (0, 0);
    while goes_on() {
        wait(fd);
        loop {
            // SAFETY: a plain C struct for which zero is a value.
            let mut name: libc::sockaddr_in = unsafe { zeroed() };
            let mut name_len = size_of::<libc::sockaddr_in>() as u32;
            // SAFETY: the buffer, the name and its length are alive, and as long as is said.
            let len = unsafe {
                let buffer = payload.as_mut_ptr().cast();
                libc::recvfrom(fd, buffer, PAYLOAD, libc::MSG_DONTWAIT, (&raw mut name).cast(), &raw mut name_len)
            };
            let Ok(len) = usize::try_from(len) else { break };
            received += 1;
            // SAFETY: as above.
            let code = unsafe { libc::sendto(fd, payload.as_ptr().cast(), len, 0, (&raw const name).cast(), name_len) };
            sent += u64::from(code >= 0);
        }
    }
    (received, sent)
}

fn serve(fd: i32, batch: usize, mut goes_on: impl FnMut() -> bool) -> (u64, u64) {
    let mut payloads = vec![[0u8; PAYLOAD]; BATCH];
    // SAFETY: all three are plain C structs for which zero is a value.
    let (mut names, mut parts, mut headers): (
        [libc::sockaddr_in; BATCH],
        [libc::iovec; BATCH],
        [libc::mmsghdr; BATCH],
    ) = unsafe { (zeroed(), zeroed(), zeroed()) };
    for i in 0..BATCH {
        parts[i] = libc::iovec { iov_base: payloads[i].as_mut_ptr().cast(), iov_len: PAYLOAD };
        headers[i].msg_hdr.msg_name = (&raw mut names[i]).cast();
        headers[i].msg_hdr.msg_namelen = size_of::<libc::sockaddr_in>() as u32;
        headers[i].msg_hdr.msg_iov = &raw mut parts[i];
        headers[i].msg_hdr.msg_iovlen = 1;
    }
    let (mut received, mut sent) = (0, 0);
    while goes_on() {
        wait(fd);
        loop {
            // SAFETY: the headers' pointers lead to the arrays above, which outlive the loop.
            let count = unsafe {
                libc::recvmmsg(fd, headers.as_mut_ptr(), batch as u32, libc::MSG_DONTWAIT as _, std::ptr::null_mut())
            };
            let Ok(count) = usize::try_from(count) else { break };
            received += count as u64;
            for i in 0..count {
                parts[i].iov_len = headers[i].msg_len as usize;
            }
            // SAFETY: as above.
            let code = unsafe { libc::sendmmsg(fd, headers.as_mut_ptr(), count as u32, 0) };
            match u64::try_from(code) {
                Ok(code) => sent += code,
                Err(_) => eprintln!("sendmmsg: {}", io::Error::last_os_error()),
            }
            for part in &mut parts[..count] {
                part.iov_len = PAYLOAD;
            }
        }
    }
    (received, sent)
}
