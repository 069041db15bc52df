//! The gate's AF_XDP sockets, shared out among the workers, and what is seen of them.

use std::os::fd::AsFd as _;
use std::sync::Arc;

use anyhow::{Context, Result};
use rp_core::frame::Ours;
use rp_core::limits::PORTS_MAX;
use rp_net::socket::UdpSocket;
use rp_net::wait::Sleeper;

use crate::gate::xsks::Plugged;
use crate::sight::{Tally, XskSight, XskStatus};
use crate::worker::{Frames, Homes, Xsks};

/// What decides about frames, the AF_XDP sockets of each worker, which sleeps on them too, and what is seen of them all.
///
/// # Errors
/// No file descriptor is left.
pub(super) fn share(
    plugged: Vec<Plugged>,
    sets: u32,
    listens: &[UdpSocket],
    homes: &Arc<Homes>,
    sleepers: &mut [Sleeper],
) -> Result<(Frames, Vec<Xsks>, Vec<XskSight>)> {
    let frames = Frames { ours: Ours { ports: ports_of(listens), sets }, homes: homes.clone() };
    let mut xsks: Vec<Xsks> = sleepers.iter().map(|_| Xsks::new()).collect();
    let mut sights = Vec::new();
    for Plugged { interface, interface_index, queue, worker, mode, xsk } in plugged {
        let status = XskStatus { interface, queue, worker, mode: mode.name().to_string() };
        let watch = xsk.watch().context("a second handle of an AF_XDP socket")?;
        sights.push(XskSight { status, watch, lost: Tally::default(), refused: Tally::default() });
        sleepers[worker].watch(xsk.as_fd());
        xsks[worker].push((interface_index, xsk));
    }
    Ok((frames, xsks, sights))
}

/// The ports listened on, each once.
fn ports_of(listens: &[UdpSocket]) -> [u16; PORTS_MAX] {
    let mut ports = [0; PORTS_MAX];
    let mut known = 0;
    for port in listens.iter().map(|socket| socket.local_address().port()) {
        // The gate refused more than it has room for.
        if known < PORTS_MAX && !ports[..known].contains(&port) {
            ports[known] = port;
            known += 1;
        }
    }
    ports
}
