//! The kernel's table of neighbours, asked over rtnetlink (`man 7 rtnetlink`): /proc shows those of IPv4 alone.

use std::io::{self, Read as _, Write as _};
use std::net::IpAddr;

use socket2::{Domain, Protocol, Socket, Type};

use super::Mac;

/// struct nlmsghdr, struct ndmsg and struct rtattr.
const MESSAGE_LEN: usize = 16;
const NEIGHBOUR_LEN: usize = 12;
const ATTRIBUTE_LEN: usize = 4;
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
    let mut question = [0; MESSAGE_LEN + NEIGHBOUR_LEN];
    question[..4].copy_from_slice(&((MESSAGE_LEN + NEIGHBOUR_LEN) as u32).to_ne_bytes());
    question[4..6].copy_from_slice(&libc::RTM_GETNEIGH.to_ne_bytes());
    question[6..8].copy_from_slice(&((libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16).to_ne_bytes());
    question[MESSAGE_LEN] = family as u8;
    socket.write_all(&question)?;
    let (mut answer, mut found) = (vec![0; ANSWER_LEN], None);
    loop {
        let len = socket.read(&mut answer)?;
        for (kind, body) in messages(&answer[..len]) {
            match i32::from(kind) {
                libc::NLMSG_DONE => return Ok(found),
                libc::NLMSG_ERROR => return Err(io::Error::other("the kernel does not list its neighbours")),
                _ => found = found.or_else(|| mac_of(body, interface, &wanted)),
            }
        }
    }
}

/// The messages of an answer: kind and body.
fn messages(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    parts(bytes, MESSAGE_LEN, |head| u32::from_ne_bytes([head[0], head[1], head[2], head[3]]) as usize)
        .map(|(head, body)| (u16::from_ne_bytes([head[4], head[5]]), body))
}

/// The Ethernet address in a neighbour's row, when it is that of `wanted` at this interface and in use.
fn mac_of(row: &[u8], interface: u32, wanted: &[u8]) -> Option<Mac> {
    let (head, attributes) = row.split_at_checked(NEIGHBOUR_LEN)?;
    let at = u32::from_ne_bytes([head[4], head[5], head[6], head[7]]);
    if at != interface || u16::from_ne_bytes([head[8], head[9]]) & UNUSABLE != 0 {
        return None;
    }
    let of = |kind: u16| {
        parts(attributes, ATTRIBUTE_LEN, |head| u16::from_ne_bytes([head[0], head[1]]).into())
            .find(|(head, _)| u16::from_ne_bytes([head[2], head[3]]) == kind)
            .map(|(_, value)| value)
    };
    let mac = Mac::try_from(of(libc::NDA_LLADDR)?).ok()?;
    (of(libc::NDA_DST)? == wanted && mac != Mac::default()).then_some(mac)
}

/// Parts that each begin with a head that tells the length of both, and at a multiple of four bytes.
fn parts(mut bytes: &[u8], head_len: usize, len_of: impl Fn(&[u8]) -> usize) -> impl Iterator<Item = (&[u8], &[u8])> {
    std::iter::from_fn(move || {
        let (head, _) = bytes.split_at_checked(head_len)?;
        let len = len_of(head);
        let body = bytes.get(head_len..len)?;
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((head, body))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(state: u16, attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut row = vec![0; NEIGHBOUR_LEN];
        row[4..8].copy_from_slice(&7u32.to_ne_bytes());
        row[8..10].copy_from_slice(&state.to_ne_bytes());
        for (kind, value) in attributes {
            row.extend(((ATTRIBUTE_LEN + value.len()) as u16).to_ne_bytes());
            row.extend(kind.to_ne_bytes());
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
