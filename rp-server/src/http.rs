//! The HTTP port of whoever runs the server: page, metrics, health, on loopback unless a flag and a token say otherwise.
//!
//! It has a thread and a runtime of its own, which give way to the workers and share no lock with them, and with the control
//! plane one, for as long as a pointer takes to copy: all it shows are snapshots that the control plane took. It changes
//! nothing in the server.

mod events;
mod guard;
mod listen;
mod page;
mod routes;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::sync::{Semaphore, oneshot};

use crate::snapshot::Window;
use guard::Guard;
use listen::{Listener, Place};

/// Connections at once; more wait in the socket's queue.
const CONNECTIONS_MAX: usize = 64;
/// Time in which the head of a request must have come, and so long a connection may be idle.
const HEAD_WAIT: Duration = Duration::from_secs(10);
/// Bytes of such a head, at most.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// Pause after a connection that could not be accepted.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Flags of the HTTP port.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Operator")]
pub struct HttpArgs {
    /// Where the page, /metrics and /status are served
    #[arg(long, env = "RP_HTTP", value_name = "ADDR:PORT|unix:PATH|off", default_value = "127.0.0.1:2016")]
    http: Place,
    /// Let --http be an address that other machines reach; needs --http-token
    #[arg(long, env = "RP_HTTP_PUBLIC", hide_short_help = true)]
    http_public: bool,
    /// Serve HTTP only to who knows the token in this file
    #[arg(long, env = "RP_HTTP_TOKEN", hide_short_help = true, value_name = "FILE")]
    http_token: Option<PathBuf>,
}

/// The port while it is served; it ends with this.
pub struct HttpPort {
    thread: Option<(JoinHandle<()>, oneshot::Sender<()>)>,
    said: String,
}

impl HttpArgs {
    /// What a start would meet, for the doctor: where it would be served, or why not. Nothing is served.
    ///
    /// # Errors
    /// As [`serve`](Self::serve).
    pub fn try_out(&self) -> Result<String> {
        self.check()?;
        match &self.http {
            Place::Off => {}
            Place::Tcp(address) => {
                std::net::TcpListener::bind(address).with_context(|| format!("cannot serve HTTP on {address}"))?;
            }
            Place::Unix(path) => {
                if std::os::unix::net::UnixStream::connect(path).is_ok() {
                    bail!("another server listens at {}", path.display());
                }
            }
        }
        Ok(self.http.to_string())
    }

    fn check(&self) -> Result<Option<Vec<u8>>> {
        if let Some(address) = self.http.address()
            && !address.ip().is_loopback()
            && !(self.http_public && self.http_token.is_some())
        {
            bail!(
                "--http {address} is an address that other machines reach: that needs --http-public and --http-token FILE; or \
                 serve on 127.0.0.1 and reach it by `ssh -L`"
            );
        }
        self.http_token.as_deref().map(guard::read_token).transpose()
    }

    /// Opens the port and serves what is seen through the window; nothing with `off`.
    ///
    /// # Errors
    /// The flags do not allow it, the token is none, or the system refuses.
    pub fn serve(&self, window: Window) -> Result<HttpPort> {
        let token = self.check()?;
        if self.http == Place::Off {
            return Ok(HttpPort { thread: None, said: "off".to_string() });
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting HTTP")?;
        let listener = {
            let _inside = runtime.enter();
            Listener::bind(&self.http)?
        };
        let said = listener.to_string();
        let guard = Guard::new(token, listener.is_loopback());
        let (stop, stopped) = oneshot::channel();
        let serve = move || {
            // What is looked at may be late; what is asked by clients may not.
            rp_net::proc::give_way();
            // The thread is older than the gate, whose programs the other threads load.
            crate::gate::privilege::settle();
            runtime.block_on(async {
                tokio::select! {
                    () = accept(&listener, window, guard) => {}
                    _ = stopped => {}
                }
            });
            runtime.shutdown_timeout(Duration::ZERO);
        };
        let thread = std::thread::Builder::new().name("http".into()).spawn(serve).context("starting HTTP's thread")?;
        Ok(HttpPort { thread: Some((thread, stop)), said })
    }
}

impl HttpPort {
    /// For the start-up block: where it is.
    pub fn said(&self) -> &str {
        &self.said
    }
}

impl Drop for HttpPort {
    fn drop(&mut self) {
        if let Some((thread, stop)) = self.thread.take() {
            // If it has ended before, it panicked, and said so.
            let _ = stop.send(());
            let _ = thread.join();
        }
    }
}

async fn accept(listener: &Listener, window: Window, guard: Guard) {
    let app = routes::routes(window, guard);
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let Ok(stream) = listener.accept().await else {
            // The caller's trouble, or no file descriptor is left: that passes, but not at once.
            tokio::time::sleep(ACCEPT_AGAIN).await;
            continue;
        };
        let service = TowerToHyperService::new(app.clone());
        tokio::spawn(async move {
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(HEAD_WAIT).max_buf_size(HEAD_BYTES_MAX);
            // Whoever breaks off, or speaks no HTTP, has been answered if there was an answer.
            let _ = http.serve_connection(TokioIo::new(stream), service).await;
            drop(place);
        });
    }
}
