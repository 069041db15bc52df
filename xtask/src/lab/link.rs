//! A cable of veth pairs between the server and one client machine, with IPv4 and IPv6 addresses.
//!
//! A cable has several strands where loads of live frames go through: each is a ring of 256 slots with no back-pressure, and
//! a card has thousands. All strands of an end have one Ethernet address; the first alone has IP addresses, so what the
//! network stack sends leaves by it, after waiting in a queue of its own where the ring is full (Linux 6.16 or newer).
//! Transmit checksum offload is off at the client's end: there the frame would carry only a partial checksum, which the
//! gate cannot check. MTU 1500, because native XDP refuses veth with larger frames.

use std::net::{Ipv4Addr, Ipv6Addr};

use anyhow::{Context, Result, bail};

use super::namespace::Namespace;
use crate::{command, setup};

/// Cables of one lab: the third byte of the IPv4 network.
pub const LINKS_MAX: usize = 250;
/// Strands of one cable, which is what a load of live frames can use.
pub const STRANDS_MAX: usize = 16;
const MTU: &str = "1500";
/// Datagrams that wait before a full ring.
const QUEUE: &str = "4096";

/// One cable. The pair goes with either of its namespaces.
#[derive(Debug)]
pub struct Link {
    number: u8,
    strands: usize,
}

impl Link {
    /// Joins `server` and `client` with a cable of `strands`; numbers from 1.
    ///
    /// # Errors
    /// What `ip` or `ethtool` said.
    pub fn lay(number: usize, strands: usize, server: &Namespace, client: &Namespace) -> Result<Link> {
        if !(1..=LINKS_MAX).contains(&number) {
            bail!("a lab has 1 to {LINKS_MAX} client machines, not {number}");
        }
        if !(1..=STRANDS_MAX).contains(&strands) {
            bail!("a cable has 1 to {STRANDS_MAX} strands, not {strands}");
        }
        let link = Link { number: u8::try_from(number).expect("LINKS_MAX fits a byte"), strands };
        for (near, far) in link.server_interfaces().iter().zip(&link.client_interfaces()) {
            let (near_mac, far_mac) = (link.mac(1), link.mac(2));
            let near = ["link", "add", near, "address", &near_mac, "netns", server.name(), "type", "veth"];
            let far = ["peer", "name", far, "address", &far_mac, "netns", client.name()];
            command::run("ip", near.iter().chain(&far))
                .context("cannot make a veth pair; the kernel needs CONFIG_VETH")?;
        }
        raise(server, &link.server_interfaces(), link.server_v4(), link.server_v6())?;
        raise(client, &link.client_interfaces(), link.client_v4(), link.client_v6())?;
        let ethtool = setup::find_program("ethtool").context("there is no ethtool; `cargo xtask setup` installs it")?;
        command::read(client.command(ethtool).args(["-K", link.client_interface(), "tx", "off"]))
            .context("cannot turn checksum offload off")?;
        Ok(link)
    }

    /// Name of the server's end; of its first strand.
    pub fn server_interface(&self) -> String {
        format!("s{}", self.number)
    }

    /// Names of all strands there.
    pub fn server_interfaces(&self) -> Vec<String> {
        // A letter, since a number would run into the cable's.
        let strand = |letter: u8| format!("{}{}", self.server_interface(), char::from(letter));
        std::iter::once(self.server_interface()).chain((b'b'..).map(strand)).take(self.strands).collect()
    }

    /// Name of the client's end; of its first strand.
    pub fn client_interface(&self) -> &'static str {
        "eth0"
    }

    /// Names of all strands there.
    pub fn client_interfaces(&self) -> Vec<String> {
        (0..self.strands).map(|strand| format!("eth{strand}")).collect()
    }

    /// The server's address on this cable.
    pub fn server_v4(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 20, self.number, 1)
    }

    /// The client machine's address.
    pub fn client_v4(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 20, self.number, 2)
    }

    /// The server's IPv6 address on this cable.
    pub fn server_v6(&self) -> Ipv6Addr {
        self.v6(1)
    }

    /// The client machine's IPv6 address.
    pub fn client_v6(&self) -> Ipv6Addr {
        self.v6(2)
    }

    /// Locally administered.
    fn mac(&self, host: u8) -> String {
        format!("02:00:00:00:{:02x}:{host:02x}", self.number)
    }

    fn v6(&self, host: u16) -> Ipv6Addr {
        // The decimal number stands in the address as it is read: fd00:20:12:: is cable 12.
        let digits = u16::from_str_radix(&self.number.to_string(), 16).expect("decimal digits are hexadecimal ones");
        Ipv6Addr::new(0xfd00, 0x20, digits, 0, 0, 0, 0, host)
    }
}

fn raise(namespace: &Namespace, interfaces: &[String], v4: Ipv4Addr, v6: Ipv6Addr) -> Result<()> {
    for interface in interfaces {
        namespace.ip(["link", "set", interface, "mtu", MTU, "addrgenmode", "none", "up"])?;
    }
    let interface = &interfaces[0];
    namespace.tc(["qdisc", "add", "dev", interface, "root", "pfifo", "limit", QUEUE])?;
    namespace.ip(["addr", "add", &format!("{v4}/24"), "dev", interface])?;
    // Without `nodad` the address cannot be bound for the first second.
    namespace.ip(["addr", "add", &format!("{v6}/64"), "dev", interface, "nodad"]).map(drop)
}
