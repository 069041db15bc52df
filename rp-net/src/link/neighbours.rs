//! The kernel's table of neighbours, asked over rtnetlink (`man 7 rtnetlink`): /proc shows those of IPv4 alone.

use std::io::{self, Read as _, Write as _};
use std::net::IpAddr;

use bytemuck::{AnyBitPattern, Pod, Zeroable, bytes_of, pod_read_unaligned};
use socket2::{Domain, Protocol, Socket, Type};

use super::Mac;

/// struct nlmsghdr
#[repr(C)]
#[derive(Clone, Copy, Default, Pod, Zeroable)]
struct Message {
    len: u32,
    kind: u16,
    flags: u16,
    sequence: u32,
    port: u32,
}

/// struct ndmsg
#[repr(C)]
#[derive(Clone, Copy, Default, Pod, Zeroable)]
struct Neighbour {
    family: u8,
    _unused: [u8; 3],
    interface: u32,
    state: u16,
    flags: u8,
    kind: u8,
}

/// struct rtattr
#[repr(C)]
#[derive(Clone, Copy, Default, Pod, Zeroable)]
struct Attribute {
    len: u16,
    kind: u16,
}

/// What is asked: all neighbours of a family.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Question {
    message: Message,
    neighbour: Neighbour,
}

/// Room for what the kernel puts into one answer.
const ANSWER_LEN: usize = 32 * 1024;
/// linux/neighbour.h: not known yet, or known not to answer.
const UNUSABLE: u16 = libc::NUD_INCOMPLETE | libc::NUD_FAILED;

/// The Ethernet address of a neighbour at an interface, if the table has it.
pub(super) fn find(ip: IpAddr, interface: u32) -> io::Result<Option<Mac>> {
    let protocol = Some(Protocol::from(libc::NETLINK_ROUTE));
    let mut socket = Socket::new(Domain::from(libc::AF_NETLINK), Type::DGRAM, protocol)?;
    let (family, wanted) = match ip {
        IpAddr::V4(v4) => (libc::AF_INET, v4.octets().to_vec()),
        IpAddr::V6(v6) => (libc::AF_INET6, v6.octets().to_vec()),
    };
    let message = Message {
        len: size_of::<Question>() as u32,
        kind: libc::RTM_GETNEIGH,
        flags: (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16,
        ..Message::default()
    };
    let question = Question { message, neighbour: Neighbour { family: family as u8, ..Neighbour::default() } };
    socket.write_all(bytes_of(&question))?;
    let (mut answer, mut found) = (vec![0; ANSWER_LEN], None);
    loop {
        let len = socket.read(&mut answer)?;
        for (message, body) in parts(&answer[..len], |message: &Message| message.len as usize) {
            match i32::from(message.kind) {
                libc::NLMSG_DONE => return Ok(found),
                libc::NLMSG_ERROR => return Err(io::Error::other("the kernel does not list its neighbours")),
                _ => found = found.or_else(|| mac_of(body, interface, &wanted)),
            }
        }
    }
}

/// The Ethernet address in a neighbour's row, when it is that of `wanted` at this interface and in use.
fn mac_of(row: &[u8], interface: u32, wanted: &[u8]) -> Option<Mac> {
    let (head, attributes) = row.split_at_checked(size_of::<Neighbour>())?;
    let head: Neighbour = pod_read_unaligned(head);
    if head.interface != interface || head.state & UNUSABLE != 0 {
        return None;
    }
    let of = |kind: u16| {
        parts(attributes, |attribute: &Attribute| attribute.len.into())
            .find(|(attribute, _)| attribute.kind == kind)
            .map(|(_, value)| value)
    };
    let mac = Mac::try_from(of(libc::NDA_LLADDR)?).ok()?;
    (of(libc::NDA_DST)? == wanted && mac != Mac::default()).then_some(mac)
}

/// Parts that each begin with a head that tells the length of both, and at a multiple of four bytes.
fn parts<Head: AnyBitPattern>(
    mut bytes: &[u8],
    len_of: impl Fn(&Head) -> usize,
) -> impl Iterator<Item = (Head, &[u8])> {
    std::iter::from_fn(move || {
        let (head, _) = bytes.split_at_checked(size_of::<Head>())?;
        let head = pod_read_unaligned(head);
        let len = len_of(&head);
        let body = bytes.get(size_of::<Head>()..len)?;
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((head, body))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(state: u16, attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut row = bytes_of(&Neighbour { interface: 7, state, ..Neighbour::default() }).to_vec();
        for (kind, value) in attributes {
            let len = (size_of::<Attribute>() + value.len()) as u16;
            row.extend(bytes_of(&Attribute { len, kind: *kind }));
            row.extend(*value);
            row.resize(row.len().next_multiple_of(4), 0);
        }
        row
    }

    #[test]
    fn a_neighbour_is_known_when_its_row_is_in_use() {
        let (ip, mac) = ([10, 0, 0, 1], [2, 0, 0, 0, 0, 9]);
        let whole = [(libc::NDA_DST, &ip[..]), (libc::NDA_LLADDR, &mac[..])];
        assert_eq!(mac_of(&row(libc::NUD_REACHABLE, &whole), 7, &ip), Some(mac));
        assert_eq!(mac_of(&row(libc::NUD_REACHABLE, &whole), 8, &ip), None, "at another interface");
        assert_eq!(mac_of(&row(libc::NUD_STALE, &whole), 7, &[10, 0, 0, 2]), None);
        assert_eq!(mac_of(&row(libc::NUD_FAILED, &whole), 7, &ip), None);
        assert_eq!(mac_of(&row(libc::NUD_REACHABLE, &whole[..1]), 7, &ip), None);
        // The last two bytes only fill up.
        for len in 0..row(0, &whole).len() - 2 {
            assert_eq!(mac_of(&row(libc::NUD_REACHABLE, &whole)[..len], 7, &ip), None, "cut to {len}");
        }
    }

    #[test]
    fn the_kernel_lists_its_neighbours() {
        for nobody in ["240.0.0.1", "2001:db8::1"] {
            assert_eq!(find(nobody.parse().expect("a literal"), 1).expect("anyone may ask"), None);
        }
    }
}
