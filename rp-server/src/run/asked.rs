//! What the flags of `run` ask of the machine, for the doctor, who starts nothing.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::RunArgs;
use crate::gate::XdpChoice;
use crate::gate::xsks::Transport;
use crate::http::HttpArgs;

/// What a server of these flags would need.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Addresses to serve on.
    pub listen: Vec<SocketAddr>,
    /// Interfaces by name; none are all that are up.
    pub interfaces: Vec<String>,
    /// How XDP is asked for.
    pub xdp: XdpChoice,
    /// How the workers get what goes up.
    pub transport: Transport,
    /// The CPU of each worker, or why there are none.
    pub worker_cpus: Result<Vec<usize>, String>,
    /// SETs.
    pub sets: usize,
    /// Files of the realm keys.
    pub realm_keys: Vec<PathBuf>,
    /// Where counters are pinned.
    pub pin: Option<PathBuf>,
    /// The kernel programs.
    pub gate_object: Option<PathBuf>,
    /// The ledger's folder; none without durability.
    pub data: Option<PathBuf>,
    /// Receive buffer of a socket.
    pub receive_bytes: usize,
    /// The HTTP port.
    pub http: HttpArgs,
}

impl Asked {
    /// Is there to be a gate?
    pub fn wants_gate(&self) -> bool {
        self.xdp != XdpChoice::Off
    }

    /// Workers, one where that is not known.
    pub fn workers(&self) -> usize {
        self.worker_cpus.as_ref().map_or(1, Vec::len)
    }
}

impl RunArgs {
    /// What a server of these flags would need.
    pub fn asked(&self) -> Asked {
        Asked {
            listen: self.listen.clone(),
            interfaces: self.interface.clone(),
            xdp: self.xdp,
            transport: self.transport,
            worker_cpus: self.plan_cpus().map_err(|error| format!("{error:#}")),
            sets: self.sets,
            realm_keys: self.realm_key.clone(),
            pin: self.pin.clone(),
            gate_object: self.gate_object.clone(),
            data: self.ledger.folder().map(PathBuf::from),
            receive_bytes: (self.receive_buffer as usize) << 20,
            http: self.http.clone(),
        }
    }
}
