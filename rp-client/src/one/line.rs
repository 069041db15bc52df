//! The line to the server: a socket, and the patience with which a question is asked again.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rp_core::limits::DATAGRAM_MAX;
use rp_net::stop;

use super::trouble::{Asked, Trouble};

/// First wait for an answer; each further one is twice as long.
const WAIT: Duration = Duration::from_millis(500);

/// A connected socket.
pub struct Line {
    socket: UdpSocket,
    server: SocketAddr,
    patience: Duration,
    /// What the system said last of our datagrams.
    refusal: Option<std::io::Error>,
    /// A wish to stop does not end what is said from here on.
    is_parting: bool,
}

/// The waits of one question.
pub struct Waits {
    begun: Instant,
    end: Instant,
    wait: Duration,
    is_parting: bool,
    /// How often it was asked.
    pub times: u32,
}

impl Waits {
    /// Until when the next answer is waited for; none when patience is over, or a signal has come.
    pub fn next_until(&mut self) -> Option<Instant> {
        let now = Instant::now();
        let left = self.end.saturating_duration_since(now);
        if left.is_zero() || (stop::requested() && !self.is_parting) {
            return None;
        }
        let wait = self.wait.min(left);
        self.wait = 2 * wait;
        self.times += 1;
        Some(now + wait)
    }
}

impl Line {
    /// A socket towards the server.
    ///
    /// # Errors
    /// There is no way to it.
    pub fn open(server: SocketAddr, patience: Duration) -> Result<Self> {
        let any: SocketAddr = if server.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
        let socket = UdpSocket::bind(any).context("opening a socket")?;
        socket.connect(server).with_context(|| format!("no way to {server}; is the network up? (--server)"))?;
        Ok(Self { socket, server, patience, refusal: None, is_parting: false })
    }

    /// How long whoever says BUSY is heeded: as long as it takes, but not for the last that is said.
    pub fn patience_left(&self, since: Instant) -> Duration {
        if self.is_parting { self.patience.saturating_sub(since.elapsed()) } else { Duration::MAX }
    }

    /// The waits of a question that is asked from here on.
    pub fn waits(&self) -> Waits {
        let begun = Instant::now();
        Waits { begun, end: begun + self.patience, wait: WAIT, is_parting: self.is_parting, times: 0 }
    }

    /// What is said from here on is the last, and is said after a signal, too, with little patience.
    pub fn part(&mut self) {
        self.is_parting = true;
        self.patience = self.patience.min(2 * WAIT);
    }

    /// Sends a datagram. That nobody heard an earlier one is no failure: silence will say it.
    ///
    /// # Errors
    /// The socket is broken.
    pub fn send(&mut self, datagram: &[u8]) -> Result<(), Trouble> {
        match self.socket.send(datagram) {
            Ok(_) => Ok(()),
            Err(error) => self.note(error),
        }
    }

    fn note(&mut self, error: std::io::Error) -> Result<(), Trouble> {
        use ErrorKind::{ConnectionRefused, HostUnreachable, Interrupted, NetworkUnreachable, TimedOut, WouldBlock};
        match error.kind() {
            WouldBlock | TimedOut | Interrupted => Ok(()),
            ConnectionRefused | HostUnreachable | NetworkUnreachable => {
                self.refusal = Some(error);
                Ok(())
            }
            _ => Err(Trouble::Other(anyhow::Error::new(error).context(format!("speaking with {}", self.server)))),
        }
    }

    /// The next datagram that comes before `until`.
    ///
    /// # Errors
    /// The socket is broken.
    pub fn receive(&mut self, until: Instant) -> Result<Option<([u8; DATAGRAM_MAX], usize)>, Trouble> {
        let mut bytes = [0; DATAGRAM_MAX];
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || (stop::requested() && !self.is_parting) {
                return Ok(None);
            }
            let set = self.socket.set_read_timeout(Some(left.max(Duration::from_millis(1))));
            set.map_err(|error| Trouble::Other(error.into()))?;
            match self.socket.recv(&mut bytes) {
                Ok(len) => return Ok(Some((bytes, len))),
                Err(error) => self.note(error)?,
            }
        }
    }

    /// Asks before there is a session.
    ///
    /// # Errors
    /// No answer comes.
    pub fn ask<T>(
        &mut self,
        asked: Asked,
        make: impl Fn() -> Vec<u8>,
        answer: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<T, Trouble> {
        let mut waits = self.waits();
        while let Some(until) = waits.next_until() {
            self.send(&make())?;
            while let Some((bytes, len)) = self.receive(until)? {
                if let Some(answer) = answer(&bytes[..len]) {
                    return Ok(answer);
                }
            }
        }
        Err(self.silence(asked, &waits))
    }

    /// Nobody answered, or not before a signal came.
    pub fn silence(&self, asked: Asked, waits: &Waits) -> Trouble {
        if stop::requested() && !self.is_parting {
            return Trouble::Interrupted { asked, request: None };
        }
        let (server, times, waited) = (self.server, waits.times, waits.begun.elapsed());
        Trouble::NoAnswer {
            asked,
            server,
            times,
            waited,
            refusal: self.refusal.as_ref().map(ToString::to_string),
            request: None,
        }
    }
}
