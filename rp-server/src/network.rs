//! Parts of the network as people write them: `10.0.0.0/8`, `2001:db8::/32`, or one address.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use rp_core::prefix::Prefix;
use serde::{Deserialize, Serialize};

/// A prefix.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Net(pub Prefix);

/// Bits before an IPv4 address that is mapped into an IPv6 one.
const MAPPED_BITS: u8 = 96;

impl FromStr for Net {
    type Err = String;

    fn from_str(text: &str) -> Result<Net, String> {
        let explain = || format!("`{text}` is no prefix: write 10.0.0.0/8, 2001:db8::/32 or one address");
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| explain())?;
        let (ip, before, most) = match address {
            IpAddr::V4(v4) => (v4.to_ipv6_mapped().octets(), MAPPED_BITS, 32),
            IpAddr::V6(v6) => (v6.octets(), 0, 128),
        };
        let bits = bits.map_or(Ok(most), str::parse::<u8>).map_err(|_| explain())?;
        if bits > most {
            return Err(explain());
        }
        Ok(Net(Prefix::new(ip, before + bits)))
    }
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let v6 = Ipv6Addr::from(self.0.ip);
        match v6.to_ipv4_mapped() {
            Some(v4) if self.0.len >= MAPPED_BITS => write!(f, "{v4}/{}", self.0.len - MAPPED_BITS),
            _ => write!(f, "{v6}/{}", self.0.len),
        }
    }
}

impl TryFrom<String> for Net {
    type Error = String;

    fn try_from(text: String) -> Result<Net, String> {
        text.parse()
    }
}

impl From<Net> for String {
    fn from(net: Net) -> String {
        net.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_read_as_they_are_written() {
        for (text, shown) in [
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("10.1.2.3", "10.1.2.3/32"),
            ("2001:db8::1/32", "2001:db8::/32"),
            ("fd00::1", "fd00::1/128"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("::/0", "::/0"),
        ] {
            let net: Net = text.parse().expect("it is a prefix");
            assert_eq!(net.to_string(), shown);
            assert_eq!(shown.parse(), Ok(net));
        }
        for text in ["", "10.0.0.0/33", "::/129", "10.0.0/8", "10.0.0.0/", "10.0.0.0/x", "/8"] {
            assert!(text.parse::<Net>().is_err(), "{text}");
        }
    }
}
