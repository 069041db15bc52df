//! The addresses of ours that clients ask, numbered: a session keeps two bytes of it, and replies leave from there.

use std::sync::OnceLock;

use rp_net::address::Local;

/// Addresses that are told apart; clients of further ones get replies from the socket's own choice of address.
const DOORS_MAX: usize = 256;

/// One address: a socket of the worker, and the local address on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Door {
    /// Index of the listen address.
    pub socket: u16,
    /// The address asked, zero when the socket has only one.
    pub local: Local,
}

/// All doors, the same for every worker: a reply may leave from another worker than the one that was asked.
pub struct Doors {
    doors: Box<[OnceLock<Door>]>,
}

impl Doors {
    /// The first door of each of `sockets` listen addresses is its own choice of address.
    pub fn new(sockets: usize) -> Self {
        let doors: Box<[OnceLock<Door>]> = (0..DOORS_MAX.max(sockets)).map(|_| OnceLock::new()).collect();
        for (socket, door) in doors.iter().take(sockets).enumerate() {
            door.get_or_init(|| Door { socket: socket as u16, local: Local::default() });
        }
        Self { doors }
    }

    /// The number of a door, given to it if it is new.
    pub fn number(&self, door: Door) -> u16 {
        let is_it = |place: &&OnceLock<Door>| *place.get_or_init(|| door) == door;
        let at = self.doors.iter().take_while(|place| !is_it(place)).count();
        if at < self.doors.len() { at as u16 } else { door.socket }
    }

    /// The door of a number.
    pub fn door(&self, number: u16) -> Door {
        *self.doors[usize::from(number)].get().expect("only numbers of doors are handed out")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_door_keeps_its_number_and_too_many_share_their_sockets() {
        let doors = Doors::new(2);
        let door = |socket, last| Door { socket, local: Local { ip: [last; 16], interface: 0 } };
        assert_eq!(doors.number(door(0, 0)), 0);
        assert_eq!(doors.number(door(1, 0)), 1);
        assert_eq!(doors.number(door(1, 7)), 2);
        assert_eq!(doors.number(door(1, 7)), 2);
        assert_eq!(doors.door(2), door(1, 7));
        for last in 1..=254 {
            doors.number(door(0, last));
        }
        assert_eq!(doors.number(door(1, 255)), 1);
    }
}
