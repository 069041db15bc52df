//! Parts of the network by prefix: what a deny list names.

use crate::wire::Origin;

/// A prefix of an IPv6 address; IPv4 is mapped, so its lengths are 96 more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub struct Prefix {
    /// The address; bits beyond the length are zero.
    pub ip: [u8; 16],
    /// Bits that count, 0 ..= 128.
    pub len: u8,
}

impl Prefix {
    /// The prefix of so many bits, at most 128, that an address is in.
    pub fn new(ip: [u8; 16], len: u8) -> Prefix {
        let len = len.min(128);
        let mask = u128::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0);
        Prefix { ip: (u128::from_be_bytes(ip) & mask).to_be_bytes(), len }
    }

    /// Is somebody there?
    pub fn contains(&self, from: &Origin) -> bool {
        Prefix::new(from.ip_bytes(), self.len) == *self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Peer;

    #[test]
    fn a_prefix_contains_its_addresses_and_no_others() {
        let at = |last: [u8; 4]| {
            let mut ip = [0; 16];
            ip[10..12].fill(0xff);
            ip[12..].copy_from_slice(&last);
            ip
        };
        let is_in = |prefix: &Prefix, last| prefix.contains(&Origin::from(&Peer { ip: at(last), port: 1 }));
        let net = Prefix::new(at([10, 1, 2, 77]), 96 + 24);
        assert_eq!(net.ip, at([10, 1, 2, 0]));
        assert!(is_in(&net, [10, 1, 2, 0]) && is_in(&net, [10, 1, 2, 255]) && !is_in(&net, [10, 1, 3, 0]));
        let one = Prefix::new(at([10, 1, 2, 77]), 128);
        assert!(is_in(&one, [10, 1, 2, 77]) && !is_in(&one, [10, 1, 2, 76]));
        assert!(is_in(&Prefix::new([0; 16], 0), [1, 2, 3, 4]), "everybody");
    }
}
