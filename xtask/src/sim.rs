//! `cargo xtask sim`: seed after seed of the simulation in which servers end at any moment, on all CPUs, until time is up or
//! one fails.

use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;

use crate::{command, signal};

/// Seeds that one process plays.
const BATCH: u64 = 8;

/// Flags of `cargo xtask sim`.
#[derive(Args)]
pub struct SimArgs {
    /// How long to go on
    #[arg(long, value_name = "MINUTES", default_value_t = 10)]
    minutes: u64,
    /// The first seed
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    seed: u64,
}

impl SimArgs {
    /// Plays seeds until the time is up.
    ///
    /// # Errors
    /// The first seed that failed, and the command that repeats it.
    pub fn run(&self) -> Result<()> {
        command::show(command::cargo().args([
            "test",
            "--quiet",
            "--package",
            "rp-client",
            "--test",
            "crashes",
            "--no-run",
        ]))?;
        let until = Instant::now() + Duration::from_secs(60 * self.minutes);
        let (next, done, stop) = (AtomicU64::new(self.seed), AtomicU64::new(0), AtomicBool::new(false));
        let failed = Mutex::new(None);
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| {
            for _ in 0..cpus {
                scope.spawn(|| {
                    while Instant::now() < until && !stop.load(Ordering::Relaxed) && signal::check().is_ok() {
                        let from = next.fetch_add(BATCH, Ordering::Relaxed);
                        if let Err(error) = play(from..from + BATCH) {
                            stop.store(true, Ordering::Relaxed);
                            println!(
                                "one of the seeds {from} to {} failed; the others under way are waited for",
                                from + BATCH - 1
                            );
                            failed.lock().expect("nobody panics with it").get_or_insert(error);
                            return;
                        }
                        println!("{} seeds sound", done.fetch_add(BATCH, Ordering::Relaxed) + BATCH);
                    }
                });
            }
        });
        failed.into_inner().expect("nobody panics with it").map_or_else(signal::check, Err)
    }
}

/// Plays some seeds in a process of their own.
fn play(seeds: std::ops::Range<u64>) -> Result<()> {
    let mut cargo: Command = command::cargo();
    cargo.args(["test", "--quiet", "--package", "rp-client", "--test", "crashes", "nothing_is_lost"]);
    cargo.env("RP_SIMULATION_SEED", format!("{}..{}", seeds.start, seeds.end)).env("RUST_BACKTRACE", "0");
    let mut said = Vec::new();
    if !command::follow(&mut cargo, command::HANGS, |line| said.push(line.to_owned()))? {
        bail!("{}", said.join("\n"));
    }
    Ok(())
}
