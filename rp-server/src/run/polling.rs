//! Busy polling of the workers' sockets, where it was asked for.

use std::io;
use std::os::fd::AsFd as _;
use std::sync::Arc;

use rp_net::busy::poll_queue_of;
use rp_net::socket::UdpSocket;

use crate::worker::Xsks;

/// Lets all sockets poll their card's queue, and returns what became of it, for the start-up block. Where the kernel refuses,
/// workers still look at their sockets before they sleep.
pub(super) fn arm(sockets: &[Arc<[UdpSocket]>], xsks: &mut [Xsks], us: u32) -> String {
    match poll_all(sockets, xsks, us) {
        Ok(()) => format!("{us} us after the last datagram before a worker sleeps; its sockets poll their queue"),
        Err(error) => format!(
            "{us} us after the last datagram before a worker sleeps; its sockets do not poll their queue: the kernel refused \
             SO_PREFER_BUSY_POLL ({error}): grant CAP_NET_ADMIN, or use a kernel with CONFIG_NET_RX_BUSY_POLL"
        ),
    }
}

fn poll_all(sockets: &[Arc<[UdpSocket]>], xsks: &mut [Xsks], us: u32) -> io::Result<()> {
    sockets.iter().flat_map(|group| group.iter()).try_for_each(|socket| poll_queue_of(socket.as_fd(), us))?;
    xsks.iter_mut().flatten().try_for_each(|(_, xsk)| xsk.poll_queue(us))
}
