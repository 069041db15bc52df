//! The XDP program that a veth needs at an end to which XDP sends: without one the kernel drops those frames and says nothing.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::{Place, Program, Room};
use crate::programs::Programs;

const ATTACH_LIMIT: Duration = Duration::from_secs(20);

/// Lets every frame in at some interfaces for as long as the program lives that is returned.
///
/// # Errors
/// When it does not attach; carries its log.
pub fn pass(programs: &Programs, room: &Room, place: Place<'_>, interfaces: &[String]) -> Result<Program> {
    attach(programs, room, place, interfaces, &[])
}

/// Sends every UDP datagram back instead.
///
/// # Errors
/// As [`pass`].
pub fn mirror(programs: &Programs, room: &Room, place: Place<'_>, interfaces: &[String]) -> Result<Program> {
    attach(programs, room, place, interfaces, &["--mirror"])
}

fn attach(
    programs: &Programs,
    room: &Room,
    place: Place<'_>,
    interfaces: &[String],
    flags: &[&str],
) -> Result<Program> {
    let mut command = place.command(&programs.server);
    command.args(["xdp-pass", "--gate-object"]).arg(&programs.gate).args(flags);
    command.args(interfaces.iter().flat_map(|interface| ["--interface", interface]));
    let names = interfaces.join(" ");
    let log = room.file(&format!("pass-{}.log", interfaces[0]));
    let mut program = Program::start("rp-server xdp-pass", command, &log)?;
    let since = Instant::now();
    while !program.log().contains("passing") {
        if program.ended()?.is_some() || since.elapsed() > ATTACH_LIMIT {
            bail!("rp-server xdp-pass does not attach to {names}: {}", program.log());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(program)
}
