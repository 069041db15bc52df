//! From a stranger to a session: HELLO and LOGIN. Nothing is remembered before a good cookie and a good ticket.

use rand_core::RngCore;

use super::set::Set;
use super::slots::{Cold, NONE};
use super::{Asked, Outcome, Shared, Transmit};
use crate::clients::Clients as _;
use crate::entry::State;
use crate::key::{seal, session_key, verifies};
use crate::now::elapsed_ms;
use crate::posting::NOBODY;
use crate::reason::Reason;
use crate::steer::set_hash;
use crate::ticket::Ticket;
use crate::wire::{Challenge, FLAG_SEALED, Hello, Login, LoginRefused, Origin, Refusal, Welcome};

/// How long a user waits who found the SET full.
const FULL_RETRY_MS: u32 = 2000;
/// The least time between two log-ins of a user of which the first never spoke.
const FRESH_REST_MS: u32 = 1000;

impl Set {
    pub(super) fn hello(&self, asked: &Asked, datagram: &[u8], shared: &mut Shared, tx: &mut impl Transmit) -> Outcome {
        let Some(hello) = Hello::take(datagram) else { return Outcome::Dropped(Reason::BadLength) };
        if hello.flags != 0 || datagram[Hello::LEN..].iter().any(|byte| *byte != 0) {
            return Outcome::Dropped(Reason::BadField);
        }
        if !shared.admit_stranger(asked.now) {
            return Outcome::Dropped(Reason::StrangerLimited);
        }
        let cookie = shared.baker.bake(&Origin::from(&asked.from), hello.client_nonce, asked.now.unix_s());
        let Hello { set_hash, client_nonce, .. } = hello;
        let len = Challenge { flags: 0, set_hash, client_nonce, cookie }.put(tx.buffer());
        shared.reply(asked, tx, len)
    }

    pub(super) fn log_in(
        &mut self,
        asked: &Asked,
        datagram: &[u8],
        shared: &mut Shared,
        tx: &mut impl Transmit,
    ) -> Outcome {
        let Some(login) = Login::take(datagram) else { return Outcome::Dropped(Reason::BadLength) };
        let ticket = match check(&login, asked, datagram, shared) {
            Ok(ticket) => ticket,
            Err(reason) => return Outcome::Dropped(reason),
        };
        if asked.now.unix_s() >= ticket.expires_s {
            return refuse(&login, &ticket, Refusal::Expired, 0, asked, shared, tx);
        }
        let Some(at) = self.account_of(ticket.user, shared) else {
            return refuse(&login, &ticket, Refusal::Full, FULL_RETRY_MS, asked, shared, tx);
        };
        // The same nonce is the same log-in: its WELCOME was lost.
        for slot in [self.accounts[at].fresh, self.accounts[at].session] {
            if slot != NONE && self.slots.cold(slot).client_nonce == login.client_nonce {
                // One that has spoken moves by an ECHO alone: this may be a late copy from where its client was.
                if self.slots.cold(slot).fresh || self.slots.entry(slot).status().sequence() == 0 {
                    self.move_to(slot, asked, shared);
                }
                return self.welcome(slot, asked, shared, tx);
            }
        }
        // One that never spoke makes place for the next, so a user holds two slots at most.
        let fresh = self.accounts[at].fresh;
        if fresh != NONE {
            // Closed slots rest: without a pause one ticket under ever-new nonces would use up those of the whole SET.
            let age_ms = elapsed_ms(asked.now.mono_ms(), self.slots.entry(fresh).seen_ms());
            if age_ms < FRESH_REST_MS {
                return refuse(&login, &ticket, Refusal::Full, FRESH_REST_MS - age_ms, asked, shared, tx);
            }
            self.close(fresh, asked.now, shared);
            // Closing forgets an account that holds nothing.
            return match self.account_of(ticket.user, shared) {
                Some(at) => self.open(at, &login, &ticket, asked, shared, tx),
                None => refuse(&login, &ticket, Refusal::Full, FULL_RETRY_MS, asked, shared, tx),
            };
        }
        self.open(at, &login, &ticket, asked, shared, tx)
    }

    fn open(
        &mut self,
        at: u16,
        login: &Login,
        ticket: &Ticket,
        asked: &Asked,
        shared: &mut Shared,
        tx: &mut impl Transmit,
    ) -> Outcome {
        let Some(slot) = self.slots.take(asked.now.mono_us, shared.rng.next_u32() as u16) else {
            self.forget(at, shared);
            return refuse(login, ticket, Refusal::Full, FULL_RETRY_MS, asked, shared, tx);
        };
        // A user who comes for the first time has nothing that the session's first datagram would change: the gate may
        // answer it.
        let account = &mut self.accounts[at];
        let is_fresh = account.session != NONE || account.notice_count > 0;
        if is_fresh {
            account.fresh = slot;
        } else {
            account.session = slot;
        }
        // Only now: who has proven nothing takes no row.
        let client = shared.board.clients().find_or_take(Origin::from(&asked.from).ip);
        let server_nonce = shared.rng.next_u64();
        let key = session_key(&ticket.secret, login.client_nonce, server_nonce, self.session_of(slot));
        let cold = Cold {
            client_nonce: login.client_nonce,
            server_nonce,
            account: at,
            client,
            door: asked.door,
            fresh: is_fresh,
            role: ticket.role,
            ..Cold::default()
        };
        self.slots.open(slot, asked.now.mono_us, &key, &asked.from, cold);
        if !shared.config.is_unsealed {
            self.slots.seal_by(slot, &ticket.secret);
        }
        shared.books.sessions.add(1);
        shared.books.set_sessions[self.number].add(1);
        shared.books.logins.add(1);
        shared.books.clients[client].sessions.add(1);
        self.welcome(slot, asked, shared, tx)
    }

    fn welcome(&mut self, slot: u16, asked: &Asked, shared: &Shared, tx: &mut impl Transmit) -> Outcome {
        let session = self.session_of(slot);
        let cold = self.slots.cold(slot);
        let welcome = Welcome {
            flags: if shared.config.is_unsealed { 0 } else { FLAG_SEALED },
            session,
            client_nonce: cold.client_nonce,
            server_nonce: cold.server_nonce,
            request_highest: self.accounts[cold.account].requests.highest,
            server_time_us: asked.now.unix_us,
            idle_s: (shared.config.idle_us / 1_000_000).min(u64::from(u16::MAX)) as u16,
            sets: shared.config.sets as u16,
        };
        let out = tx.buffer();
        let len = welcome.put(out);
        let len = seal(&self.slots.entry(slot).key(), out, len);
        shared.reply(asked, tx, len)
    }

    /// A valid datagram came: if it is the session's first, the user's old session ends.
    pub(super) fn settle(&mut self, slot: u16, asked: &Asked, shared: &Shared) {
        let cold = self.slots.cold(slot);
        cold.fresh = false;
        let at = cold.account;
        let account = &mut self.accounts[at];
        let old = core::mem::replace(&mut account.session, slot);
        account.fresh = NONE;
        if old != NONE && old != slot && self.slots.entry(old).status().state() != State::Closed {
            self.close(old, asked.now, shared);
        }
        self.notices.wake(&self.accounts, at, asked.now.mono_us, &mut self.blocks);
    }
}

/// Cookie first: it is the cheapest to check and the only one that strangers at false addresses cannot have.
fn check(login: &Login, asked: &Asked, datagram: &[u8], shared: &mut Shared) -> Result<Ticket, Reason> {
    let from = Origin::from(&asked.from);
    shared.baker.check(&login.cookie, &from, login.client_nonce, asked.now.unix_s())?;
    if !shared.admit_prefix(&from, asked.now) {
        return Err(Reason::PrefixLimited);
    }
    if !shared.admit_stranger(asked.now) {
        return Err(Reason::StrangerLimited);
    }
    let ticket = shared.realms.iter().find_map(|realm| realm.open(&login.ticket)).ok_or(Reason::BadTicket)?;
    if ticket.user == NOBODY {
        return Err(Reason::BadTicket);
    }
    if !verifies(&ticket.secret, datagram) {
        return Err(Reason::BadTag);
    }
    if login.flags != 0 {
        return Err(Reason::BadField);
    }
    if set_hash(ticket.user) != login.set_hash {
        return Err(Reason::SetMismatch);
    }
    Ok(ticket)
}

fn refuse(
    login: &Login,
    ticket: &Ticket,
    refusal: Refusal,
    retry_after_ms: u32,
    asked: &Asked,
    shared: &Shared,
    tx: &mut impl Transmit,
) -> Outcome {
    let refused = LoginRefused {
        flags: 0,
        refusal: refusal as u8,
        reserved: 0,
        client_nonce: login.client_nonce,
        retry_after_ms,
    };
    let out = tx.buffer();
    let len = refused.put(out);
    let len = seal(&ticket.secret, out, len);
    shared.reply(asked, tx, len)
}
