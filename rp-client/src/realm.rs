//! The realm key of load tests: the client mints its users' tickets itself, and derives their secrets from the key, so
//! that a million users need no table.

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use rp_core::key::{Key, sip};
use rp_core::ticket::{Realm, RealmKey, Sealed, Ticket};

/// Seconds that a minted ticket is good for.
pub const TICKET_LIFE_S: u32 = 24 * 3600;
/// Seconds that a ticket is dated back, for clocks that differ.
const TICKET_GRACE_S: u32 = 60;

/// Mints tickets.
#[derive(Clone)]
pub struct Mint {
    realm: Realm,
    master: Key,
}

impl Mint {
    /// Reads a realm key file, as `rp-server` writes it.
    ///
    /// # Errors
    /// The file is absent, unreadable or not a realm key; the message says what to do.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| {
            let shown = path.display();
            format!(
                "cannot read the realm key {shown}: rp-server makes the file at its first start (--realm-key); \
                 name the same one here, as a user who may read it (it is 0600)"
            )
        })?;
        let key = RealmKey::parse(&text).ok_or_else(|| {
            anyhow!("{} is no realm key: it must be one line, `ID KEY`, with 64 hex digits of key", path.display())
        })?;
        Ok(Self::new(&key))
    }

    /// A mint of this realm.
    pub fn new(key: &RealmKey) -> Self {
        let mut half = [0; 16];
        half.copy_from_slice(&key.key[..16]);
        let mut master = [0; 16];
        master[..8].copy_from_slice(&sip(&half, b"rp-client user secrets, low").to_le_bytes());
        master[8..].copy_from_slice(&sip(&half, b"rp-client user secrets, high").to_le_bytes());
        Self { realm: key.realm(), master }
    }

    /// A mint whose tickets no server takes, where none are needed.
    pub fn nobody() -> Self {
        Self::new(&RealmKey { id: 0, key: [0; 32] })
    }

    /// The secret in the tickets of a user.
    pub fn secret(&self, user: u64) -> Key {
        let [a, b, c, d, e, f, g, h] = user.to_le_bytes();
        let mut secret = [0; 16];
        secret[..8].copy_from_slice(&sip(&self.master, &[0, a, b, c, d, e, f, g, h]).to_le_bytes());
        secret[8..].copy_from_slice(&sip(&self.master, &[1, a, b, c, d, e, f, g, h]).to_le_bytes());
        secret
    }

    /// A ticket for a user in a role, issued at `unix_s`. `nonce` must be random.
    pub fn ticket(&self, user: u64, role: u8, unix_s: u32, nonce: &[u8; 24]) -> Sealed {
        let ticket = Ticket {
            user,
            secret: self.secret(user),
            issued_s: unix_s.saturating_sub(TICKET_GRACE_S),
            expires_s: unix_s.saturating_add(TICKET_LIFE_S),
            role,
        };
        self.realm.seal(&ticket, nonce)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_and_a_false_key_say_what_to_do() {
        let folder = std::env::temp_dir().join(format!("rp-client-realm-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a temporary folder");
        let file = folder.join("realm.key");
        let text = format!("{:#}", Mint::read(&file).err().expect("absent"));
        assert!(text.contains("--realm-key") && text.contains("realm.key"), "{text}");
        std::fs::write(&file, "not a key\n").expect("a temporary file");
        let text = format!("{:#}", Mint::read(&file).err().expect("false"));
        assert!(text.contains("64 hex digits"), "{text}");
        std::fs::remove_dir_all(&folder).expect("our own folder");
    }

    #[test]
    fn secrets_differ_by_user_and_by_realm() {
        let one = Mint::new(&RealmKey { id: 1, key: [1; 32] });
        let two = Mint::new(&RealmKey { id: 1, key: [2; 32] });
        assert_ne!(one.secret(1), one.secret(2));
        assert_ne!(one.secret(1), two.secret(1));
        assert_ne!(one.secret(1)[..8], one.secret(1)[8..]);
    }
}
