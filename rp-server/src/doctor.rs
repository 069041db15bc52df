//! `rp-server doctor`: looks whether this machine has what a night needs, and says for each lack the command that mends it.
//!
//! It takes the flags of `run` and asks what a server of these flags would meet. What can be tried is tried: a program that
//! lets everything pass goes on each interface and off again, sockets are bound and closed, fifty blocks are written and
//! synced to a file without a name. Nothing is left behind and nothing is changed. In each file of this room readings are
//! taken apart from what is made of them, which the tests ask without a machine.

mod buffers;
mod clock;
mod cpus;
mod disk;
mod environment;
mod finding;
mod interfaces;
mod kernel;
mod object;
mod pins;
mod ports;
mod realm;
mod rights;
mod stolen;
mod trial;

use std::process::ExitCode;

use clap::Args;
use rp_net::{complain, say};
use serde::Serialize;

use crate::admin::AdminArgs;
use crate::run::{Asked, RunArgs};
pub use finding::{Finding, Verdict};

/// Of what `--json` prints: raised when a field changes its meaning or goes.
const SCHEMA: u32 = 1;

/// Flags of `rp-server doctor`.
#[derive(Args)]
pub struct DoctorArgs {
    /// Print JSON
    #[arg(long, env = "RP_DOCTOR_JSON")]
    json: bool,
    /// End with 1 on a WARN, too
    #[arg(long, env = "RP_DOCTOR_STRICT")]
    strict: bool,
    #[command(flatten)]
    run: RunArgs,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    schema: u32,
    checks: Vec<Finding>,
}

impl DoctorArgs {
    /// Looks at everything and says it; the code to end with.
    pub fn run(&self, admin: &AdminArgs) -> ExitCode {
        let checks = examine(&self.run.asked(), admin);
        let worst = checks.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Pass);
        let report = Report { schema: SCHEMA, checks };
        if self.json {
            match serde_json::to_string_pretty(&report) {
                Ok(text) => say!("{text}"),
                Err(error) => complain!("rp-server doctor: {error}"),
            }
        } else {
            finding::lines(&report.checks).iter().for_each(|line| say!("{line}"));
        }
        ExitCode::from(u8::from(worst == Verdict::Fail || (self.strict && worst == Verdict::Warn)))
    }
}

/// Every check, once, in the order in which a start would meet them.
fn examine(asked: &Asked, admin: &AdminArgs) -> Vec<Finding> {
    let interfaces = interfaces::choose(asked);
    let trial = trial::make(asked, interfaces.as_deref().unwrap_or_default());
    let mut findings = vec![
        kernel::version(asked),
        kernel::btf(asked),
        kernel::jit(asked, &trial),
        rights::capabilities(asked),
        object::built(asked),
        pins::folder(asked),
    ];
    findings.extend(interfaces::all(asked, &interfaces, &trial));
    findings.extend([
        buffers::sockets(asked),
        rights::locked_memory(asked),
        rights::open_files(asked),
        cpus::workers(asked),
        cpus::governor(asked),
        stolen::time(),
        clock::synchronised(),
        disk::place(asked),
        disk::sync_time(asked),
        disk::room(asked),
        realm::keys(asked),
        environment::variables(),
    ]);
    findings.extend(ports::all(asked, admin));
    findings
}
