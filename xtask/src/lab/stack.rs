//! What the network stack of a machine says of its UDP sockets.
//!
//! It counts over all of them: what a program read, and what it sent. What passes the stack by is not among it.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use super::namespace::Namespace;
use crate::command;

/// Datagrams since the machine was made, over IPv4 and IPv6.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct BySockets {
    /// Read from a socket.
    pub read: u64,
    /// Sent by a socket.
    pub sent: u64,
}

/// Of all sockets of a machine.
///
/// # Errors
/// Its counters cannot be read.
pub fn by_sockets(namespace: &Namespace) -> Result<BySockets> {
    let text = |file: &str| command::read(namespace.command("cat").arg(file));
    let (v4, v6) = (text("/proc/net/snmp")?, text("/proc/net/snmp6")?);
    count(&v4, &v6).context("/proc/net/snmp or snmp6 does not count datagrams of UDP")
}

/// Over IPv4 from a row of names and one of numbers, over IPv6 from a line for each.
fn count(v4: &str, v6: &str) -> Option<BySockets> {
    let mut rows = v4.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let names = rows.next()?.split(' ').map(|name| format!("Udp{name}"));
    let mut counts: BTreeMap<String, &str> = names.zip(rows.next()?.split(' ')).collect();
    let lines = v6.lines().filter_map(|line| line.split_once(char::is_whitespace));
    counts.extend(lines.map(|(name, number)| (name.to_owned(), number.trim())));
    let of = |name: &str| counts.get(name)?.parse::<u64>().ok();
    Some(BySockets {
        read: of("UdpInDatagrams")? + of("Udp6InDatagrams")?,
        sent: of("UdpOutDatagrams")? + of("Udp6OutDatagrams")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_protocols_count() {
        let v4 = "Tcp: InSegs OutSegs\nTcp: 7 7\nUdp: InDatagrams NoPorts InErrors OutDatagrams\nUdp: 10 3 4 200\n\
                  UdpLite: InDatagrams OutDatagrams\nUdpLite: 9 9\n";
        let v6 = "Udp6InDatagrams                 \t1\nUdp6NoPorts                     \t5\nUdp6OutDatagrams                \t2\n";
        assert_eq!(count(v4, v6), Some(BySockets { read: 11, sent: 202 }));
        assert_eq!(count(v4, ""), None);
    }
}
