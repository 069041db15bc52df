//! `cargo xtask lab`: the laboratory for a person who wants to try things by hand.

use std::time::Duration;

use anyhow::Result;

use super::Lab;
use crate::programs::{Profile, Programs};
use crate::{ebpf, signal};

/// Flags of `cargo xtask lab`.
#[derive(clap::Args, Debug)]
pub struct LabArgs {
    /// Client machines.
    #[arg(long, value_name = "COUNT", default_value_t = 3)]
    clients: usize,
    /// With the programs' dev build.
    #[arg(long)]
    dev: bool,
}

impl LabArgs {
    /// Builds the lab, says how to enter it and keeps it until SIGINT or SIGTERM.
    ///
    /// # Errors
    /// As [`Lab::build`].
    pub fn run(self) -> Result<()> {
        ebpf::build()?;
        let profile = if self.dev { Profile::Dev } else { Profile::Release };
        let lab = Lab::build(self.clients, &Programs::build(profile)?)?;
        println!("server  nsenter --net=/run/netns/{}", lab.server().name());
        for (client, link) in lab.clients() {
            println!("client  nsenter --net=/run/netns/{}", client.name());
            println!(
                "        server at {} and {} (its {})",
                link.server_v4(),
                link.server_v6(),
                link.server_interface()
            );
            println!("        this machine is {} and {}", link.client_v4(), link.client_v6());
        }
        println!("Ctrl-C removes it.");
        while signal::check().is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}
