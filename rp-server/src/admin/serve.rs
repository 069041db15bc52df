//! The answering side of the admin socket.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};

use super::{Answer, Question};
use crate::control::Call;

/// Bytes of a question, at most: a deny list of the longest prefixes, and more.
const QUESTION_MAX: u64 = 128 << 10;
/// Conversations at once; more wait in the socket's queue.
const CONVERSATIONS_MAX: usize = 32;
/// Time in which a question must have come: who says nothing must not keep the others out.
const QUESTION_WAIT: Duration = Duration::from_secs(10);
/// Pause after a connection that could not be accepted.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// A bound socket that its owner alone can open; its file goes with it.
pub struct PrivateSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl Drop for PrivateSocket {
    fn drop(&mut self) {
        // Gone already is as good as removed.
        let _ = fs::remove_file(&self.path);
    }
}

impl PrivateSocket {
    /// Binds the socket, in place of one that a killed server left; `what` it is, and the flag that names another.
    ///
    /// # Errors
    /// Another server listens there, or the system refuses.
    pub fn bind(path: PathBuf, what: &str, flag: &str) -> Result<Self> {
        if std::os::unix::net::UnixStream::connect(&path).is_ok() {
            bail!("another server listens at {}: stop it, or name another socket by {flag}", path.display());
        }
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir).with_context(|| format!("making {} for the {what}", dir.display()))?;
        }
        remove_old(&path, what, flag)?;
        let listener = UnixListener::bind(&path).with_context(|| format!("binding the {what} {}", path.display()))?;
        let socket = Self { listener, path };
        fs::set_permissions(&socket.path, fs::Permissions::from_mode(0o600))
            .with_context(|| format!("closing the {what} {} to others", socket.path.display()))?;
        Ok(socket)
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The next connection.
    ///
    /// # Errors
    /// What the system says.
    pub async fn accept(&self) -> std::io::Result<UnixStream> {
        self.listener.accept().await.map(|(stream, _)| stream)
    }
}

/// The socket that orders come by.
pub struct AdminSocket(PrivateSocket);

impl AdminSocket {
    /// Binds the socket, in place of one that a killed server left.
    ///
    /// # Errors
    /// Another server listens there, or the system refuses.
    pub fn bind(path: PathBuf) -> Result<Self> {
        PrivateSocket::bind(path, "admin socket", "--admin").map(Self)
    }

    /// Answers for ever.
    pub async fn serve(self, calls: mpsc::Sender<Call>) {
        let places = std::sync::Arc::new(tokio::sync::Semaphore::new(CONVERSATIONS_MAX));
        loop {
            let Ok(place) = places.clone().acquire_owned().await else { return };
            let Ok(stream) = self.0.accept().await else {
                // The caller's trouble, or no file descriptor is left: that passes, but not at once.
                tokio::time::sleep(ACCEPT_AGAIN).await;
                continue;
            };
            let calls = calls.clone();
            tokio::task::spawn_local(async move {
                // Whoever asked and went away gets no answer.
                let _ = converse(stream, &calls).await;
                drop(place);
            });
        }
    }
}

/// Removes the socket that a killed server left, and nothing else.
fn remove_old(path: &Path, what: &str, flag: &str) -> Result<()> {
    match fs::symlink_metadata(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e).with_context(|| format!("looking for an old {what} {}", path.display())),
        Ok(old) if old.file_type().is_socket() => {}
        Ok(_) => bail!("{} is there and no socket: name another place for the {what} by {flag}", path.display()),
    }
    fs::remove_file(path).with_context(|| {
        format!("removing the old {what} {}: remove it, or name another place by {flag}", path.display())
    })
}

async fn converse(stream: UnixStream, calls: &mpsc::Sender<Call>) -> Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    let mut read = BufReader::new(read.take(QUESTION_MAX));
    tokio::time::timeout(QUESTION_WAIT, read.read_line(&mut line)).await??;
    let answer = match serde_json::from_str::<Question>(&line) {
        Err(error) => Answer::Refused(format!("that is no question of this version: {error}")),
        Ok(question) => {
            let (done, answer) = oneshot::channel();
            calls.send((question, done)).await?;
            answer.await?
        }
    };
    let mut line = serde_json::to_vec(&answer)?;
    line.push(b'\n');
    write.write_all(&line).await?;
    Ok(())
}
