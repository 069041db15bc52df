//! The laboratory: a server and several client machines as network namespaces of this one.
//!
//! Each client machine has a cable of its own into the server's namespace, so the gate is attached to several
//! interfaces. Names carry this process's id; everything goes with the [`Lab`] value, and what a killed process left is
//! swept by the next one. Root is needed.

mod by_hand;
mod driver;
mod leftovers;
mod link;
mod namespace;
mod passing;
mod place;
mod program;
mod quiet;
mod room;
mod stack;
mod system;

use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Result, bail};

pub use by_hand::LabArgs;
pub use driver::{Transmitted, transmitted};
pub use leftovers::sweep;
pub use link::{LINKS_MAX, Link, STRANDS_MAX};
pub use namespace::Namespace;
pub use passing::{mirror, pass};
pub use place::Place;
pub use program::Program;
pub use quiet::{NapiThread, quiet};
pub use room::Room;
pub use stack::{BySockets, by_sockets};
pub use system::System;

use crate::programs::Programs;
use crate::signal;

/// Labs made by this process, for their names.
static MADE: AtomicU32 = AtomicU32::new(0);

/// A server machine and its client machines.
#[derive(Debug)]
pub struct Lab {
    passes: Vec<Program>,
    clients: Vec<(Namespace, Link)>,
    server: Namespace,
    room: Room,
}

impl Lab {
    /// Builds a lab with `clients` client machines, after sweeping what dead ones left. The clients' ends of the cables let in
    /// what the gate sends.
    ///
    /// # Errors
    /// Without root, or what the system refused.
    pub fn build(clients: usize, programs: &Programs) -> Result<Lab> {
        Lab::build_with(clients, 1, programs)
    }

    /// The same, with cables of so many strands.
    ///
    /// # Errors
    /// As [`Lab::build`].
    pub fn build_with(clients: usize, strands: usize, programs: &Programs) -> Result<Lab> {
        if !signal::is_root() {
            bail!(
                "network namespaces need root: run the same command with `sudo env \"PATH=$PATH\" \"HOME=$HOME\"` before it"
            );
        }
        sweep();
        let name = next_name();
        let room = Room::create(&name)?;
        let server = Namespace::create(format!("rp-{name}-server"))?;
        let mut lab = Lab { passes: Vec::new(), clients: Vec::new(), server, room };
        for number in 1..=clients {
            signal::check()?;
            let client = Namespace::create(format!("rp-{name}-c{number}"))?;
            let link = Link::lay(number, strands, &lab.server, &client)?;
            lab.passes.push(pass(programs, &lab.room, Place::inside(&client), &link.client_interfaces())?);
            lab.clients.push((client, link));
        }
        Ok(lab)
    }

    /// The server machine.
    pub fn server(&self) -> &Namespace {
        &self.server
    }

    /// The client machines, each with its cable.
    pub fn clients(&self) -> &[(Namespace, Link)] {
        &self.clients
    }

    /// Takes the passing program off a client's end, for a program that puts its own there.
    pub fn free_client_end(&mut self, index: usize) {
        drop(self.passes.remove(index));
    }

    /// The lab's folder.
    pub fn room(&self) -> &Room {
        &self.room
    }
}

/// `PID-NUMBER`, unique on this machine while this process lives.
pub fn next_name() -> String {
    format!("{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed) + 1)
}
