//! AF_XDP sockets, one for each queue of the gate's interfaces: opened, and given to the gate.
//!
//! A socket serves one queue, and shares its memory with no other; so each has one worker, and the gate sends it the requests
//! of that worker alone. Those of the others take the way between CPUs.

use anyhow::{Context, Result, bail};
use aya::Ebpf;
use aya::maps::{Array, XskMap};
use clap::ValueEnum;
use rp_core::limits::{XSK_INTERFACES, XSK_QUEUES};
use rp_core::steer::xsk_index;
use rp_net::card::queues;
use rp_net::xsk::{Mode, Xsk};
use std::os::fd::{AsFd as _, AsRawFd as _};

use super::interface::Interface;

/// Frames that wait for a worker, at all its queues together: what a rush brings while it is kept from its CPU for some tens of
/// milliseconds. The kernel fills them in turn, so more of them only fall out of the caches.
const RX_FRAMES: u32 = 8192;
/// At one queue, at least.
const RX_FRAMES_LEAST: u32 = 1024;

/// How datagrams come to the workers and leave them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum Transport {
    /// By UDP sockets
    #[default]
    Sockets,
    /// By AF_XDP past the network stack where a queue is the worker's, else by UDP sockets
    AfXdp,
}

impl Transport {
    /// As the flag has it.
    pub const fn name(self) -> &'static str {
        match self {
            Transport::Sockets => "sockets",
            Transport::AfXdp => "af-xdp",
        }
    }
}

/// A queue and its socket.
pub struct Plugged {
    /// Name of the interface.
    pub interface: String,
    /// Its number.
    pub interface_index: u32,
    /// The queue.
    pub queue: u32,
    /// The worker that reads it.
    pub worker: usize,
    /// What the driver allows.
    pub mode: Mode,
    /// The socket.
    pub xsk: Xsk,
}

impl Plugged {
    /// Its place in the gate's table.
    pub(super) fn place(&self) -> u32 {
        xsk_index(self.interface_index, self.queue).expect("as checked before it was opened")
    }
}

/// Opens a socket for each queue of the interfaces, and tells the gate whose it is.
///
/// # Errors
/// What the kernel refused, or queues and interfaces that the gate's table cannot hold.
pub(super) fn plug(ebpf: &mut Ebpf, interfaces: &[&Interface], workers: usize) -> Result<Vec<Plugged>> {
    let mut plugged: Vec<Plugged> = Vec::new();
    let count = |interface: &&Interface| {
        queues(&interface.name).with_context(|| format!("asking for the queues of {}", interface.name))
    };
    let counts: Vec<u32> = interfaces.iter().map(count).collect::<Result<_>>()?;
    let frames = frames_of_a_queue(counts.iter().sum::<u32>().div_ceil(workers as u32));
    for (interface, count) in interfaces.iter().zip(counts) {
        for queue in 0..count {
            check(interface, queue, count, &plugged)?;
            let xsk = Xsk::open(interface.index, queue, frames)
                .with_context(|| format!("{} queue {queue}", interface.name))?;
            plugged.push(Plugged {
                interface: interface.name.clone(),
                interface_index: interface.index,
                queue,
                worker: queue as usize % workers,
                mode: xsk.mode(),
                xsk,
            });
        }
    }
    let mut sockets: XskMap<_> = ebpf.map_mut("xsks").context("no map xsks")?.try_into()?;
    for plug in &plugged {
        let set = sockets.set(plug.place(), plug.xsk.as_fd().as_raw_fd(), 0);
        set.with_context(|| format!("the gate does not take the socket of {} queue {}", plug.interface, plug.queue))?;
    }
    // Only then, so that no request is sent to a place without a socket.
    let mut table: Array<_, u32> = ebpf.map_mut("xsk_workers").context("no map xsk_workers")?.try_into()?;
    for plug in &plugged {
        table.set(plug.place(), plug.worker as u32 + 1, 0)?;
    }
    Ok(plugged)
}

/// Frames of each of a worker's queues: a power of two.
fn frames_of_a_queue(queues: u32) -> u32 {
    (RX_FRAMES / queues.max(1).next_power_of_two()).max(RX_FRAMES_LEAST)
}

fn check(interface: &Interface, queue: u32, count: u32, plugged: &[Plugged]) -> Result<()> {
    let Interface { name, index, .. } = interface;
    let Some(place) = xsk_index(*index, queue) else {
        bail!(
            "{name} has {count} queues, and the gate knows {XSK_QUEUES} AF_XDP sockets of an interface: \
             `ethtool -L {name} combined {XSK_QUEUES}` takes the rest away; --transport sockets needs none"
        );
    };
    if let Some(other) = plugged.iter().find(|plug| xsk_index(plug.interface_index, plug.queue) == Some(place)) {
        bail!(
            "the numbers of {name} ({index}) and {} ({}) are {XSK_INTERFACES} apart or a multiple, and the gate could not \
             tell their AF_XDP sockets apart: leave one out by --interface, or serve by --transport sockets",
            other.interface,
            other.interface_index
        );
    }
    Ok(())
}
