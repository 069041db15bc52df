//! A way from a TCP port of this machine to the unix socket of a server in a namespace, which can be cut.

use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Who came through; none while it is cut.
type Guests = Arc<Mutex<Option<Vec<TcpStream>>>>;

/// The door; whoever comes through it ends with it.
pub struct Door {
    port: u16,
    guests: Guests,
}

impl Door {
    /// Opens one to a unix socket.
    pub fn open(to: &Path) -> Door {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let guests: Guests = Arc::new(Mutex::new(Some(Vec::new())));
        let (to, at_door) = (to.to_owned(), guests.clone());
        thread::spawn(move || listener.incoming().flatten().for_each(|guest| let_in(guest, &to, &at_door)));
        Door { port, guests }
    }

    /// An address behind it.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Cuts all lines, and lets nobody through.
    pub fn cut(&self) {
        for guest in lock(&self.guests).take().into_iter().flatten() {
            let _may_be_gone = guest.shutdown(Shutdown::Both);
        }
    }

    /// Lets them through again.
    pub fn mend(&self) {
        *lock(&self.guests) = Some(Vec::new());
    }
}

fn lock(guests: &Guests) -> std::sync::MutexGuard<'_, Option<Vec<TcpStream>>> {
    guests.lock().unwrap_or_else(PoisonError::into_inner)
}

fn let_in(guest: TcpStream, to: &PathBuf, guests: &Guests) {
    let Some(list) = &mut *lock(guests) else { return };
    let Ok(server) = UnixStream::connect(to) else { return };
    let twin = |guest: &TcpStream| guest.try_clone().expect("a socket can be cloned");
    list.push(twin(&guest));
    let (mut from_guest, mut to_guest) = (twin(&guest), guest);
    let (mut from_server, mut to_server) = (server.try_clone().expect("a socket can be cloned"), server);
    thread::spawn(move || {
        let _ended = std::io::copy(&mut from_guest, &mut to_server);
        let _may_be_gone = to_server.shutdown(Shutdown::Both);
    });
    thread::spawn(move || {
        let _ended = std::io::copy(&mut from_server, &mut to_guest);
        let _may_be_gone = to_guest.shutdown(Shutdown::Both);
    });
}
