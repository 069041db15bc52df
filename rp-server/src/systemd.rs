//! What the service manager is told, where there is one: ready, stopping, reloading, a line of status, and that all is alive.
//!
//! The watchdog is fed by the control plane, and only when every worker has gone round since the last time: a worker that
//! hangs is as bad as a server that does, and is ended and started again like it.

use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use sd_notify::NotifyState;
use tracing::warn;

use crate::life::Age;
use crate::sight::Sight;

/// Beats within the time after which the service manager loses patience.
const BEATS: u32 = 3;
/// A line of status so often.
const STATUS_EVERY: Duration = Duration::from_secs(2);
/// What the end takes besides the drain, at most: the ledger's last sync on a busy disk. `TimeoutStopSec` of the unit is as
/// long.
const CLOSING_MAX: Duration = Duration::from_secs(30);
/// The shortest time between two beats, however little patience there is.
const REST_MIN: Duration = Duration::from_millis(1);

/// The service manager.
pub struct Systemd {
    socket: Option<UnixDatagram>,
    sight: Arc<Sight>,
    patience: Option<Duration>,
    /// How often each worker had gone round at the last beat.
    rounds: Vec<u64>,
    /// Workers that have not since.
    stuck: Vec<usize>,
    /// When the next line of status is due.
    line_due: Instant,
    /// Requests by the last line, and when that was.
    counted: (u64, Instant),
}

impl Systemd {
    /// The one that started this server, if one did.
    pub fn new(sight: Arc<Sight>) -> Systemd {
        let rounds = vec![0; sight.workers.len()];
        // None at all is how a service manager says that it does not watch.
        let patience = sd_notify::watchdog_enabled().filter(|patience| !patience.is_zero());
        let socket = connect().unwrap_or_else(|error| {
            warn!("the service manager cannot be reached at NOTIFY_SOCKET: {error}");
            None
        });
        let now = Instant::now();
        Systemd { socket, sight, patience, rounds, stuck: Vec::new(), line_due: now, counted: (0, now) }
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
        rest_of(self.patience)
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

    /// Nothing more is let in, and the end may wait so long for what is under way. The unit's own patience is for what comes
    /// after that.
    pub fn stopping(&self, drain_max: Duration) {
        let within = u32::try_from((drain_max + CLOSING_MAX).as_micros()).unwrap_or(u32::MAX);
        self.tell(&[
            NotifyState::Stopping,
            NotifyState::ExtendTimeoutUsec(within),
            NotifyState::Status("draining: what is under way comes to its end"),
        ]);
    }

    /// Feeds the watchdog if every worker went round since the last beat, and says what is going on now and then.
    pub fn beat(&mut self, campaign: Option<u32>) {
        self.look();
        if self.stuck.is_empty() && self.patience.is_some() {
            self.tell(&[NotifyState::Watchdog]);
        }
        let now = Instant::now();
        // One that ends has said so, and how it does does not change.
        if self.socket.is_none() || now < self.line_due || self.sight.life.age() == Age::Draining {
            return;
        }
        self.line_due = now + STATUS_EVERY;
        let line = self.line(campaign, now);
        self.tell(&[NotifyState::Status(&line)]);
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

    fn line(&mut self, campaign: Option<u32>, now: Instant) -> String {
        let status = self.sight.status();
        let requests = status.received.values().sum::<u64>();
        let (before, since) = std::mem::replace(&mut self.counted, (requests, now));
        let rate = rate(requests.wrapping_sub(before), now - since);
        let sessions = status.sessions;
        let campaign = campaign.map_or("no campaign".to_owned(), |number| format!("campaign {number}"));
        let stuck: Vec<String> = self.stuck.iter().map(|number| format!("; worker {number} HANGS")).collect();
        let balanced = if status.money.balanced { "balanced" } else { "NOT BALANCED" };
        format!("{sessions} sessions, {rate} requests a second up here, {campaign}, books {balanced}{}", stuck.concat())
    }
}

/// Between two beats, for a service manager of such patience or none.
fn rest_of(patience: Option<Duration>) -> Duration {
    patience.map_or(STATUS_EVERY, |patience| (patience / BEATS).clamp(REST_MIN, STATUS_EVERY))
}

/// So many in such a time, a second.
fn rate(count: u64, time: Duration) -> u64 {
    (count as f64 / time.max(REST_MIN).as_secs_f64()).round() as u64
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_by_the_time_that_passed_and_no_patience_is_too_short_for_a_beat() {
        let ms = Duration::from_millis;
        for (count, time, a_second) in [(2400, ms(2400), 1000), (100, ms(200), 500), (0, Duration::ZERO, 0)] {
            assert_eq!(rate(count, time), a_second, "{count} in {time:?}");
        }
        for (patience, rest) in [
            (None, STATUS_EVERY),
            (Some(ms(30_000)), STATUS_EVERY),
            (Some(ms(2400)), ms(800)),
            (Some(Duration::from_micros(1)), REST_MIN),
            (Some(Duration::ZERO), REST_MIN),
        ] {
            assert_eq!(rest_of(patience), rest, "{patience:?}");
        }
    }
}
