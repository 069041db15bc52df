//! HELLO, CHALLENGE, LOGIN, WELCOME: from a stranger to a session in two round trips.

use super::layout::layout;
use crate::cookie::COOKIE_LEN;

/// Bytes of a sealed ticket: realm key id 4, nonce 24, sealed 40, AEAD tag 16.
pub const TICKET_LEN: usize = 84;
/// Bytes of a HELLO: padded with zeros, so that no CHALLENGE is longer than its question.
pub const HELLO_LEN: usize = 32;
/// Bytes of a CHALLENGE.
pub const CHALLENGE_LEN: usize = Challenge::LEN;
const _: () = assert!(CHALLENGE_LEN <= HELLO_LEN);

layout! {
    /// A stranger asks for a cookie. Zeros fill it up to [`HELLO_LEN`]. Untagged.
    Hello = Hello {
        /// Zero.
        flags: u8,
        /// [`set_hash`](crate::steer::set_hash) of the user.
        set_hash: u16,
        /// Drawn at random for each log-in.
        client_nonce: u64,
    }
}

layout! {
    /// The cookie. Untagged.
    Challenge = Challenge {
        /// Zero.
        flags: u8,
        /// As asked.
        set_hash: u16,
        /// As asked.
        client_nonce: u64,
        /// To be sent back as it is.
        cookie: [u8; COOKIE_LEN],
    }
}

layout! {
    /// Cookie and ticket. Tagged under the ticket's secret; the cookie binds the address.
    Login = Login {
        /// Zero.
        flags: u8,
        /// As in the HELLO; must be that of the ticket's user.
        set_hash: u16,
        /// As in the HELLO.
        client_nonce: u64,
        /// From the CHALLENGE.
        cookie: [u8; COOKIE_LEN],
        /// From the account service.
        ticket: [u8; TICKET_LEN],
    }
}

layout! {
    /// The session is up. Tagged under the session's key.
    Welcome = Welcome {
        /// Zero.
        flags: u8,
        /// The session id, from here on in every datagram.
        session: u32,
        /// As in the LOGIN.
        client_nonce: u64,
        /// Drawn by the server.
        server_nonce: u64,
        /// The user's highest request number so far; the next must be above.
        request_highest: u64,
        /// Microseconds since 1970 at the server.
        server_time_us: u64,
        /// Seconds without a datagram after which the session ends.
        idle_s: u16,
        /// SETs of this server.
        sets: u16,
    }
}

layout! {
    /// The log-in is refused; sent only to a valid cookie and ticket. Tagged under the ticket's secret.
    LoginRefused = LoginRefused {
        /// Zero.
        flags: u8,
        /// A [`Refusal`](super::Refusal): expired or full.
        refusal: u8,
        /// Zero.
        reserved: u8,
        /// As in the LOGIN.
        client_nonce: u64,
        /// Milliseconds to wait before the next try; 0: a new ticket is needed.
        retry_after_ms: u32,
    }
}
