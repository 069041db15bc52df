//! `rp-server verify`: gives kernel programs to the verifier, attaches none, and says what that took.
//!
//! The gate's are told what a server would tell them, since the verifier follows only branches that can be taken.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use aya::programs::{Program, ProgramError};
use aya::{Ebpf, EbpfLoader};
use clap::Args;
use rp_core::limits::{PORT_DEFAULT, SETS_DEFAULT};
use rp_net::say;

use super::object::{self, Answers, Wanted};
use super::privilege;
use super::xsks::Transport;

/// Flags of `rp-server verify`.
#[derive(Args)]
pub struct VerifyArgs {
    /// Compiled kernel programs
    #[arg(value_name = "FILE", required = true)]
    objects: Vec<PathBuf>,
}

/// What the verifier made of a program.
pub struct Verified {
    /// The program.
    pub name: String,
    /// Instructions that it followed, on all ways together; none before Linux 5.16.
    pub followed: Option<u32>,
    /// Bytes of machine code.
    pub code_bytes: u32,
    /// Verifying and compiling.
    pub took: Duration,
}

impl VerifyArgs {
    /// Prints a line for each program.
    ///
    /// # Errors
    /// What is missing, or what the kernel refused.
    pub fn run(&self) -> Result<()> {
        privilege::check(Transport::Sockets)?;
        for path in &self.objects {
            let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            if object::is_of_gate(&bytes) {
                verify_gate(path, Transport::Sockets)?.iter().for_each(|program| say(program, ""));
                let past = verify_gate(path, Transport::AfXdp)?;
                past.iter()
                    .filter(|program| program.name == "gate")
                    .for_each(|program| say(program, " --transport af-xdp"));
            } else {
                let ebpf = EbpfLoader::new().load(&bytes);
                verify(&mut ebpf.with_context(|| format!("the maps of {}", path.display()))?)?
                    .iter()
                    .for_each(|program| say(program, ""));
            }
        }
        Ok(())
    }
}

/// All programs of the gate's object, as a server that answers and uses this transport tells them.
///
/// # Errors
/// As [`object::open`]; or the verifier's refusal.
pub fn verify_gate(path: &Path, transport: Transport) -> Result<Vec<Verified>> {
    let wanted = Wanted {
        ports: &[PORT_DEFAULT],
        sets: SETS_DEFAULT as u32,
        workers: object::cpus() as u32,
        listens: 1,
        has_xsks: transport == Transport::AfXdp,
        trace: false,
        answers: Some(Answers { cookie_key: [0; 16], takes_time_from_map: false }),
    };
    verify(&mut object::open(path, &wanted)?)
}

fn verify(ebpf: &mut Ebpf) -> Result<Vec<Verified>> {
    ebpf.programs_mut()
        .map(|(name, program)| {
            let since = Instant::now();
            load(program).with_context(|| format!("the kernel's verifier refused the program {name}"))?;
            let took = since.elapsed();
            let info = program.info().with_context(|| format!("the kernel does not describe the program {name}"))?;
            let (followed, code_bytes) = (info.verified_instruction_count(), info.size_jitted());
            Ok(Verified { name: name.to_string(), followed, code_bytes, took })
        })
        .collect()
}

fn load(program: &mut Program) -> Result<(), ProgramError> {
    match program {
        Program::Xdp(program) => program.load(),
        Program::SkReuseport(program) => program.load(),
        _ => Err(ProgramError::UnexpectedProgramType),
    }
}

fn say(program: &Verified, how: &str) {
    let followed = program.followed.map_or("an unknown number of".to_string(), |followed| followed.to_string());
    say!(
        "{:<10} {followed:>6} instructions followed by the verifier, {:.1} ms with compiling, {} bytes of machine code{how}",
        program.name,
        program.took.as_secs_f64() * 1e3,
        program.code_bytes
    );
}
