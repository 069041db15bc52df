//! Values on the command line: servers and ranges of users.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::ops::RangeInclusive;

use rp_core::limits::PORT_DEFAULT;

/// A server by address or name, with or without a port.
///
/// # Errors
/// It is neither; says how to write it.
pub fn server(text: &str) -> Result<SocketAddr, String> {
    if let Ok(ip) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, PORT_DEFAULT));
    }
    let resolved = text.to_socket_addrs().or_else(|_| (text, PORT_DEFAULT).to_socket_addrs());
    let first = resolved.map_err(|e| format!("{e}; write ADDRESS, ADDRESS:PORT or NAME:PORT"))?.next();
    first.ok_or_else(|| "the name has no address".to_string())
}

/// `FIRST..=LAST`.
///
/// # Errors
/// It is not; says how to write it.
pub fn users(text: &str) -> Result<RangeInclusive<u64>, String> {
    let parsed =
        text.split_once("..=").and_then(|(first, last)| Some(first.trim().parse().ok()?..=last.trim().parse().ok()?));
    parsed.ok_or_else(|| "write FIRST..=LAST, such as 1..=10000".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_an_address_or_a_name_with_or_without_a_port() {
        for (text, expected) in [
            ("10.1.2.3", "10.1.2.3:2015"),
            ("10.1.2.3:7", "10.1.2.3:7"),
            ("::1", "[::1]:2015"),
            ("[::1]", "[::1]:2015"),
            ("[::1]:7", "[::1]:7"),
        ] {
            assert_eq!(server(text).expect(text).to_string(), expected);
        }
        assert!(server("localhost:7").expect("every machine has it").ip().is_loopback());
        assert!(server("127.0.0.1:port").is_err());
    }
}
