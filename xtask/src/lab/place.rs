//! Where a program runs: in a namespace of the lab, or right here when there is no root; on any CPU or on one.

use std::ffi::OsStr;
use std::process::Command;

use super::namespace::Namespace;

/// Where a program runs.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    namespace: Option<&'a Namespace>,
    cpu: Option<usize>,
}

impl<'a> Place<'a> {
    /// On this machine as it is.
    pub const HERE: Place<'static> = Place { namespace: None, cpu: None };

    /// In a namespace.
    pub fn inside(namespace: &'a Namespace) -> Place<'a> {
        Place { namespace: Some(namespace), cpu: None }
    }

    /// The same, on one CPU.
    #[must_use]
    pub fn on_cpu(self, cpu: usize) -> Place<'a> {
        Place { cpu: Some(cpu), ..self }
    }

    /// A command that runs `program` there and dies with the thread that starts it.
    pub fn command(self, program: impl AsRef<OsStr>) -> Command {
        let mut words: Vec<std::ffi::OsString> = Vec::new();
        if let Some(namespace) = self.namespace {
            words.extend(["nsenter".into(), format!("--net=/run/netns/{}", namespace.name()).into(), "--".into()]);
        }
        match self.cpu {
            Some(cpu) => words.extend(["taskset".into(), "-c".into(), cpu.to_string().into()]),
            // Both sides share the CPUs here as they never would elsewhere: a program that wakes must not push the other
            // off its CPU after each datagram.
            None => words.extend(["chrt", "--batch", "0"].map(Into::into)),
        }
        words.extend(["setpriv", "--pdeathsig", "KILL", "--"].map(Into::into));
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).arg(program);
        command
    }
}
