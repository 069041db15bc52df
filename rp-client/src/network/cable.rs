//! The way past the network stack: whole frames of the client's interface by AF_XDP, one socket for each of its queues.
//!
//! The UDP sockets stay open beside it: their ports are ours, and whatever the kernel program `inlet` lets in reaches them.
//! What the stack would do is done here: headers are made, lengths and checksums looked at. Needs root, and a server on the
//! same Ethernet link.

use std::net::SocketAddr;
use std::ops::Range;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};

use anyhow::{Context, Result, bail, ensure};
use aya::maps::{HashMap, XskMap};
use aya::programs::{Xdp, XdpMode};
use aya::{Ebpf, EbpfLoader};
use rp_core::frame::{ENVELOPE_MAX, Ends, Envelope, ends, payload_of};
use rp_core::limits::{DATAGRAM_MAX, TX_SLOTS, XSK_QUEUES};
use rp_core::wire::Origin;
use rp_net::card::queues;
use rp_net::link::{self, Link};
use rp_net::peer_of;
use rp_net::xsk::{FRAME_MAX, Watch, Xsk};

use crate::objects;

/// Answers that may wait at a queue: what comes while this process is kept from its CPU for some ten milliseconds.
const RX_FRAMES: u32 = 1024;

/// Frames and the sockets that they stand for.
pub struct Cable {
    // Dropped first: nothing is sent to sockets that are gone.
    _inlet: Ebpf,
    ours: Link,
    envelopes: Vec<Envelope>,
    xsks: Vec<Xsk>,
    watches: Vec<Watch>,
    /// Where a datagram is written when all frames are on their way.
    nowhere: Box<[u8; DATAGRAM_MAX]>,
    /// Datagrams that were written there, or that the driver did not take.
    pub unsent: u64,
    /// Frames with false lengths or checksums.
    pub damaged: u64,
}

impl Cable {
    /// For sockets with these addresses of ours, towards the server.
    ///
    /// # Errors
    /// What is missing, what the kernel said, and what to do.
    pub fn lay(server: SocketAddr, locals: &[SocketAddr]) -> Result<Cable> {
        let ours = the_one_link(locals)?;
        let count = queues(&ours.name).with_context(|| format!("asking for the queues of {}", ours.name))?;
        ensure!(
            count as usize <= XSK_QUEUES,
            "{} has {count} queues; `ethtool -L {} combined {XSK_QUEUES}` takes away what is too much",
            ours.name,
            ours.name
        );
        let bytes = objects::read("inlet.o")?;
        let mut inlet = EbpfLoader::new().load(&bytes).context(
            "giving the maps of inlet to the kernel: run as root, or grant CAP_BPF, CAP_NET_ADMIN and CAP_NET_RAW",
        )?;
        let theirs = link::neighbour(server.ip(), &ours).context("finding the server's Ethernet address")?;
        let far = Origin::from(&peer_of(server));
        let near = locals.iter().map(|local| Origin::from(&peer_of(*local)));
        let envelopes = near.clone().map(|near| Envelope::new([ours.mac, theirs], &near, &far)).collect();
        let mut table: HashMap<_, Ends, u32> = inlet.map_mut("ends").context("no map ends")?.try_into()?;
        for (socket, near) in (0..).zip(near) {
            table.insert(ends(&far, &near), socket, 0).context("telling inlet of our sockets")?;
        }
        let open =
            |queue| Xsk::open(ours.index, queue, RX_FRAMES).with_context(|| format!("{} queue {queue}", ours.name));
        let xsks = (0..count).map(open).collect::<Result<Vec<_>>>()?;
        let mut sockets: XskMap<_> = inlet.map_mut("xsks").context("no map xsks")?.try_into()?;
        for (queue, xsk) in (0..).zip(&xsks) {
            sockets.set(queue, xsk.as_fd().as_raw_fd(), 0).context("giving inlet the AF_XDP sockets")?;
        }
        attach(&mut inlet, &ours)?;
        let watches = xsks.iter().map(Xsk::watch).collect::<Result<_, _>>().context("no file descriptor is left")?;
        let nowhere = Box::new([0; DATAGRAM_MAX]);
        Ok(Cable { _inlet: inlet, ours, envelopes, xsks, watches, nowhere, unsent: 0, damaged: 0 })
    }

    /// What it is, for the start-up block.
    pub fn description(&self) -> String {
        let mode = self.xsks[0].mode().name();
        format!("by AF_XDP at {}, {} queues, {mode} mode, inlet in driver mode", self.ours.name, self.xsks.len())
    }

    /// Queues.
    pub fn len(&self) -> usize {
        self.xsks.len()
    }

    /// What there is to sleep on, by queue.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.xsks.iter().map(|xsk| xsk.as_fd())
    }

    /// Room for one datagram of a socket.
    #[inline]
    pub fn slot(&mut self, socket: usize) -> &mut [u8; DATAGRAM_MAX] {
        let at = self.envelopes[socket].head_len();
        match self.xsks[socket % self.watches.len()].slot() {
            Some(frame) => frame[at..].first_chunk_mut().expect("a frame holds headers and the longest datagram"),
            None => &mut self.nowhere,
        }
    }

    /// The first `len` bytes of that room are a datagram.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    #[inline]
    pub fn commit(&mut self, socket: usize, len: usize) -> Result<()> {
        let xsk = &mut self.xsks[socket % self.watches.len()];
        match xsk.slot().and_then(|frame| self.envelopes[socket].close(frame, len)) {
            Some(frame_len) => xsk.commit(frame_len),
            None => self.unsent += 1,
        }
        if xsk.waiting() >= TX_SLOTS { self.flush() } else { Ok(()) }
    }

    /// Sends what waits.
    ///
    /// # Errors
    /// A socket is broken.
    pub fn flush(&mut self) -> Result<()> {
        for xsk in &mut self.xsks {
            self.unsent += xsk.flush().context("transmitting by AF_XDP")? as u64;
        }
        Ok(())
    }

    /// Takes a batch from a queue; its frames are there until the next.
    ///
    /// # Errors
    /// A socket is broken.
    pub fn receive(&mut self, queue: usize) -> Result<usize> {
        self.xsks[queue].receive().context("receiving by AF_XDP")
    }

    /// Copies the payload of a frame of that batch; its length, or none when the frame is false.
    #[inline]
    pub fn read(&mut self, queue: usize, i: usize, into: &mut [u8; FRAME_MAX]) -> Option<usize> {
        let frame = self.xsks[queue].frame(i);
        let payload = payload_of(frame).and_then(|Range { start, end }| frame.get(start..end));
        match payload.and_then(|payload| Some((payload, into.get_mut(..payload.len())?))) {
            Some((payload, room)) => {
                room.copy_from_slice(payload);
                Some(payload.len())
            }
            None => {
                self.damaged += 1;
                None
            }
        }
    }

    /// Frames that our own sockets had no room for.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn overflow(&self) -> Result<u64> {
        let lost = self.watches.iter().map(Watch::lost).sum::<std::io::Result<u64>>();
        lost.context("reading what our AF_XDP sockets lost")
    }
}

const _: () = assert!(FRAME_MAX >= ENVELOPE_MAX + DATAGRAM_MAX);

/// The interface that all the addresses are on.
fn the_one_link(locals: &[SocketAddr]) -> Result<Link> {
    let mut links = Vec::new();
    for ip in locals.iter().map(SocketAddr::ip) {
        links.push(link::of_address(ip).with_context(|| format!("finding the interface of {ip}"))?);
    }
    let Some(first) = links.first().cloned() else { bail!("there is no socket") };
    if let Some(other) = links.iter().find(|link| link.index != first.index) {
        bail!(
            "one client has the AF_XDP sockets of one interface, but its sources are on {} and {}: start one for each",
            first.name,
            other.name
        );
    }
    Ok(first)
}

/// Puts the program in place, in driver mode.
fn attach(inlet: &mut Ebpf, ours: &Link) -> Result<()> {
    let program: &mut Xdp = inlet.program_mut("inlet").context("no program inlet")?.try_into()?;
    program.load().context("the kernel's verifier refused the program inlet")?;
    program.attach_to_if_index(ours.index, XdpMode::Driver).map(drop).with_context(|| {
        format!("attaching inlet to {}: is another XDP program there, or has its driver none?", ours.name)
    })
}
