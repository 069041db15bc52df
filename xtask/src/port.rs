//! A server's HTTP port, by a unix socket: it reaches into a namespace, as no address does.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

/// The longest that an answer, or the next event, may take.
const WAIT: Duration = Duration::from_secs(60);

/// The port.
#[derive(Clone, Debug)]
pub struct Port(PathBuf);

impl Port {
    /// At this socket.
    pub fn at(socket: PathBuf) -> Port {
        Port(socket)
    }

    /// The socket's file.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What `--http` is told.
    pub fn flag(&self) -> String {
        format!("unix:{}", self.0.display())
    }

    fn ask(&self, path: &str, header: &str) -> Result<UnixStream> {
        let mut stream = UnixStream::connect(&self.0).with_context(|| format!("asking {}", self.0.display()))?;
        stream.set_read_timeout(Some(WAIT))?;
        write!(stream, "GET {path} HTTP/1.1\r\nhost: server\r\n{header}\r\n").context("sending a request")?;
        Ok(stream)
    }

    /// Asks, and reads to the end: status code and body.
    ///
    /// # Errors
    /// Nobody answers, or not by HTTP.
    pub fn get(&self, path: &str) -> Result<(u16, String)> {
        let mut text = String::new();
        self.ask(path, "connection: close\r\n")?.read_to_string(&mut text).context("reading the answer")?;
        let (head, body) = text.split_once("\r\n\r\n").context("that is no HTTP")?;
        let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).context("that is no HTTP")?;
        Ok((code, body.to_owned()))
    }

    /// The stream of /events with this question behind it, as it comes.
    ///
    /// # Errors
    /// Nobody answers.
    pub fn events(&self, question: &str) -> Result<UnixStream> {
        self.ask(&format!("/events{question}"), "")
    }
}

/// The next event of a stream.
///
/// # Errors
/// It ends, or says nothing for too long.
pub fn next_event(stream: &mut UnixStream) -> Result<String> {
    let (mut text, mut room) = (String::new(), [0; 16 << 10]);
    loop {
        let len = stream.read(&mut room).context("waiting for an event")?;
        anyhow::ensure!(len > 0, "the events have ended");
        text.push_str(&String::from_utf8_lossy(&room[..len]));
        let data = text.split_once("data: ").and_then(|(_, rest)| rest.split_once("\n\n"));
        if let Some((data, _)) = data {
            // An event may come in several chunks, each behind its length.
            return Ok(data.split("\r\n").step_by(2).collect());
        }
    }
}
