//! What the service manager is told, where there is one: ready, stopping, reloading, a line of status, and that all is alive.
//!
//! The watchdog is fed by the control plane, and only when every worker has gone round since the last time: a worker that
//! hangs is as bad as a server that does, and is ended and started again like it.

use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sd_notify::NotifyState;
use tracing::warn;

use crate::sight::Sight;

/// Beats within the time after which the service manager loses patience.
const BEATS: u32 = 3;
/// A line of status so often.
const STATUS_EVERY: Duration = Duration::from_secs(2);

/// The service manager.
pub struct Systemd {
    socket: Option<UnixDatagram>,
    sight: Arc<Sight>,
    patience: Option<Duration>,
    /// How often each worker had gone round at the last beat.
    rounds: Vec<u64>,
    /// Workers that have not since.
    stuck: Vec<usize>,
    /// Since the last line of status.
    quiet: Duration,
    requests: u64,
}

impl Systemd {
    /// The one that started this server, if one did.
    pub fn new(sight: Arc<Sight>) -> Systemd {
        let rounds = vec![0; sight.workers.len()];
        let patience = sd_notify::watchdog_enabled();
        let socket = connect().unwrap_or_else(|error| {
            warn!("the service manager cannot be reached at NOTIFY_SOCKET: {error}");
            None
        });
        Systemd { socket, sight, patience, rounds, stuck: Vec::new(), quiet: STATUS_EVERY, requests: 0 }
    }

    fn tell(&self, states: &[NotifyState<'_>]) {
        let Some(socket) = &self.socket else { return };
        let words: String = states.iter().map(|state| format!("{state}\n")).collect();
        if let Err(error) = socket.send(words.as_bytes()) {
            tracing::debug!("the service manager does not listen: {error}");
        }
    }

    /// Between two beats; what is seen of a stuck worker is worth knowing without a service manager, too.
    pub fn rest(&self) -> Duration {
        self.patience.map_or(STATUS_EVERY, |patience| (patience / BEATS).min(STATUS_EVERY))
    }

    /// Clients are served.
    pub fn ready(&self) {
        self.tell(&[NotifyState::Ready]);
    }

    /// The configuration is read again; [`ready`](Self::ready) ends that.
    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.tell(&[NotifyState::Reloading, now]),
            Err(error) => warn!("the service manager is not told of the reload: {error}"),
        }
    }

    /// Nothing more is let in.
    pub fn stopping(&self) {
        self.tell(&[NotifyState::Stopping, NotifyState::Status("draining: what is under way comes to its end")]);
    }

    /// Feeds the watchdog if every worker went round since the last beat, and says what is going on now and then.
    pub fn beat(&mut self, campaign: Option<u32>) {
        self.look();
        if self.stuck.is_empty() && self.patience.is_some() {
            self.tell(&[NotifyState::Watchdog]);
        }
        self.quiet += self.rest();
        if self.quiet >= STATUS_EVERY {
            let line = self.line(campaign);
            self.tell(&[NotifyState::Status(&line)]);
            self.quiet = Duration::ZERO;
        }
    }

    /// Looks at the workers, and says when one hangs, or does no more.
    fn look(&mut self) {
        let mut stuck = Vec::new();
        for (number, worker) in self.sight.workers.iter().enumerate() {
            let rounds = worker.face.rounds.load(Ordering::Relaxed);
            if std::mem::replace(&mut self.rounds[number], rounds) == rounds {
                stuck.push(number);
            }
        }
        for number in stuck.iter().filter(|number| !self.stuck.contains(number)) {
            warn!(worker = number, "worker {number} hangs: it has not gone round for {:?}", self.rest());
        }
        for number in self.stuck.iter().filter(|number| !stuck.contains(number)) {
            warn!(worker = number, "worker {number} goes round again");
        }
        self.stuck = stuck;
    }

    fn line(&mut self, campaign: Option<u32>) -> String {
        let status = self.sight.status();
        let requests = status.received.values().sum::<u64>();
        let rate = requests.wrapping_sub(self.requests) / STATUS_EVERY.as_secs().max(1);
        self.requests = requests;
        let sessions = status.sessions;
        let campaign = campaign.map_or("no campaign".to_owned(), |number| format!("campaign {number}"));
        let stuck: Vec<String> = self.stuck.iter().map(|number| format!("; worker {number} HANGS")).collect();
        let balanced = if status.money.balanced { "balanced" } else { "not at rest" };
        format!("{sessions} sessions, {rate} requests a second up here, {campaign}, books {balanced}{}", stuck.concat())
    }
}

/// The way to the service manager, if there is one. Nothing waits on it: one that does not read shall not stop the server.
fn connect() -> io::Result<Option<UnixDatagram>> {
    let Some(name) = std::env::var_os("NOTIFY_SOCKET") else { return Ok(None) };
    let address = match name.as_encoded_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(&name)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.connect_addr(&address)?;
    Ok(Some(socket))
}
