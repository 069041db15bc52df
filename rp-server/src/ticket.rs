//! `rp-server ticket`: issues a ticket, as an account service would.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use clap::Args;
use rand_core::{OsRng, TryRngCore};
use rp_core::steer::set_hash;
use rp_core::ticket::{ROLE_AUDITOR, ROLE_USER, Ticket};
use rp_net::say;

use crate::realm;

/// Flags of `rp-server ticket`.
#[derive(Args)]
pub struct TicketArgs {
    /// The user
    #[arg(long, value_name = "ID")]
    user: u64,
    /// May read the server's totals
    #[arg(long)]
    auditor: bool,
    /// How long it is good for
    #[arg(long, value_name = "SECONDS", default_value_t = 86_400)]
    life: u32,
    /// Realm key to seal it under
    #[arg(long, env = "RP_REALM_KEY", value_name = "FILE", default_value = "realm.key")]
    realm_key: PathBuf,
    /// Print one object of JSON
    #[arg(long)]
    json: bool,
}

impl TicketArgs {
    /// Prints a new ticket, its secret and the user's SET hash.
    ///
    /// # Errors
    /// The realm key cannot be read.
    pub fn run(&self) -> Result<()> {
        let key = realm::read(&self.realm_key)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?;
        let issued_s = u32::try_from(now.as_secs()).context("the clock is past 2106")?;
        let (mut secret, mut nonce) = ([0; 16], [0; 24]);
        OsRng.try_fill_bytes(&mut secret).context("drawing from the system's random source")?;
        OsRng.try_fill_bytes(&mut nonce).context("drawing from the system's random source")?;
        let role = if self.auditor { ROLE_AUDITOR } else { ROLE_USER };
        let expires_s = issued_s.saturating_add(self.life);
        let sealed = key.realm().seal(&Ticket { user: self.user, secret, issued_s, expires_s, role }, &nonce);
        let (ticket, secret, set_hash) = (hex(&sealed), hex(&secret), set_hash(self.user));
        if self.json {
            let object = serde_json::json!({
                "user": self.user, "ticket": ticket, "secret": secret, "set_hash": set_hash, "expires_s": expires_s,
            });
            say!("{object}");
        } else {
            say!(
                "user     {}\nticket   {ticket}\nsecret   {secret}\nset_hash {set_hash}\nexpires  {expires_s}",
                self.user
            );
        }
        Ok(())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
