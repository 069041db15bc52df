//! The doors that clients come by, numbered: a session keeps two bytes of it, and replies leave from there.
//!
//! A door is an address of ours; one past the network stack is also the neighbour on the cable that brought the request, a
//! router as a rule, to whom the reply goes back. What was not heard for a while may have moved, and the stack finds it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rp_core::wire::Origin;
use rp_net::address::Local;

/// Addresses that are told apart; clients of further ones get replies from the socket's own choice of address.
const ADDRESSES_MAX: usize = 256;
/// Neighbours that are told apart, each with each address of ours; they keep their places until the server ends, and clients
/// behind further ones get replies by the sockets.
const NEIGHBOURS_MAX: usize = 1024;
/// Places that a neighbour may have: whoever is on the same cable may send from any address, and costs no more than that.
const PLACES: usize = 8;
/// Ticks after which a neighbour that was not heard counts as moved.
const SILENT_MAX: u64 = 1;

/// One address: a socket of the worker, and the local address on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Door {
    /// Index of the listen address.
    pub socket: u16,
    /// The address asked, zero when the socket has only one.
    pub local: Local,
    /// The way past the stack, if there is one.
    pub cable: Option<Cable>,
}

/// From whom a frame came, and to which of our addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cable {
    /// The number of its interface.
    pub interface: u32,
    /// Ethernet addresses: ours, the neighbour's.
    pub macs: [[u8; 6]; 2],
    /// Our address and port.
    pub home: Origin,
}

/// All doors, the same for every worker: a reply may leave from another worker than the one that was asked.
pub struct Doors {
    addresses: Box<[OnceLock<Door>]>,
    neighbours: Box<[Neighbour]>,
}

#[derive(Default)]
struct Neighbour {
    door: OnceLock<Door>,
    /// The tick at which it was heard last.
    heard: AtomicU64,
}

impl Doors {
    /// The first door of each of `sockets` listen addresses is its own choice of address.
    pub fn new(sockets: usize) -> Self {
        let addresses: Box<[OnceLock<Door>]> = (0..ADDRESSES_MAX.max(sockets)).map(|_| OnceLock::new()).collect();
        for (socket, door) in addresses.iter().take(sockets).enumerate() {
            door.get_or_init(|| Door { socket: socket as u16, local: Local::default(), cable: None });
        }
        Self { addresses, neighbours: (0..NEIGHBOURS_MAX).map(|_| Neighbour::default()).collect() }
    }

    /// The number of a door, given to it if it is new.
    pub fn number(&self, door: Door) -> u16 {
        if let Some(cable) = &door.cable {
            let first = cable.place();
            let found = (first..first + PLACES).map(|place| place % NEIGHBOURS_MAX).find(|place| {
                let known = &self.neighbours[*place].door;
                *known.get_or_init(|| door) == door
            });
            if let Some(place) = found {
                return (self.addresses.len() + place) as u16;
            }
        }
        let door = Door { cable: None, ..door };
        let is_it = |place: &&OnceLock<Door>| *place.get_or_init(|| door) == door;
        let at = self.addresses.iter().take_while(|place| !is_it(place)).count();
        if at < self.addresses.len() { at as u16 } else { door.socket }
    }

    /// The door of a number.
    pub fn door(&self, number: u16) -> &Door {
        let at = usize::from(number);
        let place = self.addresses.get(at).unwrap_or_else(|| &self.neighbours[at - self.addresses.len()].door);
        place.get().expect("only numbers of doors are handed out")
    }

    /// Something came by it at this tick.
    pub fn hear(&self, number: u16, tick: u64) {
        if let Some(neighbour) = self.neighbour(number)
            && neighbour.heard.load(Relaxed) != tick
        {
            neighbour.heard.store(tick, Relaxed);
        }
    }

    /// Its cable, if its neighbour was heard lately.
    pub fn cable(&self, number: u16, tick: u64) -> Option<&Cable> {
        let neighbour = self.neighbour(number)?;
        let is_there = tick.saturating_sub(neighbour.heard.load(Relaxed)) <= SILENT_MAX;
        neighbour.door.get()?.cable.as_ref().filter(|_| is_there)
    }

    fn neighbour(&self, number: u16) -> Option<&Neighbour> {
        self.neighbours.get(usize::from(number).checked_sub(self.addresses.len())?)
    }
}

impl Cable {
    /// The first place where it may be.
    fn place(&self) -> usize {
        let [_, [a, b, c, d, e, f]] = self.macs;
        let Origin { ip, port } = self.home;
        let neighbour = u64::from_le_bytes([a, b, c, d, e, f, 0, 0]) ^ u64::from(self.interface) << 48;
        let mix = |sum: u64, word: u64| (sum.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let word = [neighbour, ip[0], ip[1], port.into()].into_iter().fold(0, mix);
        (word >> 48) as usize % NEIGHBOURS_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn door(socket: u16, last: u8) -> Door {
        Door { socket, local: Local { ip: [last; 16], interface: 0 }, cable: None }
    }

    #[test]
    fn a_door_keeps_its_number_and_too_many_share_their_sockets() {
        let doors = Doors::new(2);
        let first = |socket| Door { local: Local::default(), ..door(socket, 0) };
        assert_eq!(doors.number(first(0)), 0);
        assert_eq!(doors.number(first(1)), 1);
        assert_eq!(doors.number(door(1, 7)), 2);
        assert_eq!(doors.number(door(1, 7)), 2);
        assert_eq!(*doors.door(2), door(1, 7));
        for last in 1..=254 {
            doors.number(door(0, last));
        }
        assert_eq!(doors.number(door(1, 255)), 1);
    }

    #[test]
    fn a_neighbour_is_a_door_of_its_own_while_it_is_heard_and_too_many_leave_by_the_stack() {
        let doors = Doors::new(1);
        let home = Origin { ip: [0, 0], port: 2015 };
        let of = |mac: u32| {
            let [a, b, c, d] = mac.to_be_bytes();
            Door { cable: Some(Cable { interface: 3, macs: [[2; 6], [2, 0, a, b, c, d]], home }), ..door(0, 9) }
        };
        let number = doors.number(of(1));
        assert_eq!((number, *doors.door(number)), (doors.number(of(1)), of(1)));
        doors.hear(number, 100);
        assert_eq!(doors.cable(number, 101), of(1).cable.as_ref());
        assert_eq!(doors.cable(number, 102), None, "it may have moved");
        let plain = doors.number(door(0, 9));
        assert_eq!(doors.cable(plain, 0), None, "an address is no neighbour");
        let by_stack = (0..100_000).filter(|mac| doors.number(of(*mac)) == plain).count();
        assert!((90_000..100_000).contains(&by_stack), "{by_stack} of 100 000 neighbours have no place");
        assert_eq!(doors.number(of(1)), number, "who has a place keeps it");
    }
}
