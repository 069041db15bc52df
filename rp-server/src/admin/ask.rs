//! The asking side of the admin socket.

use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

use anyhow::{Context, Result, bail};

use super::{AdminArgs, Answer, Question};

/// The server's own refusal, in its words.
#[derive(Debug)]
pub struct Refused(String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

/// Asks the running server.
///
/// # Errors
/// No server listens there, this user may not ask, or the server refused.
pub fn ask(admin: &AdminArgs, question: &Question) -> Result<Answer> {
    let path = admin.path();
    let mut stream = UnixStream::connect(&path).with_context(|| {
        format!("asking the server at {}: is rp-server running, as this user? --admin names another", path.display())
    })?;
    let line = serde_json::to_string(question).context("writing the question")?;
    writeln!(stream, "{line}").context("sending the question")?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).context("waiting for the answer")?;
    if answer.is_empty() {
        bail!("the server closed the connection without an answer: is it stopping?");
    }
    match serde_json::from_str(&answer).context("reading the answer: is the server of this version?")? {
        Answer::Refused(why) => Err(Refused(why).into()),
        answer => Ok(answer),
    }
}
