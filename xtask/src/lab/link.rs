//! A veth pair between the server and one client machine, with IPv4 and IPv6 addresses.
//!
//! Transmit checksum offload is off at the client's end: there the frame would carry only a partial checksum, which the
//! gate cannot check. MTU 1500, because native XDP refuses veth with larger frames.

use std::net::{Ipv4Addr, Ipv6Addr};

use anyhow::{Context, Result, bail};

use super::namespace::Namespace;
use crate::{command, setup};

/// Links of one lab: the third byte of the IPv4 network.
pub const LINKS_MAX: usize = 250;
const MTU: &str = "1500";

/// One cable. The pair goes with either of its namespaces.
#[derive(Debug)]
pub struct Link {
    number: u8,
}

impl Link {
    /// Joins `server` and `client` with a cable; numbers from 1.
    ///
    /// # Errors
    /// What `ip` or `ethtool` said.
    pub fn lay(number: usize, server: &Namespace, client: &Namespace) -> Result<Link> {
        if !(1..=LINKS_MAX).contains(&number) {
            bail!("a lab has 1 to {LINKS_MAX} client machines, not {number}");
        }
        let link = Link { number: u8::try_from(number).expect("LINKS_MAX fits a byte") };
        let (near, far) = (link.server_interface(), link.client_interface());
        let pair = ["link", "add", &near, "netns", server.name(), "type", "veth", "peer", "name", far, "netns"];
        command::run("ip", pair.iter().copied().chain([client.name()]))
            .context("cannot make a veth pair; the kernel needs CONFIG_VETH")?;
        raise(server, &near, link.server_v4(), link.server_v6())?;
        raise(client, far, link.client_v4(), link.client_v6())?;
        let ethtool = setup::find_program("ethtool").context("there is no ethtool; `cargo xtask setup` installs it")?;
        command::read(client.command(ethtool).args(["-K", far, "tx", "off"]))
            .context("cannot turn checksum offload off")?;
        Ok(link)
    }

    /// Name of the server's end.
    pub fn server_interface(&self) -> String {
        format!("s{}", self.number)
    }

    /// Name of the client's end.
    pub fn client_interface(&self) -> &'static str {
        "eth0"
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

    fn v6(&self, host: u16) -> Ipv6Addr {
        // The decimal number stands in the address as it is read: fd00:20:12:: is cable 12.
        let digits = u16::from_str_radix(&self.number.to_string(), 16).expect("decimal digits are hexadecimal ones");
        Ipv6Addr::new(0xfd00, 0x20, digits, 0, 0, 0, 0, host)
    }
}

fn raise(namespace: &Namespace, interface: &str, v4: Ipv4Addr, v6: Ipv6Addr) -> Result<()> {
    namespace.ip(["link", "set", interface, "mtu", MTU, "up"])?;
    namespace.ip(["addr", "add", &format!("{v4}/24"), "dev", interface])?;
    // Without `nodad` the address cannot be bound for the first second.
    namespace.ip(["addr", "add", &format!("{v6}/64"), "dev", interface, "nodad"]).map(drop)
}
