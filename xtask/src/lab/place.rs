//! Where a program runs: in a namespace of the lab, or right here when there is no root.

use std::ffi::OsStr;
use std::process::Command;

use super::namespace::Namespace;

/// Where a program runs.
#[derive(Clone, Copy, Debug)]
pub enum Place<'a> {
    /// On this machine as it is.
    Here,
    /// In a namespace.
    In(&'a Namespace),
}

impl Place<'_> {
    /// A command that runs `program` there and dies with the thread that starts it.
    pub fn command(self, program: impl AsRef<OsStr>) -> Command {
        match self {
            Place::In(namespace) => namespace.command(program),
            Place::Here => {
                let mut command = Command::new("setpriv");
                command.args(["--pdeathsig", "KILL", "--"]).arg(program);
                command
            }
        }
    }
}
