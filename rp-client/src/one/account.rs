//! Who the one user is: a ticket and its secret, minted from the realm key, or as `rp-server ticket` printed them.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, bail};
use rand_core::{OsRng, TryRngCore};
use rp_core::key::Key;
use rp_core::ticket::{ROLE_USER, Sealed};
use serde_json::Value;

use crate::realm::Mint;

/// A user with his ticket.
#[derive(Clone)]
pub struct Account {
    /// The user.
    pub user: u64,
    /// Sealed for the server.
    pub ticket: Sealed,
    /// What user and server share by it.
    pub secret: Key,
}

impl Account {
    /// Mints a ticket from a realm key file.
    ///
    /// # Errors
    /// The file cannot be read, or is no realm key.
    pub fn mint(user: u64, realm_key: &Path) -> Result<Self> {
        let mint = Mint::read(realm_key)?;
        let mut nonce = [0; 24];
        OsRng.try_fill_bytes(&mut nonce).map_err(|e| anyhow!("drawing from the system's random source: {e}"))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?;
        let ticket = mint.ticket(user, ROLE_USER, now.as_secs() as u32, &nonce);
        Ok(Self { user, ticket, secret: mint.secret(user) })
    }

    /// Reads what `rp-server ticket` printed, by lines or as JSON: from a file, or the text itself.
    ///
    /// # Errors
    /// It is neither; or it is another user's than `user`.
    pub fn read(ticket: &str, user: Option<u64>) -> Result<Self> {
        let text = match std::fs::read_to_string(ticket) {
            Ok(text) => text,
            Err(_) if ticket.contains("secret") => ticket.to_string(),
            Err(error) => return Err(error).with_context(|| format!("cannot read the ticket {ticket} (--ticket)")),
        };
        let json: Option<Value> = serde_json::from_str(&text).ok();
        let field = |name: &str| match &json {
            Some(json) => json.get(name).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_string)),
            None => text.lines().find_map(|line| line.strip_prefix(name)?.trim().to_string().into()),
        };
        let missing = |name: &str| format!("the ticket has no {name}; give it as `rp-server ticket` prints it");
        let of: u64 =
            field("user").with_context(|| missing("user"))?.parse().context("the ticket's user is no number")?;
        if let Some(user) = user.filter(|user| *user != of) {
            bail!("the ticket is of user {of}, not of {user}: leave --user out");
        }
        let ticket = field("ticket").and_then(|hex| bytes_of(&hex)).with_context(|| missing("ticket of 84 bytes"))?;
        let secret = field("secret").and_then(|hex| bytes_of(&hex)).with_context(|| missing("secret of 16 bytes"))?;
        Ok(Self { user: of, ticket, secret })
    }
}

fn bytes_of<const LEN: usize>(hex: &str) -> Option<[u8; LEN]> {
    let digits: Vec<u8> = hex.trim().chars().map(|c| c.to_digit(16).map(|d| d as u8)).collect::<Option<_>>()?;
    let mut bytes = [0; LEN];
    if digits.len() != 2 * LEN {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = pair[0] << 4 | pair[1];
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_read_as_it_is_printed() {
        let (ticket, secret) = ("0a".repeat(84), "ff".repeat(16));
        let lines = format!("user     7\nticket   {ticket}\nsecret   {secret}\nset_hash 1\nexpires  2\n");
        let json = format!("{{\"user\":7,\"ticket\":\"{ticket}\",\"secret\":\"{secret}\"}}");
        for text in [&lines, &json] {
            let account = Account::read(text, Some(7)).expect("a ticket");
            assert_eq!((account.user, account.ticket, account.secret), (7, [10; 84], [255; 16]));
        }
        for (text, user, word) in
            [(&lines[..], Some(8), "leave --user out"), ("/nowhere", None, "--ticket"), ("secret", None, "user")]
        {
            let said = format!("{:#}", Account::read(text, user).err().expect("no ticket of this user"));
            assert!(said.contains(word), "{said}");
        }
    }
}
