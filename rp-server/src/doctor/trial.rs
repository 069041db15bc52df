//! XDP, tried: a program that lets everything pass goes on each interface and off again.
//!
//! A link never takes the place of a program that is there, so trying harms nobody who has one. Drivers set their rings up
//! anew when the first program comes, which a card's link may feel for a moment: a reason to ask before the night.

use anyhow::{Context as _, Result};
use aya::Ebpf;
use aya::programs::{ProgramError, Xdp, XdpMode};

use crate::gate::interface::{self, Interface};
use crate::gate::object::{self, Wanted};
use crate::gate::{XdpChoice, privilege};
use crate::run::Asked;

/// What an interface took.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Took {
    /// In the driver.
    Driver,
    /// In the stack, and why not in the driver.
    Skb(String),
    /// Nowhere, and why.
    None(String),
    /// There is a program already.
    Busy,
    /// It could not be tried, and why.
    Untried(String),
}

/// What the trial brought.
pub struct Trial {
    loaded: Result<Ebpf, String>,
    took: Vec<Took>,
}

impl Trial {
    /// By interface, in their order.
    pub fn took(&self, index: usize) -> Took {
        let untried = || Took::Untried(self.loaded.as_ref().err().cloned().unwrap_or_default());
        self.took.get(index).cloned().unwrap_or_else(untried)
    }

    /// Did the kernel compile the program? None where none was loaded.
    pub fn is_compiled(&self) -> Option<bool> {
        let program: &Xdp = self.loaded.as_ref().ok()?.program("pass")?.try_into().ok()?;
        Some(program.info().ok()?.size_jitted() > 0)
    }
}

/// Loads the program and tries it; takes it off again before it returns.
pub fn make(asked: &Asked, interfaces: &[Interface]) -> Trial {
    let loaded = load(asked).map_err(|error| format!("{error:#}"));
    let Ok(mut ebpf) = loaded else { return Trial { loaded, took: Vec::new() } };
    let took = interfaces.iter().map(|interface| attempt(&mut ebpf, interface, asked.xdp)).collect();
    Trial { loaded: Ok(ebpf), took }
}

fn load(asked: &Asked) -> Result<Ebpf> {
    anyhow::ensure!(asked.wants_gate(), "--xdp off");
    privilege::check(asked.transport)?;
    let wanted = Wanted { ports: &[0], sets: 1, workers: 1, listens: 0, has_xsks: false, trace: false, answers: None };
    let mut ebpf = object::open(&object::find(asked.gate_object.as_deref())?, &wanted)?;
    let program: &mut Xdp = ebpf.program_mut("pass").context("the object has no program pass")?.try_into()?;
    program.load().context("the kernel's verifier refused the program pass")?;
    Ok(ebpf)
}

fn attempt(ebpf: &mut Ebpf, interface: &Interface, choice: XdpChoice) -> Took {
    let driver = if choice == XdpChoice::Skb { None } else { Some(once(ebpf, interface, XdpMode::Driver)) };
    let why = match driver {
        Some(Ok(())) => return Took::Driver,
        Some(Err(error)) if is_busy(&error) => return Took::Busy,
        Some(Err(error)) if choice == XdpChoice::Driver => return Took::None(error.1),
        Some(Err(error)) => format!("driver mode refused: {}", error.1),
        None => "asked by --xdp skb".to_string(),
    };
    match once(ebpf, interface, XdpMode::Skb) {
        Ok(()) => Took::Skb(why),
        Err(error) if is_busy(&error) => Took::Busy,
        Err(error) => Took::None(format!("{why}; skb mode refused: {}", error.1)),
    }
}

/// On and off. The error's number, where it is the kernel's, and its words.
fn once(ebpf: &mut Ebpf, interface: &Interface, mode: XdpMode) -> Result<(), (Option<i32>, String)> {
    let refused = |error: ProgramError| {
        let number = match &error {
            ProgramError::SyscallError(syscall) => syscall.io_error.raw_os_error(),
            _ => None,
        };
        (number, interface::explain(&error))
    };
    let Some(program) = ebpf.program_mut("pass") else { return Err((None, "no program pass".to_string())) };
    let program: &mut Xdp = program.try_into().map_err(refused)?;
    let link = program.attach_to_if_index(interface.index, mode).map_err(refused)?;
    program.detach(link).map_err(refused)
}

fn is_busy((number, _): &(Option<i32>, String)) -> bool {
    matches!(number, Some(libc::EBUSY | libc::EEXIST))
}
